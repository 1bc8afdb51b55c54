"""Decode packets, tolerating a few broken ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final, Generic, TypeVar, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from lipsync.errors import MediaTruncated
from lipsync.media.discontinuity import joined_packets

MAX_BROKEN_PACKETS = 25
ALPHA_TAG, ALPHA_PRESENT = "alpha_mode", "1"
ALPHA_DECODERS: Final = {"vp8": "libvpx", "vp9": "libvpx-vp9"}

AnyFrame = TypeVar("AnyFrame", VideoFrame, AudioFrame)


class FrameDecoder(Generic[AnyFrame]):
    """Decodes packets of one stream and skips those that cannot be decoded."""

    def __init__(self, path: Path, stream: VideoStream | AudioStream, kind: type[AnyFrame]) -> None:
        self._path, self._stream = path, stream
        self._kind: type[AnyFrame] = kind
        self._context = _alpha_context(stream) or stream.codec_context
        self._broken, self._found = 0, False

    def decode(self, packet: Packet[Stream]) -> list[AnyFrame]:
        """Return the frames that the packet completes. Raises MediaTruncated if too many packets are broken."""
        try:
            frames = [frame for frame in self._context.decode(packet) if isinstance(frame, self._kind)]
        except av.error.FFmpegError as exc:
            self.skip(exc)
            return []
        self._found = self._found or bool(frames)
        return frames

    def skip(self, error: av.error.FFmpegError) -> None:
        """Count a broken packet. Raises MediaTruncated if there are too many, or nothing after it can be read."""
        self._broken += 1
        if self._broken > MAX_BROKEN_PACKETS or not isinstance(error, av.error.InvalidDataError):
            raise self._failure() from error

    def check(self) -> None:
        """Raise MediaTruncated if every packet was broken."""
        if self._broken and not self._found:
            raise self._failure()

    def _failure(self) -> MediaTruncated:
        return MediaTruncated(f"{self._path}: the {self._stream.type} stream cannot be decoded")


def has_alpha_layer(stream: VideoStream | AudioStream) -> bool:
    """Return whether a Matroska stream has transparency beside its frames, which FFmpeg's own decoders drop."""
    tags = {name.lower(): value for name, value in stream.metadata.items()}
    return stream.codec_context.name in ALPHA_DECODERS and tags.get(ALPHA_TAG) == ALPHA_PRESENT


def _alpha_context(stream: VideoStream | AudioStream) -> VideoCodecContext | None:
    """A decoder for frames and their transparency; None for streams without it."""
    if not has_alpha_layer(stream):
        return None
    decoder = ALPHA_DECODERS[stream.codec_context.name]
    context = cast(VideoCodecContext, CodecContext.create(decoder, "r"))
    context.thread_count = stream.codec_context.thread_count
    return context


def decoded(
    path: Path,
    container: InputContainer,
    stream: VideoStream | AudioStream,
    kind: type[AnyFrame],
    joints: Sequence[Fraction] = (),
) -> Iterator[AnyFrame]:
    """Yield the stream's frames; packets that cannot be decoded are skipped. ``joints``: see ``types.Clip``.

    Raises MediaTruncated if too many of them, or all, cannot be decoded.
    """
    decoder = FrameDecoder(path, stream, kind)
    packets = container.demux(stream)
    if joints:
        packets = joined_packets(container, stream, first_video_stream(container) or stream, joints)
    while True:
        try:
            packet = next(packets, None)
        except av.error.FFmpegError as exc:
            decoder.skip(exc)
            continue
        if packet is None:
            break
        yield from decoder.decode(packet)
    decoder.check()


def first_video_stream(container: InputContainer) -> VideoStream | None:
    """Return the first video stream that is not cover art."""
    streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    moving = [stream for stream in streams if stream.frames != 1]  # an animated AVIF begins with a still picture
    return next(iter(moving or streams), None)
