"""Read the inputs and outputs of a face restorer's ONNX file, and check that it is one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from lipsync.errors import CheckpointMismatch, CheckpointRefused, CheckpointTruncated
from lipsync.models.checkpoint import file_errors
from lipsync.models.onnx_builder import onnx_package
from lipsync.models.onnx_file import FORMAT, GRAPH, is_onnx, read_graph
from lipsync.models.protobuf import fields_by_number
from lipsync.models.session import Array
from lipsync.types import Float32

MIN_SIDE, MAX_SIDE = 256, 2048  # pixels
FIDELITY_INPUT = "weight"  # as CodeFormer names it
FLOAT, HALF, DOUBLE = 1, 10, 11  # ONNX element types
# Field numbers in onnx.proto. GraphProto: initializers, inputs and outputs; TensorProto: name.
INITIALIZER, INPUT, OUTPUT, TENSOR_NAME = 5, 11, 12, 8
ACCEPTED_TYPES: Final = (FLOAT, HALF, DOUBLE)


@dataclass(frozen=True, slots=True)
class InputSignature:
    """The inputs of a restorer: a face (1, 3, side, side) and, if ``fidelity_shape`` is set, the fidelity."""

    side: int
    fidelity_shape: tuple[int, ...] | None = None

    def arrays(self, face: Float32, fidelity: float) -> list[Array]:
        """Return the inputs of one run in the model's order."""
        return [face] if self.fidelity_shape is None else [face, np.full(self.fidelity_shape, fidelity)]


def read_restorer(path: Path) -> tuple[str, Path]:
    """Return the format and the file itself if it maps a face (1, 3, side, side) to one of the same size.

    Raises CheckpointMismatch for any other model, CheckpointRefused if the weights are in another file, and errors of
    ``read_graph``.
    """
    with file_errors(path), path.open("rb") as file:
        head = file.read(2)
    if not is_onnx(head):
        raise CheckpointMismatch(f"{path}: not ONNX, the format of face restorers")
    graph = read_graph(path)
    if any(tensor.data_location == onnx_package().TensorProto.EXTERNAL for tensor in _tensors(graph)):
        raise CheckpointRefused(f"{path}: the weights are in another file. Export the model to a single file")
    input_signature(path)
    return FORMAT, path


def input_signature(path: Path) -> InputSignature:
    """Read the inputs of a restorer, without the onnx package and without loading the weights.

    Raises CheckpointMismatch if the model is not a restorer, CheckpointTruncated.
    """
    try:
        inputs, outputs = _ports(path)
    except (LookupError, ValueError, TypeError) as exc:
        raise CheckpointTruncated(f"{path}: damaged ONNX file") from exc
    face, *others = inputs or [_Port("", 0, ())]
    shape = face.shape
    is_face = len(shape) == 4 and shape[0] in (1, None) and shape[1] == 3 and face.element_type in (FLOAT, HALF)
    if not is_face or [port.name for port in others] not in ([], [FIDELITY_INPUT]) or not outputs:
        raise CheckpointMismatch(f"{path}: not a model that maps a face to a face of the same size")
    side = shape[2]
    sizes = {size for size in (*shape[2:], *outputs[0].shape[2:]) if size is not None}
    if side is None or shape[3] is None or sizes != {side} or not MIN_SIDE <= side <= MAX_SIDE:
        size = " x ".join("any" if size is None else str(size) for size in shape[2:])
        raise CheckpointMismatch(f"{path}: input size {size}: expected a square of {MIN_SIDE} to {MAX_SIDE} pixels")
    fidelity = [tuple(size or 1 for size in port.shape) for port in others]
    if any(port.element_type not in ACCEPTED_TYPES for port in others) or any(set(dims) - {1} for dims in fidelity):
        raise CheckpointMismatch(f"{path}: input {FIDELITY_INPUT!r} is not a single number")
    return InputSignature(side, *fidelity)


@dataclass(frozen=True, slots=True)
class _Port:
    """An input or output. ``element_type``: ONNX's number; a size of None stands for any."""

    name: str
    element_type: int
    shape: tuple[int | None, ...]


def _ports(path: Path) -> tuple[list[_Port], list[_Port]]:
    """Return inputs and outputs; old files list the weights among the inputs, which are left out."""
    (graph,) = fields_by_number(np.memmap(path, np.uint8, "r").data)[GRAPH]
    fields = fields_by_number(graph)
    weights = {bytes(fields_by_number(tensor)[TENSOR_NAME][0]).decode() for tensor in fields[INITIALIZER]}
    inputs, outputs = ([_port(value_info) for value_info in fields[number]] for number in (INPUT, OUTPUT))
    return [port for port in inputs if port.name not in weights], outputs


def _port(value_info: memoryview) -> _Port:
    """Read a ValueInfoProto: name (1) and type (2) > tensor type (1) > element type (1) and shape (2)."""
    fields = fields_by_number(value_info)
    tensor = fields_by_number(fields_by_number(fields[2][0])[1][0])
    sizes = [fields_by_number(dim)[1] for shape in tensor[2] for dim in fields_by_number(shape)[1]]
    shape = tuple(size[0] or None if size else None for size in sizes)
    return _Port(bytes(fields[1][0]).decode(), tensor[1][0], shape)


def _tensors(graph: Any) -> list[Any]:
    """Return the graph's weights and the constants among its nodes."""
    constants = [attribute.t for node in graph.node for attribute in node.attribute if attribute.HasField("t")]
    return [*graph.initializer, *constants]
