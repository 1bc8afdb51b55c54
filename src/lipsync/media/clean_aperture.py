"""Mark the padding of a finished MP4 or MOV file, so that players hide it.

4:2:0 encoders need even sizes. The visible area is stored in a clean aperture box (``clap``, ISO/IEC 14496-12,
12.1.4), which FFmpeg's muxer cannot write.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from lipsync.errors import EncodeFailed
from lipsync.media.boxes import HEADER_BYTES, top_boxes

VISUAL_ENTRY_BYTES = 78  # a visual sample entry's own fields, after its header
OTHER_HEADERS = (b"smhd", b"nmhd", b"gmhd", b"sthd")  # of tracks that hold no video
NESTING = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")


def write_clean_aperture(path: Path, coded: tuple[int, int], visible: tuple[int, int]) -> None:
    """Make players show the top left ``visible`` (width, height) of ``coded``, in a file that ends with its index.

    Raises EncodeFailed if the index is elsewhere.
    """
    with path.open("r+b") as file:
        start, index = _last_box(file, b"moov")
        file.seek(start)
        file.write(_with_aperture(index, 0, _aperture(coded, visible)))


def _aperture(coded: tuple[int, int], visible: tuple[int, int]) -> bytes:
    """The box: width, height, and the offset of its centre from the coded frame's, as fractions."""
    numbers = [visible[0], 1, visible[1], 1, visible[0] - coded[0], 2, visible[1] - coded[1], 2]
    body = struct.pack(">8i", *numbers)
    return struct.pack(">I4s", HEADER_BYTES + len(body), b"clap") + body


def _last_box(file: BinaryIO, kind: bytes) -> tuple[int, bytes]:
    """Return the position and content, header included, of the file's last box, which must be of ``kind``."""
    size = file.seek(0, 2)
    for box in top_boxes(file):
        if box.kind == kind and box.position + box.length == size:
            file.seek(box.position)
            return box.position, file.read(box.length)
    raise EncodeFailed("the encoded file has no index at its end")


def _with_aperture(box: bytes, depth: int, aperture: bytes) -> bytes:
    """Add the aperture to every visual sample entry in the box and update the sizes."""
    name = box[4:HEADER_BYTES]
    if name == b"minf" and box[HEADER_BYTES + 4 : 2 * HEADER_BYTES] in OTHER_HEADERS:
        return box
    if depth < len(NESTING) and name == NESTING[depth]:
        inner = 16 if name == b"stsd" else HEADER_BYTES
        body = b"".join(_with_aperture(child, depth + 1, aperture) for child in _children(box[inner:]))
        body = box[HEADER_BYTES:inner] + body
    elif depth == len(NESTING) and len(box) > HEADER_BYTES + VISUAL_ENTRY_BYTES and name != b"mp4a":
        body = box[HEADER_BYTES:] + aperture
    else:
        return box
    return struct.pack(">I4s", HEADER_BYTES + len(body), name) + body


def _children(content: bytes) -> list[bytes]:
    boxes, position = [], 0
    while position + HEADER_BYTES <= len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        length = max(length, HEADER_BYTES)
        boxes.append(content[position : position + length])
        position += length
    return boxes
