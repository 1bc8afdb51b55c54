"""Bodies and signatures of webhook calls.

The header ``Lipsync-Signature`` is ``v1=`` followed by the hexadecimal HMAC-SHA256 of the header ``Lipsync-Timestamp``
(Unix seconds), a dot and the body. The HMAC key is the webhook secret of the task's API key: the bytes of the whole
text ``whsec_...`` as returned by ``lipsync keys webhook-secret ID`` and ``GET /v1/webhook-secret``. A receiver computes
the same value before it parses the body, and rejects timestamps older than a few minutes. ``Lipsync-Delivery`` stays
the same when a call is repeated, which lets a receiver drop duplicates; ``Lipsync-Event`` repeats the body's ``event``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import asdict
from datetime import UTC, datetime

from lipsync.tasks.secrets import check_secret
from lipsync.tasks.task import Task


def webhook_body(task: Task) -> str:
    """Body of the call about a task that has ended: ASCII JSON, sorted keys, times in UTC (RFC 3339).

    Outputs and error have the same fields as in the API. An output's ``url`` is the one it was published under, which
    may expire.
    """
    enhancement = task.enhancement
    body = {
        "event": f"task.{task.status}",
        "task_id": task.id,
        "status": task.status,
        "attempts": task.attempts,
        "outputs": [asdict(output) for output in task.outputs],
        "enhancement": {
            "status": enhancement.status,
            "started_at": _timestamp(enhancement.started_at),
            "finished_at": _timestamp(enhancement.finished_at),
            "error": None if enhancement.error is None else asdict(enhancement.error),
        },
        "manifest": None if task.manifest is None else asdict(task.manifest),
        "error": None if task.error is None else asdict(task.error),
        "created_at": _timestamp(task.created_at),
        "started_at": _timestamp(task.started_at),
        "finished_at": _timestamp(task.finished_at),
    }
    return json.dumps(body, sort_keys=True, separators=(",", ":"))


def sign_body(secret: str, timestamp: int, body: bytes) -> str:
    """The signature in hexadecimal, at a time in Unix seconds. Raises SettingInvalid if the secret is empty."""
    check_secret(secret)
    return hmac.new(secret.encode(), b"%d.%s" % (timestamp, body), hashlib.sha256).hexdigest()


def webhook_headers(secret: str, delivery_id: str, event: str, body: bytes, now: datetime) -> dict[str, str]:
    """The headers that accompany a body. Raises SettingInvalid if the secret is empty."""
    timestamp = int(now.timestamp())
    return {
        "Content-Type": "application/json",
        "Lipsync-Event": event,
        "Lipsync-Delivery": delivery_id,
        "Lipsync-Timestamp": str(timestamp),
        "Lipsync-Signature": f"v1={sign_body(secret, timestamp, body)}",
    }


def _timestamp(time: datetime | None) -> str | None:
    return None if time is None else f"{time.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"
