"""The Wav2Lip generator as two ONNX graphs, built from the tensors of a checkpoint.

The network is that of Prajwal, Mukhopadhyay, Namboodiri and Jawahar, "A Lip Sync Expert Is All You Need for Speech to
Lip Generation in the Wild", ACM Multimedia 2020: a convolutional face encoder, an audio encoder, and a decoder with
skip connections from the face encoder at every scale. The tables below describe its layers. Batch normalisation is
folded into the convolutions. The graph is split after the face encoder because its output does not depend on the
audio: for a photo, it is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from lipsync.errors import CheckpointInvalid
from lipsync.models.finite import check_finite
from lipsync.models.onnx_builder import GraphBuilder
from lipsync.types import Float32

Folded = Mapping[str, tuple[Float32, Float32]]  # weight and bias by convolution name, batch normalisation folded in

EPSILON = 1e-5  # default of the batch normalisation
SIDE = 96  # pixels of the input and output images
MEL_BANDS, MEL_COLUMNS = 80, 16


@dataclass(frozen=True, slots=True)
class Conv:
    """One convolution, followed by batch normalisation and ReLU. ``up``: it is transposed, and adds ``output_padding``
    rows and columns; ``residual``: its input is added before the ReLU."""

    inputs: int
    outputs: int
    kernel: int = 3
    stride: tuple[int, int] = (1, 1)
    pad: int = 1
    residual: bool = False
    up: bool = False
    output_padding: int = 0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        first = (self.inputs, self.outputs) if self.up else (self.outputs, self.inputs)
        return (*first, self.kernel, self.kernel)


@dataclass(frozen=True, slots=True)
class Norm:
    """Parameters of a batch normalisation, one value per channel."""

    gain: Float32
    shift: Float32
    mean: Float32
    variance: Float32
    epsilon: float = EPSILON


def _down(inputs: int, outputs: int, residuals: int, stride: tuple[int, int] = (2, 2)) -> tuple[Conv, ...]:
    return Conv(inputs, outputs, stride=stride), *(Conv(outputs, outputs, residual=True),) * residuals


def _up(inputs: int, outputs: int) -> tuple[Conv, ...]:
    first = Conv(inputs, outputs, stride=(2, 2), up=True, output_padding=1)
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
LAST_NAME, TO_RGB_NAME = "output_block.0", "output_block.1"
SKIPS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "skip0": (16, 96, 96),
        "skip1": (32, 48, 48),
        "skip2": (64, 24, 24),
        "skip3": (128, 12, 12),
        "skip4": (256, 6, 6),
        "skip5": (512, 3, 3),
        "skip6": (512, 1, 1),
    }
)


def expected_weights() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors that the graphs need, as in a PyTorch checkpoint."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, conv in _blocks():
        shapes[f"{name}.conv_block.0.weight"] = conv.shape
        shapes[f"{name}.conv_block.0.bias"] = (conv.outputs,)
        for key in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.conv_block.1.{key}"] = (conv.outputs,)
    return shapes | {f"{TO_RGB_NAME}.weight": TO_RGB.shape, f"{TO_RGB_NAME}.bias": (TO_RGB.outputs,)}


def _blocks() -> Iterator[tuple[str, Conv]]:
    for prefix, stages in (("face_encoder_blocks", FACE_ENCODER), ("face_decoder_blocks", FACE_DECODER)):
        for i, stage in enumerate(stages):
            yield from ((f"{prefix}.{i}.{k}", conv) for k, conv in enumerate(stage))
    yield from ((f"audio_encoder.{k}", conv) for k, conv in enumerate(AUDIO_ENCODER))
    yield LAST_NAME, LAST


def fold(tensors: Mapping[str, Float32]) -> Folded:
    """Fold each batch normalisation into its convolution. ``tensors``: those that ``expected_weights`` names.

    Raises CheckpointInvalid if the result contains NaN or infinite values.
    """
    folded = {}
    for name, conv in _blocks():
        weight, bias = (tensors[f"{name}.conv_block.0.{key}"] for key in ("weight", "bias"))
        keys = ("weight", "bias", "running_mean", "running_var")
        gain, shift, mean, variance = (tensors[f"{name}.conv_block.1.{key}"] for key in keys)
        folded[name] = fold_norm(name, conv, weight, bias, Norm(gain, shift, mean, variance))
    weight, bias = (np.asarray(tensors[f"{TO_RGB_NAME}.{key}"], np.float32) for key in ("weight", "bias"))
    return folded | {TO_RGB_NAME: (weight, bias)}


def fold_norm(name: str, conv: Conv, weight: Float32, bias: Float32, norm: Norm) -> tuple[Float32, Float32]:
    """Weight and bias of one convolution with its batch normalisation folded in. Raises CheckpointInvalid."""
    with np.errstate(all="ignore"):
        scale = norm.gain.astype(np.float64) / np.sqrt(norm.variance.astype(np.float64) + norm.epsilon)
        axis_scale = scale[None, :, None, None] if conv.up else scale[:, None, None, None]
        new_weight = np.asarray(weight * axis_scale, np.float32)
        new_bias = np.asarray((bias - norm.mean.astype(np.float64)) * scale + norm.shift, np.float32)
    for values in (new_weight, new_bias):
        check_finite(values, CheckpointInvalid, f"folding the batch normalisation of {name} produced")
    return new_weight, new_bias


def encoder_graph(folded: Folded, half: bool = False) -> bytes:
    """The face encoder: ``face`` (n, 6, 96, 96) to ``skip0`` to ``skip6``, with the shapes in ``SKIPS``.

    ``face`` holds two BGR images in 0..1: the face with its lower half black, then a complete reference image.
    ``half``: compute in float16, inputs and outputs included. Raises ExtraMissing if onnx is not installed.
    """
    graph = _Graph(folded, half)
    hidden = "face"
    for i, stage in enumerate(FACE_ENCODER):
        hidden = graph.chain(hidden, f"face_encoder_blocks.{i}", stage, out=f"skip{i}")
    return graph.build("wav2lip-encoder", {"face": (6, SIDE, SIDE)}, SKIPS)


def decoder_graph(folded: Folded, half: bool = False) -> bytes:
    """The audio encoder and decoder: ``mel`` (n, 1, 80, 16) and the encoder's skips to ``out`` (n, 3, 96, 96).

    ``out`` is the generated face, BGR in 0..1. ``half``: compute in float16, inputs and outputs included. Raises
    ExtraMissing if onnx is not installed.
    """
    graph = _Graph(folded, half)
    hidden = graph.chain("mel", "audio_encoder", AUDIO_ENCODER)
    for i, (stage, skip) in enumerate(zip(FACE_DECODER, reversed(list(SKIPS)), strict=True)):
        hidden = graph.chain(hidden, f"face_decoder_blocks.{i}", stage)
        hidden = graph.node("Concat", hidden, skip, axis=1)
    hidden = graph.block(hidden, LAST_NAME, LAST)
    graph.node("Sigmoid", graph.convolution(hidden, TO_RGB_NAME, TO_RGB), out="out")
    inputs = {"mel": (1, MEL_BANDS, MEL_COLUMNS), **SKIPS}
    return graph.build("wav2lip-decoder", inputs, {"out": (3, SIDE, SIDE)})


class _Graph(GraphBuilder):
    """A graph of named convolutions."""

    def __init__(self, folded: Folded, half: bool) -> None:
        super().__init__(half)
        self._folded = folded

    def chain(self, source: str, prefix: str, stage: Sequence[Conv], out: str = "") -> str:
        for k, conv in enumerate(stage):
            source = self.block(source, f"{prefix}.{k}", conv, out if k == len(stage) - 1 else "")
        return source

    def block(self, source: str, name: str, conv: Conv, out: str = "") -> str:
        """Convolution, residual connection if there is one, ReLU."""
        result = self.convolution(source, name, conv)
        return self.node("Relu", self.node("Add", result, source) if conv.residual else result, out=out)

    def convolution(self, source: str, name: str, conv: Conv) -> str:
        extra: dict[str, Any] = {"output_padding": [conv.output_padding] * 2} if conv.output_padding else {}
        kind = "ConvTranspose" if conv.up else "Conv"
        constants = (self.constant(value) for value in self._folded[name])
        return self.node(kind, source, *constants, strides=list(conv.stride), pads=[conv.pad] * 4, **extra)
