"""Claiming a task, keeping it and giving it up."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from lipsync.errors import LeaseLost, TaskMissing, TransitionForbidden
from lipsync.tasks.store import open_store
from lipsync.tasks.task import Status, TaskFailure, TaskProgress

LATER = timedelta(seconds=10)
BUSY = TaskFailure("fetch_failed", "the address did not answer", True)

CLAIM_ALL = """
import sys
from datetime import datetime, timedelta
from lipsync.tasks.store import open_store
with open_store(sys.argv[1]) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    now = datetime.fromisoformat(sys.argv[3])
    while (task := store.claim(None, sys.argv[2], timedelta(seconds=30), now)) is not None:
        print(task.id)
"""


def test_a_claim_takes_the_task_with_a_lease(store, waiting, lease, now):
    task = store.claim(waiting().id, "w", lease, now)
    assert (task.status, task.attempts, task.lease_owner) == (Status.DOWNLOADING, 1, "w")
    assert (task.started_at, task.lease_until, task.revision) == (now, now + lease, 2)
    assert store.get(task.id) == task
    assert store.claim(task.id, "v", lease, now) is None


def test_without_an_id_the_oldest_due_task_is_claimed(store, waiting, lease, now):
    younger, older = waiting(2), waiting(1)
    assert store.claim(None, "w", lease, now) is None  # neither is due
    assert store.claim(younger.id, "w", lease, now + timedelta(seconds=1)) is None
    assert store.claim(None, "w", lease, now + LATER).id == older.id
    assert store.claim(None, "w", lease, now + LATER).id == younger.id
    assert store.claim(None, "w", lease, now + LATER) is None
    assert store.claim("nonsense", "w", lease, now) is None


@pytest.mark.parametrize("named", [True, False])
def test_of_32_racing_claims_one_wins(url, store, waiting, lease, now, named):
    task, barrier = waiting(), threading.Barrier(32)

    def claim(k: int) -> bool:
        barrier.wait()
        return store.claim(task.id if named else None, f"w{k}", lease, now) is not None

    with ThreadPoolExecutor(32) as pool:
        assert sum(pool.map(claim, range(32))) == 1
    assert store.get(task.id).attempts == 1


def test_racing_processes_share_the_queue_without_loss_or_repetition(url, store, waiting, now):
    ids = {waiting().id for _ in range(60)}
    arguments = [[sys.executable, "-c", CLAIM_ALL, url, f"w{k}", now.isoformat()] for k in range(3)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(argument, **pipes) for argument in arguments]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    claimed = [line for worker in workers for line in worker.communicate(timeout=60)[0].split()]
    assert len(claimed) == 60
    assert set(claimed) == ids


def test_a_heartbeat_renews_the_lease_and_reports_a_cancellation(store, running, lease, now):
    task = running()
    renewed = store.heartbeat(task.id, "w", lease, TaskProgress("download", 5, 10), now + LATER)
    assert (renewed.lease_until, renewed.progress) == (now + LATER + lease, TaskProgress("download", 5, 10))
    assert renewed.revision > task.revision
    assert not renewed.cancel_requested
    store.request_cancel(task.id, now)
    renewed = store.heartbeat(task.id, "w", lease, None, now + LATER)
    assert renewed.cancel_requested
    assert renewed.progress == TaskProgress("download", 5, 10)


def test_a_worker_without_the_lease_changes_nothing(store, running, output, performance, lease, now):
    task = running()
    calls = [
        lambda worker: store.heartbeat(task.id, worker, lease, None, now),
        lambda worker: store.advance(task.id, worker, Status.PROCESSING, now),
        lambda worker: store.add_output(task.id, worker, output, now),
        lambda worker: store.finish(task.id, worker, performance, {}, now),
        lambda worker: store.fail(task.id, worker, BUSY, now, LATER),
        lambda worker: store.release(task.id, worker, now),
        lambda worker: store.cancel(task.id, worker, now),
    ]
    for call in calls:
        with pytest.raises(LeaseLost, match="v no longer owns it"):
            call("v")
    assert store.get(task.id) == task
    ended = store.fail(task.id, "w", BUSY, now)
    for call in calls:
        with pytest.raises(LeaseLost, match="is failed"):
            call("w")
    assert store.get(task.id) == ended
    with pytest.raises(TaskMissing):
        store.release("0" * 32, "w", now)


def test_a_task_passes_through_its_statuses_to_completion(store, running, output, performance, now):
    task = running(engines=("rewrite", "passthrough"))
    for engine in task.engines:
        store.advance(task.id, "w", Status.PROCESSING, now)
        store.advance(task.id, "w", Status.ENHANCING, now)
        store.advance(task.id, "w", Status.UPLOADING, now)
        assert store.advance(task.id, "w", Status.UPLOADING, now).status is Status.UPLOADING
        store.add_output(task.id, "w", replace(output, engine=engine), now)
    done = store.finish(task.id, "w", performance, {"processing": 1.25}, now + LATER)
    assert (done.status, done.finished_at, done.lease_owner, done.lease_until) == (
        Status.COMPLETED,
        now + LATER,
        None,
        None,
    )
    assert (done.performance, done.timings, done.error) == (performance, {"processing": 1.25}, None)
    assert [each.engine for each in done.outputs] == ["rewrite", "passthrough"]
    assert store.get(task.id) == done


def test_an_engine_has_one_output_per_variant(store, running, output, now):
    task = running()
    store.add_output(task.id, "w", output, now)
    newer = replace(output, size=7)
    assert store.add_output(task.id, "w", newer, now).outputs == (newer,)


def test_a_task_without_all_its_outputs_is_not_complete(store, running, performance, now):
    task = running()
    store.advance(task.id, "w", Status.UPLOADING, now)
    with pytest.raises(TransitionForbidden, match="without the outputs of passthrough"):
        store.finish(task.id, "w", performance, {}, now)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.COMPLETED, Status.FAILED, Status.CANCELLED])
def test_a_worker_advances_to_running_statuses_only(store, running, now, status):
    with pytest.raises(TransitionForbidden, match="not a status"):
        store.advance(running().id, "w", status, now)


def test_a_forbidden_transition_changes_nothing(store, running, now):
    task = running()
    with pytest.raises(TransitionForbidden, match="downloading cannot become enhancing"):
        store.advance(task.id, "w", Status.ENHANCING, now)
    assert store.get(task.id) == task


def test_a_failure_is_tried_again_later_until_the_attempts_are_used_up(store, running, lease, now):
    task = running(max_attempts=2)
    again = store.fail(task.id, "w", BUSY, now, LATER)
    assert (again.status, again.available_at, again.error) == (Status.QUEUED, now + LATER, BUSY)
    assert (again.attempts, again.lease_owner, again.finished_at) == (1, None, None)
    assert store.claim(task.id, "w", lease, now) is None
    assert store.claim(task.id, "w", lease, now + LATER).attempts == 2
    failed = store.fail(task.id, "w", BUSY, now + LATER, LATER)
    assert (failed.status, failed.finished_at, failed.error) == (Status.FAILED, now + LATER, BUSY)


def test_a_failure_without_a_retry_is_final(store, running, now):
    assert store.fail(running().id, "w", BUSY, now).status is Status.FAILED


def test_a_released_task_has_lost_no_attempt(store, running, lease, now):
    task = store.release(running().id, "w", now + LATER)
    assert (task.status, task.attempts, task.available_at) == (Status.QUEUED, 0, now + LATER)
    assert store.claim(task.id, "v", lease, now + LATER).lease_owner == "v"


def test_a_task_to_be_cancelled_is_never_queued_again(store, running, now):
    first, second = running(), running()
    for task in (first, second):
        store.request_cancel(task.id, now)
    assert store.release(first.id, "w", now).status is Status.CANCELLED
    assert store.fail(second.id, "w", BUSY, now, LATER).status is Status.CANCELLED


def test_changes_are_visible_to_another_store(url, store, running):
    task = running()
    with open_store(url) as other:
        assert other.get(task.id) == task
