"""The part of the coded picture that players show, written into a finished MP4 or MOV file.

An encoder of 4:2:0 needs even sizes. The padding is marked with a clean aperture box (``clap``, ISO/IEC 14496-12,
12.1.4), which the muxer cannot write itself.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from lipsync.errors import EncodeFailed

HEADER = 8
VISUAL_ENTRY = 78  # bytes of a visual sample entry's own fields, after its header
NESTED = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")


def write_clean_aperture(path: Path, coded: tuple[int, int], shown: tuple[int, int]) -> None:
    """Tell players to show the top left ``shown`` (width, height) of ``coded``. The index must lie at the file's end.

    Raises EncodeFailed if the file isn't built as expected.
    """
    with path.open("r+b") as file:
        start, content = _last_box(file, b"moov")
        file.seek(start)
        file.write(_with_aperture(content, 0, _aperture(coded, shown)))


def _aperture(coded: tuple[int, int], shown: tuple[int, int]) -> bytes:
    """The box: size as fractions, then the offset of its centre from the coded picture's."""
    numbers: list[int] = [shown[0], 1, shown[1], 1, shown[0] - coded[0], 2, shown[1] - coded[1], 2]
    body = b"".join(struct.pack(">i", number) for number in numbers)
    return struct.pack(">I4s", HEADER + len(body), b"clap") + body


def _last_box(file: BinaryIO, kind: bytes) -> tuple[int, bytes]:
    """Where the file's last box starts, which has to be of this kind, and what it holds, header included."""
    size = file.seek(0, 2)
    place = 0
    while place + HEADER <= size:
        file.seek(place)
        length, name = struct.unpack(">I4s", file.read(HEADER))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        length = length or size - place
        if place + length == size and name == kind:
            file.seek(place)
            return place, file.read(length)
        place += max(length, HEADER)
    raise EncodeFailed("the finished file has no index at its end")


def _with_aperture(box: bytes, depth: int, aperture: bytes) -> bytes:
    """The box with the aperture added to every visual sample entry in it, and its size set anew."""
    name = box[4:HEADER]
    if depth < len(NESTED) and name == NESTED[depth]:
        inner = 16 if name == b"stsd" else HEADER
        body = b"".join(_with_aperture(child, depth + 1, aperture) for child in _children(box[inner:]))
        body = box[HEADER:inner] + body
    elif depth == len(NESTED) and len(box) > HEADER + VISUAL_ENTRY and name != b"mp4a":
        body = box[HEADER:] + aperture
    else:
        return box
    return struct.pack(">I4s", HEADER + len(body), name) + body


def _children(content: bytes) -> list[bytes]:
    boxes, place = [], 0
    while place + HEADER <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        boxes.append(content[place : place + max(length, HEADER)])
        place += max(length, HEADER)
    return boxes
