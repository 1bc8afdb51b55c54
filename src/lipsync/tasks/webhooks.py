"""What a webhook call says and how its receiver knows that it is ours.

The header ``Lipsync-Signature`` is ``v1=`` and the hexadecimal HMAC-SHA256 of the header ``Lipsync-Timestamp`` (Unix
seconds), a dot and the body, keyed with the webhook secret of the API key whose task it is: the bytes of the whole text
``whsec_...`` that ``lipsync keys webhook-secret ID`` and ``GET /v1/webhook-secret`` tell. A receiver computes the same
of what came, before it reads the body, and refuses a timestamp that is old; ``verify`` does so. ``Lipsync-Delivery`` is
the same when a call is made again, so that a receiver can tell; ``Lipsync-Event`` is the body's ``event``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import asdict
from datetime import UTC, datetime

from lipsync.tasks.secrets import check_secret
from lipsync.tasks.task import Task

TIMESTAMP = re.compile(r"[0-9]{1,12}")
TOLERANCE = 300.0  # seconds


def body_of(task: Task) -> str:
    """The body of the call for a task that has ended: JSON in ASCII, names sorted, times in UTC (RFC 3339).

    Outputs and error have the fields of the API's; an output's ``url`` is the one that it was published under, which
    may expire.
    """
    told = {
        "event": f"task.{task.status}",
        "task_id": task.id,
        "status": task.status,
        "attempts": task.attempts,
        "outputs": [asdict(output) for output in task.outputs],
        "enhancement": {
            "status": task.enhancement.step,
            "started_at": _moment(task.enhancement.started_at),
            "finished_at": _moment(task.enhancement.finished_at),
            "error": None if task.enhancement.problem is None else asdict(task.enhancement.problem),
        },
        "manifest": None if task.manifest is None else asdict(task.manifest),
        "error": None if task.problem is None else asdict(task.problem),
        "created_at": _moment(task.created_at),
        "started_at": _moment(task.started_at),
        "finished_at": _moment(task.finished_at),
    }
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def sign(secret: str, timestamp: int, body: bytes) -> str:
    """The signature in hexadecimal, for a time in Unix seconds. Raises SettingInvalid if there is no secret."""
    return _signature(secret, str(timestamp), body)


def headers_of(secret: str, delivery_id: str, event: str, body: bytes, now: datetime) -> dict[str, str]:
    """The headers that go with a body. Raises SettingInvalid if there is no secret."""
    timestamp = int(now.timestamp())
    return {
        "Content-Type": "application/json",
        "Lipsync-Event": event,
        "Lipsync-Delivery": delivery_id,
        "Lipsync-Timestamp": str(timestamp),
        "Lipsync-Signature": f"v1={sign(secret, timestamp, body)}",
    }


def verify(
    secret: str, timestamp: str, signature: str, body: bytes, now: datetime, tolerance: float = TOLERANCE
) -> bool:
    """For a receiver: whether the two headers belong to the body as it came, now give or take ``tolerance`` seconds.

    How long it takes does not tell how much of a signature was right. Raises SettingInvalid if there is no secret.
    """
    wanted = f"v1={_signature(secret, timestamp, body)}"
    # As bytes, for of text compare_digest takes only ASCII.
    same = hmac.compare_digest(wanted.encode(), signature.encode("utf-8", "replace"))
    fresh = TIMESTAMP.fullmatch(timestamp) is not None and abs(now.timestamp() - int(timestamp)) <= tolerance
    return same and fresh


def _signature(secret: str, timestamp: str, body: bytes) -> str:
    check_secret(secret)
    signed = timestamp.encode("utf-8", "replace") + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def _moment(time: datetime | None) -> str | None:
    return None if time is None else f"{time.astimezone(UTC).replace(tzinfo=None).isoformat()}Z"
