"""How many frames come out, and which frame of the footage each of them shows."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction

from lipsync.engines.wav2lip.mel import original_starts
from lipsync.media.audio_reader import Voice
from lipsync.media.reader import bounce, bounced, loop, looped
from lipsync.pipeline.job import Job
from lipsync.types import Clip, Picture


@dataclass(frozen=True, slots=True)
class Plan:
    """``frames`` come out; at most ``limit`` frames of the footage are looked at; where they end, the footage runs
    backwards, or begins anew if it ``loops``."""

    frames: int
    limit: int
    loops: bool

    def shown(self, i: int, length: int) -> int:
        """The frame of ``length`` frames of footage that output frame ``i`` shows."""
        return looped(i, length) if self.loops else bounced(i, length)

    def pictures(self, footage: Clip, length: int) -> Generator[Picture, None, None]:
        """The footage's pictures, in the order of the output."""
        return (loop if self.loops else bounce)(footage, self.frames, length)


def plan(job: Job, voice: Voice, rate: Fraction) -> Plan:
    """The result lasts as long as the sound; as the original did it, up to 200 ms less."""
    if job.options.faithful:
        frames = len(original_starts(voice.samples, rate))
    else:
        frames = max(1, round(voice.facts.duration * rate))
    return Plan(frames, 1 if job.static else frames, job.options.faithful)
