"""Random walks: in whatever order workers and clients act, a task stays consistent."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from lipsync.errors import LeaseLost, TaskMissing, TransitionForbidden
from lipsync.tasks.store import TaskStore
from lipsync.tasks.task import FINAL, RUNNING, TRANSITIONS, Output, Performance, Status, Task, TaskFailure, TaskProgress

BUSY = TaskFailure("fetch_failed", "the address did not answer", True)
API_ERRORS = (LeaseLost, TaskMissing, TransitionForbidden)


class Crowd:
    """Three workers and some clients that act on a task at random, at increasing times."""

    def __init__(self, store: TaskStore, seed: int, now: datetime, output: Output, performance: Performance) -> None:
        self.store, self.random, self.now = store, random.Random(seed), now
        self.output, self.performance = output, performance

    def act(self, task_id: str) -> str:
        """Make one random call; returns its name."""
        self.now += timedelta(seconds=self.random.randrange(20))
        name, call = self.random.choice(self._calls(task_id, self.random.choice("aaaabc")))
        with suppress(API_ERRORS):
            call()
        return name

    def _calls(self, task: str, worker: str) -> list[tuple[str, Callable[[], object]]]:
        store, now, lease = self.store, self.now, timedelta(seconds=60)
        retry = self.random.choice([None, timedelta(seconds=5)])
        status = self.random.choice(list(Status))
        output = replace(self.output, size=self.random.randrange(100))
        frequent = [
            ("claim", lambda: store.claim(task, worker, lease, now)),
            ("advance", lambda: store.advance(task, worker, status, now)),
            ("add_output", lambda: store.add_output(task, worker, output, now)),
            ("heartbeat", lambda: store.heartbeat(task, worker, lease, TaskProgress("track", 1), now)),
            ("finish", lambda: store.finish(task, worker, self.performance, {"track": 1.0}, now)),
        ]
        return [
            *frequent * 5,
            ("fail", lambda: store.fail(task, worker, BUSY, now, retry)),
            ("release", lambda: store.release(task, worker, now)),
            ("cancel", lambda: store.cancel(task, worker, now)),
            ("request_cancel", lambda: store.request_cancel(task, now)),
            *[("retry", lambda: store.retry(task, now))] * 3,
            ("reap", lambda: store.reap(now)),
        ]


def is_consistent(task: Task) -> bool:
    leased = task.lease_owner is not None and task.lease_until is not None
    free = task.lease_owner is None and task.lease_until is None
    return all(
        [
            leased if task.status in RUNNING else free,
            (task.status in FINAL) == (task.finished_at is not None),
            0 <= task.attempts <= task.max_attempts,
            task.status is not Status.QUEUED or (task.attempts < task.max_attempts and not task.cancel_requested),
            task.status is not Status.COMPLETED or len(task.outputs) == 1,
            len(task.outputs) <= 1,
        ]
    )


def follows(before: Task, after: Task, did: str) -> bool:
    if after == before:
        return True
    if before.status in FINAL:
        return did == "retry" and before.status is not Status.COMPLETED and after.status is Status.QUEUED
    changed = after.status is not before.status
    same_owner = before.lease_owner is None or after.lease_owner in (None, before.lease_owner)
    return (
        same_owner and after.revision > before.revision and (not changed or after.status in TRANSITIONS[before.status])
    )


def test_random_walks_of_calls_keep_a_task_consistent_and_reach_every_status(store, waiting, output, performance, now):
    reached = set()
    for seed in range(6):
        crowd = Crowd(store, seed, now, output, performance)
        before = waiting()
        for _ in range(200):
            did = crowd.act(before.id)
            after = store.get(before.id)
            assert is_consistent(after), (seed, did, before, after)
            assert follows(before, after, did), (seed, did, before, after)
            reached.add(after.status)
            before = after
    assert reached == set(Status)


def test_racing_walks_leave_consistent_tasks(store, waiting, output, performance, now):
    ids = [waiting().id for _ in range(3)]
    stop, inconsistent = threading.Event(), []

    def watch() -> None:
        latest = {task: store.get(task) for task in ids}
        while not stop.wait(0.001):
            for task in ids:
                current = store.get(task)
                ended = latest[task].status is Status.COMPLETED and current != latest[task]
                if not is_consistent(current) or ended or current.revision < latest[task].revision:
                    inconsistent.append((latest[task], current))
                latest[task] = current

    def walk(seed: int) -> None:
        crowd = Crowd(store, seed, now, output, performance)
        for k in range(80):
            crowd.act(ids[k % 3])

    with ThreadPoolExecutor(5) as pool:
        watcher = pool.submit(watch)
        for walker in [pool.submit(walk, seed) for seed in range(4)]:
            walker.result()
        stop.set()
        watcher.result()
    assert not inconsistent
