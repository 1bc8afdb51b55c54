"""Face restorers come as ONNX that is ready to run; this tells whether a file is one, and what it takes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from lipsync.errors import CheckpointMismatch, CheckpointRefused, CheckpointTruncated
from lipsync.models.checkpoint import file_errors
from lipsync.models.onnx_builder import onnx_package
from lipsync.models.onnx_file import FORM, looks_like_onnx, read_graph
from lipsync.models.session import Array
from lipsync.types import Float32

SMALLEST, LARGEST = 256, 2048  # pixels of the face's side
FIDELITY = "weight"  # the input by which CodeFormer is told how near to the face it is to stay
FLOAT, HALF, DOUBLE = 1, 10, 11  # ONNX's numbers for what values are
FIXED: Final = {1: 8, 5: 4}  # bytes of a protobuf field by its wire type


@dataclass(frozen=True, slots=True)
class InputSignature:
    """What a restorer takes: a face (1, 3, side, side) and, of some, how near to stay to it, in the shape ``told``."""

    side: int
    told: tuple[int, ...] | None = None

    def arrays(self, face: Float32, fidelity: float) -> list[Array]:
        """What one run is given, in the network's order."""
        return [face] if self.told is None else [face, np.full(self.told, fidelity)]


def read_restorer(path: Path) -> tuple[str, Path]:
    """The file itself, if it is a network that makes a face (1, 3, side, side) into another of the same size.

    Raises CheckpointMismatch if it is not, CheckpointRefused if its weights lie in another file, and what
    ``read_graph`` raises.
    """
    with file_errors(path), path.open("rb") as file:
        head = file.read(2)
    if not looks_like_onnx(head):
        raise CheckpointMismatch(f"{path}: not ONNX, which face restorers come as")
    graph = read_graph(path)
    if any(tensor.data_location == onnx_package().TensorProto.EXTERNAL for tensor in _tensors(graph)):
        raise CheckpointRefused(f"{path}: keeps its weights in another file; one file with all in it is wanted")
    input_signature(path)
    return FORM, path


def input_signature(path: Path) -> InputSignature:
    """What a network takes, from its file; neither the onnx package is needed for that nor memory for the weights.

    Raises CheckpointMismatch if it is no restorer, CheckpointTruncated.
    """
    try:
        inputs, outputs = _described(path)
    except (LookupError, ValueError, TypeError) as exc:
        raise CheckpointTruncated(f"{path}: the ONNX file is damaged") from exc
    face, *others = inputs or [_Port("", 0, ())]
    given = face.shape
    fits = len(given) == 4 and given[0] in (1, None) and given[1] == 3 and face.kind in (FLOAT, HALF)
    if not fits or [port.name for port in others] not in ([], [FIDELITY]) or not outputs:
        raise CheckpointMismatch(f"{path}: a network that does not make one face into another of the same size")
    side = given[2]
    sizes = {size for size in (*given[2:], *outputs[0].shape[2:]) if size is not None}
    if side is None or given[3] is None or sizes != {side} or not SMALLEST <= side <= LARGEST:
        shown = " x ".join("any" if size is None else str(size) for size in given[2:])
        wanted = f"{SMALLEST} to {LARGEST} pixels"
        raise CheckpointMismatch(f"{path}: not a network for faces of one size from {wanted}, but of {shown}")
    told = [tuple(size or 1 for size in port.shape) for port in others]
    if any(port.kind not in (FLOAT, HALF, DOUBLE) for port in others) or any(set(shape) - {1} for shape in told):
        raise CheckpointMismatch(f"{path}: a network whose {FIDELITY} is not one number")
    return InputSignature(side, *told)


@dataclass(frozen=True, slots=True)
class _Port:
    """An input or output: ``kind``, ONNX's number for what its values are; sizes are None where any will do."""

    name: str
    kind: int
    shape: tuple[int | None, ...]


def _described(path: Path) -> tuple[list[_Port], list[_Port]]:
    """Inputs, without the weights that old files list there too, and outputs."""
    (graph,) = _fields(np.memmap(path, np.uint8, "r").data)[7]
    parts = _fields(graph)
    filled_in = {bytes(_fields(tensor)[8][0]).decode() for tensor in parts[5]}
    inputs, outputs = ([_port(part) for part in parts[number]] for number in (11, 12))
    return [port for port in inputs if port.name not in filled_in], outputs


def _port(part: memoryview) -> _Port:
    fields = _fields(part)
    tensor = _fields(_fields(fields[2][0])[1][0])
    sizes = [_fields(size)[1] for shape in tensor[2] for size in _fields(shape)[1]]
    return _Port(bytes(fields[1][0]).decode(), tensor[1][0], tuple(size[0] or None if size else None for size in sizes))


def _fields(message: memoryview) -> defaultdict[int, list[Any]]:
    """A protobuf message's fields by number: numbers, and views of what has a length."""
    fields: defaultdict[int, list[Any]] = defaultdict(list)
    place = 0
    while place < len(message):
        tag, place = _number(message, place)
        if tag & 7 == 0:
            value, place = _number(message, place)
            fields[tag >> 3].append(value)
            continue
        length, place = (FIXED[tag & 7], place) if tag & 7 in FIXED else _number(message, place)
        fields[tag >> 3].append(message[place : place + length])
        place += length
    return fields


def _number(message: memoryview, place: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = shift = 0
    while message[place] & 0x80:
        value |= (message[place] & 0x7F) << shift
        place, shift = place + 1, shift + 7
    return value | message[place] << shift, place + 1


def _tensors(graph: Any) -> list[Any]:
    """All that the graph holds: its weights, and constants among its nodes."""
    constants = [attribute.t for node in graph.node for attribute in node.attribute if attribute.HasField("t")]
    return [*graph.initializer, *constants]
