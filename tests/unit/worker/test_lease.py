"""The lease on a task whose work may or may not obey a stop request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from lipsync.monitor import Progress
from lipsync.tasks.task import Status, Task, TaskProgress
from lipsync.worker.lease import GRACE_SECONDS, LeaseKeeper, StopReason, TimeLimits

LEASE = timedelta(seconds=30)


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def claimed(store, new) -> Task:
    task = store.claim(store.create(new, now=now()).id, "w", LEASE, now())
    assert task is not None
    return task


@pytest.fixture
def keeper(store, claimed) -> Callable[..., LeaseKeeper]:
    def make(seconds: float = 600, grace: float = GRACE_SECONDS, by_status=None, **options) -> LeaseKeeper:
        return LeaseKeeper(claimed, "w", store, LEASE, TimeLimits(seconds, by_status or {}, grace), now, **options)

    return make


def test_the_lease_is_renewed_and_progress_stored(store, claimed, keeper):
    with keeper() as lease:
        lease.monitor.report(Progress("render", 13, 75, 1.0))
        time.sleep(2)
    after = store.get(claimed.id)
    assert after.lease_until > claimed.lease_until
    assert after.progress == TaskProgress("render", 13, 75)
    assert lease.stop_reason is None


def test_progress_can_be_stored_at_once(store, claimed, keeper):
    with keeper() as lease:
        lease.monitor.report(Progress("upload", 5, 5, 1.0))
        lease.renew()
        assert store.get(claimed.id).progress == TaskProgress("upload", 5, 5)


def test_work_that_does_not_stop_is_given_up_and_its_lease_not_renewed(store, claimed, keeper, caplog):
    given_up = threading.Event()
    with keeper(seconds=0.1, grace=1.0, on_stuck=given_up.set) as lease:
        began = time.monotonic()
        assert given_up.wait(20)
        assert time.monotonic() - began > 1.0
        left = store.get(claimed.id).lease_until
        time.sleep(2)
        assert store.get(claimed.id).lease_until == left
    assert (lease.stop_reason, lease.monitor.cancelled) == (StopReason.TIMED_OUT, True)
    (record,) = caplog.records
    assert (record.levelname, record.task, record.event, record.attempt) == ("ERROR", claimed.id, "task.stuck", 1)
    assert record.getMessage() == f"task {claimed.id}: timed out, but the work did not stop within 1 s; giving it up"


def test_a_status_has_its_own_limit_counted_from_its_start(keeper):
    with keeper(by_status={Status.PROCESSING: 1.5}) as lease:
        time.sleep(2)
        assert lease.stop_reason is None
        lease.enter(Status.PROCESSING)
        time.sleep(1)
        assert lease.stop_reason is None
        time.sleep(2)
    assert (lease.stop_reason, lease.exceeded) == (StopReason.TIMED_OUT, "processing took longer than 2 s")


def test_a_status_that_was_left_in_time_has_no_limit_any_more(keeper):
    with keeper(by_status={Status.DOWNLOADING: 1.2}) as lease:
        lease.enter(Status.PROCESSING)
        time.sleep(2.5)
    assert lease.stop_reason is None


def test_work_that_stops_in_time_is_not_given_up(keeper, caplog):
    given_up = threading.Event()
    with keeper(grace=60, on_stuck=given_up.set) as lease:
        lease.release()
        time.sleep(2)
    assert (lease.stop_reason, given_up.is_set(), caplog.records) == (StopReason.RELEASED, False, [])


def test_work_that_was_not_asked_to_stop_has_no_grace_period(keeper):
    given_up = threading.Event()
    with keeper(grace=0.1, on_stuck=given_up.set):
        time.sleep(2)
    assert not given_up.is_set()
