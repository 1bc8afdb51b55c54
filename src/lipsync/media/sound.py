"""The delivered sound: a file's own, encoded piece by piece as the picture goes along."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

from lipsync.media.audio import resampled
from lipsync.media.probe import audio_of
from lipsync.types import AudioInfo, Clip

LAYOUTS = ("mono", "stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1")  # for so many channels, if the file names none
OTHERS = ("3.0", "4.0", "5.0(side)", "5.1(side)", "7.1(wide)")  # that AAC has too
FALLBACK_RATE = 48_000


class SoundTrack:
    """The first sound of ``clip`` as an AAC stream, at its own rate and channels; else at 48 kHz, or in stereo."""

    def __init__(self, container: OutputContainer, clip: Clip, bitrate: int) -> None:
        info = audio_of(clip)
        rates = av.codec.Codec("aac", "w").audio_rates or [FALLBACK_RATE]
        rate = info.rate if info.rate in rates else FALLBACK_RATE
        stream = container.add_stream("aac", rate=rate, layout=_layout(info), bit_rate=bitrate)
        self._container, self._stream = container, stream
        self._frames = _prepared(clip, self._stream)
        self._rate = rate
        self._samples = 0
        self._ended = False

    def close(self) -> None:
        """Let go of the sound's file."""
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


def _layout(info: AudioInfo) -> str:
    if info.layout in (*LAYOUTS, *OTHERS):
        return info.layout
    return LAYOUTS[info.channels - 1] if 0 < info.channels <= len(LAYOUTS) else "stereo"


def _prepared(clip: Clip, stream: AudioStream) -> Generator[AudioFrame, None, None]:
    context = stream.codec_context
    return resampled(clip, context.format or "fltp", context.layout, context.sample_rate)
