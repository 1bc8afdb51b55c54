"""Webhook calls: find those that are due, record their outcome."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select

from lipsync.tasks.rows import delivery_of
from lipsync.tasks.tables import DeliveryRow, TaskRow
from lipsync.tasks.task import Delivery
from lipsync.tasks.transitions import Transitions

LEASE_TIME = timedelta(seconds=60)  # for one call; if its sender dies, another one makes it afterwards


@dataclass(frozen=True, slots=True)
class DueDelivery(Delivery):
    """A webhook call to make now. ``key_id``: API key of its task."""

    key_id: str | None


class Deliveries(Transitions):
    """Delivery is at least once: if a sender dies before it records a call, the call is made again under its id."""

    def due_deliveries(
        self, now: datetime, limit: int = 20, *, lease: timedelta = LEASE_TIME, busy: Collection[str] = ()
    ) -> list[DueDelivery]:
        """Calls to make now; each goes to one caller, who has ``lease`` to make and record it.

        ``busy``: servers to leave out, as their URLs begin: ``https://host:port``.
        """
        statement = (
            select(DeliveryRow, TaskRow.key_id)
            .join(TaskRow, TaskRow.id == DeliveryRow.task_id)
            .where(DeliveryRow.next_at <= now, *(_not_to(server) for server in busy))
            .order_by(DeliveryRow.next_at, DeliveryRow.id)
            .limit(limit)
            .with_for_update(skip_locked=True, of=DeliveryRow)
        )
        with self._writing() as session:
            rows = session.execute(statement).all()
            for row, _ in rows:
                row.attempts += 1
                row.next_at = now + lease
            return [DueDelivery(**asdict(delivery_of(row)), key_id=key_id) for row, key_id in rows]

    def record_delivery(
        self,
        delivery_id: str,
        now: datetime,
        *,
        status: int | None = None,
        error: str | None = None,
        retry_in: timedelta | None = None,
    ) -> Delivery | None:
        """Record a call: delivered without ``error``; otherwise retried after ``retry_in``, or never if that is None.

        ``status``: HTTP status of the response. Returns None if the call was deleted with its task.
        """
        with self._writing() as session:
            row = session.get(DeliveryRow, delivery_id, with_for_update=True)
            if row is None:
                return None
            row.last_status, row.last_error = status, error
            if row.delivered_at is None:  # a slow second sender cannot undo a delivery
                row.delivered_at = now if error is None else None
                row.next_at = None if error is None or retry_in is None else now + retry_in
            return delivery_of(row)

    def deliveries(self, task_id: str) -> Sequence[Delivery]:
        """All webhook calls of a task, in order."""
        statement = select(DeliveryRow).where(DeliveryRow.task_id == task_id).order_by(DeliveryRow.id)
        with self._reading() as session:
            return [delivery_of(row) for row in session.scalars(statement)]


def _not_to(server: str) -> ColumnElement[bool]:
    """Condition that a call goes to another server, whose name must end where this one's does."""
    prefix = func.substr(DeliveryRow.url, 1, len(server) + 1)
    return prefix.not_in([server, f"{server}/", f"{server}?", f"{server}#"])
