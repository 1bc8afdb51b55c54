"""The loop in which a worker claims and executes tasks."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lipsync.errors import StorageFailed
from lipsync.tasks.store import open_store
from lipsync.tasks.task import Status
from lipsync.worker.run import WorkerLoop


class Blocking:
    """A storage whose first upload waits until the work is asked to stop."""

    def __init__(self) -> None:
        self.reached = threading.Event()

    def put(self, path, key, content_type, monitor) -> None:
        self.reached.set()
        while not monitor.cancelled:
            threading.Event().wait(0.02)
        monitor.check()


@pytest.fixture
def runnable(store, new, make_video, voice, tmp_path):
    """Create a queued task with real inputs."""
    make_video(tmp_path / "bars.mp4", frames=5)

    def make():
        sources = (replace(new.video, location="bars.mp4"), replace(new.audio, location=str(voice)))
        return store.create(replace(new, video=sources[0], audio=sources[1]), now=datetime.now(UTC))

    return make


def test_an_announcement_executes_that_task_first_and_then_all_others(context, store, new, caplog):
    first, second = (store.create(new, now=datetime.now(UTC)) for _ in range(2))
    with caplog.at_level(logging.INFO, "lipsync"):
        WorkerLoop(context).work(second.id)
    assert [record.task for record in caplog.records if record.event == "task.started"] == [second.id, first.id]
    assert {store.get(task.id).error.code for task in (first, second)} == {"file_missing"}


def test_an_announcement_of_a_task_that_another_worker_owns_does_nothing(context, store, task):
    store.claim(task.id, "another", context.lease_time, datetime.now(UTC))
    WorkerLoop(context).work(task.id)
    assert store.get(task.id).lease_owner == "another"


def test_stopping_calls_back_returns_the_current_task_and_claims_no_other(context, store, runnable):
    current, waiting = runnable(), runnable()
    storage, stopped = Blocking(), threading.Event()
    loop = WorkerLoop(replace(context, storage=storage))
    loop.on_stop(stopped.set)
    thread = threading.Thread(target=loop.work, args=(current.id,))
    thread.start()
    assert storage.reached.wait(60)
    loop.stop()
    thread.join(60)
    assert stopped.is_set()
    for each in (current, waiting):
        after = store.get(each.id)
        assert (after.status, after.attempts, after.lease_owner) == (Status.QUEUED, 0, None)
    loop.work(waiting.id)
    assert store.get(waiting.id).status is Status.QUEUED


def test_a_store_that_does_not_answer_leaves_the_task_to_recovery(context, caplog):
    with open_store("postgresql://u@127.0.0.1:9/d") as unavailable:
        WorkerLoop(replace(context, store=unavailable)).work("0" * 32)
    (record,) = caplog.records
    assert (record.levelname, record.task, record.event, record.code) == (
        "ERROR",
        "0" * 32,
        "task.deferred",
        StorageFailed.code,
    )
    assert record.getMessage().endswith("; left to recovery")
