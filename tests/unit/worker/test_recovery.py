from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from lipsync.errors import StorageFailed
from lipsync.tasks.store import migrate, open_store
from lipsync.tasks.task import NewTask, Source, Status
from lipsync.worker.recovery import recover, recovering, sweeping

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LEASE = timedelta(seconds=30)


@pytest.fixture
def store(tmp_path):
    migrate(f"sqlite:///{tmp_path}/tasks.db")
    with open_store(f"sqlite:///{tmp_path}/tasks.db") as opened:
        yield opened


@pytest.fixture
def task(store):
    return store.create(NewTask(Source("upload", "a"), Source("upload", "b"), ("passthrough",), {}), now=NOW)


def test_what_waits_is_rung_for_once_and_again_after_a_while(store, task):
    rung: list[str] = []
    for seconds in (0, 5, 30, 61):
        recover(store, rung.append, NOW + timedelta(seconds=seconds))
    assert rung == [task.id, task.id]


def test_the_task_of_a_worker_that_died_is_rung_for(store, task):
    rung: list[str] = []
    store.claim(task.id, "dead", LEASE, NOW)
    recover(store, rung.append, NOW + timedelta(seconds=29))
    assert rung == []
    recover(store, rung.append, NOW + timedelta(seconds=31))
    assert rung == [task.id]
    assert store.get(task.id).status is Status.QUEUED


def test_a_broker_that_is_away_is_tried_again(store, task, caplog):
    def broken(task_id: str) -> None:
        raise StorageFailed("the broker does not take messages")

    recover(store, broken, NOW)
    assert "the broker does not take messages [storage_failed]" in caplog.text
    rung: list[str] = []
    recover(store, rung.append, NOW)
    assert rung == [task.id]


def test_nobody_is_rung_for_while_the_broker_is_full_of_messages(store, task):
    rung: list[str] = []
    recover(store, rung.append, NOW, crowded=lambda: True)
    assert rung == []
    recover(store, rung.append, NOW, crowded=lambda: False)
    assert rung == [task.id]


def test_it_goes_on_in_the_background(store, task):
    rung: list[str] = []
    with recovering(store, rung.append, lambda: NOW, every=0.05):
        limit = time.monotonic() + 10
        while not rung and time.monotonic() < limit:
            time.sleep(0.02)
    assert rung == [task.id]


def test_what_a_worker_that_was_killed_left_goes_when_its_task_is_over(store, task, tmp_path):
    work = tmp_path / "work"
    (work / task.id / "half").mkdir(parents=True)
    store.claim(task.id, "dead", LEASE, NOW)
    with sweeping(work, store, every=0.02):
        time.sleep(0.2)
        assert (work / task.id).exists()
        store.cancelled(task.id, "dead", NOW)
        limit = time.monotonic() + 10
        while (work / task.id).exists() and time.monotonic() < limit:
            time.sleep(0.01)
        assert not (work / task.id).exists()


def test_a_store_that_does_not_answer_is_swept_for_again(tmp_path, caplog):
    (tmp_path / "work" / "left").mkdir(parents=True)
    with (
        open_store("postgresql://u@127.0.0.1:9/d") as store,
        sweeping(tmp_path / "work", store, every=0.02),
    ):
        limit = time.monotonic() + 10
        while caplog.text.count("sweeping: the task store did not answer") < 2 and time.monotonic() < limit:
            time.sleep(0.01)
    assert caplog.text.count("[storage_failed]") >= 2
