"""Wav2Lip's generator as an ONNX graph, from the tensors of a checkpoint.

Prajwal, Mukhopadhyay, Namboodiri, Jawahar, "A lip sync expert is all you need for speech to lip generation in the
wild", ACM Multimedia 2020: two convolutional encoders, of the face and of the sound, and a decoder with the face's
features at every scale. The tables below are that network; batch normalisation is folded into the convolutions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lipsync.errors import ExtraMissing
from lipsync.types import Float32

EPSILON = 1e-5  # of the batch normalisation
OPSET, IR_VERSION = 17, 8
SIDE, MEL_BANDS, MEL_COLUMNS = 96, 80, 16


@dataclass(frozen=True, slots=True)
class Conv:
    """One convolution and what follows. ``up``: a transposed one; ``residual``: its input is added before the ReLU."""

    inputs: int
    outputs: int
    kernel: int = 3
    stride: tuple[int, int] = (1, 1)
    pad: int = 1
    residual: bool = False
    up: bool = False
    more: int = 0  # rows and columns that a transposed convolution adds

    @property
    def shape(self) -> tuple[int, int, int, int]:
        first = (self.inputs, self.outputs) if self.up else (self.outputs, self.inputs)
        return (*first, self.kernel, self.kernel)


def _down(inputs: int, outputs: int, residuals: int, stride: tuple[int, int] = (2, 2)) -> tuple[Conv, ...]:
    return Conv(inputs, outputs, stride=stride), *(Conv(outputs, outputs, residual=True),) * residuals


def _up(inputs: int, outputs: int) -> tuple[Conv, ...]:
    first = Conv(inputs, outputs, stride=(2, 2), up=True, more=1)
    return first, *(Conv(outputs, outputs, residual=True),) * 2


_POINT = Conv(512, 512, kernel=1, pad=0)
FACE_ENCODER: tuple[tuple[Conv, ...], ...] = (
    (Conv(6, 16, kernel=7, pad=3),),
    _down(16, 32, 2),
    _down(32, 64, 3),
    _down(64, 128, 2),
    _down(128, 256, 2),
    _down(256, 512, 1),
    (Conv(512, 512, pad=0), _POINT),
)
AUDIO_ENCODER: tuple[Conv, ...] = (
    *_down(1, 32, 2, (1, 1)),
    *_down(32, 64, 2, (3, 1)),
    *_down(64, 128, 2, (3, 3)),
    *_down(128, 256, 1, (3, 2)),
    Conv(256, 512, pad=0),
    _POINT,
)
FACE_DECODER: tuple[tuple[Conv, ...], ...] = (
    (_POINT,),
    (Conv(1024, 512, pad=0, up=True), Conv(512, 512, residual=True)),
    _up(1024, 512),
    _up(768, 384),
    _up(512, 256),
    _up(320, 128),
    _up(160, 64),
)
LAST, TO_RGB = Conv(80, 32), Conv(32, 3, kernel=1, pad=0)
TO_RGB_NAME = "output_block.1"


def expected_weights() -> dict[str, tuple[int, ...]]:
    """The name and shape of every tensor that the graph is made of, as a checkpoint has them."""
    names: dict[str, tuple[int, ...]] = {}
    for name, conv in _blocks():
        names[f"{name}.conv_block.0.weight"] = conv.shape
        names[f"{name}.conv_block.0.bias"] = (conv.outputs,)
        for part in ("weight", "bias", "running_mean", "running_var"):
            names[f"{name}.conv_block.1.{part}"] = (conv.outputs,)
    return names | {f"{TO_RGB_NAME}.weight": TO_RGB.shape, f"{TO_RGB_NAME}.bias": (TO_RGB.outputs,)}


def _blocks() -> Iterator[tuple[str, Conv]]:
    for part, stages in (("face_encoder_blocks", FACE_ENCODER), ("face_decoder_blocks", FACE_DECODER)):
        for i, stage in enumerate(stages):
            yield from ((f"{part}.{i}.{k}", conv) for k, conv in enumerate(stage))
    yield from ((f"audio_encoder.{k}", conv) for k, conv in enumerate(AUDIO_ENCODER))
    yield "output_block.0", LAST


def to_onnx(weights: Mapping[str, Float32], half: bool = False) -> bytes:
    """The generator for any number of frames at once: ``mel`` (n, 1, 80, 16) and ``face`` (n, 6, 96, 96) to ``out``.

    ``face``: BGR in 0..1, the lower half black, then another picture of the same face, whole; ``out`` (n, 3, 96, 96):
    BGR in 0..1. ``weights``: what ``expected_weights`` names. ``half``: computed in half precision, inputs and output
    too.

    Raises ExtraMissing without the onnx package.
    """
    graph = _Graph(weights, half)
    skips, hidden = [], "face"
    for i, stage in enumerate(FACE_ENCODER):
        hidden = graph.chain(hidden, f"face_encoder_blocks.{i}", stage)
        skips.append(hidden)
    hidden = graph.chain("mel", "audio_encoder", AUDIO_ENCODER)
    for i, stage in enumerate(FACE_DECODER):
        hidden = graph.chain(hidden, f"face_decoder_blocks.{i}", stage)
        hidden = graph.node("Concat", hidden, skips.pop(), axis=1)
    hidden = graph.block(hidden, "output_block.0", LAST)
    rgb = (np.asarray(weights[f"{TO_RGB_NAME}.{part}"], np.float32) for part in ("weight", "bias"))
    graph.node("Sigmoid", graph.convolution(hidden, TO_RGB, *rgb), out="out")
    return graph.model()


class _Graph:
    """An ONNX graph under construction; names are numbers."""

    def __init__(self, weights: Mapping[str, Float32], half: bool) -> None:
        try:
            import onnx
        except ImportError as exc:
            raise ExtraMissing('Wav2Lip needs its extra: pip install "lip-sync-service[wav2lip]"') from exc
        self._onnx: Any = onnx
        self._weights = weights
        self._type = np.float16 if half else np.float32
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def chain(self, source: str, prefix: str, stage: Sequence[Conv]) -> str:
        for k, conv in enumerate(stage):
            source = self.block(source, f"{prefix}.{k}", conv)
        return source

    def block(self, source: str, name: str, conv: Conv) -> str:
        """Convolution, batch normalisation, perhaps the input once more, ReLU."""
        result = self.convolution(source, conv, *self._folded(name, conv))
        return self.node("Relu", self.node("Add", result, source) if conv.residual else result)

    def convolution(self, source: str, conv: Conv, weight: Float32, bias: Float32) -> str:
        more: dict[str, Any] = {"output_padding": [conv.more] * 2} if conv.more else {}
        kind = "ConvTranspose" if conv.up else "Conv"
        constants = (self._constant(weight), self._constant(bias))
        return self.node(kind, source, *constants, strides=list(conv.stride), pads=[conv.pad] * 4, **more)

    def node(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        name = out or f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(self._onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def model(self) -> bytes:
        helper = self._onnx.helper
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self._type))
        shapes = {"mel": (1, MEL_BANDS, MEL_COLUMNS), "face": (6, SIDE, SIDE), "out": (3, SIDE, SIDE)}
        mel, face, out = (helper.make_tensor_value_info(n, kind, ["n", *shape]) for n, shape in shapes.items())
        graph = helper.make_graph(self._nodes, "wav2lip", [mel, face], [out], self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        self._onnx.checker.check_model(model)
        return bytes(model.SerializeToString())

    def _folded(self, name: str, conv: Conv) -> tuple[Float32, Float32]:
        """Weight and bias of the convolution with its batch normalisation in it."""
        weight, bias = (self._weights[f"{name}.conv_block.0.{part}"] for part in ("weight", "bias"))
        parts = ("weight", "bias", "running_mean", "running_var")
        gain, shift, mean, variance = (self._weights[f"{name}.conv_block.1.{p}"].astype(np.float64) for p in parts)
        scale = gain / np.sqrt(variance + EPSILON)
        along = scale[None, :, None, None] if conv.up else scale[:, None, None, None]
        return np.asarray(weight * along, np.float32), np.asarray((bias - mean) * scale + shift, np.float32)

    def _constant(self, value: NDArray[Any]) -> str:
        name = f"weight{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(value.astype(self._type), name))
        return name
