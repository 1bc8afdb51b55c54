"""Wav2Lip's weights out of somebody's ONNX file. The file is read, never run: only its numbers are used.

Names and the order of inputs differ from exporter to exporter, but what a convolution depends on does not: the sound
alone, the face alone, or both. Within each of the three the convolutions are a chain, in the order of our tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lipsync.engines.wav2lip.architecture import (
    AUDIO_ENCODER,
    EPSILON,
    FACE_DECODER,
    FACE_ENCODER,
    LAST,
    LAST_NAME,
    TO_RGB,
    TO_RGB_NAME,
    Conv,
    Folded,
    Norm,
    fold_norm,
)
from lipsync.errors import (
    CheckpointInvalid,
    CheckpointMismatch,
    CheckpointRefused,
    CheckpointTruncated,
)
from lipsync.models.onnx_builder import onnx_package
from lipsync.models.onnx_file import read_graph
from lipsync.types import Float32

CONVOLUTIONS = ("Conv", "ConvTranspose")
OF_CONSTANTS = ("Constant", "Identity", "Cast")
ARITHMETIC = ("Mul", "Div", "Add", "Sub")
STANDARD = ("", "ai.onnx")
TO_DO_WITHOUT = "; import the file it was made from"


def read_onnx(path: Path) -> Folded:
    """The weights of the generator, float32, batch normalisation folded in.

    Raises NotACheckpoint, CheckpointTruncated, CheckpointRefused (weights in another file), CheckpointMismatch (another
    network, or quantised), CheckpointInvalid, ExtraMissing without the onnx package.
    """
    graph = read_graph(path)
    try:
        return _weights_of(path, graph)
    except (LookupError, TypeError, ValueError) as exc:
        raise CheckpointTruncated(f"{path}: the ONNX file is damaged") from exc


def _weights_of(path: Path, graph: Any) -> Folded:
    walk = _Walk(path, graph)
    groups = walk.groups()
    folded = {}
    for which, expected in _expected().items():
        found = groups[which]
        if len(found) != len(expected):
            raise walk.mismatch(f"{len(found)} convolutions of {which} instead of {len(expected)}")
        for (name, conv), layer in zip(expected.items(), found, strict=True):
            folded[name] = walk.taken(name, conv, layer)
    walk.check_rest(conv for convs in _expected().values() for conv in convs.values())
    return folded


def _expected() -> dict[str, dict[str, Conv]]:
    """The convolutions by what they depend on. The decoder's first stage has met nothing but the sound yet."""
    audio = {f"audio_encoder.{k}": conv for k, conv in enumerate(AUDIO_ENCODER)}
    face = _stages("face_encoder_blocks", FACE_ENCODER)
    decoder = _stages("face_decoder_blocks", FACE_DECODER)
    first = "face_decoder_blocks.0.0"
    both = {name: conv for name, conv in decoder.items() if name != first}
    both |= {LAST_NAME: LAST, TO_RGB_NAME: TO_RGB}
    return {"the sound": audio | {first: decoder[first]}, "the face": face, "both": both}


def _stages(part: str, stages: Sequence[Sequence[Conv]]) -> dict[str, Conv]:
    return {f"{part}.{i}.{k}": conv for i, stage in enumerate(stages) for k, conv in enumerate(stage)}


@dataclass(frozen=True, slots=True)
class _Layer:
    """A convolution's node, and which of the network's inputs it depends on."""

    node: Any
    needs: frozenset[str]


