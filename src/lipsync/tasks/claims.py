"""Changes that a worker makes to a task: claim it, renew its lease, advance it, end it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from lipsync.errors import LeaseLost, TransitionForbidden
from lipsync.pipeline.job import FINAL_VARIANT, EnhanceStatus
from lipsync.tasks.rows import enhancement_of, enhancement_values, task_of
from lipsync.tasks.tables import TaskRow
from lipsync.tasks.task import (
    RUNNING,
    EnhancementRecord,
    Manifest,
    Output,
    Performance,
    Status,
    Task,
    TaskFailure,
    TaskProgress,
)
from lipsync.tasks.transitions import Transitions


class Claims(Transitions):
    """A worker's name identifies the owner of a lease, so each start of a worker needs a unique one.

    All methods but ``claim`` raise TaskMissing, LeaseLost if the worker no longer owns the task, and
    TransitionForbidden.
    """

    def claim(self, task_id: str | None, worker: str, lease: timedelta, now: datetime) -> Task | None:
        """Claim that task, or the one that has waited longest; None if no such task is queued and due."""
        due = (TaskRow.status == Status.QUEUED, TaskRow.available_at <= now)
        statement = select(TaskRow).where(*due)
        if task_id is None:
            statement = statement.order_by(TaskRow.available_at, TaskRow.id).limit(1).with_for_update(skip_locked=True)
        else:
            # No skip_locked: the lock may belong to a process that only records the announcement.
            statement = statement.where(TaskRow.id == task_id).with_for_update()
        with self._writing() as session:
            row = session.scalars(statement).one_or_none()
            if row is None:
                return None
            start = {"attempts": row.attempts + 1, "started_at": row.started_at or now}
            owner = {"lease_owner": worker, "lease_until": now + lease}
            return self._move(session, row, Status.DOWNLOADING, now, **start, **owner)

    def heartbeat(
        self, task_id: str, worker: str, lease: timedelta, progress: TaskProgress | None, now: datetime
    ) -> Task:
        """Renew the lease and store progress (None: unchanged); ``cancel_requested`` says whether to stop."""
        with self._writing(durable=False) as session:
            row = self._owned(session, task_id, worker)
            values = {} if progress is None else {"progress": asdict(progress)}
            return self._change(session, row, now, lease_until=now + lease, **values)

    def advance(self, task_id: str, worker: str, status: Status, now: datetime) -> Task:
        """Move the task to a running status; no change if it already has that."""
        with self._writing() as session:
            row = self._owned(session, task_id, worker)
            if status not in RUNNING:
                raise TransitionForbidden(f"{status}: not a status of a running task")
            return task_of(row) if row.status == status else self._move(session, row, status, now)

    def reserve(self, task_id: str, worker: str, key: str, now: datetime) -> Task:
        """Record a file's key before it is published, so that it can be deleted even if the worker dies."""
        with self._writing() as session:
            row = self._owned(session, task_id, worker)
            keys = row.reserved or []
            return task_of(row) if key in keys else self._change(session, row, now, reserved=[*keys, key])

    def add_output(self, task_id: str, worker: str, output: Output, now: datetime) -> Task:
        """Record a published file; it replaces one of the same engine and variant."""
        with self._writing() as session:
            row = self._owned(session, task_id, worker)
            others = [other for other in row.outputs if output_key(other) != (output.engine, output.variant)]
            return self._change(session, row, now, outputs=[*others, asdict(output)])

    def set_enhancement(
        self, task_id: str, worker: str, status: EnhanceStatus, error: TaskFailure | None, now: datetime
    ) -> Task:
        """Record the status of the enhancement, and why it failed or was skipped."""
        with self._writing() as session:
            row = self._owned(session, task_id, worker)
            started = enhancement_of(row).started_at
            if status is EnhanceStatus.PROCESSING:
                enhancement = EnhancementRecord(status, started_at=started or now)
            else:
                enhancement = EnhancementRecord(status, started, now, error)
            return self._change(session, row, now, enhancement=enhancement_values(enhancement))

    def set_manifest(self, task_id: str, worker: str, manifest: Manifest, now: datetime) -> Task:
        """Record the published manifest."""
        with self._writing() as session:
            return self._change(session, self._owned(session, task_id, worker), now, manifest=asdict(manifest))

    def finish(
        self, task_id: str, worker: str, performance: Performance, timings: Mapping[str, float], now: datetime
    ) -> Task:
        """Complete the task. Raises TransitionForbidden too if one of its engines has no output."""
        with self._writing() as session:
            row = self._owned(session, task_id, worker)
            if missing := set(row.engines) - {output["engine"] for output in row.outputs}:
                raise TransitionForbidden(f"a task is not complete without the outputs of {', '.join(sorted(missing))}")
            values = {"performance": asdict(performance), "timings": dict(timings)}
            return self._move(session, row, Status.COMPLETED, now, error=None, **values)

    def fail(
        self, task_id: str, worker: str, error: TaskFailure, now: datetime, retry_in: timedelta | None = None
    ) -> Task:
        """Fail the task.

        With ``retry_in`` and attempts left it is queued again after that delay, or cancelled if that was requested.
        """
        with self._writing() as session:
            row = self._owned(session, task_id, worker)
            if retry_in is None or row.attempts >= row.max_attempts:
                return self._move(session, row, Status.FAILED, now, error=asdict(error))
            if row.cancel_requested:
                return self._move(session, row, Status.CANCELLED, now, error=asdict(error))
            return self._move(session, row, Status.QUEUED, now, error=asdict(error), available_at=now + retry_in)

    def release(self, task_id: str, worker: str, now: datetime) -> Task:
        """Return the task to the queue without counting the attempt, or cancel it if that was requested."""
        with self._writing() as session:
            row = self._owned(session, task_id, worker)
            if row.cancel_requested:
                return self._move(session, row, Status.CANCELLED, now)
            return self._move(session, row, Status.QUEUED, now, attempts=row.attempts - 1)

    def cancel(self, task_id: str, worker: str, now: datetime) -> Task:
        """Record that the worker has stopped as requested."""
        with self._writing() as session:
            return self._move(session, self._owned(session, task_id, worker), Status.CANCELLED, now)

    def _owned(self, session: Session, task_id: str, worker: str) -> TaskRow:
        row = self._row(session, task_id)
        if row.lease_owner != worker:
            raise LeaseLost(f"task {task_id} is {row.status}; {worker} no longer owns it")
        return row


def output_key(output: Mapping[str, Any]) -> tuple[str, str]:
    """Engine and variant, which identify an output within its task."""
    return output["engine"], output.get("variant", FINAL_VARIANT)
