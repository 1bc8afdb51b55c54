"""Extract Wav2Lip's weights from an ONNX export. Only the numbers in the file are read; the graph is not executed.

Exporters choose different names and input orders. Convolutions are therefore identified by the inputs that they depend
on: the audio, the face, or both. Within each of these groups they form a chain in the order of ``architecture``.
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
from lipsync.models.finite import check_finite
from lipsync.models.onnx_builder import onnx_package
from lipsync.models.onnx_file import read_graph
from lipsync.types import Float32

CONVOLUTION_OPS = ("Conv", "ConvTranspose")
CONSTANT_OPS = ("Constant", "Identity", "Cast")
ARITHMETIC_OPS = ("Mul", "Div", "Add", "Sub")
AUDIO, FACE, BOTH = "the audio", "the face", "both"
STANDARD_DOMAINS = ("", "ai.onnx")
REMEDY = "; import the checkpoint it was exported from"


def read_onnx(path: Path) -> Folded:
    """The generator's weights as float32, with the batch normalisation folded in.

    Raises NotACheckpoint, CheckpointTruncated, CheckpointRefused (weights in a separate file), CheckpointMismatch
    (another network, or a quantised one), CheckpointInvalid, ExtraMissing if onnx is not installed.
    """
    graph = read_graph(path)
    try:
        return _extract_weights(path, graph)
    except (LookupError, TypeError, ValueError) as exc:
        raise CheckpointTruncated(f"{path}: damaged ONNX file") from exc


def _extract_weights(path: Path, graph: Any) -> Folded:
    reader = _GraphReader(path, graph)
    groups = reader.groups()
    folded = {}
    for group, expected in _expected_groups().items():
        layers = groups[group]
        if len(layers) != len(expected):
            raise reader.mismatch(f"{len(layers)} convolutions of {group} instead of {len(expected)}")
        for (name, conv), layer in zip(expected.items(), layers, strict=True):
            folded[name] = reader.weights(name, conv, layer)
    reader.check_other_ops(conv for convs in _expected_groups().values() for conv in convs.values())
    return folded


def _expected_groups() -> dict[str, dict[str, Conv]]:
    """The convolutions by the inputs that they depend on. The decoder's first stage depends on the audio alone."""
    audio = {f"audio_encoder.{k}": conv for k, conv in enumerate(AUDIO_ENCODER)}
    face = _stages("face_encoder_blocks", FACE_ENCODER)
    decoder = _stages("face_decoder_blocks", FACE_DECODER)
    first = "face_decoder_blocks.0.0"
    both = {name: conv for name, conv in decoder.items() if name != first}
    both |= {LAST_NAME: LAST, TO_RGB_NAME: TO_RGB}
    return {AUDIO: audio | {first: decoder[first]}, FACE: face, BOTH: both}


def _stages(prefix: str, stages: Sequence[Sequence[Conv]]) -> dict[str, Conv]:
    return {f"{prefix}.{i}.{k}": conv for i, stage in enumerate(stages) for k, conv in enumerate(stage)}


@dataclass(frozen=True, slots=True)
class _Layer:
    """A convolution's node, and the graph inputs that it depends on."""

    node: Any
    inputs: frozenset[str]


