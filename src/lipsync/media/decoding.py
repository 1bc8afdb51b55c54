"""Frames out of packets, a few of which may be broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from lipsync.errors import MediaTruncated

MOST_BROKEN = 25  # packets that may fail to decode before the file counts as broken

AnyFrame = TypeVar("AnyFrame", VideoFrame, AudioFrame)


def decoded(
    path: Path, container: InputContainer, stream: VideoStream | AudioStream, kind: type[AnyFrame]
) -> Iterator[AnyFrame]:
    """The stream's frames; packets that cannot be decoded are left out.

    Raises MediaTruncated if there are too many of those, or nothing else.
    """
    broken, found = 0, False
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            for frame in packet.decode():
                if isinstance(frame, kind):
                    found = True
                    yield frame
        except av.error.FFmpegError as exc:
            broken += 1
            if broken > MOST_BROKEN or not isinstance(exc, av.error.InvalidDataError):
                raise MediaTruncated(f"{path}: its {stream.type} cannot be decoded") from exc
    if broken and not found:
        raise MediaTruncated(f"{path}: its {stream.type} cannot be decoded")
