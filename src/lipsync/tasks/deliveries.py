"""Webhook calls that are to be made, and what became of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select

from lipsync.tasks.rows import delivery_of
from lipsync.tasks.tables import DeliveryRow, TaskRow
from lipsync.tasks.task import Delivery
from lipsync.tasks.transitions import Transitions, new_delivery

HOLD = timedelta(seconds=60)  # for one call; a sender that dies is followed by another after that


@dataclass(frozen=True, slots=True)
class Due(Delivery):
    """A call that is to be made now. ``key_id``: of the API key whose task it is about."""

    key_id: str | None


class Deliveries(Transitions):
    """At least once: a sender that dies between the call and its record makes it again, under the same id."""

    def enqueue_delivery(self, task_id: str, url: str, event: str, body: str, now: datetime) -> Delivery:
        """A call that is due at once. Final statuses enqueue their own. Raises TaskMissing."""
        row = new_delivery(task_id, url, event, body, now)
        with self._writing() as session:
            self._row(session, task_id)
            session.add(row)
            session.flush()
            return delivery_of(row)

    def due_deliveries(
        self, now: datetime, limit: int = 20, *, hold: timedelta = HOLD, busy: Collection[str] = ()
    ) -> list[Due]:
        """Calls to make now, each given to one caller, who has ``hold`` to make and record it.

        ``busy``: servers whose calls have to wait, as addresses begin: ``https://host:port``.
        """
        statement = (
            select(DeliveryRow, TaskRow.key_id)
            .join(TaskRow, TaskRow.id == DeliveryRow.task_id)
            .where(DeliveryRow.next_at <= now, *(_elsewhere(server) for server in busy))
            .order_by(DeliveryRow.next_at, DeliveryRow.id)
            .limit(limit)
            .with_for_update(skip_locked=True, of=DeliveryRow)
        )
        with self._writing() as session:
            rows = session.execute(statement).all()
            for row, _ in rows:
                row.attempts += 1
                row.next_at = now + hold
            return [Due(**asdict(delivery_of(row)), key_id=key_id) for row, key_id in rows]

    def record_delivery(
        self,
        delivery_id: str,
        now: datetime,
        *,
        status: int | None = None,
        error: str | None = None,
        retry_in: timedelta | None = None,
    ) -> Delivery | None:
        """What came of a call: no ``error`` is success; else it is made again in ``retry_in``, or never.

        ``status``: the HTTP status of the answer. None: the delivery went with its task.
        """
        with self._writing() as session:
            row = session.get(DeliveryRow, delivery_id, with_for_update=True)
            if row is None:
                return None
            row.last_status, row.last_error = status, error
            if row.delivered_at is None:  # once delivered it stays so, whatever a slow second sender reports
                row.delivered_at = now if error is None else None
                row.next_at = None if error is None or retry_in is None else now + retry_in
            return delivery_of(row)

    def deliveries(self, task_id: str) -> Sequence[Delivery]:
        """All calls of a task, in order."""
        statement = select(DeliveryRow).where(DeliveryRow.task_id == task_id).order_by(DeliveryRow.id)
        with self._reading() as session:
            return [delivery_of(row) for row in session.scalars(statement)]


def _elsewhere(server: str) -> ColumnElement[bool]:
    """Whether a call does not go to that server: the server's name ends there, or at a slash and the like."""
    beginning = func.substr(DeliveryRow.url, 1, len(server) + 1)
    return beginning.not_in([server, f"{server}/", f"{server}?", f"{server}#"])
