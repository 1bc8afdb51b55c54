"""Read tasks and statistics about them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select

from lipsync.errors import OptionInvalid, TaskMissing
from lipsync.pipeline.job import EnhanceStatus
from lipsync.tasks.database import Database
from lipsync.tasks.rows import task_of
from lipsync.tasks.tables import TaskRow
from lipsync.tasks.task import Page, Status, Task

CURSOR = re.compile("[0-9a-f]{32}")
MAX_PAGE = 500  # tasks


class Queries(Database):
    """These methods neither write nor wait for a writer."""

    def get(self, task_id: str) -> Task:
        """Snapshot of a task. Raises TaskMissing."""
        with self._reading() as session:
            row = session.get(TaskRow, task_id)
            if row is None:
                raise TaskMissing(f"task {task_id} does not exist")
            return task_of(row)

    def list(
        self,
        *,
        status: Status | None = None,
        key_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """A page of 1 to 500 tasks, newest first; both times are exclusive. Raises OptionInvalid for a bad cursor."""
        limit = max(1, min(limit, MAX_PAGE))
        statement = select(TaskRow).where(*_after(cursor), *_between(created_after, created_before))
        if status is not None:
            statement = statement.where(TaskRow.status == status)
        if key_id is not None:
            statement = statement.where(TaskRow.key_id == key_id)
        with self._reading() as session:
            rows = session.scalars(statement.order_by(TaskRow.id.desc()).limit(limit + 1)).all()
        tasks = tuple(task_of(row) for row in rows[:limit])
        return Page(tasks, tasks[-1].id if len(rows) > limit else None)

    def uses(self, location: str) -> bool:
        """Whether any input of a task has that location."""
        inputs = (TaskRow.video, TaskRow.audio, TaskRow.reference)
        used = or_(*(column["location"].as_string() == location for column in inputs))
        with self._reading() as session:
            return session.scalar(select(TaskRow.id).where(used).limit(1)) is not None

    def counts(self) -> dict[Status, int]:
        """Number of tasks by status."""
        statement = select(TaskRow.status, func.count()).group_by(TaskRow.status)
        with self._reading() as session:
            return dict.fromkeys(Status, 0) | dict(session.execute(statement).all())

    def enhancements(self) -> dict[EnhanceStatus, int]:
        """Number of tasks by status of their enhancement, among those that ask for one."""
        status = TaskRow.enhancement["step"].as_string()
        statement = select(status, func.count()).where(status.is_not(None)).group_by(status)
        with self._reading() as session:
            rows = session.execute(statement).all()
        return dict.fromkeys(EnhanceStatus, 0) | {EnhanceStatus(name): count for name, count in rows}

    def oldest_waiting(self) -> datetime | None:
        """When the oldest queued task became due, possibly a time in the future; None if no task is queued."""
        with self._reading() as session:
            return session.scalar(select(func.min(TaskRow.available_at)).where(TaskRow.status == Status.QUEUED))


def _after(cursor: str | None) -> Iterator[ColumnElement[bool]]:
    if cursor is None:
        return
    if not CURSOR.fullmatch(cursor):
        raise OptionInvalid("invalid cursor; use the next_cursor of a previous page")
    yield TaskRow.id < cursor  # ids sort by creation time, so new tasks do not shift pages


def _between(after: datetime | None, before: datetime | None) -> Iterator[ColumnElement[bool]]:
    if after is not None:
        yield TaskRow.created_at > after
    if before is not None:
        yield TaskRow.created_at < before
