"""Plan the output: the number of its frames, and the source frame that each shows."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction

from lipsync.engines.base import Engine
from lipsync.frames.order import loop_index, ping_pong_index
from lipsync.media.reader import loop, ping_pong
from lipsync.pipeline.job import Job
from lipsync.speech.audio import SpeechAudio
from lipsync.types import Frame, VideoClip


@dataclass(frozen=True, slots=True)
class Plan:
    """``frame_count``: frames of the output; ``source_limit``: maximum number of source frames to read.

    A video that ends before the output plays backwards and forwards (ping-pong), or restarts if ``loops``.
    """

    frame_count: int
    source_limit: int
    loops: bool

    def source_index(self, index: int, source_count: int) -> int:
        """Return the index of the source frame, out of ``source_count``, that output frame ``index`` shows."""
        return loop_index(index, source_count) if self.loops else ping_pong_index(index, source_count)

    def frames(self, video: VideoClip, source_count: int) -> Generator[Frame, None, None]:
        """Read the source frames in the order of the output."""
        return (loop if self.loops else ping_pong)(video, self.frame_count, source_count)


def plan_frames(job: Job, engine: Engine, speech: SpeechAudio, rate: Fraction) -> Plan:
    """Plan the output of an engine at ``rate`` frames/s; it lasts as long as the audio."""
    frame_count = engine.frame_count(speech, rate)
    return Plan(frame_count, 1 if job.static else frame_count, engine.frame_rules.loops)
