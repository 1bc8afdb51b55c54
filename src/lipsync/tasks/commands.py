"""Changes that a client makes to a task: create, cancel, retry, delete."""

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

MAX_ATTEMPTS = 3
UNFINISHED = [status for status in Status if status not in FINAL]

Admit: TypeAlias = Callable[[int], None]


class Commands(Transitions):
    """Each method is one transaction. All but ``create`` raise TaskMissing.

    ``admit`` is called with the number of unfinished tasks of the task's API key before another one is added. An
    exception that it raises propagates, and nothing changes. Calls for the same key are serialised until the
    transaction ends.
    """

    def create(
        self,
        new: NewTask,
        *,
        idempotency_key: str | None = None,
        now: datetime,
        max_attempts: int = MAX_ATTEMPTS,
        admit: Admit | None = None,
    ) -> Task:
        """Queue a task; an idempotency key that was used before returns its task, without calling ``admit``.

        Each API key has its own idempotency keys, which are kept as long as their tasks. Raises TransitionForbidden if
        the idempotency key came with another request, OptionInvalid if the options are not JSON or ``max_attempts`` is
        below 1.
        """
        if max_attempts < 1:
            raise OptionInvalid("max_attempts must be at least 1")
        request = request_digest(new)
        idempotency = None if idempotency_key is None else idempotency_digest(new.key_id, idempotency_key)
        row = new_row(new, request, idempotency, max_attempts, now)
        with self._writing() as session:
            if admit is not None:
                _lock_key(session, new.key_id)
            if (existing := _find_existing(session, idempotency, request)) is not None:
                return existing
            if admit is not None:
                admit(_count_unfinished(session, new.key_id))
            try:
                with session.begin_nested():
                    session.add(row)
            except IntegrityError as exc:  # another process used the idempotency key a moment earlier
                if (existing := _find_existing(session, idempotency, request)) is not None:
                    return existing
                raise StorageFailed("the task store did not accept the task") from exc
            return task_of(row)

    def request_cancel(self, task_id: str, now: datetime) -> Task:
        """Cancel a queued task at once, ask the worker of a running one to stop.

        Raises TransitionForbidden if the task has ended.
        """
        with self._writing() as session:
            row = self._row(session, task_id)
            if row.status is Status.QUEUED or row.status in FINAL:
                return self._move(session, row, Status.CANCELLED, now)
            return self._change(session, row, now, cancel_requested=True)

    def retry(self, task_id: str, now: datetime, admit: Admit | None = None) -> Task:
        """Queue a failed or cancelled task again with its full number of attempts; published outputs stay.

        Raises TransitionForbidden.
        """
        with self._writing() as session:
            row = self._row(session, task_id)
            if row.status not in FINAL:
                raise TransitionForbidden(f"a task that is {row.status} has not ended yet")
            if admit is not None:
                _lock_key(session, row.key_id)
                admit(_count_unfinished(session, row.key_id))
            reset: dict[str, Any] = {"attempts": 0, "cancel_requested": False, "error": None, "timings": {}}
            return self._move(session, row, Status.QUEUED, now, started_at=None, finished_at=None, **reset)

    def delete(self, task_id: str) -> Task:
        """Delete a task that has ended, with its log. The caller deletes its files first.

        Raises TransitionForbidden.
        """
        with self._writing() as session:
            row = self._row(session, task_id)
            if row.status not in FINAL:
                raise TransitionForbidden(f"a task that is {row.status} cannot be deleted; cancel it first")
            session.execute(delete(TaskRow).where(TaskRow.id == task_id))
            return task_of(row)


def _find_existing(session: Session, idempotency: str | None, request: str) -> Task | None:
    """The task created with the idempotency key. Raises TransitionForbidden if its request was another one."""
    if idempotency is None:
        return None
    row = session.scalars(select(TaskRow).where(TaskRow.idempotency == idempotency)).one_or_none()
    if row is not None and row.request != request:
        raise TransitionForbidden("this idempotency key was used for another request")
    return None if row is None else task_of(row)


def _lock_key(session: Session, key_id: str | None) -> None:
    """Serialise transactions of the same API key until this one ends; SQLite has a single writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        # PostgreSQL's advisory locks are numbers. Locking the key's row would not do: without API keys none exists.
        lock = int.from_bytes(hashlib.sha256(f"tasks of {key_id}".encode()).digest()[:8], "big", signed=True)
        session.execute(select(func.pg_advisory_xact_lock(lock)))


def _count_unfinished(session: Session, key_id: str | None) -> int:
    """Number of the API key's tasks that are queued or running."""
    # coalesce() keeps the planner off the index on key_id, which would visit every task that the key ever had.
    same_key = func.coalesce(TaskRow.key_id, "") == (key_id or "")
    return session.scalar(select(func.count()).where(same_key, TaskRow.status.in_(UNFINISHED))) or 0
