"""What an engine changed in every frame, kept aside for a step that comes after the result was written.

Kept are the samples themselves: the step works on what the engine made, not on what an encoder made of that.
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

HEAD = struct.Struct("<5q")  # the box, and how many bytes follow
NOTHING = HEAD.pack(0, 0, 0, 0, 0)
EFFORT = 1  # of the compression: more takes longer than it saves


class EditSpool:
    """One engine's edits, frame after frame, in a file that is open for writing and reading.

    ``failure``: why they could not be kept, which is no reason to lose the frames themselves.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.edited = 0
        self.failure: LipsyncError | None = None

    def record(self, frames: Iterable[EditedFrame]) -> Generator[EditedFrame, None, None]:
        """The same frames, each written down as it passes, for as long as there is space."""
        for frame in frames:
            if self.failure is None:
                self._keep(frame)
            self.edited += frame.edited
            yield frame

    def _keep(self, frame: EditedFrame) -> None:
        try:
            with scratch_errors():
                self._file.write(_packed(frame) if frame.edited else NOTHING)
        except LipsyncError as error:
            self.failure = error
            with suppress(OSError):  # the space is the result's now
                os.truncate(self._file.fileno(), 0)

    def replay(self, pictures: Iterable[Frame]) -> Generator[EditedFrame, None, None]:
        """The recorded frames anew, from the same pictures of the footage, which stay as they are.

        Raises ``failure``, DiskFull, OutputUnwritable, InferenceFailed.
        """
        if self.failure is not None:
            raise self.failure
        with scratch_errors():
            self._file.seek(0)
        for picture in pictures:
            with scratch_errors():
                head = self._file.read(HEAD.size)
                if len(head) < HEAD.size:
                    raise InferenceFailed("more frames are asked for than an engine made")
                left, top, right, bottom, size = HEAD.unpack(head)
                content = self._file.read(size)
            if not size:
                yield EditedFrame(picture, picture, False)
                continue
            after = writable_copy(picture)
            _unpack(content, after, Box(left, top, right, bottom))
            yield EditedFrame(after, picture, True)


def _packed(frame: EditedFrame) -> bytes:
    box = changed_box(frame.before, frame.after)
    if box is None:
        return NOTHING
    samples = b"".join(part.tobytes() for part in _parts(frame.after, box))
    content = zlib.compress(samples, EFFORT)
    return HEAD.pack(box.left, box.top, box.right, box.bottom, len(content)) + content


def _unpack(content: bytes, picture: Frame, box: Box) -> None:
    samples = np.frombuffer(zlib.decompress(content), picture.y.dtype)
    for part in _parts(picture, box):
        part[:] = samples[: part.size].reshape(part.shape)
        samples = samples[part.size :]


def _parts(picture: Frame, box: Box) -> tuple[Plane, Plane, Plane]:
    """The box in each of the planes, as views."""
    return picture.y[box.luma], picture.u[box.chroma], picture.v[box.chroma]
