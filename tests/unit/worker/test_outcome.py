"""How the end of an attempt is recorded and logged."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lipsync.errors import LeaseLost
from lipsync.tasks.store import open_store
from lipsync.tasks.task import Status, Task, TaskFailure
from lipsync.worker.lease import LeaseKeeper, StopReason
from lipsync.worker.outcome import AttemptOutcome

BUSY = TaskFailure("fetch_failed", "HTTP status 503", True)


@pytest.fixture
def claimed(context, store, new) -> Task:
    created = store.create(new, now=datetime.now(UTC))
    task = store.claim(created.id, context.worker, context.lease_time, datetime.now(UTC))
    assert task is not None
    return task


@pytest.fixture
def lease(context, store, claimed) -> LeaseKeeper:
    limits = context.time_limits
    return LeaseKeeper(claimed, context.worker, store, context.lease_time, limits, context.now)


@pytest.mark.parametrize(("attempts", "delay"), [(1, 10), (2, 20), (3, 40)])
def test_the_delay_before_a_retry_doubles(context, store, claimed, attempts, delay):
    start = datetime(2026, 3, 4, tzinfo=UTC)
    fixed = replace(context, now=lambda: start, retry_delay=timedelta(seconds=10))
    AttemptOutcome(replace(claimed, attempts=attempts), fixed).failed(BUSY, logging.ERROR)
    after = store.get(claimed.id)
    assert (after.status, after.available_at) == (Status.QUEUED, start + timedelta(seconds=delay))


def test_a_failed_task_that_a_client_cancelled_is_cancelled(context, store, claimed, caplog):
    store.request_cancel(claimed.id, datetime.now(UTC))
    AttemptOutcome(claimed, context).failed(BUSY, logging.WARNING)
    assert store.get(claimed.id).status is Status.CANCELLED
    assert (caplog.records[-1].event, caplog.records[-1].code) == ("task.cancelled", "fetch_failed")


def test_a_lost_lease_records_nothing(context, store, claimed, lease):
    lease.stop_reason = StopReason.LOST
    with pytest.raises(LeaseLost, match="no longer owns it"):
        AttemptOutcome(claimed, context).stopped(lease)
    assert store.get(claimed.id) == claimed


def test_stuck_work_is_recorded_with_its_stack(context, store, claimed, lease):
    lease.stop_reason, lease.exceeded = StopReason.TIMED_OUT, "the task took longer than 5 s"
    AttemptOutcome(claimed, context).stuck(lease, "File nowhere.py")
    after = store.get(claimed.id)
    assert (after.status, after.error.message) == (Status.FAILED, "the task took longer than 5 s")
    assert store.logs(claimed.id)[0].message == (
        "timed out, but the work did not stop. Stack of its thread:\nFile nowhere.py"
    )


def test_an_outcome_that_cannot_be_recorded_is_logged(context, claimed, lease, caplog):
    lease.stop_reason = StopReason.TIMED_OUT
    with open_store("postgresql://u@127.0.0.1:9/d") as unavailable:
        AttemptOutcome(claimed, replace(context, store=unavailable)).stuck(lease, "")
    record = caplog.records[-1]
    assert record.getMessage().partition(": ")[2].startswith("could not record the outcome: the task store")
    assert (record.levelname, record.event, record.code) == ("ERROR", "outcome.lost", "storage_failed")
