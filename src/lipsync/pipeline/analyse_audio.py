"""The sound, listened to once for all engines."""

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
def analyse_audio(sound: Clip, job: Job, monitor: Monitor) -> Iterator[SpeechAudio]:
    """The sound as engines hear it. Raises what ``media.audio.listen`` raises, and Cancelled."""
    began = time.monotonic()
    with decode_speech(sound, allow_clipped=job.allow_clipped) as voice:
        monitor.check()
        monitor.report(Progress("listen", 1, 1, time.monotonic() - began))
        yield voice
