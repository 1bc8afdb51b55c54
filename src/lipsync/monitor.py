"""Progress and cancellation: what a caller sees of a running job, and how it stops one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from lipsync.errors import Cancelled

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one stage is. ``total`` is None while it is unknown; ``rate`` is in items per second."""

    stage: str
    done: int
    total: int | None
    seconds: float

    @property
    def rate(self) -> float:
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.done) / self.rate


class Monitor:
    """Hands progress to a callback and carries the wish to stop. Safe to cancel from any thread or signal handler."""

    def __init__(self, callback: Callable[[Progress], None] | None = None) -> None:
        self._callback = callback
        self._stop = threading.Event()
        self.seconds: dict[str, float] = {}

    def call(self, callback: Callable[[Progress], None]) -> None:
        """From now on hand progress to this callback."""
        self._callback = callback

    def cancel(self) -> None:
        """Ask the job to stop."""
        self._stop.set()

    @property
    def cancelled(self) -> bool:
        return self._stop.is_set()

    def check(self) -> None:
        """Raise Cancelled if somebody asked to stop."""
        if self._stop.is_set():
            raise Cancelled("stopped on request")

    def report(self, progress: Progress) -> None:
        self.seconds[progress.stage] = progress.seconds
        if self._callback is not None:
            self._callback(progress)


def watched(items: Iterable[T], monitor: Monitor, stage: str, total: int | None = None) -> Iterator[T]:
    """Pass ``items`` through, reporting each one to ``monitor`` and stopping with Cancelled on request."""
    start = time.monotonic()
    done = 0
    for item in items:
        monitor.check()
        yield item
        done += 1
        monitor.report(Progress(stage, done, total, time.monotonic() - start))
    monitor.report(Progress(stage, done, total if total is None else done, time.monotonic() - start))
