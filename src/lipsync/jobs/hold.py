"""A worker's hold on a task that it has claimed: the lease is renewed, and the work stopped when it has to be."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, MutableMapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from lipsync.errors import LeaseLost, StorageFailed, TaskMissing
from lipsync.jobs.store import TaskStore
from lipsync.jobs.task import Progress, Task
from lipsync.monitor import Monitor
from lipsync.monitor import Progress as Step

BEAT = 0.8  # seconds between two signs of life, and before a wish to cancel is seen
GRACE = 30.0  # seconds that the work has to stop in, once it was told to


class Stop(StrEnum):
    """Why the work has to stop."""

    CANCELLED = "cancelled"  # somebody asked for it
    TIMED_OUT = "timed out"
    RELEASED = "released"  # the worker is to end
    LOST = "lost"  # somebody else has the task, or nobody could be told that we do


class TaskLog(logging.LoggerAdapter[logging.Logger]):
    """A log of what concerns one task: its lines begin with the task's id, and carry it as ``task`` for programs."""

    def __init__(self, name: str, task_id: str) -> None:
        super().__init__(logging.getLogger(name), {"task": task_id})
        self._task_id = task_id

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return super().process(f"task {self._task_id}: {msg}", kwargs)


class Hold:
    """Renews the lease in a thread for as long as the ``with`` lasts. ``monitor`` is the work's, and ``stop`` tells why
    it was cancelled.

    ``seconds``: how long the work may take. ``now``: the time, aware and in UTC. Work that goes on for ``grace``
    seconds after it was told to stop is given up: the lease is renewed no more, and ``stuck`` called, in the thread.
    """

    def __init__(
        self,
        task: Task,
        worker: str,
        store: TaskStore,
        lease: timedelta,
        seconds: float,
        now: Callable[[], datetime],
        *,
        grace: float = GRACE,
        stuck: Callable[[], None] = lambda: None,
    ) -> None:
        self._task, self._worker, self._store, self._lease, self._now = task, worker, store, lease, now
        self._grace, self._stuck = grace, stuck
        self._step: Step | None = None
        self._deadline = time.monotonic() + seconds
        self._renewed = time.monotonic()
        self._told_to_stop: float | None = None
        self._telling = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="hold", daemon=True)
        self.monitor = Monitor(self._note)
        self.stop: Stop | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def release(self) -> None:
        """Ask the work to stop, for the task to be handed back. Safe in a signal handler."""
        self._end(Stop.RELEASED)

    def tell(self) -> None:
        """Renew the lease and tell the store how far the work is, now."""
        with self._telling:  # else a beat that began earlier would put an older step in its place
            self._beat()

    def _note(self, step: Step) -> None:
        self._step = step

    def _keep(self) -> None:
        while not self._ended.wait(BEAT):
            if time.monotonic() > self._deadline:
                self._end(Stop.TIMED_OUT)
            if self._overdue():
                log = TaskLog(__name__, self._task.id)
                log.error("%s, but the work did not stop within %.0f s; it is given up", self.stop, self._grace)
                self._stuck()
                return
            self.tell()

    def _overdue(self) -> bool:
        return self._told_to_stop is not None and time.monotonic() - self._told_to_stop > self._grace

    def _beat(self) -> None:
        step = self._step
        told = None if step is None else Progress(step.stage, step.done, step.total)
        try:
            task = self._store.heartbeat(self._task.id, self._worker, self._lease, told, self._now())
        except (LeaseLost, TaskMissing):
            self._end(Stop.LOST)
        except StorageFailed:  # the database may come back before the lease has run out
            if time.monotonic() - self._renewed > self._lease.total_seconds():
                self._end(Stop.LOST)
        else:
            self._renewed = time.monotonic()
            if task.cancel_requested:
                self._end(Stop.CANCELLED)

    def _end(self, why: Stop) -> None:
        self.stop = self.stop or why
        self._told_to_stop = self._told_to_stop or time.monotonic()
        self.monitor.cancel()
