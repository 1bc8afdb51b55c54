"""Creating, cancelling, retrying and deleting tasks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta, timezone

import pytest

from lipsync.errors import OptionInvalid, TaskMissing, TransitionForbidden
from lipsync.tasks.rows import new_id
from lipsync.tasks.store import migrate, open_store
from lipsync.tasks.task import NewTask, Source, Status, TaskFailure

BAD = TaskFailure("no_face_found", "no face", False)


class Full(Exception):
    """Raised for a key that has reached its limit of unfinished tasks."""


def at_most(count: int) -> Callable[[int], None]:
    def admit(unfinished: int) -> None:
        if unfinished >= count:
            raise Full

    return admit


def test_a_new_task_is_queued_and_reads_back_unchanged(store, now):
    new = NewTask(
        Source("upload", "/u/v", "ab" * 32, 7_000_000_000),
        Source("url", "s3://b/ä"),
        ("rewrite", "wav2lip"),
        {"pads": [0, 1, 2, 3], "note": {"text": "\x00 \ud800 ☃", "none": None}},
        "k1",
        "http://h/hook",
    )
    created = store.create(new, now=now)
    assert store.get(created.id) == created
    assert (created.status, created.attempts, created.max_attempts, created.revision) == (Status.QUEUED, 0, 3, 1)
    assert created.created_at == created.updated_at == created.available_at == now
    assert (
        NewTask(created.video, created.audio, created.engines, created.options, created.key_id, created.webhook) == new
    )


def test_times_are_stored_in_utc(store, new, now):
    created = store.create(new, now=now.astimezone(timezone(timedelta(hours=5, minutes=30))))
    read = store.get(created.id).created_at
    assert read == now
    assert read.utcoffset() == timedelta(0)


def test_ids_are_version_7_uuids_that_sort_by_time(now):
    ids = [new_id(now + timedelta(milliseconds=k)) for k in range(50)]
    assert ids == sorted(ids)
    assert all(len(each) == 32 and each[12] == "7" and each[16] in "89ab" for each in ids)
    assert len({new_id(now) for _ in range(1000)}) == 1000


def test_invalid_requests_are_refused(store, new, now):
    with pytest.raises(OptionInvalid, match="not JSON"):
        store.create(replace(new, options={"crf": float("nan")}), now=now)
    with pytest.raises(OptionInvalid, match="max_attempts must be at least 1"):
        store.create(new, now=now, max_attempts=0)
    with pytest.raises(TaskMissing):
        store.get("nonsense \x00 \ud800")


def test_an_idempotency_key_returns_the_first_task_again(waiting, store):
    first = waiting(idempotency_key="a", key_id="k1")
    assert waiting(5, idempotency_key="a", key_id="k1") == first
    assert waiting(idempotency_key="a", key_id="k2").id != first.id
    assert waiting(idempotency_key="b", key_id="k1").id != first.id
    assert waiting(key_id="k1").id != first.id
    assert store.counts()[Status.QUEUED] == 4


def test_an_idempotency_key_with_another_request_is_refused(waiting):
    waiting(idempotency_key="a")
    with pytest.raises(TransitionForbidden, match="another request"):
        waiting(idempotency_key="a", options={"crf": 19})


def test_the_same_upload_in_another_place_is_the_same_request(waiting):
    first = waiting(idempotency_key="a", video=Source("upload", "/u/1", "ab", 5))
    assert waiting(idempotency_key="a", video=Source("upload", "/u/2", "ab", 5)) == first
    with pytest.raises(TransitionForbidden):
        waiting(idempotency_key="a", video=Source("upload", "/u/2", "cd", 5))


def test_another_reference_is_another_request(waiting):
    first = waiting(idempotency_key="a", reference=Source("upload", "/u/1", "ab", 5))
    assert waiting(idempotency_key="a", reference=Source("upload", "/u/2", "ab", 5)) == first
    assert first.reference.sha256 == "ab"
    with pytest.raises(TransitionForbidden):
        waiting(idempotency_key="a")


def test_racing_requests_with_one_idempotency_key_create_one_task(waiting):
    barrier = threading.Barrier(8)

    def make(_: int) -> str:
        barrier.wait()
        return waiting(idempotency_key="a").id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(8)))) == 1


def test_a_key_has_no_more_unfinished_tasks_than_its_limit(store, new, waiting, running, now):
    mine = replace(new, key_id="k1")
    ended = store.request_cancel(waiting(key_id="k1").id, now)
    waiting(key_id="k2")
    waiting()
    store.create(mine, now=now, admit=at_most(1))
    for _ in range(2):
        with pytest.raises(Full):
            store.create(mine, now=now, admit=at_most(1))
        with pytest.raises(Full):
            store.retry(ended.id, now, at_most(1))
    running(key_id="k1")
    with pytest.raises(Full):
        store.create(mine, now=now, admit=at_most(2))
    with pytest.raises(Full):
        store.create(new, now=now, admit=at_most(1))
    assert store.get(ended.id) == ended
    assert len(store.list(key_id="k1").tasks) == 3
    assert store.retry(ended.id, now, at_most(3)).status is Status.QUEUED


def test_a_repeated_request_of_a_key_at_its_limit_returns_the_first_task(store, new, now):
    first = store.create(new, idempotency_key="a", now=now, admit=at_most(1))
    assert store.create(new, idempotency_key="a", now=now, admit=at_most(1)) == first
    with pytest.raises(TransitionForbidden, match="another request"):
        store.create(replace(new, engines=("rewrite",)), idempotency_key="a", now=now, admit=at_most(1))
    with pytest.raises(Full):
        store.create(new, idempotency_key="b", now=now, admit=at_most(1))


@pytest.mark.parametrize("key_id", ["k1", None])
def test_racing_requests_create_no_more_tasks_than_the_limit(store, new, now, key_id):
    mine = replace(new, key_id=key_id)
    ended = [store.request_cancel(store.create(mine, now=now).id, now) for _ in range(8)]
    barrier = threading.Barrier(16)

    def make(number: int) -> bool:
        barrier.wait()
        try:
            if number % 2:
                store.retry(ended[number // 2].id, now, at_most(3))
            else:
                store.create(mine, now=now, admit=at_most(3))
        except Full:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(make, range(16))) == 3
    assert store.counts()[Status.QUEUED] == 3


def test_keys_do_not_wait_for_one_another(postgres_url, new, now):
    migrate(postgres_url)
    inside, proceed = threading.Event(), threading.Event()

    def admit(unfinished: int) -> None:
        inside.set()
        assert proceed.wait(10)

    with open_store(postgres_url) as store, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(store.create, replace(new, key_id="k1"), now=now, admit=admit)
        assert inside.wait(10)
        assert store.create(replace(new, key_id="k2"), now=now, admit=at_most(1)).key_id == "k2"
        same = pool.submit(store.create, replace(new, key_id="k1"), now=now, admit=at_most(1))
        with pytest.raises(TimeoutError):
            same.result(0.3)
        proceed.set()
        assert slow.result(10).key_id == "k1"
        with pytest.raises(Full):
            same.result(10)


def test_cancelling_is_immediate_for_a_queued_task_and_a_request_for_a_running_one(store, waiting, running, now):
    assert store.request_cancel(waiting().id, now).status is Status.CANCELLED
    task = running()
    asked = store.request_cancel(task.id, now)
    assert (asked.status, asked.cancel_requested, asked.lease_owner) == (Status.DOWNLOADING, True, "w")
    assert store.cancel(task.id, "w", now).status is Status.CANCELLED
    with pytest.raises(TransitionForbidden, match="is cancelled"):
        store.request_cancel(task.id, now)


def test_a_failed_or_cancelled_task_can_be_retried(store, waiting, running, output, now):
    task = running(max_attempts=1)
    store.add_output(task.id, "w", output, now)
    store.fail(task.id, "w", BAD, now)
    later = now + timedelta(hours=1)
    again = store.retry(task.id, later)
    assert (again.status, again.attempts, again.error, again.finished_at) == (Status.QUEUED, 0, None, None)
    assert (again.available_at, again.started_at, again.outputs) == (later, None, (output,))
    stopped = store.request_cancel(again.id, later)
    assert store.retry(stopped.id, later).cancel_requested is False
    with pytest.raises(TransitionForbidden):
        store.retry(stopped.id, later)
    with pytest.raises(TransitionForbidden):
        store.retry(running().id, later)


def test_only_ended_tasks_can_be_deleted_with_all_their_rows(store, waiting, running, now):
    task = waiting(webhook="http://h/hook", idempotency_key="a")
    store.log(task.id, "info", "line", now)
    for unfinished in (task, running()):
        with pytest.raises(TransitionForbidden):
            store.delete(unfinished.id)
    store.request_cancel(task.id, now)
    assert store.delete(task.id).id == task.id
    with pytest.raises(TaskMissing):
        store.get(task.id)
    assert not store.logs(task.id)
    assert not store.deliveries(task.id)
    assert waiting(idempotency_key="a").id != task.id


@pytest.mark.parametrize("call", ["request_cancel", "retry"])
def test_an_unknown_task(store, now, call):
    with pytest.raises(TaskMissing):
        getattr(store, call)("0" * 32, now)
    with pytest.raises(TaskMissing):
        store.delete("0" * 32)
