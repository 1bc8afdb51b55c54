"""Find an audio stream's times and padding from its packets, and from the first frame that they decode to."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from lipsync.media.boxes import is_fragmented
from lipsync.media.decoding import FrameDecoder
from lipsync.types import AudioInfo

INDEXED = "mov"  # states where the samples of a track begin and end
FROM_ZERO = (INDEXED, "matroska")  # formats whose clock begins with the presentation
MAX_DELAY = Fraction(10)  # seconds; audio alone that starts later was cut from a longer recording
# Samples that encoders put before the first one, for files that do not mark them; they exist in each codec's stream.
PRIMING = {"aac": 1024, "aac_latm": 1024, "mp3": 1105, "mp3float": 1105, "opus": 312, "libopus": 312}


class AudioProbe:
    """Receives the packets of a file in order, and examines those of its first audio stream."""

    def __init__(self, path: Path, container: InputContainer) -> None:
        self._path, self._container, self._stream = path, container, container.streams.audio[0]
        self._formats = container.format.name.split(",")
        self._decoder = FrameDecoder(path, self._stream, AudioFrame)
        self._packet_start: Fraction | None = None
        self._frame_start: Fraction | None = None
        self._decoded = self._marked_start = self._marked_end = False
        self._end, self._block = Fraction(0), Fraction(0)

    def add(self, packet: Packet[Stream]) -> None:
        """Take the next packet of the file, including the empty ones at the end. Raises MediaTruncated."""
        if packet.stream_index != self._stream.index:
            return
        if not self._decoded:
            for frame in self._decoder.decode(packet)[:1]:
                self._decoded = True
                if frame.pts is not None and frame.time_base is not None:
                    self._frame_start = frame.pts * frame.time_base
        if not packet.size or packet.pts is None:
            return
        time, duration = packet.pts * packet.time_base, (packet.duration or 0) * packet.time_base
        if self._packet_start is None:
            self._packet_start, self._marked_start = time, packet.is_discard
        self._end, self._block = max(self._end, time + duration), max(self._block, duration)
        self._marked_end = packet.has_sidedata("skip_samples") or duration < self._block

    @property
    def first(self) -> Fraction | None:
        """The time of the first sample that was recorded, in seconds; None if the file has no times."""
        if self._frame_start is None:
            return None
        return self._frame_start + self._unmarked_priming

    def info(self, video_start: Fraction | None) -> AudioInfo:
        """Describe the stream. ``video_start``: the time of the first frame, if the file is a video."""
        stream, context = self._stream, self._stream.codec_context
        unit, start, end = stream.time_base or Fraction(1), self._start(video_start), self._stated_end()
        stated = stream.duration * unit if stream.duration else Fraction(self._container.duration or 0, av.time_base)
        unmarked = context.name in PRIMING and not self._marked_end and end in (None, self._end)
        return AudioInfo(
            codec=context.name,
            rate=context.sample_rate,
            channels=context.channels,
            layout=context.layout.name,
            duration=stated,
            start=start,
            end=end,
            padding=self._block / 2 if unmarked else Fraction(0),
            language=stream.language or "",
        )

    def _start(self, video_start: Fraction | None) -> Fraction:
        first = self.first
        if first is None:
            return Fraction(0)
        if video_start is not None:
            return min(first, video_start)
        delayed = self._frame_start is not None and 0 < self._frame_start <= MAX_DELAY
        from_zero = delayed and any(name in self._formats for name in FROM_ZERO)
        return Fraction(0) if from_zero and not self._is_fragmented else first

    def _stated_end(self) -> Fraction | None:
        if INDEXED not in self._formats:
            return None
        start, duration, unit = self._stream.start_time, self._stream.duration, self._stream.time_base
        if start is None or not duration or unit is None or self._is_fragmented:
            return self._end
        return min(self._end, (start + duration) * unit)

    @property
    def _is_fragmented(self) -> bool:
        return INDEXED in self._formats and is_fragmented(self._path)

    @property
    def _unmarked_priming(self) -> Fraction:
        samples, rate = PRIMING.get(self._stream.codec_context.name, 0), self._stream.codec_context.sample_rate
        marked = self._marked_start or self._packet_start != self._frame_start
        return Fraction(0) if marked or not rate else Fraction(samples, rate)
