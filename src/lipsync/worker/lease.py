"""A worker's hold on a task that it has claimed: the lease is renewed, and the work stopped when it has to be."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from lipsync.errors import LeaseLost, StorageFailed, TaskMissing
from lipsync.monitor import Monitor
from lipsync.monitor import Progress as EnhanceStatus
from lipsync.tasks.store import TaskStore
from lipsync.tasks.task import Progress, Status, Task

BEAT = 0.8  # seconds between two signs of life, and before a wish to cancel is seen
GRACE = 30.0  # seconds that the work has to stop in, once it was told to


class StopReason(StrEnum):
    """Why the work has to stop."""

    CANCELLED = "cancelled"  # somebody asked for it
    TIMED_OUT = "timed out"
    RELEASED = "released"  # the worker is to end
    LOST = "lost"  # somebody else has the task, or nobody could be told that we do


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long work may take, in seconds: all of it, and each stage that has a limit of its own.

    These are soft limits: work is told to stop. ``grace``: how long it may still go on, before its process is ended.
    """

    task: float
    stages: Mapping[Status, float] = field(default_factory=dict)
    grace: float = GRACE


class TaskLog(logging.LoggerAdapter[logging.Logger]):
    """A log of what concerns one task: its lines begin with the task's id, and carry it as ``task`` for programs."""

    def __init__(self, name: str, task_id: str) -> None:
        super().__init__(logging.getLogger(name), {"task": task_id})
        self._task_id = task_id

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return super().process(f"task {self._task_id}: {msg}", kwargs)


class LeaseKeeper:
    """Renews the lease in a thread for as long as the ``with`` lasts. ``monitor`` is the work's, and ``stop`` tells why
    it was cancelled.

    ``now``: the time, aware and in UTC. Work that goes on after it was told to stop, for longer than ``times`` allow,
    is given up: the lease is renewed no more, and ``stuck`` called, in the thread. ``overrun`` tells which limit was
    passed.
    """

    def __init__(
        self,
        task: Task,
        worker: str,
        store: TaskStore,
        lease: timedelta,
        times: TimeLimits,
        now: Callable[[], datetime],
        *,
        stuck: Callable[[], None] = lambda: None,
    ) -> None:
        self._task, self._worker, self._store, self._lease, self._now = task, worker, store, lease, now
        self._times, self._stuck = times, stuck
        self._step: EnhanceStatus | None = None
        self._began = self._renewed = time.monotonic()
        self._stage = (Status.DOWNLOADING, self._began)
        self._told_to_stop: float | None = None
        self._telling = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="hold", daemon=True)
        self.monitor = Monitor(self._note)
        self.stop: StopReason | None = None
        self.overrun = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def release(self) -> None:
        """Ask the work to stop, for the task to be handed back. Safe in a signal handler."""
        self._end(StopReason.RELEASED)

    @property
    def stage(self) -> Status:
        """What is being done."""
        return self._stage[0]

    def enter(self, stage: Status) -> None:
        """A new stage begins, and so does its time."""
        self._stage = (stage, time.monotonic())

    def tell(self) -> None:
        """Renew the lease and tell the store how far the work is, now."""
        with self._telling:  # else a beat that began earlier would put an older step in its place
            self._beat()

    def _note(self, step: EnhanceStatus) -> None:
        self._step = step

    def _keep(self) -> None:
        while not self._ended.wait(BEAT):
            self._watch_the_clock()
            if self._overdue():
                log, grace = TaskLog(__name__, self._task.id), self._times.grace
                log.error("%s, but the work did not stop within %.0f s; it is given up", self.stop, grace)
                self._stuck()
                return
            self.tell()

    def _watch_the_clock(self) -> None:
        """Stop what has gone on for longer than it may."""
        stage, since = self._stage
        for what, began, most in (
            ("it", self._began, self._times.task),
            (stage.value, since, self._times.stages.get(stage, self._times.task)),
        ):
            if time.monotonic() - began > most:
                self.overrun = self.overrun or f"{what} took longer than {most:.0f} s"
                self._end(StopReason.TIMED_OUT)

    def _overdue(self) -> bool:
        return self._told_to_stop is not None and time.monotonic() - self._told_to_stop > self._times.grace

    def _beat(self) -> None:
        step = self._step
        told = None if step is None else Progress(step.stage, step.done, step.total)
        began = time.monotonic()
        try:
            task = self._store.heartbeat(self._task.id, self._worker, self._lease, told, self._now())
        except (LeaseLost, TaskMissing):
            self._end(StopReason.LOST)
        except StorageFailed:  # the database may come back before the lease has run out
            if time.monotonic() - self._renewed > self._lease.total_seconds():
                self._end(StopReason.LOST)
        else:
            self._renewed = began
            if task.cancel_requested:
                self._end(StopReason.CANCELLED)

    def _end(self, why: StopReason) -> None:
        self.stop = self.stop or why
        self._told_to_stop = self._told_to_stop or time.monotonic()
        self.monitor.cancel()
