from __future__ import annotations

import time
from dataclasses import replace

import pytest

from lipsync.enhancers.base import EnhancerOptions
from lipsync.errors import Cancelled, ModelMissing, TimedOut
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor, Progress
from lipsync.pipeline.enhance import EnhanceDeadline, Enhancers, Position, load_enhancers, needs_edits
from lipsync.pipeline.job import Enhancement


def test_progress_counts_the_frames_of_all_results():
    reports: list[Progress] = []
    deadline = EnhanceDeadline(Monitor(reports.append), None)
    for number in range(2):
        assert list(deadline.watched("abc", 3, Position(number, 2))) == ["a", "b", "c"]
    assert [(progress.stage, progress.done, progress.total) for progress in reports] == [
        ("enhance", done, 6) for done in range(1, 7)
    ]


def test_the_time_limit_starts_with_the_first_frame():
    deadline = EnhanceDeadline(Monitor(), 0.05)
    time.sleep(0.1)
    deadline.check()
    frames = deadline.watched(range(3), 3, Position(0, 1))
    assert next(frames) == 0
    time.sleep(0.1)
    with pytest.raises(TimedOut, match="enhancing took longer than 0 s"):
        next(frames)


def test_cancelling_the_job_stops_the_enhancement():
    monitor = Monitor()
    deadline = EnhanceDeadline(monitor, None)
    frames = deadline.watched(range(3), 3, Position(0, 1))
    assert next(frames) == 0
    monitor.cancel()
    assert deadline.cancelled
    with pytest.raises(Cancelled):
        next(frames)


def test_a_missing_model_is_an_error_only_where_the_enhancement_is_required(tmp_path):
    optional = Enhancement(restorer="codeformer", options=EnhancerOptions(models_dir=tmp_path), required=False)
    enhancers = load_enhancers(optional, SessionCache(), Monitor())
    assert enhancers is not None
    assert isinstance(enhancers.missing, ModelMissing)
    assert not needs_edits(enhancers)
    with pytest.raises(ModelMissing):
        load_enhancers(replace(optional, required=True), SessionCache(), Monitor())


def test_edits_are_kept_only_for_enhancers_that_can_run():
    assert load_enhancers(None, SessionCache(), Monitor()) is None
    assert not needs_edits(None)
    assert needs_edits(Enhancers())
