"""Background chores of the service: recover lost tasks, prune old ones, remove orphans, unload idle models."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from lipsync.errors import LipsyncError, TaskMissing
from lipsync.models.session_cache import SessionCache
from lipsync.storage.base import Storage
from lipsync.tasks.prune import prune
from lipsync.tasks.store import TaskStore
from lipsync.tasks.task import FINAL

RECOVERY_INTERVAL = 2.0  # seconds
ORPHANS_INTERVAL = 60.0  # seconds
PRUNE_INTERVAL = 3600.0  # seconds
EVICT_INTERVAL = 30.0  # seconds


@contextmanager
def repeat(name: str, call: Callable[[], float]) -> Iterator[Callable[[], None]]:
    """Call a function repeatedly in a thread until the ``with`` block ends; yields a function that stops it earlier.

    ``call`` returns the seconds until the next call, and must not raise. The thread has ended when the block has.
    """
    stopped = threading.Event()

    def loop() -> None:
        delay = 0.0
        while not stopped.wait(delay):
            delay = call()

    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()
    try:
        yield stopped.set
    finally:
        stopped.set()
        thread.join()


@contextmanager
def recovering(
    store: TaskStore,
    notify: Callable[[str], None],
    now: Callable[[], datetime],
    interval: float = RECOVERY_INTERVAL,
    is_full: Callable[[], bool] = lambda: False,
) -> Iterator[Callable[[], None]]:
    """Run ``recover`` every ``interval`` seconds in a thread; yields a function that stops it.

    Any number of processes may do so at the same time.
    """

    def once() -> float:
        recover(store, notify, now(), is_full)
        return interval

    with repeat("recovery", once) as stop:
        yield stop


def recover(
    store: TaskStore, notify: Callable[[str], None], now: datetime, is_full: Callable[[], bool] = lambda: False
) -> None:
    """Requeue tasks whose lease expired, and announce queued tasks that no worker has picked up.

    Failures are logged and left to the next call. Nothing is announced while the broker ``is_full``: messages that no
    worker consumes would otherwise accumulate.
    """
    try:
        waiting = store.reap(now)
        if waiting and is_full():
            return
        for task_id in waiting:
            notify(task_id)
            store.mark_announced(task_id, now)
    except LipsyncError as error:
        logging.getLogger(__name__).warning("recovery: %s [%s]", error, error.code)


@contextmanager
def removing_orphans(folder: Path, store: TaskStore, interval: float = ORPHANS_INTERVAL) -> Iterator[None]:
    """Run ``remove_orphans`` every ``interval`` seconds in a thread.

    Once at start-up is not enough: the task of a worker that was killed may end later, and on another machine.
    """
    log = logging.getLogger(__name__)

    def once() -> float:
        try:
            remove_orphans(folder, store)
        except LipsyncError as error:
            log.warning("removing orphans: %s [%s]", error, error.code)
        return interval

    with repeat("orphans", once):
        yield


def remove_orphans(folder: Path, store: TaskStore) -> list[str]:
    """Remove the work folders of tasks that have ended or do not exist; returns their ids. Raises StorageFailed."""
    removed = []
    for work_dir in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            orphaned = store.get(work_dir.name).status in FINAL
        except TaskMissing:
            orphaned = True
        if orphaned:
            shutil.rmtree(work_dir, ignore_errors=True)
            removed.append(work_dir.name)
    if removed:
        logging.getLogger(__name__).info("removed %d orphaned work folders", len(removed))
    return removed


@contextmanager
def pruning(
    store: TaskStore,
    storage: Storage,
    uploads: Path,
    retention: timedelta,
    now: Callable[[], datetime],
    interval: float = PRUNE_INTERVAL,
) -> Iterator[None]:
    """Delete tasks that ended longer than ``retention`` ago, every ``interval`` seconds in a thread."""
    log = logging.getLogger(__name__)

    def once() -> float:
        try:
            if count := prune(store, storage, uploads, now() - retention):
                log.info("pruned %d tasks older than %g days", count, retention / timedelta(days=1))
        except LipsyncError as error:
            log.warning("pruning: %s [%s]", error, error.code)
        return interval

    with repeat("pruning", once):
        yield


@contextmanager
def evicting_idle_sessions(
    sessions: SessionCache, idle_seconds: float, interval: float = EVICT_INTERVAL
) -> Iterator[None]:
    """Unload models that no task used for ``idle_seconds``, every ``interval`` seconds in a thread."""
    log = logging.getLogger(__name__)

    def once() -> float:
        if count := sessions.evict(idle_seconds):
            log.info("unloaded %d models idle for %.0f s", count, idle_seconds)
        return interval

    with repeat("eviction", once):
        yield
