"""Encode the audio of a result, step by step with its video."""

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

# Index + 1 is the number of channels, for files without a layout.
DEFAULT_LAYOUTS = ("mono", "stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1")
OTHER_AAC_LAYOUTS = ("3.0", "4.0", "5.0(side)", "5.1(side)", "7.1(wide)")
FALLBACK_RATE = 48_000
FLAC_FORMAT = "s32"  # keeps 24 bits; FLAC's default would keep 16


class AudioEncoder:
    """Encode the first audio stream of ``clip`` at its own rate and layout, else at 48 kHz or in stereo.

    ``shift``: seconds by which the audio plays earlier; its beginning is cut off and silence is appended. If negative,
    it plays later: silence is inserted before it and its end is cut off.
    """

    def __init__(
        self, container: OutputContainer, clip: Clip, encoding: Encoding, shift: Fraction = Fraction(0)
    ) -> None:
        info = audio_of(clip)
        self._rate = _rate(info, encoding.audio_codec)
        self._container = container
        self._stream = cast(
            AudioStream,
            container.add_stream(
                encoding.audio_codec, rate=self._rate, layout=_layout(info), bit_rate=encoding.audio_bitrate
            ),
        )
        context = self._stream.codec_context
        if encoding.audio_codec == "flac":
            context.format = FLAC_FORMAT
        frames = resampled(clip, context.format or "fltp", context.layout, context.sample_rate)
        self._frames = _shifted(frames, self._stream, round(shift * self._rate)) if shift else frames
        self._samples = 0
        self._ended = False

    def close(self) -> None:
        """Close the source file."""
        self._frames.close()

    def encode_until(self, time: Fraction) -> None:
        """Encode the audio up to ``time`` seconds. Raises MediaTruncated."""
        while not self._ended and Fraction(self._samples, self._rate) < time:
            self._encode_next()

    def finish(self) -> None:
        """Encode the remaining audio and flush the encoder."""
        while not self._ended:
            self._encode_next()

    def _encode_next(self) -> None:
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
    if info.layout in (*DEFAULT_LAYOUTS, *OTHER_AAC_LAYOUTS):
        return info.layout
    return DEFAULT_LAYOUTS[info.channels - 1] if 0 < info.channels <= len(DEFAULT_LAYOUTS) else "stereo"


def _shifted(
    frames: Generator[AudioFrame, None, None], stream: AudioStream, shift: int
) -> Generator[AudioFrame, None, None]:
    """Move audio ``shift`` samples earlier, or later if negative; the number of samples stays the same."""
    cut, delay, fifo = 0, max(0, -shift), AudioFifo()
    if delay:
        fifo.write(_silence(stream, delay))
    with closing(frames):
        for frame in frames:
            fifo.write(frame)
            if cut < shift:
                cut += _read(fifo, min(shift - cut, fifo.samples)).samples
            if fifo.samples > delay:
                yield _read(fifo, fifo.samples - delay)
    if cut:
        yield _silence(stream, cut)


def _read(fifo: AudioFifo, samples: int) -> AudioFrame:
    frame = fifo.read(samples)
    assert frame is not None  # never more samples than the queue holds
    return frame


def _silence(stream: AudioStream, samples: int) -> AudioFrame:
    context = stream.codec_context
    sample_format, channels = context.format, context.layout.nb_channels
    shape = (channels, samples) if sample_format.is_planar else (1, samples * channels)
    zeros = np.zeros(shape, np.float32) if sample_format.name.startswith("flt") else np.zeros(shape, np.int32)
    frame = AudioFrame.from_ndarray(zeros, sample_format.name, context.layout.name)
    frame.sample_rate = context.sample_rate
    return frame
