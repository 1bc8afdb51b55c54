from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from lipsync.errors import StorageFailed
from lipsync.tasks.store import TaskStore, open_store
from lipsync.tasks.task import Status
from lipsync.worker.maintenance import (
    evicting_idle_sessions,
    pruning,
    recover,
    recovering,
    remove_orphans,
    removing_orphans,
    repeat,
)

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LEASE = timedelta(seconds=30)
DAY = timedelta(days=1)


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> bool:
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.01)
    return condition()


def test_a_repeated_call_runs_again_and_again_until_the_block_ends():
    calls: list[str] = []
    twice = threading.Event()

    def call() -> float:
        calls.append(threading.current_thread().name)
        if len(calls) > 1:
            twice.set()
        return 0.01

    with repeat("chore", call):
        assert twice.wait(10)
    count = len(calls)
    assert "chore" not in [thread.name for thread in threading.enumerate()]
    time.sleep(0.2)
    assert (len(calls), set(calls)) == (count, {"chore"})


def test_a_repeated_call_that_is_running_is_finished_before_the_block_ends():
    started, finished = threading.Event(), threading.Event()

    def call() -> float:
        started.set()
        time.sleep(0.3)
        finished.set()
        return 60

    with repeat("chore", call):
        assert started.wait(10)
    assert finished.is_set()


def test_a_repeated_call_can_be_stopped_earlier():
    calls: list[None] = []

    def call() -> float:
        calls.append(None)
        return 0.01

    with repeat("chore", call) as stop:
        assert wait_for(lambda: bool(calls))
        stop()
        assert wait_for(lambda: "chore" not in [thread.name for thread in threading.enumerate()])
        count = len(calls)
        time.sleep(0.1)
        assert len(calls) == count


def test_a_waiting_task_is_announced_once_and_again_after_a_minute(store, task):
    notified: list[str] = []
    for seconds in (0, 5, 30, 61):
        recover(store, notified.append, NOW + timedelta(seconds=seconds))
    assert notified == [task.id, task.id]


def test_the_task_of_a_dead_worker_is_announced(store, task):
    notified: list[str] = []
    store.claim(task.id, "dead", LEASE, NOW)
    recover(store, notified.append, NOW + timedelta(seconds=29))
    assert notified == []
    recover(store, notified.append, NOW + timedelta(seconds=31))
    assert notified == [task.id]
    assert store.get(task.id).status is Status.QUEUED


def test_an_unavailable_broker_is_tried_again(store, task, caplog):
    def broken(task_id: str) -> None:
        raise StorageFailed("the broker does not accept messages")

    recover(store, broken, NOW)
    assert "the broker does not accept messages [storage_failed]" in caplog.text
    notified: list[str] = []
    recover(store, notified.append, NOW)
    assert notified == [task.id]


def test_nothing_is_announced_while_the_broker_is_full(store, task):
    notified: list[str] = []
    recover(store, notified.append, NOW, is_full=lambda: True)
    assert notified == []
    recover(store, notified.append, NOW, is_full=lambda: False)
    assert notified == [task.id]


def test_recovery_runs_in_the_background(store, task):
    notified: list[str] = []
    with recovering(store, notified.append, lambda: NOW, interval=0.05):
        assert wait_for(lambda: bool(notified))
    assert notified == [task.id]


def test_work_folders_of_unfinished_tasks_are_no_orphans(tmp_path, store, new):
    running, ended = store.create(new, now=NOW), store.create(new, now=NOW)
    store.request_cancel(ended.id, NOW)
    work = tmp_path / "work"
    for name in (running.id, ended.id, "unknown"):
        (work / name).mkdir(parents=True)
        (work / name / "video.part").write_bytes(b"half")
    assert sorted(remove_orphans(work, store)) == sorted([ended.id, "unknown"])
    assert [path.name for path in work.iterdir()] == [running.id]
    assert remove_orphans(tmp_path / "nowhere", store) == []


def test_the_work_folder_of_a_killed_worker_is_removed_when_its_task_has_ended(store, task, tmp_path, caplog):
    work = tmp_path / "work"
    (work / task.id / "half").mkdir(parents=True)
    store.claim(task.id, "dead", LEASE, NOW)
    with caplog.at_level(logging.INFO), removing_orphans(work, store, interval=0.02):
        time.sleep(0.2)
        assert (work / task.id).exists()
        store.cancel(task.id, "dead", NOW)
        assert wait_for(lambda: not (work / task.id).exists())
    assert caplog.messages == ["removed 1 orphaned work folders"]


def test_orphans_are_looked_for_again_after_the_store_did_not_answer(tmp_path, caplog):
    (tmp_path / "work" / "left").mkdir(parents=True)
    with (
        open_store("postgresql://u@127.0.0.1:9/d") as store,
        removing_orphans(tmp_path / "work", store, interval=0.02),
    ):
        assert wait_for(lambda: caplog.text.count("removing orphans: the task store did not answer") >= 2)
    assert caplog.text.count("[storage_failed]") >= 2


class ResultStorage:
    """A storage without files; it may be unavailable."""

    def __init__(self, available: bool = True) -> None:
        self._available = available

    def delete(self, key: str) -> None:
        if not self._available:
            raise StorageFailed("unavailable")


@pytest.fixture
def ended(store, new) -> Callable[[timedelta], str]:
    """Create a task that ended that long ago; returns its id."""

    def make(age: timedelta) -> str:
        created = store.create(new, now=NOW - age)
        store.claim(created.id, "w", LEASE, NOW - age)
        store.reserve(created.id, "w", "a file", NOW - age)
        return store.cancel(created.id, "w", NOW - age).id

    return make


def ids(store: TaskStore) -> set[str]:
    return {each.id for each in store.list().tasks}


def test_tasks_are_pruned_after_the_retention_time_and_no_earlier(tmp_path, store, ended, caplog):
    ended(40 * DAY)
    kept = {ended(29 * DAY), ended(timedelta(0))}
    storage = ResultStorage()
    with caplog.at_level(logging.INFO), pruning(store, storage, tmp_path, 30 * DAY, lambda: NOW, interval=0.02):
        assert wait_for(lambda: ids(store) == kept)
        time.sleep(0.2)  # several more rounds
        assert ids(store) == kept
    assert caplog.messages == ["pruned 1 tasks older than 30 days"]


def test_pruning_continues_after_the_storage_was_unavailable(tmp_path, store, ended, caplog):
    old = ended(40 * DAY)
    with pruning(store, ResultStorage(available=False), tmp_path, 30 * DAY, lambda: NOW, interval=0.02):
        assert wait_for(lambda: "pruning: unavailable [storage_failed]" in caplog.text)
    assert ids(store) == {old}
    with pruning(store, ResultStorage(), tmp_path, 30 * DAY, lambda: NOW, interval=0.02):
        assert wait_for(lambda: not ids(store))


class IdleSessions:
    """A session cache in which some sessions are always idle."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.twice = threading.Event()

    def evict(self, idle_seconds: float) -> int:
        self.asked.append(idle_seconds)
        if len(self.asked) > 1:
            self.twice.set()
        return 3


def test_idle_sessions_are_evicted_again_and_again(caplog):
    sessions = IdleSessions()
    with caplog.at_level(logging.INFO), evicting_idle_sessions(sessions, 600, interval=0.01):  # type: ignore[arg-type]
        assert sessions.twice.wait(10)
    count = len(sessions.asked)
    time.sleep(0.2)
    assert (len(sessions.asked), set(sessions.asked)) == (count, {600})
    assert caplog.messages[0] == "unloaded 3 models idle for 600 s"
