"""Bodies and signatures of webhook calls."""

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
from lipsync.tasks.webhooks import sign_body, webhook_body, webhook_headers

SECRET = "geheim"
START = datetime(2026, 3, 4, 5, 6, 7, 890_123, UTC)
SECOND = timedelta(seconds=1)
NEW = NewTask(Source("url", "http://h/v"), Source("url", "http://h/a"), ("passthrough",), {}, webhook="http://h/w")
OUTPUT = Output("passthrough", "k/o.mp4", "http://s/k/o.mp4", 5_000_000_000, "ab" * 32, 1280, 720, 1.5)


@pytest.fixture
def store(tmp_path) -> Iterator[TaskStore]:
    url = f"sqlite:///{tmp_path}/tasks.db"
    migrate(url)
    with open_store(url, webhook_body=webhook_body) as opened:
        yield opened


def test_the_body_describes_how_a_task_ended(store):
    created = store.create(NEW, idempotency_key=None, now=START, max_attempts=3)
    store.claim(created.id, "w", SECOND, START)
    task = store.fail(created.id, "w", TaskFailure("no_face_found", "kein Gesicht – no face", False), START)
    body = webhook_body(task)
    assert json.loads(body) == {
        "event": "task.failed",
        "task_id": created.id,
        "status": "failed",
        "attempts": 1,
        "outputs": [],
        "enhancement": {"status": "skipped", "started_at": None, "finished_at": None, "error": None},
        "manifest": None,
        "error": {"code": "no_face_found", "message": "kein Gesicht – no face", "retryable": False},
        "created_at": "2026-03-04T05:06:07.890123Z",
        "started_at": "2026-03-04T05:06:07.890123Z",
        "finished_at": "2026-03-04T05:06:07.890123Z",
    }
    assert body.isascii()
    assert list(json.loads(body)) == sorted(json.loads(body))
    assert [call.body for call in store.deliveries(task.id)] == [body]


def test_a_body_holds_the_outputs(store):
    created = store.create(NEW, idempotency_key=None, now=START, max_attempts=3)
    cancelled = store.request_cancel(created.id, START)
    body = json.loads(webhook_body(replace(cancelled, outputs=(OUTPUT,))))
    assert body["error"] is None
    assert body["outputs"] == [
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
            "adapted": None,
        }
    ]


def test_the_signature_is_computed_as_documented():
    expected = hmac.new(b"geheim", b'1772600767.{"a":1}', hashlib.sha256).hexdigest()
    assert sign_body(SECRET, 1772600767, b'{"a":1}') == expected
    headers = webhook_headers(SECRET, "d1", "task.failed", b'{"a":1}', START)
    assert headers == {
        "Content-Type": "application/json",
        "Lipsync-Event": "task.failed",
        "Lipsync-Delivery": "d1",
        "Lipsync-Timestamp": str(int(START.timestamp())),
        "Lipsync-Signature": "v1=" + sign_body(SECRET, int(START.timestamp()), b'{"a":1}'),
    }


def test_a_signature_depends_on_secret_time_and_body():
    signature = sign_body(SECRET, 1772600767, b"{}")
    assert signature not in (sign_body("other", 1772600767, b"{}"), sign_body(SECRET, 1772600768, b"{}"))
    assert signature != sign_body(SECRET, 1772600767, b"{} ")


def test_nothing_is_signed_without_a_secret():
    with pytest.raises(SettingInvalid, match="LIPSYNC_SECRET"):
        sign_body("", 1, b"")
    with pytest.raises(SettingInvalid):
        webhook_headers("", "d1", "task.failed", b"", START)
