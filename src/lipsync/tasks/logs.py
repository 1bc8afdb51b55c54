"""Logs of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select

from lipsync.tasks.rows import log_line_of
from lipsync.tasks.tables import LogRow
from lipsync.tasks.task import LogLine
from lipsync.tasks.transitions import Transitions

MAX_MESSAGE_CHARACTERS = 10_000
MAX_PAGE = 10_000  # lines
MAX_NUMBER = 2**63 - 1  # of a BIGINT column


class Logs(Transitions):
    """Lines are numbered within their task, starting at 1."""

    def log(self, task_id: str, level: str, message: str, now: datetime, output: str | None = None) -> LogLine:
        """Append a line, truncated to 10,000 characters. Raises TaskMissing."""
        last = select(func.coalesce(func.max(LogRow.number), 0)).where(LogRow.task_id == task_id)
        with self._writing(durable=False) as session:
            self._row(session, task_id)  # numbering under the row's lock: readers never skip a line that commits late
            number = session.scalars(last).one() + 1
            text = message[:MAX_MESSAGE_CHARACTERS]
            row = LogRow(task_id=task_id, number=number, at=now, level=level, message=text, output=output)
            session.add(row)
            return log_line_of(row)

    def logs(self, task_id: str, after: int = 0, limit: int = 500) -> Sequence[LogLine]:
        """Lines with numbers above ``after``, in order, ``limit`` at most (1 to 10,000); none for an unknown task."""
        statement = (
            select(LogRow)
            .where(LogRow.task_id == task_id, LogRow.number > max(0, min(after, MAX_NUMBER)))
            .order_by(LogRow.number)
            .limit(max(1, min(limit, MAX_PAGE)))
        )
        with self._reading() as session:
            return [log_line_of(row) for row in session.scalars(statement)]
