"""Report a job's progress and cancel it."""

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
    """The progress of one stage: ``done`` of ``total`` items (None if unknown) after ``seconds``."""

    stage: str
    done: int
    total: int | None
    seconds: float

    @property
    def rate(self) -> float:
        """Items per second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Estimated remaining time; None if it is unknown."""
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.done) / self.rate


class Monitor:
    """Pass progress to a callback, and cancellation to the job. ``cancel`` is safe in threads and signal handlers.

    ``seconds``: the time spent in each stage so far.
    """

    def __init__(self, callback: Callable[[Progress], None] | None = None) -> None:
        self._callback = callback
        self._stop = threading.Event()
        self.seconds: dict[str, float] = {}

    def call(self, callback: Callable[[Progress], None]) -> None:
        """Replace the callback."""
        self._callback = callback

    def cancel(self) -> None:
        """Request the job to stop; it raises Cancelled at its next item."""
        self._stop.set()

    @property
    def cancelled(self) -> bool:
        return self._stop.is_set()

    def check(self) -> None:
        """Raise Cancelled if cancellation was requested."""
        if self._stop.is_set():
            raise Cancelled("stopped on request")

    def report(self, progress: Progress) -> None:
        """Pass progress to the callback."""
        self.seconds[progress.stage] = progress.seconds
        if self._callback is not None:
            self._callback(progress)


def watched(items: Iterable[T], monitor: Monitor, stage: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` and report each as progress of ``stage``. Raises Cancelled on request."""
    start = time.monotonic()
    done = 0
    for item in items:
        monitor.check()
        yield item
        done += 1
        monitor.report(Progress(stage, done, total, time.monotonic() - start))
    monitor.report(Progress(stage, done, total if total is None else done, time.monotonic() - start))
