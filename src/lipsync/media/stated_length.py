"""Find how long an audio file says it is, to notice that its end is missing."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
from av.container import InputContainer

# Formats, as FFmpeg names them, whose header states the length; of others, FFmpeg takes it from the size of the file.
STATED_BY_HEADER = ("aiff", "au", "flac", "tta", "wav", "w64", "mov")
MP3_TAGS = (b"Xing", b"Info", b"VBRI")  # of the frame that states the number of frames
MP3_TAG_BYTES = 512  # from the first frame on
UNKNOWN_BYTES = 0x7FFF0000  # from here on, a program wrote to a pipe and did not know the length
W64_HEADER_BYTES, W64_ALIGNMENT = 24, 8


def stated_length(path: Path, container: InputContainer) -> Fraction | None:
    """Return the length in seconds that the file's own header states; None if it states none."""
    names, stream = container.format.name.split(","), container.streams.audio[0]
    if "matroska" in names:
        return Fraction(container.duration, av.time_base) if container.duration else None
    if "wav" in names or "w64" in names:
        length = _wave_length(path)
        if length is not None:
            return length
    stated = any(name in names for name in STATED_BY_HEADER) or ("mp3" in names and _has_mp3_tag(path))
    if not stated or not stream.duration or stream.time_base is None:
        return None
    return stream.duration * stream.time_base


def _wave_length(path: Path) -> Fraction | None:
    """The seconds of a WAV or W64 file by the size of its data chunk, which FFmpeg replaces by what is there."""
    byte_rate = 0
    with path.open("rb") as file:
        for kind, size in _chunks(file):
            if kind == b"fmt ":
                (byte_rate,) = struct.unpack("<8xI", file.read(12).ljust(12, b"\0"))
            elif kind == b"data":
                return Fraction(size, byte_rate) if byte_rate and 0 < size < UNKNOWN_BYTES else None
    return None


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield the kind and size of each chunk of a WAV or W64 file, which is open at the chunk's content then."""
    head = file.read(12)
    wide = head[:4] == b"riff"
    if not wide and (head[:4], head[8:]) != (b"RIFF", b"WAVE"):
        return
    position = 40 if wide else 12
    while True:
        file.seek(position)
        header = file.read(W64_HEADER_BYTES if wide else 8)
        if len(header) < (W64_HEADER_BYTES if wide else 8):
            return
        kind, size = header[:4], struct.unpack("<Q" if wide else "<I", header[16 if wide else 4 :])[0]
        yield kind, size - W64_HEADER_BYTES if wide else size
        step = max(size, W64_HEADER_BYTES) if wide else size + 8
        position += -(-step // W64_ALIGNMENT) * W64_ALIGNMENT if wide else step + step % 2


def _has_mp3_tag(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3":
            high, *rest = head[6:10].ljust(4, b"\0")
            for low in rest:
                high = high << 7 | low  # seven bits in each byte
            file.seek(10 + high)
        else:
            file.seek(0)
        beginning = file.read(MP3_TAG_BYTES)
    return any(tag in beginning for tag in MP3_TAGS)
