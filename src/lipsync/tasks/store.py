"""The task store, the queue of record, in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lipsync.tasks.claims import Claims
from lipsync.tasks.commands import Commands
from lipsync.tasks.database import STATEMENT_TIMEOUT, open_database
from lipsync.tasks.deliveries import Deliveries
from lipsync.tasks.keys import Keys
from lipsync.tasks.logs import Logs
from lipsync.tasks.migrate import migrate
from lipsync.tasks.queries import Queries
from lipsync.tasks.recovery import Recovery
from lipsync.tasks.task import Task

__all__ = ["TaskStore", "migrate", "open_store"]


class TaskStore(Commands, Claims, Recovery, Queries, Logs, Deliveries, Keys):
    """Each method is one transaction, safe to call from any number of threads and processes; none reads the clock.

    All methods raise StorageFailed (retryable) if the database does not answer.
    """


@contextmanager
def open_store(
    url: str, *, webhook_body: Callable[[Task], str] | None = None, statement_timeout: float = STATEMENT_TIMEOUT
) -> Iterator[TaskStore]:
    """Open the store at ``sqlite:///path`` or ``postgresql://...``, whose schema ``migrate`` has brought up to date.

    ``webhook_body`` builds the body of the webhook call that a task's end enqueues; None: no calls are enqueued.
    ``statement_timeout``: seconds for one statement on PostgreSQL. A forked process has to open its own store. Raises
    SettingInvalid.
    """
    with open_database(url) as engine:
        yield TaskStore(engine, webhook_body, statement_timeout)
