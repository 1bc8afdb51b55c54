"""Face restorers come as ONNX that is ready to run; this tells whether a file is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lipsync.errors import CheckpointMismatch
from lipsync.models.checkpoint import file_errors
from lipsync.models.graph import onnx_package
from lipsync.models.onnx_file import FORM, looks_like_onnx, read_graph

SMALLEST, LARGEST = 256, 2048  # pixels of the face's side
FIDELITY = "weight"  # the input by which CodeFormer is told how near to the face it is to stay


def read_restorer(path: Path) -> tuple[str, Path]:
    """The file itself, if it is a network that makes a face (1, 3, side, side) into another of the same size.

    Raises CheckpointMismatch if it is not, and what ``read_graph`` raises.
    """
    with file_errors(path), path.open("rb") as file:
        head = file.read(2)
    if not looks_like_onnx(head):
        raise CheckpointMismatch(f"{path}: not ONNX, which face restorers come as")
    graph = read_graph(path)
    if any(tensor.data_location == onnx_package().TensorProto.EXTERNAL for tensor in graph.initializer):
        raise CheckpointMismatch(f"{path}: keeps its weights in another file; one file with all in it is wanted")
    side_of(path, graph)
    return FORM, path


def side_of(path: Path, graph: Any) -> int:
    """Pixels of the face's side. Raises CheckpointMismatch."""
    filled_in = {tensor.name for tensor in graph.initializer}
    inputs = {port.name: _shape(port) for port in graph.input if port.name not in filled_in}
    faces = {name: shape for name, shape in inputs.items() if name != FIDELITY}
    shapes = [*faces.values(), *(_shape(port) for port in list(graph.output)[:1])]
    sides = {size for shape in shapes for size in shape[2:]}
    if len(faces) != 1 or any(len(shape) != 4 or shape[1] != 3 for shape in shapes) or len(sides) != 1:
        raise CheckpointMismatch(f"{path}: a network that does not make one face into another of the same size")
    (side,) = sides
    if not isinstance(side, int) or not SMALLEST <= side <= LARGEST:
        raise CheckpointMismatch(f"{path}: a network for faces of {side} pixels; {SMALLEST} to {LARGEST} are known")
    return side


def _shape(port: Any) -> tuple[int | str, ...]:
    sizes = port.type.tensor_type.shape.dim
    return tuple(size.dim_param or int(size.dim_value) for size in sizes)
