"""Top-level boxes of MP4 and MOV files (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

HEADER_BYTES = 8


@dataclass(frozen=True, slots=True)
class TopBox:
    """A box's name, and the position and length in bytes of its content with its header."""

    kind: bytes
    position: int
    length: int


def top_boxes(file: BinaryIO) -> Iterator[TopBox]:
    """Yield the boxes of an open file, in order; the last one may be cut off."""
    size = file.seek(0, 2)
    position = 0
    while position + HEADER_BYTES <= size:
        file.seek(position)
        length, kind = struct.unpack(">I4s", file.read(HEADER_BYTES))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8).rjust(8, b"\0"))
        length = max(length or size - position, HEADER_BYTES)
        yield TopBox(kind, position, length)
        position += length


def is_fragmented(path: Path) -> bool:
    """Whether the index of a MP4 or MOV file is spread over fragments, as in recordings and streams."""
    with path.open("rb") as file:
        return any(box.kind == b"moof" for box in top_boxes(file))
