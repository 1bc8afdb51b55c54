"""The store of tasks: the queue of record, in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lipsync.tasks.claims import Claims
from lipsync.tasks.commands import Commands
from lipsync.tasks.database import ANSWER, connected
from lipsync.tasks.deliveries import Deliveries
from lipsync.tasks.keys import Keys
from lipsync.tasks.logs import Logs
from lipsync.tasks.migrate import migrate
from lipsync.tasks.queries import Queries
from lipsync.tasks.recovery import Recovery
from lipsync.tasks.task import Task

__all__ = ["TaskStore", "migrate", "open_store"]


class TaskStore(Commands, Claims, Recovery, Queries, Logs, Deliveries, Keys):
    """Each call is one transaction, and any number of threads and processes may call; nothing reads the clock.

    All raise StorageFailed (retryable) where the database does not answer.
    """


@contextmanager
def open_store(url: str, *, notify: Callable[[Task], str] | None = None, answer: float = ANSWER) -> Iterator[TaskStore]:
    """The store at ``sqlite:///path`` or ``postgresql://...``, which ``migrate`` has brought up to date.

    ``notify`` makes the body of the webhook call that a task's end enqueues; without it none is enqueued. ``answer``:
    seconds that PostgreSQL has for one statement. A process that was forked has to open its own. Raises SettingInvalid.
    """
    with connected(url) as engine:
        yield TaskStore(engine, notify, answer)
