"""An ONNX file's graph, recognised by content. Reading it runs nothing, and opens no other file that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lipsync.errors import CheckpointMismatch, CheckpointTruncated, NotACheckpoint
from lipsync.models.onnx_builder import onnx_package

FORM = "ONNX"
LARGEST = 1 << 30  # bytes; the largest of the networks that are known has 0.4 GB
FIELDS: Mapping[int, int] = MappingProxyType(  # of ONNX's ModelProto: number, wire type
    {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
)
GRAPH = 7
LENGTH = 2  # the wire type of what is preceded by its length


def looks_like_onnx(head: bytes) -> bool:
    """Whether the first bytes are the version that every ONNX file begins with."""
    return len(head) > 1 and head[0] == 0x08 and 2 < head[1] < 64


def read_graph(path: Path) -> Any:
    """The file's GraphProto. Raises NotACheckpoint, CheckpointTruncated, CheckpointMismatch, ExtraMissing."""
    if path.stat().st_size > LARGEST:
        raise CheckpointMismatch(f"{path}: the weights of another network; those that are known are far smaller")
    content = path.read_bytes()
    fields = dict(_fields(path, content))
    if GRAPH not in fields:
        raise NotACheckpoint(f"{path}: not a file of weights, or an ONNX file without a network")
    if max(fields.values()) > len(content):
        raise CheckpointTruncated(f"{path}: the ONNX file is cut off")
    onnx = onnx_package()
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return onnx.ModelProto.FromString(content).graph
    except DecodeError as exc:
        raise CheckpointTruncated(f"{path}: the ONNX file is damaged") from exc


def _fields(path: Path, content: bytes) -> Iterator[tuple[int, int]]:
    """Number and end of every outermost field: tells a file that ends early from one that is something else."""
    place = 0
    while place < len(content):
        tag, place = _varint(content, place)
        if FIELDS.get(tag >> 3) != tag & 7:
            raise NotACheckpoint(f"{path}: not a file of weights")
        value, place = _varint(content, place)
        place += value if tag & 7 == LENGTH else 0
        yield tag >> 3, place


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """A protobuf number and where it ends; beyond the content if that ends too early."""
    value = shift = 0
    for at, byte in enumerate(content[place : place + 10], place + 1):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
    return value, len(content) + 1