class _GraphReader:
    """Collects constants, convolutions and their batch normalisations in one pass over the nodes."""

    def __init__(self, path: Path, graph: Any) -> None:
        self._path = path
        self._constants: dict[str, Any] = {tensor.name: tensor for tensor in graph.initializer}
        inputs = [value.name for value in graph.input if value.name not in self._constants]
        self._dependencies = {name: frozenset({name}) for name in inputs}
        self._aliases: dict[str, str] = {}  # outputs of Identity and Cast
        self._norms: dict[str, Any] = {}  # by the value that they normalise
        self._layers: list[_Layer] = []
        self._counts: Counter[str] = Counter()
        for node in graph.node:
            self._visit(node)

    def mismatch(self, reason: str) -> CheckpointMismatch:
        return CheckpointMismatch(f"{self._path}: not a Wav2Lip generator: {reason}")

    def groups(self) -> dict[str, list[_Layer]]:
        """The convolutions by the inputs that they depend on, in graph order."""
        alone = [layer for layer in self._layers if len(layer.inputs) == 1]
        first = {layer.inputs: tuple(self._constant(layer.node, 1).dims[1:2]) for layer in reversed(alone)}
        if sorted(first.values()) != [(1,), (6,)]:
            raise self.mismatch("its inputs are not a mel spectrogram and a face of six channels")
        named = {inputs: FACE if channels == (6,) else AUDIO for inputs, channels in first.items()}
        groups: dict[str, list[_Layer]] = {AUDIO: [], FACE: [], BOTH: []}
        for layer in self._layers:
            groups[named.get(layer.inputs, BOTH)].append(layer)
        return groups

    def weights(self, name: str, conv: Conv, layer: _Layer) -> tuple[Float32, Float32]:
        """Weight and bias of one convolution. Raises CheckpointMismatch if it differs from ``conv``."""
        node = layer.node
        self._check_attributes(name, conv, node)
        weight = self._numbers(name, self._constant(node, 1), conv.shape)
        channels = (conv.outputs,)
        has_bias = len(node.input) > 2 and node.input[2]
        bias = self._numbers(name, self._constant(node, 2), channels) if has_bias else np.zeros(channels, np.float32)
        norm = self._norms.get(node.output[0])
        if norm is None:
            return weight, bias
        gain, shift, mean, variance = (self._numbers(name, self._constant(norm, k), channels) for k in range(1, 5))
        epsilon = _attributes(norm).get("epsilon", EPSILON)
        return fold_norm(name, conv, weight, bias, Norm(gain, shift, mean, variance, epsilon))

    def check_other_ops(self, convs: Iterable[Conv]) -> None:
        """Raise CheckpointMismatch unless the operators between the convolutions are Wav2Lip's."""
        residuals = sum(conv.residual for conv in convs)
        if set(self._norms) - {layer.node.output[0] for layer in self._layers}:
            raise self.mismatch("a batch normalisation that follows no convolution")
        for kind, count in {"Add": residuals, "Relu": len(self._layers) - 1, "Sigmoid": 1}.items():
            if self._counts[kind] != count:
                raise self.mismatch(f"{self._counts[kind]} {kind} instead of {count}")

    def _visit(self, node: Any) -> None:
        kind = node.op_type
        if any(word in kind.lower() for word in ("quantize", "qlinear", "integer")):
            raise CheckpointMismatch(f"{self._path}: the model is quantised ({kind}){REMEDY}")
        if kind in CONSTANT_OPS and self._visit_constant(node):
            return
        unknown = [
            name for name in node.input if name and name not in self._constants and name not in self._dependencies
        ]
        if unknown:
            raise self.mismatch(f"{unknown[0]} is used before it is defined")
        data = [name for name in node.input if name in self._dependencies]
        dependencies = frozenset().union(*(self._dependencies[name] for name in data))
        self._dependencies |= dict.fromkeys(node.output, dependencies)
        self._counts[kind] += kind != "Add" or len(data) == 2
        self._visit_data(node, data, dependencies)

    def _visit_constant(self, node: Any) -> bool:
        """Whether the node's output is a constant, its own or another node's."""
        tensor = self._constants.get(node.input[0]) if node.input else _attributes(node).get("value")
        if tensor is None and node.input:
            return False
        self._constants[node.output[0]] = tensor
        return True

    def _visit_data(self, node: Any, data: Sequence[str], dependencies: frozenset[str]) -> None:
        kind = node.op_type
        sources = [self._aliases.get(name, name) for name in data]
        if "Conv" in kind:
            if kind not in CONVOLUTION_OPS or node.domain not in STANDARD_DOMAINS:
                raise CheckpointMismatch(f"{self._path}: rewritten by a graph optimiser ({kind}){REMEDY}")
            self._layers.append(_Layer(node, dependencies))
        elif kind == "BatchNormalization":
            self._norms[sources[0]] = node
        elif kind in ("Identity", "Cast"):
            self._aliases[node.output[0]] = sources[0]
        elif (
            kind in ARITHMETIC_OPS and len(data) == 1 and any(layer.node.output[0] in sources for layer in self._layers)
        ):
            raise self.mismatch(f"{kind} with a constant after a convolution{REMEDY}")

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
            raise CheckpointRefused(
                f"{self._path}: the weights are in a separate file; export the model as a single file"
            )
        if tensor.data_type not in (proto.FLOAT, proto.FLOAT16, proto.BFLOAT16, proto.DOUBLE):
            raise CheckpointMismatch(f"{self._path}: the model is quantised ({name}){REMEDY}")
        try:
            with np.errstate(over="ignore"):
                numbers = np.asarray(onnx_package().numpy_helper.to_array(tensor), np.float32)
        except (ValueError, TypeError) as exc:
            raise CheckpointTruncated(f"{self._path}: the values of {name} are truncated or damaged") from exc
        check_finite(numbers, CheckpointInvalid, f"{self._path}: {name} contains")
        return numbers

    def _check_attributes(self, name: str, conv: Conv, node: Any) -> None:
        kind = "ConvTranspose" if conv.up else "Conv"
        if node.op_type != kind:
            raise self.mismatch(f"{name} is a {node.op_type} instead of a {kind}")
        attributes = _attributes(node)
        if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID") or "output_shape" in attributes:
            raise self.mismatch(f"{name} has automatic padding")
        expected: dict[str, tuple[list[int], list[int]]] = {  # the value, and ONNX's default
            "strides": (list(conv.stride), [1, 1]),
            "pads": ([conv.pad] * 4, [0] * 4),
            "dilations": ([1, 1], [1, 1]),
            "output_padding": ([conv.output_padding] * 2, [0, 0]),
        }
        for key, (value, default) in expected.items():
            if list(attributes.get(key, default)) != value:
                raise self.mismatch(f"{name} has {key} {list(attributes.get(key, default))} instead of {value}")
        if attributes.get("group", 1) != 1:
            raise self.mismatch(f"{name} is a grouped convolution")


def _attributes(node: Any) -> dict[str, Any]:
    value_of = onnx_package().helper.get_attribute_value
    return {attribute.name: value_of(attribute) for attribute in node.attribute}
