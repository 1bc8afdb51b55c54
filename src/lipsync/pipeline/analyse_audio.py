"""Decode and check the audio once, for all engines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from lipsync.media.audio_reader import decode_speech
from lipsync.monitor import Monitor, Progress
from lipsync.pipeline.job import Job
from lipsync.speech.audio import SpeechAudio
from lipsync.types import Clip


@contextmanager
def analyse_audio(audio: Clip, job: Job, monitor: Monitor) -> Iterator[SpeechAudio]:
    """Yield the audio as 16 kHz mono. Raises what ``media.audio_reader.decode_speech`` raises, and Cancelled."""
    began = time.monotonic()
    with decode_speech(audio, allow_clipped=job.allow_clipped, limits=job.limits, scratch=job.scratch) as speech:
        monitor.check()
        monitor.report(Progress("analyse", 1, 1, time.monotonic() - began))
        yield speech
