"""The delivered sound: a file's own, encoded piece by piece as the picture goes along."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

from lipsync.media.audio_reader import resampled
from lipsync.media.encoding import Encoding
from lipsync.media.probe import audio_of
from lipsync.types import AudioInfo, Clip

LAYOUTS = ("mono", "stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1")  # for so many channels, if the file names none
OTHERS = ("3.0", "4.0", "5.0(side)", "5.1(side)", "7.1(wide)")  # that AAC has too
FALLBACK_RATE = 48_000
DEEP = "s32"  # what FLAC keeps 24 bits of; by itself it would take 16


class AudioEncoder:
    """The first sound of ``clip`` as a stream, at its own rate and channels where the encoder has them; else at 48 kHz,
    or in stereo. It comes ``early`` seconds earlier, its beginning cut off and silence at its end; later if negative.
    """

    def __init__(
        self, container: OutputContainer, clip: Clip, encoding: Encoding, early: Fraction = Fraction(0)
    ) -> None:
        info = audio_of(clip)
        rate = _rate(info, encoding.audio_codec)
        name, layout = encoding.audio_codec, _layout(info)
        made = container.add_stream(name, rate=rate, layout=layout, bit_rate=encoding.audio_bitrate)
        stream = cast(AudioStream, made)
        if encoding.audio_codec == "flac":
            stream.codec_context.format = DEEP
        self._container, self._stream = container, stream
        frames = _prepared(clip, stream)
        self._frames = _shifted(frames, stream, round(early * rate)) if early else frames
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


def _rate(info: AudioInfo, codec: str) -> int:
    rates = av.codec.Codec(codec, "w").audio_rates
    return info.rate if not rates or info.rate in rates else FALLBACK_RATE


def _layout(info: AudioInfo) -> str:
    if info.layout in (*LAYOUTS, *OTHERS):
        return info.layout
    return LAYOUTS[info.channels - 1] if 0 < info.channels <= len(LAYOUTS) else "stereo"


def _prepared(clip: Clip, stream: AudioStream) -> Generator[AudioFrame, None, None]:
    context = stream.codec_context
    return resampled(clip, context.format or "fltp", context.layout, context.sample_rate)


def _shifted(
    frames: Generator[AudioFrame, None, None], stream: AudioStream, early: int
) -> Generator[AudioFrame, None, None]:
    """As many samples as come, ``early`` of them earlier; what is missing then, at one end or the other, is silence."""
    cut, held, fifo = 0, max(0, -early), AudioFifo()
    if held:
        fifo.write(_silence(stream, held))
    with closing(frames):
        for frame in frames:
            fifo.write(frame)
            if cut < early:
                cut += _taken(fifo, min(early - cut, fifo.samples)).samples
            if fifo.samples > held:
                yield _taken(fifo, fifo.samples - held)
    if cut:
        yield _silence(stream, cut)


def _taken(fifo: AudioFifo, samples: int) -> AudioFrame:
    frame = fifo.read(samples)
    assert frame is not None  # only asked for what is there
    return frame


def _silence(stream: AudioStream, samples: int) -> AudioFrame:
    context = stream.codec_context
    form, channels = context.format, context.layout.nb_channels
    shape = (channels, samples) if form.is_planar else (1, samples * channels)
    zeros = np.zeros(shape, np.float32) if form.name.startswith("flt") else np.zeros(shape, np.int32)
    frame = AudioFrame.from_ndarray(zeros, form.name, context.layout.name)
    frame.sample_rate = context.sample_rate
    return frame
