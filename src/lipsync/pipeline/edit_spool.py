"""Keep the samples that an engine changed in every frame, for a stage that runs after the result was encoded.

The samples are kept as the engine computed them, so that later stages do not work on compressed video.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Generator, Iterable
from contextlib import suppress
from typing import IO

import numpy as np

from lipsync.enhancers.base import EditedFrame
from lipsync.errors import InferenceFailed, LipsyncError
from lipsync.files import scratch_errors
from lipsync.frames.difference import changed_box
from lipsync.frames.planes import writable_copy
from lipsync.types import Box, Frame, Plane

HEADER = struct.Struct("<5q")  # the box (left, top, right, bottom) and the size of the content in bytes
UNCHANGED = HEADER.pack(0, 0, 0, 0, 0)
COMPRESSION_LEVEL = 1  # of zlib; higher levels take more time than they save


class EditSpool:
    """The edits of one engine, frame by frame, in a file that is open for reading and writing.

    ``edited``: number of edited frames. ``failure``: why the edits could not be kept; the frames themselves are not
    affected.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.edited = 0
        self.failure: LipsyncError | None = None

    def record(self, frames: Iterable[EditedFrame]) -> Generator[EditedFrame, None, None]:
        """Write each frame's edit as it passes by, as long as the disk has space."""
        for frame in frames:
            if self.failure is None:
                self._write(frame)
            self.edited += frame.edited
            yield frame

    def _write(self, frame: EditedFrame) -> None:
        try:
            with scratch_errors():
                self._file.write(_pack(frame) if frame.edited else UNCHANGED)
        except LipsyncError as error:
            self.failure = error
            with suppress(OSError):  # leaves the space to the result
                os.truncate(self._file.fileno(), 0)

    def replay(self, frames: Iterable[Frame]) -> Generator[EditedFrame, None, None]:
        """Apply the recorded edits to copies of the same source frames, which are not changed.

        Raises ``failure``, DiskFull, OutputUnwritable, InferenceFailed.
        """
        if self.failure is not None:
            raise self.failure
        with scratch_errors():
            self._file.seek(0)
        for frame in frames:
            with scratch_errors():
                header = self._file.read(HEADER.size)
                if len(header) < HEADER.size:
                    raise InferenceFailed("more frames were requested than the engine rendered")
                left, top, right, bottom, size = HEADER.unpack(header)
                content = self._file.read(size)
            if not size:
                yield EditedFrame(frame, frame, False)
                continue
            after = writable_copy(frame)
            _unpack(content, after, Box(left, top, right, bottom))
            yield EditedFrame(after, frame, True)


def _pack(frame: EditedFrame) -> bytes:
    box = changed_box(frame.before, frame.after)
    if box is None:
        return UNCHANGED
    samples = b"".join(section.tobytes() for section in _sections(frame.after, box))
    content = zlib.compress(samples, COMPRESSION_LEVEL)
    return HEADER.pack(box.left, box.top, box.right, box.bottom, len(content)) + content


def _unpack(content: bytes, frame: Frame, box: Box) -> None:
    samples = np.frombuffer(zlib.decompress(content), frame.y.dtype)
    for section in _sections(frame, box):
        section[:] = samples[: section.size].reshape(section.shape)
        samples = samples[section.size :]


def _sections(frame: Frame, box: Box) -> tuple[Plane, Plane, Plane]:
    """The box in each plane, as views."""
    half = slice(box.top // 2, (box.bottom + 1) // 2), slice(box.left // 2, (box.right + 1) // 2)
    return frame.y[box.top : box.bottom, box.left : box.right], frame.u[half], frame.v[half]
