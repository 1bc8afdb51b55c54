"""Encode the audio of a result beside its video."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet

from lipsync.frames.prefetch import prefetch
from lipsync.media.audio_reader import resampled
from lipsync.media.encoding import Encoding
from lipsync.media.probe import audio_of
from lipsync.types import AudioInfo, Clip

# Index + 1 is the number of channels, for files without a layout.
DEFAULT_LAYOUTS = ("mono", "stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1")
OTHER_AAC_LAYOUTS = ("3.0", "4.0", "5.0(side)", "5.1(side)", "7.1(wide)")
FALLBACK_RATE = 48_000
RUN_SECONDS = 1
SAMPLE_FORMATS = {"flac": "s32", "libopus": "flt"}  # by default, these encoders would take 16 bits


class AudioEncoder:
    """Encode the first audio stream of ``clip`` at its own rate and layout, else at 48 kHz or in stereo.

    A thread of its own encodes it in runs, ahead of the video, so that the video's encoder never waits for the many
    small steps of the audio's. ``shift``: seconds by which the audio plays earlier; its beginning is cut off and
    silence is appended. If negative, it plays later: silence is inserted before it and its end is cut off.
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
        if info.language:
            self._stream.metadata["language"] = info.language
        context = self._stream.codec_context
        if encoding.audio_codec in SAMPLE_FORMATS:
            context.format = SAMPLE_FORMATS[encoding.audio_codec]
        self._frames = resampled(clip, context.format or "fltp", context.layout, context.sample_rate, shift)
        self._thread = ExitStack()
        self._runs: Iterator[_Run] | None = None
        self._samples: int | None = 0

    def close(self) -> None:
        """Stop the thread and close the source file. Safe to call more than once."""
        self._thread.close()
        self._frames.close()

    def encode_until(self, time: Fraction) -> None:
        """Add the audio up to ``time`` seconds, or somewhat more, to the container. Raises MediaTruncated.

        Call it first when the container's encoding has started.
        """
        while self._samples is not None and Fraction(self._samples, self._rate) < time:
            self._add_next()

    def finish(self) -> None:
        """Add the remaining audio."""
        while self._samples is not None:
            self._add_next()

    def _add_next(self) -> None:
        if self._runs is None:
            self._runs = self._thread.enter_context(prefetch(self._encoded(), depth=2))
        run = next(self._runs, None)
        self._samples = None if run is None else run.end
        if run is not None:
            self._container.mux(run.packets)

    def _encoded(self) -> Generator[_Run, None, None]:
        """The packets of the whole audio, in runs of about RUN_SECONDS."""
        packets: list[Packet[AudioStream]] = []
        samples = since = 0
        for frame in self._frames:
            frame.pts, frame.time_base = samples, Fraction(1, self._rate)
            samples += frame.samples
            packets += self._stream.encode(frame)
            if samples - since >= RUN_SECONDS * self._rate:
                yield _Run(packets, samples)
                packets, since = [], samples
        yield _Run([*packets, *self._stream.encode(None)], samples)


@dataclass(frozen=True, slots=True)
class _Run:
    """Encoded audio up to the sample ``end``, excluded."""

    packets: Sequence[Packet[AudioStream]]
    end: int


def _rate(info: AudioInfo, codec: str) -> int:
    rates = av.codec.Codec(codec, "w").audio_rates
    return info.rate if not rates or info.rate in rates else FALLBACK_RATE


def _layout(info: AudioInfo) -> str:
    if info.layout in (*DEFAULT_LAYOUTS, *OTHER_AAC_LAYOUTS):
        return info.layout
    return DEFAULT_LAYOUTS[info.channels - 1] if 0 < info.channels <= len(DEFAULT_LAYOUTS) else "stereo"
