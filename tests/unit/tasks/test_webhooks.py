"""What a webhook call says, and its signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lipsync.errors import SettingInvalid
from lipsync.tasks.store import TaskStore, migrate, open_store
from lipsync.tasks.task import NewTask, Output, Source, TaskFailure
from lipsync.tasks.webhooks import body_of, headers_of, sign, verify

SECRET = "geheim"
START = datetime(2026, 3, 4, 5, 6, 7, 890_123, UTC)
SECOND = timedelta(seconds=1)
NEW = NewTask(Source("url", "http://h/v"), Source("url", "http://h/a"), ("passthrough",), {}, webhook="http://h/w")
OUTPUT = Output("passthrough", "k/o.mp4", "http://s/k/o.mp4", 5_000_000_000, "ab" * 32, 1280, 720, 1.5)


@pytest.fixture
def store(tmp_path) -> Iterator[TaskStore]:
    url = f"sqlite:///{tmp_path}/tasks.db"
    migrate(url)
    with open_store(url, notify=body_of) as opened:
        yield opened


def test_the_body_tells_what_became_of_a_task(store):
    made = store.create(NEW, idempotency_key=None, now=START, max_attempts=3)
    store.claim(made.id, "w", SECOND, START)
    task = store.fail(made.id, "w", TaskFailure("no_face_found", "niemand – nobody", False), START)
    body = body_of(task)
    assert json.loads(body) == {
        "event": "task.failed",
        "task_id": made.id,
        "status": "failed",
        "attempts": 1,
        "outputs": [],
        "enhancement": {"status": "skipped", "started_at": None, "finished_at": None, "error": None},
        "manifest": None,
        "error": {"code": "no_face_found", "message": "niemand – nobody", "retryable": False},
        "created_at": "2026-03-04T05:06:07.890123Z",
        "started_at": "2026-03-04T05:06:07.890123Z",
        "finished_at": "2026-03-04T05:06:07.890123Z",
    }
    assert body.isascii()
    assert list(json.loads(body)) == sorted(json.loads(body))
    assert [call.body for call in store.deliveries(task.id)] == [body]


def test_a_body_holds_the_outputs(store):
    made = store.create(NEW, idempotency_key=None, now=START, max_attempts=3)
    cancelled = store.request_cancel(made.id, START)
    told = json.loads(body_of(replace(cancelled, outputs=(OUTPUT,))))
    assert told["error"] is None
    assert told["outputs"] == [
        {
            "engine": "passthrough",
            "variant": "final",
            "key": "k/o.mp4",
            "url": "http://s/k/o.mp4",
            "size": 5_000_000_000,
            "sha256": "ab" * 32,
            "width": 1280,
            "height": 720,
            "duration": 1.5,
        }
    ]


def test_the_signature_is_what_the_documentation_says():
    wanted = hmac.new(b"geheim", b'1772600767.{"a":1}', hashlib.sha256).hexdigest()
    assert sign(SECRET, 1772600767, b'{"a":1}') == wanted
    headers = headers_of(SECRET, "d1", "task.failed", b'{"a":1}', START)
    assert headers == {
        "Content-Type": "application/json",
        "Lipsync-Event": "task.failed",
        "Lipsync-Delivery": "d1",
        "Lipsync-Timestamp": str(int(START.timestamp())),
        "Lipsync-Signature": "v1=" + sign(SECRET, int(START.timestamp()), b'{"a":1}'),
    }


def test_a_signature_holds_for_its_body_its_secret_and_its_time():
    headers = headers_of(SECRET, "d1", "task.failed", b"{}", START)
    timestamp, signature = headers["Lipsync-Timestamp"], headers["Lipsync-Signature"]
    assert verify(SECRET, timestamp, signature, b"{}", START)
    assert verify(SECRET, timestamp, signature, b"{}", START + 299 * SECOND)
    assert not verify(SECRET, timestamp, signature, b"{}", START + 302 * SECOND)
    assert not verify(SECRET, timestamp, signature, b"{}", START - 302 * SECOND)
    assert not verify(SECRET, timestamp, signature, b"{}", START + 9 * SECOND, tolerance=5)
    assert not verify(SECRET, timestamp, signature, b"{} ", START)
    assert not verify("other", timestamp, signature, b"{}", START)
    assert not verify(SECRET, str(int(timestamp) + 1), signature, b"{}", START)


@pytest.mark.parametrize("timestamp", ["", "soon", "-5", "1e9", "٣", "9" * 5000, "\ud800"])
def test_a_timestamp_that_is_none_is_not_believed(timestamp):
    assert not verify(SECRET, timestamp, "v1=00", b"{}", START)


@pytest.mark.parametrize("signature", ["", "v1=", "v1", "ä", "\ud800", "v2="])
def test_a_signature_that_is_none_is_not_believed(signature):
    assert not verify(SECRET, str(int(START.timestamp())), signature, b"{}", START)


def test_nothing_is_signed_without_a_secret():
    with pytest.raises(SettingInvalid, match="LIPSYNC_SECRET"):
        sign("", 1, b"")
    with pytest.raises(SettingInvalid):
        verify("", "1", "v1=00", b"", START)
