"""How many frames come out, and which frame of the footage each of them shows."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction

from lipsync.engines.wav2lip.mel import original_starts
from lipsync.frames.order import loop_index, ping_pong_index
from lipsync.media.reader import loop, ping_pong
from lipsync.pipeline.job import Job
from lipsync.speech.audio import SpeechAudio
from lipsync.types import Frame, VideoClip


@dataclass(frozen=True, slots=True)
class Plan:
    """``frames`` come out; at most ``limit`` frames of the footage are looked at; where they end, the footage runs
    backwards, or begins anew if it ``loops``."""

    frames: int
    limit: int
    loops: bool

    def shown(self, i: int, length: int) -> int:
        """The frame of ``length`` frames of footage that output frame ``i`` shows."""
        return loop_index(i, length) if self.loops else ping_pong_index(i, length)

    def pictures(self, footage: VideoClip, length: int) -> Generator[Frame, None, None]:
        """The footage's pictures, in the order of the output."""
        return (loop if self.loops else ping_pong)(footage, self.frames, length)


def plan(job: Job, voice: SpeechAudio, rate: Fraction) -> Plan:
    """The result lasts as long as the sound; as the original did it, up to 200 ms less."""
    if job.options.original:
        frames = len(original_starts(voice.samples, rate))
    else:
        frames = max(1, round(voice.stats.duration * rate))
    return Plan(frames, 1 if job.static else frames, job.options.original)
