"""Recover tasks whose worker or whose announcement was lost, and find those to prune."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from lipsync.errors import WorkerLost
from lipsync.tasks.rows import task_of
from lipsync.tasks.tables import TaskRow
from lipsync.tasks.task import FINAL, RUNNING, Status, Task, TaskFailure
from lipsync.tasks.transitions import Transitions

REANNOUNCE_AFTER = timedelta(seconds=60)


class Recovery(Transitions):
    """Any number of processes may call these methods at the same time."""

    def reap(self, now: datetime, *, reannounce_after: timedelta = REANNOUNCE_AFTER, limit: int = 1000) -> list[str]:
        """End expired leases; returns the ids of tasks to announce, those that have waited longest first.

        A task whose lease expired is queued again, failed if it has no attempts left, or cancelled if that was
        requested. To be announced are queued tasks that are due and were not announced within ``reannounce_after``.
        """
        expired = (
            select(TaskRow)
            .where(TaskRow.status.in_(RUNNING), TaskRow.lease_until <= now)
            .order_by(TaskRow.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        unannounced = or_(TaskRow.announced_at.is_(None), TaskRow.announced_at <= now - reannounce_after)
        waiting = (
            select(TaskRow.id)
            .where(TaskRow.status == Status.QUEUED, TaskRow.available_at <= now, unannounced)
            .order_by(TaskRow.available_at, TaskRow.id)
            .limit(limit)
        )
        with self._writing() as session:
            for row in session.scalars(expired).all():
                self._end_lease(session, row, now)
            return list(session.scalars(waiting))

    def mark_announced(self, task_id: str, now: datetime) -> None:
        """Record that the task was announced to the workers; its revision stays the same."""
        with self._writing(durable=False) as session:
            session.execute(update(TaskRow).where(TaskRow.id == task_id).values(announced_at=now))

    def expired_tasks(self, older_than: datetime, limit: int = 100) -> Sequence[Task]:
        """Tasks that ended before ``older_than``, oldest first. The caller deletes their files, then the tasks."""
        statement = (
            select(TaskRow)
            .where(TaskRow.status.in_(FINAL), TaskRow.finished_at < older_than)
            .order_by(TaskRow.finished_at, TaskRow.id)
            .limit(limit)
        )
        with self._reading() as session:
            return [task_of(row) for row in session.scalars(statement)]

    def _end_lease(self, session: Session, row: TaskRow, now: datetime) -> None:
        if row.cancel_requested:
            self._move(session, row, Status.CANCELLED, now)
            return
        exhausted = row.attempts >= row.max_attempts
        message = f"its worker stopped answering in attempt {row.attempts} of {row.max_attempts}"
        error = asdict(TaskFailure(WorkerLost.code, message, not exhausted))
        self._move(session, row, Status.FAILED if exhausted else Status.QUEUED, now, error=error)
