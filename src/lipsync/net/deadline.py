"""How long one fetch waits, and that it can be stopped while it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from lipsync.monitor import Monitor
from lipsync.net.limits import Limits

T = TypeVar("T")

SLICE = 0.2  # seconds between two looks at whether to stop
SLOWEST = 1024  # bytes a second; who sends less wants to hold the line, not to deliver


class Deadline:
    """Counts only the time that is spent waiting, so that a slow disk is not taken for a slow server."""

    def __init__(self, limits: Limits, monitor: Monitor) -> None:
        self._limits = limits
        self._monitor = monitor
        self._ends = time.monotonic() + limits.most_seconds_in_all
        self.begin()

    @property
    def seconds(self) -> float:
        return self._limits.deadline

    def begin(self) -> None:
        """From here on wait anew: for the connection, the answer, the file."""
        self._silent = self._waited = 0.0
        self._came = 0

    def check(self) -> None:
        """Raise Cancelled on request, and TimeoutError if the whole took too long."""
        self._monitor.check()
        if time.monotonic() > self._ends:
            raise TimeoutError(f"not done within {self._limits.most_seconds_in_all:g} s")

    def came(self, count: int) -> None:
        """So many bytes were received or sent."""
        self._silent = 0.0
        self._came += count

    def waited(self, seconds: float) -> None:
        """So long nothing was received or sent. Raises TimeoutError, Cancelled."""
        self.check()
        self._silent += seconds
        self._waited += seconds
        if self._silent > self.seconds:
            raise TimeoutError(f"nothing came for {self.seconds:g} s")
        if self._waited > self.seconds:
            if self._came < SLOWEST * self._waited:
                raise TimeoutError(f"only {self._came} bytes came in {self.seconds:g} s")
            self._waited, self._came = 0.0, 0

    def through(self, call: Callable[[], T]) -> T:
        """The result of a call that cannot be interrupted; it is left to itself when the waiting ends first.

        Raises what the call raises, TimeoutError, Cancelled.
        """
        self.begin()
        pool = ThreadPoolExecutor(1, "lookup")
        try:
            future = pool.submit(call)
            while not wait([future], SLICE).done:
                self.waited(SLICE)
            return future.result()
        finally:
            pool.shutdown(wait=False)
