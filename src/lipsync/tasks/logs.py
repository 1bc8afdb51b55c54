"""The log of each task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select

from lipsync.tasks.rows import line_of
from lipsync.tasks.tables import LogRow
from lipsync.tasks.task import LogLine
from lipsync.tasks.transitions import Transitions

LONGEST = 10_000  # characters of a message
LAST = 2**63 - 1  # the largest number that a column holds


class Logs(Transitions):
    """Lines are numbered within their task, from 1 on."""

    def log(self, task_id: str, level: str, message: str, now: datetime, output: str | None = None) -> LogLine:
        """Add a line, cut to 10,000 characters. Raises TaskMissing."""
        last = select(func.coalesce(func.max(LogRow.number), 0)).where(LogRow.task_id == task_id)
        with self._writing(lasting=False) as session:
            self._row(session, task_id)  # whoever holds the row numbers, so no reader passes a line that comes later
            number = session.scalars(last).one() + 1
            row = LogRow(task_id=task_id, number=number, at=now, level=level, message=message[:LONGEST], output=output)
            session.add(row)
            return line_of(row)

    def logs(self, task_id: str, after: int = 0, limit: int = 500) -> Sequence[LogLine]:
        """Lines with numbers above ``after``, in order; none if there is no such task."""
        statement = (
            select(LogRow)
            .where(LogRow.task_id == task_id, LogRow.number > max(0, min(after, LAST)))
            .order_by(LogRow.number)
            .limit(max(1, min(limit, LONGEST)))
        )
        with self._reading() as session:
            return [line_of(row) for row in session.scalars(statement)]
