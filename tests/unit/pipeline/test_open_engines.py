from __future__ import annotations

from pathlib import Path

import pytest

from lipsync.engines.base import EngineOptions
from lipsync.engines.passthrough import Passthrough
from lipsync.errors import ModelMissing
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.job import Job
from lipsync.pipeline.open_engines import EngineOpener

JOB = Job(Path("a"), Path("b"), Path("c.mp4"), engines=("passthrough",))


class RecordingCache(SessionCache):
    def __init__(self) -> None:
        super().__init__()
        self.evictions = 0

    def evict(self, idle: float = 0.0) -> int:
        self.evictions += 1
        return super().evict(idle)


def test_each_attempt_gets_new_engines_and_the_memory_of_the_one_before():
    sessions = RecordingCache()
    opener = EngineOpener(JOB, sessions, Monitor())
    (first,) = opener.engines(JOB)
    assert (type(first), sessions.evictions) == (Passthrough, 0)
    (second,) = opener.engines(JOB)
    assert (second is not first, sessions.evictions) == (True, 1)


def test_missing_weights_are_reported_at_once(tmp_path):
    job = Job(Path("a"), Path("b"), Path("c.mp4"), engines=("wav2lip",), options=EngineOptions(models_dir=tmp_path))
    with pytest.raises(ModelMissing, match="wav2lip"):
        EngineOpener(job, SessionCache(), Monitor())
