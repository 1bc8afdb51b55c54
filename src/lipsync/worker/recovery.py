"""Nothing is lost: tasks of workers that died are taken back, and whoever was not heard is rung for again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from lipsync.errors import LipsyncError
from lipsync.tasks.store import TaskStore
from lipsync.worker.background import repeated
from lipsync.worker.execute import remove_orphans

EVERY = 2.0  # seconds
SWEEP = 60.0  # seconds between two looks at what lies in the folder of work


@contextmanager
def recovering(
    store: TaskStore,
    ring: Callable[[str], None],
    now: Callable[[], datetime],
    every: float = EVERY,
    crowded: Callable[[], bool] = lambda: False,
) -> Iterator[Callable[[], None]]:
    """Look after the store in a thread, for as long as the ``with`` lasts or until what it gives is called.

    Any number of processes may do so. ``crowded``: see ``recover``.
    """

    def once() -> float:
        recover(store, ring, now(), crowded)
        return every

    with repeated("recovery", once) as end:
        yield end


def recover(
    store: TaskStore, ring: Callable[[str], None], now: datetime, crowded: Callable[[], bool] = lambda: False
) -> None:
    """Once: what cannot be done now is logged, and done next time.

    Nobody is rung for while it is ``crowded`` with messages, or those that nobody hears would fill the broker.
    """
    try:
        waiting = store.reap(now)
        if waiting and crowded():
            return
        for task_id in waiting:
            ring(task_id)
            store.mark_announced(task_id, now)
    except LipsyncError as error:
        logging.getLogger(__name__).warning("recovery: %s [%s]", error, error.code)


@contextmanager
def sweeping(folder: Path, store: TaskStore, every: float = SWEEP) -> Iterator[None]:
    """Remove now and then what is left of tasks that are over, in a thread, for as long as the ``with`` lasts.

    At the start of a worker is too early: the task that the one before it was killed with is not over yet, and it may
    end on another machine.
    """

    def once() -> float:
        log = logging.getLogger(__name__)
        try:
            if swept := remove_orphans(folder, store):
                log.info("%d old folders removed", len(swept))
        except LipsyncError as error:
            log.warning("sweeping: %s [%s]", error, error.code)
        return every

    with repeated("sweeping", once):
        yield
