"""Webhook calls in the task store."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from lipsync.tasks.database import open_database
from lipsync.tasks.store import open_store
from lipsync.tasks.tables import TaskRow
from lipsync.tasks.task import TaskFailure

HOOK = "http://h/hook"
MINUTE = timedelta(minutes=1)


def test_the_end_of_a_task_enqueues_its_webhook(store, running, waiting, lease, now):
    stopped = store.request_cancel(waiting(webhook=HOOK).id, now)
    failed = store.fail(running(webhook=HOOK).id, "w", TaskFailure("x", "y", False), now)
    lost = running(webhook=HOOK, max_attempts=1)
    store.reap(now + lease)
    store.request_cancel(waiting().id, now)
    calls = {call.task_id: call for call in store.due_deliveries(now + lease)}
    assert {call.event for call in calls.values()} == {"task.cancelled", "task.failed"}
    assert set(calls) == {stopped.id, failed.id, lost.id}
    assert (calls[failed.id].url, calls[failed.id].body) == (HOOK, f"{failed.id} failed")


def test_a_retry_enqueues_no_webhook(store, running, now):
    task = running(webhook=HOOK)
    store.fail(task.id, "w", TaskFailure("x", "y", True), now, MINUTE)
    assert not store.deliveries(task.id)


def test_without_a_body_function_nothing_is_enqueued(url, store, waiting, now):
    task = waiting(webhook=HOOK)
    with open_store(url) as opened:
        opened.request_cancel(task.id, now)
    assert not store.deliveries(task.id)


def test_a_call_goes_to_one_sender_and_to_another_if_that_one_dies(enqueue, store, waiting, now):
    pending = enqueue(waiting().id, HOOK)
    assert store.due_deliveries(now - MINUTE) == []
    (call,) = store.due_deliveries(now)
    assert (call.id, call.attempts, call.next_at) == (pending.id, 1, now + MINUTE)
    assert store.due_deliveries(now) == []
    assert [again.attempts for again in store.due_deliveries(now + MINUTE)] == [2]


def test_a_call_that_is_due_names_the_key_of_its_task(enqueue, store, waiting, now):
    tasks = {waiting(key_id=key_id).id: key_id for key_id in ("k1", "k2", None)}
    ids = {enqueue(task, HOOK).id for task in tasks}
    calls = store.due_deliveries(now)
    assert {call.id for call in calls} == ids
    assert {call.task_id: call.key_id for call in calls} == tasks


def test_fetching_a_call_does_not_lock_its_task(enqueue, url, store, running, lease, now):
    task = running()
    enqueue(task.id, HOOK)
    with open_database(url) as engine, engine.connect() as other:
        if engine.dialect.name == "sqlite":
            pytest.skip("SQLite has one writer at a time")
        other.execute(select(TaskRow.id).with_for_update())
        assert len(store.due_deliveries(now)) == 1


def test_calls_to_a_busy_server_wait_and_others_do_not(enqueue, store, waiting, now):
    task = waiting().id
    urls = ["http://h", "http://h/", "http://h?x", "http://h#x", "http://h:80/", "http://hh/", "https://h/_%", "x"]
    for url in urls:
        enqueue(task, url)
    assert {call.url for call in store.due_deliveries(now, busy=["http://h", "http://h:80"])} == set(urls[5:])
    assert store.due_deliveries(now, busy=["http://h", "http://h:80"]) == []
    assert {call.url for call in store.due_deliveries(now, busy=["http://%", "http://_"])} == set(urls[:5])


def test_racing_senders_share_the_calls(enqueue, store, waiting, now):
    task = waiting()
    calls = {enqueue(task.id, HOOK).id for _ in range(40)}
    barrier = threading.Barrier(8)

    def fetch(_: int) -> list[str]:
        barrier.wait()
        return [call.id for call in store.due_deliveries(now, 5)]

    with ThreadPoolExecutor(8) as pool:
        taken = [each for ids in pool.map(fetch, range(8)) for each in ids]
    assert len(taken) == len(set(taken))
    rest = [call.id for call in store.due_deliveries(now, 40)]
    assert set(taken) | set(rest) == calls


def test_a_delivered_call_stays_delivered(enqueue, store, waiting, now):
    task = waiting()
    call = enqueue(task.id, HOOK)
    store.due_deliveries(now)
    done = store.record_delivery(call.id, now + MINUTE, status=204)
    assert (done.delivered_at, done.next_at, done.last_status) == (now + MINUTE, None, 204)
    late = store.record_delivery(call.id, now + MINUTE, error="timed out", retry_in=MINUTE)
    assert (late.delivered_at, late.next_at, late.last_error) == (now + MINUTE, None, "timed out")
    assert store.deliveries(task.id) == [late]


def test_a_call_that_failed_is_made_again_or_given_up(enqueue, store, waiting, now):
    call = enqueue(waiting().id, HOOK)
    store.due_deliveries(now)
    failed = store.record_delivery(call.id, now, status=500, error="500 no", retry_in=2 * MINUTE)
    assert (failed.next_at, failed.last_status, failed.last_error) == (now + 2 * MINUTE, 500, "500 no")
    assert store.due_deliveries(now + MINUTE) == []
    assert len(store.due_deliveries(now + 2 * MINUTE)) == 1
    assert store.record_delivery(call.id, now, error="refused").next_at is None
    assert store.due_deliveries(now + 100 * MINUTE) == []


def test_recording_an_unknown_call_does_nothing(store, now):
    assert store.record_delivery("nonsense", now) is None