class _Walk:
    """What one pass over the nodes tells: constants, convolutions, and the normalisation behind each."""

    def __init__(self, path: Path, graph: Any) -> None:
        self._path = path
        self._constants: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        inputs = [value.name for value in graph.input if value.name not in self._constants]
        self._needs = {name: frozenset({name}) for name in inputs}
        self._same: dict[str, str] = {}  # a value that only passes another one on
        self._norms: dict[str, Any] = {}  # by the value that they normalise
        self._layers: list[_Layer] = []
        self._counts: Counter[str] = Counter()
        for node in graph.node:
            self._visit(node)

    def mismatch(self, what: str) -> CheckpointMismatch:
        return CheckpointMismatch(f"{self._path}: not Wav2Lip's network; {what}")

    def groups(self) -> dict[str, list[_Layer]]:
        """The convolutions by what they depend on, in their order."""
        alone = [layer for layer in self._layers if len(layer.needs) == 1]
        first = {layer.needs: tuple(self._constant(layer.node, 1).dims[1:2]) for layer in reversed(alone)}
        if sorted(first.values()) != [(1,), (6,)]:
            raise self.mismatch("it does not take a mel spectrogram and a face of six channels")
        named = {needs: "the face" if channels == (6,) else "the sound" for needs, channels in first.items()}
        groups: dict[str, list[_Layer]] = {"the sound": [], "the face": [], "both": []}
        for layer in self._layers:
            groups[named.get(layer.needs, "both")].append(layer)
        return groups

    def taken(self, name: str, conv: Conv, layer: _Layer) -> tuple[Float32, Float32]:
        """Weight and bias of one convolution, if it is the one that the tables tell."""
        node = layer.node
        self._check_attributes(name, conv, node)
        weight = self._numbers(name, self._constant(node, 1), conv.shape)
        channels = (conv.outputs,)
        given = len(node.input) > 2 and node.input[2]
        bias = self._numbers(name, self._constant(node, 2), channels) if given else np.zeros(channels, np.float32)
        norm = self._norms.get(node.output[0])
        if norm is None:
            return weight, bias
        gain, shift, mean, variance = (self._numbers(name, self._constant(norm, k), channels) for k in range(1, 5))
        epsilon = _attributes(norm).get("epsilon", EPSILON)
        return fold_norm(name, conv, weight, bias, Norm(gain, shift, mean, variance, epsilon))

    def check_rest(self, convs: Iterable[Conv]) -> None:
        """What stands between the convolutions is what stands between Wav2Lip's."""
        residuals = sum(conv.residual for conv in convs)
        if set(self._norms) - {layer.node.output[0] for layer in self._layers}:
            raise self.mismatch("a batch normalisation that follows no convolution")
        for kind, count in {"Add": residuals, "Relu": len(self._layers) - 1, "Sigmoid": 1}.items():
            if self._counts[kind] != count:
                raise self.mismatch(f"{self._counts[kind]} {kind} instead of {count}")

    def _visit(self, node: Any) -> None:
        kind = node.op_type
        if any(mark in kind.lower() for mark in ("quantize", "qlinear", "integer")):
            raise CheckpointMismatch(f"{self._path}: the network is quantised ({kind}){TO_DO_WITHOUT}")
        if kind in OF_CONSTANTS and self._visit_constant(node):
            return
        unknown = [name for name in node.input if name and name not in self._constants and name not in self._needs]
        if unknown:
            raise self.mismatch(f"{unknown[0]} is used before it is there")
        data = [name for name in node.input if name in self._needs]
        needs = frozenset().union(*(self._needs[name] for name in data))
        self._needs |= dict.fromkeys(node.output, needs)
        self._counts[kind] += kind != "Add" or len(data) == 2
        self._visit_data(node, data, needs)

    def _visit_constant(self, node: Any) -> bool:
        """Whether the node gives a constant, directly or from another one."""
        tensor = self._constants.get(node.input[0]) if node.input else _attributes(node).get("value")
        if tensor is None and node.input:
            return False
        self._constants[node.output[0]] = tensor
        return True

    def _visit_data(self, node: Any, data: Sequence[str], needs: frozenset[str]) -> None:
        kind = node.op_type
        sources = [self._same.get(name, name) for name in data]
        if "Conv" in kind:
            if kind not in CONVOLUTIONS or node.domain not in STANDARD:
                raise CheckpointMismatch(f"{self._path}: rewritten by an optimiser ({kind}){TO_DO_WITHOUT}")
            self._layers.append(_Layer(node, needs))
        elif kind == "BatchNormalization":
            self._norms[sources[0]] = node
        elif kind in ("Identity", "Cast"):
            self._same[node.output[0]] = sources[0]
        elif kind in ARITHMETIC and len(data) == 1 and any(layer.node.output[0] in sources for layer in self._layers):
            raise self.mismatch(f"{kind} with a constant behind a convolution{TO_DO_WITHOUT}")

    def _constant(self, node: Any, index: int) -> Any:
        tensor = self._constants.get(node.input[index]) if index < len(node.input) else None
        if tensor is None:
            raise self.mismatch(f"the weights of {node.name or node.op_type} are not constants")
        return tensor

    def _numbers(self, name: str, tensor: Any, shape: tuple[int, ...]) -> Float32:
        proto = onnx_package().TensorProto
        if tuple(tensor.dims) != shape:
            raise self.mismatch(f"{name} has the shape {tuple(tensor.dims)} instead of {shape}")
        if tensor.data_location == proto.EXTERNAL or tensor.external_data:
            raise CheckpointRefused(f"{self._path}: its weights are in another file; save it as one file")
        if tensor.data_type not in (proto.FLOAT, proto.FLOAT16, proto.BFLOAT16, proto.DOUBLE):
            raise CheckpointMismatch(f"{self._path}: the network is quantised ({name}){TO_DO_WITHOUT}")
        try:
            with np.errstate(over="ignore"):
                numbers = np.asarray(onnx_package().numpy_helper.to_array(tensor), np.float32)
        except (ValueError, TypeError) as exc:
            raise CheckpointTruncated(f"{self._path}: the numbers of {name} are cut off or damaged") from exc
        if not np.isfinite(numbers).all():
            raise CheckpointInvalid(f"{self._path}: {name} holds values that are no numbers")
        return numbers

    def _check_attributes(self, name: str, conv: Conv, node: Any) -> None:
        kind = "ConvTranspose" if conv.up else "Conv"
        if node.op_type != kind:
            raise self.mismatch(f"{name} is a {node.op_type} instead of a {kind}")
        given = _attributes(node)
        if given.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or "output_shape" in given:
            raise self.mismatch(f"{name} leaves its padding to the program that runs it")
        wanted: dict[str, tuple[list[int], list[int]]] = {  # what it has to be, and what it is unless told
            "strides": (list(conv.stride), [1, 1]),
            "pads": ([conv.pad] * 4, [0] * 4),
            "dilations": ([1, 1], [1, 1]),
            "output_padding": ([conv.more] * 2, [0, 0]),
        }
        for key, (value, usual) in wanted.items():
            if list(given.get(key, usual)) != value:
                raise self.mismatch(f"{name} has {key} {list(given.get(key, usual))} instead of {value}")
        if given.get("group", 1) != 1:
            raise self.mismatch(f"{name} is in groups")


def _attributes(node: Any) -> dict[str, Any]:
    value_of = onnx_package().helper.get_attribute_value
    return {attribute.name: value_of(attribute) for attribute in node.attribute}
