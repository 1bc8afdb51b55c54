"""Logs of tasks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from lipsync.errors import TaskMissing
from lipsync.tasks.task import LogLine


def test_lines_are_numbered_within_their_task(store, waiting, now):
    one, other = waiting(), waiting()
    store.log(one.id, "info", "first", now)
    store.log(other.id, "info", "elsewhere", now)
    assert store.log(one.id, "error", "second", now, output="rewrite").number == 2
    assert store.logs(one.id) == [
        LogLine(1, now, "info", "first", None),
        LogLine(2, now, "error", "second", "rewrite"),
    ]
    assert [line.message for line in store.logs(one.id, after=1)] == ["second"]
    assert [line.message for line in store.logs(one.id, limit=1)] == ["first"]
    assert store.logs(one.id, after=10**30) == []


def test_unstorable_characters_are_replaced_and_long_lines_truncated(store, waiting, now):
    task = waiting()
    store.log(task.id, "info", "a\x00b\udcffc ☃", now)
    store.log(task.id, "info", "x" * 20_000, now)
    first, second = store.logs(task.id)
    assert first.message == "a\ufffdb\ufffdc ☃"
    assert second.message == "x" * 10_000


def test_many_writers_of_one_log_lose_no_line(store, waiting, now):
    task = waiting()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: store.log(task.id, "info", str(k), now), range(40)))
    lines = store.logs(task.id)
    assert [line.number for line in lines] == list(range(1, 41))
    assert {line.message for line in lines} == {str(k) for k in range(40)}


def test_an_unknown_task_has_no_log(store, now):
    with pytest.raises(TaskMissing):
        store.log("nonsense", "info", "line", now)
    assert store.logs("nonsense") == []
