"""Recordings whose picture and sound show the same moments, to measure when they are shown and heard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

EVENTS = (0.4, 1.6, 2.8)  # seconds: near the start, in the middle, near the end
BRIGHT, LOUD = 120, 0.25


@dataclass(frozen=True, slots=True)
class Recording:
    """A video that flashes for one frame, and clicks, at EVENTS. Times in seconds; ``base``: of the clock at the start.

    ``hole``: no audio is stored between its times. ``audio_codec`` "": silent.
    """

    seconds: float = 3.2
    rate: Fraction = Fraction(25)
    codec: str = "mpeg4"
    audio_codec: str = "aac"
    audio_rate: int = 48_000
    layout: str = "mono"
    audio_start: float = 0.0
    video_start: float = 0.0
    hole: tuple[float, float] = (0.0, 0.0)
    base: Fraction = Fraction(0)
    options: Mapping[str, str] = field(default_factory=dict)

    def pictures(self) -> Iterator[av.VideoFrame]:
        flashes = {round(time * self.rate) for time in EVENTS}
        for number in range(round(self.seconds * self.rate)):
            if number / self.rate >= self.video_start:
                grey = np.full((64, 96, 3), 235 if number in flashes else 30, np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, "rgb24")
                frame.pts, frame.time_base = number + round(self.base * self.rate), 1 / self.rate
                yield frame

    def sounds(self) -> Iterator[av.AudioFrame]:
        samples = np.zeros(round(self.seconds * self.audio_rate), np.float32)
        for time in EVENTS:
            samples[round(time * self.audio_rate) :][: self.audio_rate // 100] = 0.6
        channels = av.AudioLayout(self.layout).nb_channels
        for start in range(0, len(samples), self.audio_rate // 50):
            time = start / self.audio_rate
            if time >= self.audio_start and not self.hole[0] <= time < self.hole[1]:
                block = np.repeat(samples[start : start + self.audio_rate // 50], channels)
                frame = av.AudioFrame.from_ndarray(block[None], "flt", self.layout)
                frame.sample_rate, frame.time_base = self.audio_rate, Fraction(1, self.audio_rate)
                frame.pts = start + round(self.base * self.audio_rate)
                yield frame


@pytest.fixture(scope="session")
def make_recording() -> Callable[..., Path]:
    """Write a recording; the keywords are the fields of ``Recording``."""

    def make(path: Path, **fields: Any) -> Path:
        recording = Recording(**fields)
        with av.open(str(path), "w", options=dict(recording.options)) as out:
            video = out.add_stream(recording.codec, rate=recording.rate) if recording.codec else None
            if video is not None:
                video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
            audio = None
            if recording.audio_codec:
                audio = out.add_stream(recording.audio_codec, rate=recording.audio_rate, layout=recording.layout)
            pictures = list(recording.pictures()) if video is not None else []
            sounds = list(recording.sounds()) if audio is not None else []
            for frame in sorted([*pictures, *sounds], key=lambda frame: frame.pts * frame.time_base):
                if isinstance(frame, av.VideoFrame):
                    out.mux(video.encode(frame))
                    continue
                converter = av.AudioResampler(audio.codec_context.format, recording.layout, recording.audio_rate)
                (block,) = converter.resample(frame)
                block.pts, block.time_base = frame.pts, frame.time_base
                out.mux(audio.encode(block))
            for stream in filter(None, (video, audio)):
                out.mux(stream.encode(None))
        return path

    return make


@dataclass(frozen=True, slots=True)
class Events:
    """When a file flashes and clicks, and how long its picture and sound are, in seconds."""

    flashes: NDArray[np.float64]
    clicks: NDArray[np.float64]
    picture: float
    sound: float


@pytest.fixture(scope="session")
def events_of() -> Callable[[Path], Events]:
    """Measure the flashes and clicks of a file by its own clock."""

    def measure(path: Path) -> Events:
        with av.open(str(path)) as container:
            frames = [
                (float(frame.time), frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)
            ]
            rate = float(container.streams.video[0].average_rate)
        flashes = [
            time
            for (time, level), (_, before) in zip(frames, [(0, 0), *frames], strict=False)
            if level > BRIGHT > before
        ]
        times, levels, end = [], [], 0.0
        with av.open(str(path)) as container:
            packer = av.AudioResampler("flt")
            for frame in container.decode(audio=0):
                time, frame.pts = float(frame.time), None
                (block,) = packer.resample(frame)
                level = np.abs(block.to_ndarray().reshape(block.samples, -1)[:, 0])
                times.append(time + np.arange(block.samples) / block.sample_rate)
                levels.append(level)
                end = time + block.samples / block.sample_rate
        loud = np.concatenate(times)[np.concatenate(levels) > LOUD]
        starts = loud[np.diff(loud, prepend=-1) > 0.3]
        return Events(np.array(flashes), starts, frames[-1][0] + 1 / rate, end)

    return measure
