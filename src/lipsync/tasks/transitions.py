"""Change tasks: the only module that writes a task's status, and the part that all changes share."""

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
    """A change locks the row, checks it, and writes it only if it has not changed since."""

    def _row(self, session: Session, task_id: str) -> TaskRow:
        """The task's row, locked until the transaction ends. Raises TaskMissing."""
        row = session.get(TaskRow, task_id, with_for_update=True)
        if row is None:
            raise TaskMissing(f"task {task_id} does not exist")
        return row

    def _move(self, session: Session, row: TaskRow, after: Status, now: datetime, **values: Any) -> Task:
        """Move the task to another status; leaving the running statuses ends its lease.

        A final status enqueues the webhook call in the same transaction, so that it cannot be lost. Raises
        TransitionForbidden.
        """
        check_transition(row.status, after)
        no_lease: dict[str, Any] = {"lease_owner": None, "lease_until": None}
        if after in FINAL:
            values = no_lease | {"finished_at": now, "enhancement": _final_enhancement(row, now)} | values
        elif after is Status.QUEUED:
            reset = {"progress": None, "announced_at": None, "available_at": now}
            values = no_lease | reset | {"enhancement": _pending_enhancement(row)} | values
        task = self._change(session, row, now, status=after, **values)
        if after in FINAL and task.webhook and self._webhook_body is not None:
            session.add(new_delivery(task.id, task.webhook, f"task.{after}", self._webhook_body(task), now))
        return task

    def _change(self, session: Session, row: TaskRow, now: datetime, **values: Any) -> Task:
        """Write the row unless it has changed since it was read. Raises TransitionForbidden."""
        statement = (
            update(TaskRow)
            .where(TaskRow.id == row.id, TaskRow.status == row.status, TaskRow.revision == row.revision)
            .values(updated_at=now, revision=row.revision + 1, **values)
            .returning(TaskRow)
            .execution_options(populate_existing=True, synchronize_session=False)
        )
        changed = session.scalars(statement).one_or_none()
        if changed is None:
            raise TransitionForbidden(f"task {row.id}: another process changed it at the same moment")
        return task_of(changed)


def _final_enhancement(row: TaskRow, now: datetime) -> dict[str, Any] | None:
    """The enhancement of a task that ends: pending becomes skipped, processing becomes failed."""
    enhancement = enhancement_of(row)
    if enhancement.status not in (EnhanceStatus.PENDING, EnhanceStatus.PROCESSING):
        return row.enhancement
    pending = enhancement.status is EnhanceStatus.PENDING
    status = EnhanceStatus.SKIPPED if pending else EnhanceStatus.FAILED
    return enhancement_values(EnhancementRecord(status, enhancement.started_at, now))


def _pending_enhancement(row: TaskRow) -> dict[str, Any] | None:
    """The enhancement of a task that is queued again; None if the task does not ask for one."""
    return None if row.enhancement is None else enhancement_values(EnhancementRecord(EnhanceStatus.PENDING))


def new_delivery(task_id: str, url: str, event: str, body: str, now: datetime) -> DeliveryRow:
    """A webhook call that is due now."""
    return DeliveryRow(
        id=new_id(now), task_id=task_id, url=url, event=event, body=body, attempts=0, created_at=now, next_at=now
    )
