"""What a person does to a task: make it, stop it, try it again, throw it away."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lipsync.errors import OptionInvalid, StorageFailed, TransitionForbidden
from lipsync.tasks.rows import idempotency_digest, new_row, request_digest, task_of
from lipsync.tasks.tables import TaskRow
from lipsync.tasks.task import FINAL, NewTask, Status, Task
from lipsync.tasks.transitions import Transitions

ATTEMPTS = 3
UNFINISHED = [status for status in Status if status not in FINAL]

Admit: TypeAlias = Callable[[int], None]


class Commands(Transitions):
    """Each is one transaction. All but ``create`` raise TaskMissing.

    ``admit`` is told how many unfinished tasks the task's API key has before there is one more. What it raises is
    raised, and nothing is done. Until the transaction ends nobody else is told a number for that key.
    """

    def create(
        self,
        new: NewTask,
        *,
        idempotency_key: str | None = None,
        now: datetime,
        max_attempts: int = ATTEMPTS,
        admit: Admit | None = None,
    ) -> Task:
        """A task that waits; with an idempotency key that was used before, the task of that time, without ``admit``.

        A key counts for each API key by itself, and as long as its task is kept. Raises TransitionForbidden if it came
        with another request, and OptionInvalid if the options are not JSON or if there is not one attempt.
        """
        if max_attempts < 1:
            raise OptionInvalid(f"{max_attempts} attempts are none")
        request = request_digest(new)
        mark = None if idempotency_key is None else idempotency_digest(new.key_id, idempotency_key)
        row = new_row(new, request, mark, max_attempts, now)
        with self._writing() as session:
            if admit is not None:
                _one_by_one(session, new.key_id)
            if (first := _first(session, mark, request)) is not None:
                return first
            if admit is not None:
                admit(_unfinished(session, new.key_id))
            try:
                with session.begin_nested():
                    session.add(row)
            except IntegrityError as exc:  # somebody else was first by a moment
                if (first := _first(session, mark, request)) is not None:
                    return first
                raise StorageFailed("the task store did not take the task") from exc
            return task_of(row)

    def request_cancel(self, task_id: str, now: datetime) -> Task:
        """Cancelled at once if it waits; if it runs, its worker is told. TransitionForbidden if it has ended."""
        with self._writing() as session:
            row = self._row(session, task_id)
            if row.status is Status.QUEUED or row.status in FINAL:
                return self._move(session, row, Status.CANCELLED, now)
            return self._change(session, row, now, cancel_requested=True)

    def retry(self, task_id: str, now: datetime, admit: Admit | None = None) -> Task:
        """Queue a failed or cancelled task anew, with all its attempts; what was published already stays so.

        Raises TransitionForbidden.
        """
        with self._writing() as session:
            row = self._row(session, task_id)
            if row.status not in FINAL:
                raise TransitionForbidden(f"a task that is {row.status} has not ended yet")
            if admit is not None:
                _one_by_one(session, row.key_id)
                admit(_unfinished(session, row.key_id))
            again: dict[str, Any] = {"attempts": 0, "cancel_requested": False, "problem": None, "timings": {}}
            return self._move(session, row, Status.QUEUED, now, started_at=None, finished_at=None, **again)

    def delete(self, task_id: str) -> Task:
        """Forget a task that has ended, with its log. Its files are the caller's to delete, before.

        Raises TransitionForbidden.
        """
        with self._writing() as session:
            row = self._row(session, task_id)
            if row.status not in FINAL:
                raise TransitionForbidden(f"a task that is {row.status} cannot be deleted; cancel it first")
            session.execute(delete(TaskRow).where(TaskRow.id == task_id))
            return task_of(row)


def _first(session: Session, mark: str | None, request: str) -> Task | None:
    """The task that the idempotency key made. Raises TransitionForbidden if that was for another request."""
    if mark is None:
        return None
    row = session.scalars(select(TaskRow).where(TaskRow.idempotency == mark)).one_or_none()
    if row is not None and row.request != request:
        raise TransitionForbidden("this idempotency key was used for another request")
    return None if row is None else task_of(row)


def _one_by_one(session: Session, key_id: str | None) -> None:
    """Until the transaction ends nobody else comes past here with that API key; SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        # PostgreSQL's advisory locks are numbers. A key's row will not do: there is none where keys are off.
        lock = int.from_bytes(hashlib.sha256(f"tasks of {key_id}".encode()).digest()[:8], "big", signed=True)
        session.execute(select(func.pg_advisory_xact_lock(lock)))


def _unfinished(session: Session, key_id: str | None) -> int:
    """How many tasks of the API key wait or run."""
    # Not by the index of keys, which would lead through all that the key ever had: few tasks are unfinished.
    whose = func.coalesce(TaskRow.key_id, "") == (key_id or "")
    return session.scalar(select(func.count()).where(whose, TaskRow.status.in_(UNFINISHED))) or 0
