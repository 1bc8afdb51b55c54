"""A hold on a task, whose work may do as it is told, or not."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from lipsync.monitor import Progress as EnhanceStatus
from lipsync.tasks.task import Progress, Status, Task
from lipsync.worker.lease import GRACE, LeaseKeeper, StopReason, TaskLog, TimeLimits

LEASE = timedelta(seconds=30)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def claimed(store, new) -> Task:
    taken = store.claim(store.create(new, now=now()).id, "w", LEASE, now())
    assert taken is not None
    return taken


@pytest.fixture
def hold(store, claimed) -> Callable[..., LeaseKeeper]:
    def make(seconds: float = 600, grace: float = GRACE, stages=None, **options) -> LeaseKeeper:
        return LeaseKeeper(claimed, "w", store, LEASE, TimeLimits(seconds, stages or {}, grace), now, **options)

    return make


def test_the_lease_is_renewed_and_progress_told(store, claimed, hold):
    with hold() as held:
        held.monitor.report(EnhanceStatus("render", 13, 75, 1.0))
        time.sleep(2)
    after = store.get(claimed.id)
    assert after.lease_until > claimed.lease_until
    assert after.progress == Progress("render", 13, 75)
    assert held.stop is None


def test_progress_can_be_told_at_once(store, claimed, hold):
    with hold() as held:
        held.monitor.report(EnhanceStatus("upload", 5, 5, 1.0))
        held.tell()
        assert store.get(claimed.id).progress == Progress("upload", 5, 5)


def test_work_that_does_not_stop_is_given_up_and_its_lease_renewed_no_more(store, claimed, hold, caplog):
    given_up = threading.Event()
    with hold(seconds=0.1, grace=1.0, stuck=given_up.set) as held:
        began = time.monotonic()
        assert given_up.wait(20)
        assert time.monotonic() - began > 1.0
        left = store.get(claimed.id).lease_until
        time.sleep(2)
        assert store.get(claimed.id).lease_until == left
    assert (held.stop, held.monitor.cancelled) == (StopReason.TIMED_OUT, True)
    (record,) = caplog.records
    assert (record.levelname, record.task) == ("ERROR", claimed.id)
    assert record.getMessage() == f"task {claimed.id}: timed out, but the work did not stop within 1 s; it is given up"


def test_a_stage_has_a_limit_of_its_own_that_counts_from_its_beginning(hold):
    with hold(stages={Status.PROCESSING: 1.5}) as held:
        time.sleep(2)
        assert held.stop is None
        held.enter(Status.PROCESSING)
        time.sleep(1)
        assert held.stop is None
        time.sleep(2)
    assert (held.stop, held.overrun) == (StopReason.TIMED_OUT, "processing took longer than 2 s")


def test_a_stage_that_was_left_in_time_has_no_limit_any_more(hold):
    with hold(stages={Status.DOWNLOADING: 1.2}) as held:
        held.enter(Status.PROCESSING)
        time.sleep(2.5)
    assert held.stop is None


def test_work_that_stops_in_time_is_not_given_up(hold, caplog):
    given_up = threading.Event()
    with hold(grace=60, stuck=given_up.set) as held:
        held.release()
        time.sleep(2)
    assert (held.stop, given_up.is_set(), caplog.records) == (StopReason.RELEASED, False, [])


def test_work_that_was_never_told_to_stop_has_no_grace_to_lose(hold):
    given_up = threading.Event()
    with hold(grace=0.1, stuck=given_up.set):
        time.sleep(2)
    assert not given_up.is_set()


def test_lines_about_a_task_carry_its_id(caplog):
    with caplog.at_level(logging.INFO):
        TaskLog("lipsync.somewhere", "abc").info("%d of %s", 1, "them")
    (record,) = caplog.records
    assert (record.name, record.task, record.getMessage()) == ("lipsync.somewhere", "abc", "task abc: 1 of them")
