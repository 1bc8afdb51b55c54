"""What a person does to a task: make it, stop it, try it again, throw it away."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lipsync.errors import OptionInvalid, StorageFailed, TransitionForbidden
from lipsync.jobs.changes import Changes
from lipsync.jobs.snapshots import idempotency_digest, new_row, request_digest, task_of
from lipsync.jobs.tables import TaskRow
from lipsync.jobs.task import FINAL, NewTask, Status, Task

ATTEMPTS = 3


class Requests(Changes):
    """Each is one transaction. All but ``create`` raise TaskMissing."""

    def create(
        self, new: NewTask, *, idempotency_key: str | None = None, now: datetime, max_attempts: int = ATTEMPTS
    ) -> Task:
        """A task that waits; with an idempotency key that was used before, the task of that time.

        A key counts for each API key by itself, and as long as its task is kept. Raises TransitionForbidden if it came
        with another request, and OptionInvalid if the options are not JSON or if there is not one attempt.
        """
        if max_attempts < 1:
            raise OptionInvalid(f"{max_attempts} attempts are none")
        request = request_digest(new)
        mark = None if idempotency_key is None else idempotency_digest(new.key_id, idempotency_key)
        row = new_row(new, request, mark, max_attempts, now)
        with self._writing() as session:
            if (first := _first(session, mark, request)) is not None:
                return first
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

    def retry(self, task_id: str, now: datetime) -> Task:
        """Queue a failed or cancelled task anew, with all its attempts; what was published already stays so.

        Raises TransitionForbidden.
        """
        with self._writing() as session:
            row = self._row(session, task_id)
            if row.status not in FINAL:
                raise TransitionForbidden(f"a task that is {row.status} has not ended yet")
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
