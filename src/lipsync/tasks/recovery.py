"""What brings back tasks whose worker or whose announcement was lost, and what time has made superfluous."""

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

SILENCE = timedelta(seconds=60)  # after which an announcement that nobody followed is made again


class Recovery(Transitions):
    """Any number of processes may do this at once."""

    def reap(self, now: datetime, *, silence: timedelta = SILENCE, limit: int = 1000) -> list[str]:
        """End the leases that have expired; the ids of tasks to announce, those that have waited longest first.

        A task goes back to the queue; to failed where its attempts are used up, to cancelled where that was asked for.
        To be announced is what is queued, due, and was not announced for ``silence``.
        """
        expired = (
            select(TaskRow)
            .where(TaskRow.status.in_(RUNNING), TaskRow.lease_until <= now)
            .order_by(TaskRow.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        unheard = or_(TaskRow.announced_at.is_(None), TaskRow.announced_at <= now - silence)
        waiting = (
            select(TaskRow.id)
            .where(TaskRow.status == Status.QUEUED, TaskRow.available_at <= now, unheard)
            .order_by(TaskRow.available_at, TaskRow.id)
            .limit(limit)
        )
        with self._writing() as session:
            for row in session.scalars(expired).all():
                self._bring_back(session, row, now)
            return list(session.scalars(waiting))

    def mark_announced(self, task_id: str, now: datetime) -> None:
        """Note that workers were told of it; nothing that anybody sees changes."""
        with self._writing(lasting=False) as session:
            session.execute(update(TaskRow).where(TaskRow.id == task_id).values(announced_at=now))

    def expired_outputs(self, older_than: datetime, limit: int = 100) -> Sequence[Task]:
        """Tasks that ended before then, the oldest first. The caller deletes their files, then calls ``delete``."""
        statement = (
            select(TaskRow)
            .where(TaskRow.status.in_(FINAL), TaskRow.finished_at < older_than)
            .order_by(TaskRow.finished_at, TaskRow.id)
            .limit(limit)
        )
        with self._reading() as session:
            return [task_of(row) for row in session.scalars(statement)]

    def _bring_back(self, session: Session, row: TaskRow, now: datetime) -> None:
        if row.cancel_requested:
            self._move(session, row, Status.CANCELLED, now)
            return
        spent = row.attempts >= row.max_attempts
        message = f"its worker stopped answering in attempt {row.attempts} of {row.max_attempts}"
        problem = asdict(TaskFailure(WorkerLost.code, message, not spent))
        self._move(session, row, Status.FAILED if spent else Status.QUEUED, now, problem=problem)
