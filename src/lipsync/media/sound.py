"""The delivered sound: a file's own, encoded piece by piece as the picture goes along."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

from lipsync.errors import MediaTruncated
from lipsync.media.probe import audio_of, open_media
from lipsync.types import Clip

MOST_CHANNELS = 8
FALLBACK_RATE = 48_000


class SoundTrack:
    """The first sound of ``clip`` as an AAC stream of ``container``, at its own rate and channels where AAC has them."""

    def __init__(self, container: OutputContainer, clip: Clip, bitrate: int) -> None:
        info = audio_of(clip)
        rates = av.codec.Codec("aac", "w").audio_rates or [FALLBACK_RATE]
        rate = info.rate if info.rate in rates else FALLBACK_RATE
        layout = info.layout if 0 < info.channels <= MOST_CHANNELS else "stereo"
        self._container = container
        self._stream: AudioStream = container.add_stream("aac", rate=rate, layout=layout, bit_rate=bitrate)
        self._frames = _decoded(clip, self._stream)
        self._rate = rate
        self._samples = 0
        self._ended = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._frames.close()

    def until(self, time: Fraction) -> None:
        """Encode the sound up to ``time`` seconds. Raises MediaTruncated."""
        while not self._ended and Fraction(self._samples, self._rate) < time:
            self._next()

    def finish(self) -> None:
        """Encode what is left."""
        while not self._ended:
            self._next()

    def _next(self) -> None:
        frame = next(self._frames, None)
        if frame is None:
            self._ended = True
            self._container.mux(self._stream.encode(None))
            return
        frame.pts, frame.time_base = self._samples, Fraction(1, self._rate)
        self._samples += frame.samples
        self._container.mux(self._stream.encode(frame))


def _decoded(clip: Clip, stream: AudioStream) -> Iterator[AudioFrame]:
    context = stream.codec_context
    resampler = av.AudioResampler(context.format or "fltp", context.layout, context.sample_rate)
    try:
        with closing(open_media(clip.path)) as container:
            for frame in container.decode(audio=0):
                frame.pts = None
                yield from resampler.resample(frame)
            yield from resampler.resample(None)
    except av.error.FFmpegError as exc:
        raise MediaTruncated(f"{clip.path}: the sound cannot be decoded") from exc
