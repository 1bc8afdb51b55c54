"""The only place that writes a task's status, and what every change of a task has in common."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from lipsync.errors import TaskMissing, TransitionForbidden
from lipsync.pipeline.job import EnhanceStatus
from lipsync.tasks.database import Database
from lipsync.tasks.rows import enhancement_of, enhancement_values, new_id, task_of
from lipsync.tasks.tables import DeliveryRow, TaskRow
from lipsync.tasks.task import FINAL, EnhancementRecord, Status, Task, check_transition


class Transitions(Database):
    """A change locks the row, looks, and writes what was looked at or nothing."""

    def _row(self, session: Session, task_id: str) -> TaskRow:
        """The row, locked until the transaction ends. Raises TaskMissing."""
        row = session.get(TaskRow, task_id, with_for_update=True)
        if row is None:
            raise TaskMissing(f"there is no task {task_id}")
        return row

    def _move(self, session: Session, row: TaskRow, after: Status, now: datetime, **values: Any) -> Task:
        """Another status, by the table of transitions; whatever stops a run ends its lease.

        A final status queues the webhook's delivery in the same transaction, so that none is lost. Raises
        TransitionForbidden.
        """
        check_transition(row.status, after)
        stopped: dict[str, Any] = {"lease_owner": None, "lease_until": None}
        if after in FINAL:
            values = stopped | {"finished_at": now, "enhancement": _ended(row, now)} | values
        elif after is Status.QUEUED:
            again = {"progress": None, "announced_at": None, "available_at": now, "enhancement": _waiting(row)}
            values = stopped | again | values
        task = self._change(session, row, now, status=after, **values)
        if after in FINAL and task.webhook and self._notify is not None:
            session.add(new_delivery(task.id, task.webhook, f"task.{after}", self._notify(task), now))
        return task

    def _change(self, session: Session, row: TaskRow, now: datetime, **values: Any) -> Task:
        """Write the row unless it is another by now. Raises TransitionForbidden."""
        statement = (
            update(TaskRow)
            .where(TaskRow.id == row.id, TaskRow.status == row.status, TaskRow.revision == row.revision)
            .values(updated_at=now, revision=row.revision + 1, **values)
            .returning(TaskRow)
            .execution_options(populate_existing=True, synchronize_session=False)
        )
        changed = session.scalars(statement).one_or_none()
        if changed is None:
            raise TransitionForbidden(f"the task {row.id} was changed by somebody else at the same moment")
        return task_of(changed)


def _ended(row: TaskRow, now: datetime) -> dict[str, Any] | None:
    """What is left of the step after the lip-sync when the task has ended: it does not go on."""
    told = enhancement_of(row)
    if told.step not in (EnhanceStatus.PENDING, EnhanceStatus.PROCESSING):
        return row.enhancement
    step = EnhanceStatus.SKIPPED if told.step is EnhanceStatus.PENDING else EnhanceStatus.FAILED
    return enhancement_values(EnhancementRecord(step, told.started_at, now))


def _waiting(row: TaskRow) -> dict[str, Any] | None:
    """The step after the lip-sync before the task begins anew; None if nobody asked for it."""
    return None if row.enhancement is None else enhancement_values(EnhancementRecord(EnhanceStatus.PENDING))


def new_delivery(task_id: str, url: str, event: str, body: str, now: datetime) -> DeliveryRow:
    """A webhook call that is due."""
    return DeliveryRow(
        id=new_id(now), task_id=task_id, url=url, event=event, body=body, attempts=0, created_at=now, next_at=now
    )
