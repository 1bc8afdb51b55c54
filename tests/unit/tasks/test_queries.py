"""Lists, counts and waiting times."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lipsync.errors import OptionInvalid
from lipsync.pipeline.job import EnhanceStatus
from lipsync.tasks.task import Page, Status


def test_pages_start_with_the_newest_task_and_new_tasks_do_not_shift_them(store, waiting):
    ids = [waiting(k).id for k in range(7)]
    first = store.list(limit=3)
    waiting(100)
    second = store.list(limit=3, cursor=first.next_cursor)
    third = store.list(limit=3, cursor=second.next_cursor)
    listed = [task.id for page in (first, second, third) for task in page.tasks]
    assert listed == ids[::-1]
    assert third.next_cursor is None


def test_the_last_full_page_has_no_next(store, waiting):
    waiting()
    assert store.list(limit=1).next_cursor is None
    assert store.list(status=Status.FAILED) == Page((), None)


def test_filters_narrow_the_list(store, waiting, running, now):
    old, mine, taken = waiting(0), waiting(10, key_id="k"), running()

    def ids(**filters: object) -> set[str]:
        return {task.id for task in store.list(**filters).tasks}

    assert ids() == {old.id, mine.id, taken.id}
    assert ids(status=Status.QUEUED) == {old.id, mine.id}
    assert ids(key_id="k") == {mine.id}
    assert ids(created_after=now) == {mine.id}
    assert ids(created_before=now + timedelta(seconds=1), status=Status.DOWNLOADING) == {taken.id}


@pytest.mark.parametrize("cursor", ["", "nonsense", "0" * 31, "\x00" * 32])
def test_an_invalid_cursor_is_refused(store, cursor):
    with pytest.raises(OptionInvalid, match="cursor"):
        store.list(cursor=cursor)


@pytest.mark.parametrize("limit", [-1, 0, 1, 10**30])
def test_any_limit_returns_at_least_one_task(store, waiting, limit):
    waiting()
    assert len(store.list(limit=limit).tasks) == 1


def test_counts_name_every_status(store, waiting, running):
    waiting()
    waiting(key_id="k")
    running()
    assert store.counts() == dict.fromkeys(Status, 0) | {Status.QUEUED: 2, Status.DOWNLOADING: 1}


def test_enhancements_are_counted_for_tasks_that_ask_for_one(store, waiting, running, now):
    waiting()
    waiting(options={"upscale": "2"})
    task = running(options={"upscale": "2"})
    store.set_enhancement(task.id, task.lease_owner, EnhanceStatus.FAILED, None, now)
    assert store.enhancements() == dict.fromkeys(EnhanceStatus, 0) | {EnhanceStatus.PENDING: 1, EnhanceStatus.FAILED: 1}


def test_how_long_the_queue_has_waited(store, waiting, running, now):
    running()
    assert store.oldest_waiting() is None
    waiting(5)
    waiting(3)
    assert store.oldest_waiting() == now + timedelta(seconds=3)
