"""Convert requests to database rows, and rows to snapshots."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from lipsync.errors import OptionInvalid
from lipsync.pipeline.job import EnhanceStatus
from lipsync.tasks.tables import DeliveryRow, KeyRow, LogRow, TaskRow
from lipsync.tasks.task import (
    JSON,
    Delivery,
    EnhancementRecord,
    Key,
    LogLine,
    Manifest,
    NewTask,
    Output,
    Performance,
    Source,
    Status,
    Task,
    TaskFailure,
    TaskProgress,
)

ENHANCEMENT_OPTIONS = ("enhance", "upscale")
ENHANCEMENT_TIMES = ("started_at", "finished_at")


def new_id(now: datetime) -> str:
    """A version 7 UUID (RFC 9562, section 5.7) as 32 hexadecimal digits: milliseconds, then 74 random bits."""
    timestamp = int(now.timestamp() * 1000) << 80
    version, variant = 7 << 76, 2 << 62
    return f"{timestamp | version | secrets.randbits(12) << 64 | variant | secrets.randbits(62):032x}"


def request_digest(new: NewTask) -> str:
    """SHA-256 of a request, in hex. Uploads with a known checksum are compared by that, not by their location.

    Raises OptionInvalid if the options are not JSON.
    """
    request = _fields(new)
    if new.reference is None:
        del request["reference"]  # as in the digests of tasks that were stored before there were references
    for name in ("video", "audio", "reference"):
        source = request.get(name)
        if source and source["kind"] == "upload" and source["sha256"]:
            source["location"] = None
    try:
        text = json.dumps(request, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as exc:
        raise OptionInvalid(f"options: not JSON: {exc}") from exc
    return _digest(text)


def idempotency_digest(key_id: str | None, key: str) -> str:
    """SHA-256 of an idempotency key, in hex; each API key has its own set of them."""
    return _digest(json.dumps([key_id, key]))


def new_row(new: NewTask, request: str, idempotency: str | None, max_attempts: int, now: datetime) -> TaskRow:
    """A queued task."""
    pending = enhancement_values(EnhancementRecord(EnhanceStatus.PENDING))
    return TaskRow(
        id=new_id(now),
        status=Status.QUEUED,
        created_at=now,
        updated_at=now,
        available_at=now,
        attempts=0,
        max_attempts=max_attempts,
        cancel_requested=False,
        timings={},
        outputs=[],
        enhancement=pending if asks_enhancement(new.options) else None,
        revision=1,
        idempotency=idempotency,
        request=request,
        **_fields(new),
    )


def asks_enhancement(options: Mapping[str, JSON]) -> bool:
    """Whether the options ask for an enhancement."""
    return any(options.get(name) for name in ENHANCEMENT_OPTIONS)


def task_of(row: TaskRow) -> Task:
    """Snapshot of a task's row."""
    return Task(
        id=row.id,
        status=row.status,
        video=Source(**row.video),
        audio=Source(**row.audio),
        engines=tuple(row.engines),
        options=row.options,
        key_id=row.key_id,
        webhook=row.webhook,
        created_at=row.created_at,
        updated_at=row.updated_at,
        available_at=row.available_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        attempts=row.attempts,
        max_attempts=row.max_attempts,
        lease_owner=row.lease_owner,
        lease_until=row.lease_until,
        cancel_requested=row.cancel_requested,
        progress=None if row.progress is None else TaskProgress(**row.progress),
        timings=row.timings,
        error=None if row.error is None else TaskFailure(**row.error),
        outputs=tuple(Output(**output) for output in row.outputs),
        performance=None if row.performance is None else Performance(**row.performance),
        revision=row.revision,
        enhancement=enhancement_of(row),
        manifest=None if row.manifest is None else Manifest(**row.manifest),
        reserved=tuple(row.reserved or ()),
        reference=None if row.reference is None else Source(**row.reference),
    )


def enhancement_of(row: TaskRow) -> EnhancementRecord:
    """Snapshot of the enhancement in a task's row."""
    stored = row.enhancement
    if stored is None:
        return EnhancementRecord()
    started, finished = (stored[name] and datetime.fromisoformat(stored[name]) for name in ENHANCEMENT_TIMES)
    error = None if stored["problem"] is None else TaskFailure(**stored["problem"])
    return EnhancementRecord(EnhanceStatus(stored["step"]), started, finished, error)


def enhancement_values(enhancement: EnhancementRecord) -> dict[str, Any]:
    """The JSON that a task's row stores for an enhancement."""
    moments = {name: getattr(enhancement, name) for name in ENHANCEMENT_TIMES}
    times = {name: None if moment is None else moment.isoformat() for name, moment in moments.items()}
    error = None if enhancement.error is None else asdict(enhancement.error)
    return {"step": enhancement.status.value, **times, "problem": error}


def log_line_of(row: LogRow) -> LogLine:
    """Snapshot of a log line's row."""
    return LogLine(row.number, row.at, row.level, row.message, row.output)


def delivery_of(row: DeliveryRow) -> Delivery:
    """Snapshot of a webhook call's row."""
    return Delivery(
        row.id,
        row.task_id,
        row.url,
        row.event,
        row.body,
        row.attempts,
        row.created_at,
        row.next_at,
        row.delivered_at,
        row.last_status,
        row.last_error,
    )


def key_of(row: KeyRow) -> Key:
    """Snapshot of an API key's row."""
    return Key(row.id, row.name, row.prefix, tuple(row.scopes), row.created_at, row.revoked_at)


def _fields(new: NewTask) -> dict[str, Any]:
    return {
        "video": asdict(new.video),
        "audio": asdict(new.audio),
        "reference": None if new.reference is None else asdict(new.reference),
        "engines": list(new.engines),
        "options": dict(new.options),
        "key_id": new.key_id,
        "webhook": new.webhook,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
