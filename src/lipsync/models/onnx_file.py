"""Read an ONNX file's graph. Nothing in the file is run, and no other file that it names is opened."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lipsync.errors import CheckpointMismatch, CheckpointTruncated, NotACheckpoint
from lipsync.models.onnx_builder import onnx_package
from lipsync.models.protobuf import read_fields

FORMAT = "ONNX"
MAX_FILE_BYTES = 1 << 30  # the largest supported model has 0.4 GB
MODEL_FIELDS: Mapping[int, int] = MappingProxyType(  # of ONNX's ModelProto: wire type by field number
    {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
)
GRAPH = 7


def is_onnx(head: bytes) -> bool:
    """Return whether the first two bytes are an ONNX file's version field."""
    return len(head) > 1 and head[0] == 0x08 and 2 < head[1] < 64


def read_graph(path: Path) -> Any:
    """Return the file's GraphProto. Raises NotACheckpoint, CheckpointTruncated, CheckpointMismatch, ExtraMissing."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise CheckpointMismatch(f"{path}: unknown architecture: larger than {MAX_FILE_BYTES >> 30} GB")
    content = path.read_bytes()
    ends = {}
    for field in read_fields(memoryview(content)):
        if MODEL_FIELDS.get(field.number) != field.wire_type:
            raise NotACheckpoint(f"{path}: not a weights file")
        ends[field.number] = field.end
    if GRAPH not in ends:
        raise NotACheckpoint(f"{path}: not a weights file, or an ONNX file without a graph")
    if max(ends.values()) > len(content):
        raise CheckpointTruncated(f"{path}: truncated ONNX file")
    onnx = onnx_package()
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    try:
        return onnx.ModelProto.FromString(content).graph
    except DecodeError as exc:
        raise CheckpointTruncated(f"{path}: damaged ONNX file") from exc
