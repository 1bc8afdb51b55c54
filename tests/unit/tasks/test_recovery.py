"""Lost workers, lost announcements, and old tasks."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta

import pytest

from lipsync.errors import LeaseLost
from lipsync.tasks.task import RUNNING, Status, TaskFailure

MINUTE = timedelta(seconds=60)
WORK = """
import sys
from datetime import datetime, timedelta
from lipsync.tasks.store import open_store
from lipsync.tasks.task import TaskProgress
lease, now = timedelta(seconds=30), datetime.fromisoformat(sys.argv[2])
with open_store(sys.argv[1]) as store:
    while task := store.claim(None, "killed", lease, now):
        for k in range(5):
            store.heartbeat(task.id, "killed", lease, TaskProgress("track", k), now)
            store.log(task.id, "info", "line", now)
        print(task.id, flush=True)
"""


def test_a_task_whose_lease_expired_is_queued_again(store, running, lease, now):
    task = running()
    assert store.reap(now + lease - timedelta(microseconds=1)) == []
    end = now + lease
    assert store.reap(end) == [task.id]
    back = store.get(task.id)
    assert (back.status, back.attempts, back.available_at, back.lease_owner) == (Status.QUEUED, 1, end, None)
    assert back.error.code == "worker_lost"
    assert back.error.retryable
    with pytest.raises(LeaseLost):
        store.heartbeat(task.id, "w", lease, None, end)
    assert store.claim(task.id, "v", lease, end).attempts == 2


def test_a_worker_that_was_only_slow_keeps_its_task(store, running, lease, now):
    task = running()
    late = now + lease + timedelta(seconds=5)
    store.heartbeat(task.id, "w", lease, None, late)
    assert store.reap(late) == []


def test_a_task_fails_when_its_workers_keep_dying(store, running, lease, now):
    task = running(max_attempts=1)
    assert store.reap(now + lease) == []
    failed = store.get(task.id)
    assert (failed.status, failed.finished_at) == (Status.FAILED, now + lease)
    assert failed.error == TaskFailure("worker_lost", "its worker stopped answering in attempt 1 of 1", False)


def test_a_lost_task_to_be_cancelled_is_cancelled(store, running, lease, now):
    task = running()
    store.request_cancel(task.id, now)
    assert store.reap(now + lease) == []
    assert store.get(task.id).status is Status.CANCELLED


def test_a_queued_task_is_announced_and_again_after_a_while(store, waiting, now):
    younger, older = waiting(1), waiting(0)
    due = now + timedelta(seconds=1)
    assert store.reap(now) == [older.id]
    assert store.reap(due) == [older.id, younger.id]
    assert store.reap(due, limit=1) == [older.id]
    store.mark_announced(older.id, due)
    assert store.get(older.id) == older
    assert store.reap(due) == [younger.id]
    assert store.reap(due + MINUTE) == [older.id, younger.id]
    assert store.reap(due + timedelta(seconds=5), reannounce_after=timedelta(seconds=5)) == [older.id, younger.id]
    store.mark_announced("nonsense", now)


def test_a_task_that_returns_to_the_queue_is_announced_again(store, waiting, lease, now):
    task = waiting()
    store.mark_announced(task.id, now)
    store.claim(task.id, "w", lease, now)
    store.release(task.id, "w", now)
    assert store.reap(now) == [task.id]


def test_tasks_that_ended_long_ago_are_listed_oldest_first(store, waiting, running, now):
    ended = [store.request_cancel(waiting().id, now + timedelta(days=day)).id for day in (2, 1, 3)]
    running()
    assert [task.id for task in store.expired_tasks(now + timedelta(days=3))] == [ended[1], ended[0]]
    assert [task.id for task in store.expired_tasks(now + timedelta(days=4), limit=1)] == [ended[1]]


@pytest.mark.parametrize("lines", [1, 7, 20])
def test_a_worker_that_is_killed_at_any_moment_loses_no_task(url, store, waiting, lease, now, lines):
    ids = {waiting().id for _ in range(200)}
    command = [sys.executable, "-c", WORK, url, now.isoformat()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        for _ in range(lines):
            worker.stdout.readline()
        worker.kill()
    taken = [task for task in store.list(limit=500).tasks if task.status in RUNNING]
    assert len(taken) >= lines
    assert set(store.reap(now + lease)) == ids
    assert store.counts()[Status.QUEUED] == 200
