"""Keep a worker's lease on a task alive, and stop the work when it must not continue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import Self

from lipsync.errors import LeaseLost, StorageFailed, TaskMissing
from lipsync.monitor import Monitor, Progress
from lipsync.tasks.events import Event, TaskLog
from lipsync.tasks.store import TaskStore
from lipsync.tasks.task import Status, Task, TaskProgress

HEARTBEAT_INTERVAL = 0.8  # seconds; also the longest delay before a cancellation is noticed
GRACE_SECONDS = 30.0  # for the work to stop after it was asked to


class StopReason(StrEnum):
    """Why the work on a task must stop."""

    CANCELLED = "cancelled"  # a client asked for it
    TIMED_OUT = "timed out"
    RELEASED = "released"  # the worker is shutting down
    LOST = "lost"  # another worker owns the task, or the lease could not be renewed in time


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Time limits in seconds: ``task`` for the whole task, ``by_status`` for statuses with a limit of their own.

    These are soft limits: the work is asked to stop. ``grace``: how long it may then continue before its process ends.
    """

    task: float
    by_status: Mapping[Status, float] = field(default_factory=dict)
    grace: float = GRACE_SECONDS


class LeaseKeeper:
    """Renews a task's lease in a thread while the ``with`` block runs.

    ``monitor`` belongs to the work: its progress goes to the store with each heartbeat, and it is cancelled when the
    work must stop. ``stop_reason`` then gives the reason, and ``exceeded`` describes the time limit that was passed.

    Work that continues for longer than the grace period is abandoned: the lease is not renewed, and ``on_stuck``
    is called in the thread. ``now``: clock, timezone-aware UTC.
    """

    def __init__(
        self,
        task: Task,
        worker: str,
        store: TaskStore,
        lease_time: timedelta,
        limits: TimeLimits,
        now: Callable[[], datetime],
        *,
        on_stuck: Callable[[], None] = lambda: None,
    ) -> None:
        self._task, self._worker, self._store, self._lease_time, self._now = task, worker, store, lease_time, now
        self._limits, self._on_stuck = limits, on_stuck
        self._progress: Progress | None = None
        self._started = self._renewed = time.monotonic()
        self._status = (Status.DOWNLOADING, self._started)
        self._stop_requested: float | None = None
        self._renewing = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)
        self.monitor = Monitor(self._note_progress)
        self.stop_reason: StopReason | None = None
        self.exceeded = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def release(self) -> None:
        """Stop the work so that the task returns to the queue. Safe in a signal handler."""
        self._stop(StopReason.RELEASED)

    @property
    def status(self) -> Status:
        """The status that the work was last moved to."""
        return self._status[0]

    def enter(self, status: Status) -> None:
        """Start counting the time of another status."""
        self._status = (status, time.monotonic())

    def renew(self) -> None:
        """Renew the lease and store the progress now."""
        with self._renewing:  # a heartbeat that began earlier would overwrite the progress with an older one
            self._heartbeat()

    def _note_progress(self, progress: Progress) -> None:
        self._progress = progress

    def _run(self) -> None:
        while not self._ended.wait(HEARTBEAT_INTERVAL):
            self._check_limits()
            if self._is_stuck():
                log, grace = TaskLog(__name__, self._task.id, self._task.attempts), self._limits.grace
                message = "%s, but the work did not stop within %.0f s; giving it up"
                log.event(Event.TASK_STUCK, logging.ERROR, message, self.stop_reason, grace)
                self._on_stuck()
                return
            self.renew()

    def _check_limits(self) -> None:
        """Stop work that has passed a time limit."""
        status, since = self._status
        for subject, started, limit in (
            ("the task", self._started, self._limits.task),
            (status.value, since, self._limits.by_status.get(status, self._limits.task)),
        ):
            if time.monotonic() - started > limit:
                self.exceeded = self.exceeded or f"{subject} took longer than {limit:.0f} s"
                self._stop(StopReason.TIMED_OUT)

    def _is_stuck(self) -> bool:
        return self._stop_requested is not None and time.monotonic() - self._stop_requested > self._limits.grace

    def _heartbeat(self) -> None:
        progress = self._progress
        stored = None if progress is None else TaskProgress(progress.stage, progress.done, progress.total)
        began = time.monotonic()
        try:
            task = self._store.heartbeat(self._task.id, self._worker, self._lease_time, stored, self._now())
        except (LeaseLost, TaskMissing):
            self._stop(StopReason.LOST)
        except StorageFailed:  # the database may recover before the lease expires
            if time.monotonic() - self._renewed > self._lease_time.total_seconds():
                self._stop(StopReason.LOST)
        else:
            self._renewed = began
            if task.cancel_requested:
                self._stop(StopReason.CANCELLED)

    def _stop(self, reason: StopReason) -> None:
        self.stop_reason = self.stop_reason or reason
        self._stop_requested = self._stop_requested or time.monotonic()
        self.monitor.cancel()
