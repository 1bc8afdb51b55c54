from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lipsync.engines.base import EngineOptions
from lipsync.engines.passthrough import Passthrough
from lipsync.errors import ModelMissing
from lipsync.faces.landmarker import Landmarker
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.pipeline.job import Job
from lipsync.pipeline.open_engines import EngineOpener

JOB = Job(Path("a"), Path("b"), Path("c.mp4"), engines=("passthrough",))


class RecordingCache(SessionCache):
    def __init__(self) -> None:
        super().__init__()
        self.evictions = 0
        self.prepared: list[tuple[int, ...]] = []

    def open_later(self, model, *, shapes=None, threads=None, streams=1):
        if shapes is not None:
            self.prepared.append(shapes)
        return super().open_later(model, shapes=shapes, threads=threads, streams=streams)

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


@pytest.mark.parametrize(("engine", "count"), [("passthrough", 0), ("rewrite", 2)])
def test_the_face_networks_are_loaded_ahead_if_an_engine_needs_faces(engine, count):
    sessions = RecordingCache()
    EngineOpener(replace(JOB, engines=(engine,)), sessions, Monitor())
    assert len(sessions.prepared) == count
    with Landmarker.open(sessions):
        assert len(sessions.prepared) == 2 + count
