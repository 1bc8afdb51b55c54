"""What a worker does to a task: take it, keep it, move it on, and let it go."""

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
    Progress,
    Status,
    Task,
    TaskFailure,
)
from lipsync.tasks.transitions import Transitions


class Claims(Transitions):
    """A worker's name has to be its own and new with each start: who has the name has the lease.

    All but ``claim`` raise TaskMissing, LeaseLost if the worker has the task no more, and TransitionForbidden.
    """

    def claim(self, task_id: str | None, worker: str, lease: timedelta, now: datetime) -> Task | None:
        """That task, or the one that has waited longest, for ``worker`` alone; None if it is not waiting or not due."""
        due = (TaskRow.status == Status.QUEUED, TaskRow.available_at <= now)
        statement = select(TaskRow).where(*due)
        if task_id is None:
            statement = statement.order_by(TaskRow.available_at, TaskRow.id).limit(1).with_for_update(skip_locked=True)
        else:
            # No skipping: whoever holds the row may only be noting that it was announced.
            statement = statement.where(TaskRow.id == task_id).with_for_update()
        with self._writing() as session:
            row = session.scalars(statement).one_or_none()
            if row is None:
                return None
            began = {"attempts": row.attempts + 1, "started_at": row.started_at or now}
            held = {"lease_owner": worker, "lease_until": now + lease}
            return self._move(session, row, Status.DOWNLOADING, now, **began, **held)

    def heartbeat(self, task_id: str, worker: str, lease: timedelta, progress: Progress | None, now: datetime) -> Task:
        """Renew the lease and tell progress (None: as before); the answer says whether to stop."""
        with self._writing(lasting=False) as session:
            row = self._held(session, task_id, worker)
            told = {} if progress is None else {"progress": asdict(progress)}
            return self._change(session, row, now, lease_until=now + lease, **told)

    def advance(self, task_id: str, worker: str, status: Status, now: datetime) -> Task:
        """Go to another running status; nothing happens if it is that already."""
        with self._writing() as session:
            row = self._held(session, task_id, worker)
            if status not in RUNNING:
                raise TransitionForbidden(f"{status} is no stage of a running task")
            return task_of(row) if row.status == status else self._move(session, row, status, now)

    def reserve(self, task_id: str, worker: str, key: str, now: datetime) -> Task:
        """Note that a file of that key is about to be published: if the worker dies, it can be found and deleted."""
        with self._writing() as session:
            row = self._held(session, task_id, worker)
            keys = row.reserved or []
            return task_of(row) if key in keys else self._change(session, row, now, reserved=[*keys, key])

    def add_output(self, task_id: str, worker: str, output: Output, now: datetime) -> Task:
        """Note a published file; one of the same engine and variant is replaced."""
        with self._writing() as session:
            row = self._held(session, task_id, worker)
            others = [other for other in row.outputs if named(other) != (output.engine, output.variant)]
            return self._change(session, row, now, outputs=[*others, asdict(output)])

    def enhance(
        self, task_id: str, worker: str, step: EnhanceStatus, problem: TaskFailure | None, now: datetime
    ) -> Task:
        """Note how far the step after the lip-sync is, and why it failed or was skipped."""
        with self._writing() as session:
            row = self._held(session, task_id, worker)
            began = enhancement_of(row).started_at
            if step is EnhanceStatus.PROCESSING:
                told = EnhancementRecord(step, started_at=began or now)
            else:
                told = EnhancementRecord(step, began, now, problem)
            return self._change(session, row, now, enhancement=enhancement_values(told))

    def set_manifest(self, task_id: str, worker: str, manifest: Manifest, now: datetime) -> Task:
        """Note where the published manifest is."""
        with self._writing() as session:
            return self._change(session, self._held(session, task_id, worker), now, manifest=asdict(manifest))

    def finish(
        self, task_id: str, worker: str, performance: Performance, timings: Mapping[str, float], now: datetime
    ) -> Task:
        """Completed. Raises TransitionForbidden too where an engine that was asked for has no output."""
        with self._writing() as session:
            row = self._held(session, task_id, worker)
            if missing := set(row.engines) - {output["engine"] for output in row.outputs}:
                raise TransitionForbidden(f"a task is not complete without the outputs of {', '.join(sorted(missing))}")
            took = {"performance": asdict(performance), "timings": dict(timings)}
            return self._move(session, row, Status.COMPLETED, now, problem=None, **took)

    def fail(
        self, task_id: str, worker: str, problem: TaskFailure, now: datetime, retry_in: timedelta | None = None
    ) -> Task:
        """Failed; with ``retry_in`` and attempts left, queued again for then, or cancelled if that was asked for."""
        with self._writing() as session:
            row = self._held(session, task_id, worker)
            if retry_in is None or row.attempts >= row.max_attempts:
                return self._move(session, row, Status.FAILED, now, problem=asdict(problem))
            if row.cancel_requested:
                return self._move(session, row, Status.CANCELLED, now, problem=asdict(problem))
            return self._move(session, row, Status.QUEUED, now, problem=asdict(problem), available_at=now + retry_in)

    def release(self, task_id: str, worker: str, now: datetime) -> Task:
        """Hand it back untried, or cancelled if a person wants it stopped."""
        with self._writing() as session:
            row = self._held(session, task_id, worker)
            if row.cancel_requested:
                return self._move(session, row, Status.CANCELLED, now)
            return self._move(session, row, Status.QUEUED, now, attempts=row.attempts - 1)

    def cancelled(self, task_id: str, worker: str, now: datetime) -> Task:
        """The worker has stopped, as it was asked to."""
        with self._writing() as session:
            return self._move(session, self._held(session, task_id, worker), Status.CANCELLED, now)

    def _held(self, session: Session, task_id: str, worker: str) -> TaskRow:
        row = self._row(session, task_id)
        if row.lease_owner != worker:
            raise LeaseLost(f"the task {task_id} is {row.status} and no more {worker}'s")
        return row


def named(output: Mapping[str, Any]) -> tuple[str, str]:
    """What tells one of a task's published files from the others."""
    return output["engine"], output.get("variant", FINAL_VARIANT)
