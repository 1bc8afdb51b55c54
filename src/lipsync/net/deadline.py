"""Timeouts of one download, and cancelling while it waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from lipsync.monitor import Monitor
from lipsync.net.limits import Limits

T = TypeVar("T")

POLL_INTERVAL = 0.2  # seconds between two checks for cancellation
MIN_RATE = 1024  # bytes per second; slower servers keep the connection open without delivering


class Deadline:
    """Idle and total timeout. Only time spent waiting counts as idle, so a slow disk is not taken for a slow server."""

    def __init__(self, limits: Limits, monitor: Monitor) -> None:
        self._limits = limits
        self._monitor = monitor
        self._end = time.monotonic() + limits.total_timeout
        self.restart()

    @property
    def idle_timeout(self) -> float:
        """Seconds without a byte after which waiting ends."""
        return self._limits.idle_timeout

    def restart(self) -> None:
        """Restart the idle timeout, for the next phase: connecting, the response, the body."""
        self._idle = self._waited = 0.0
        self._received = 0

    def check(self) -> None:
        """Raise Cancelled on request, and TimeoutError after the total timeout."""
        self._monitor.check()
        if time.monotonic() > self._end:
            raise TimeoutError(f"not finished within {self._limits.total_timeout:g} s")

    def add_bytes(self, count: int) -> None:
        """Record ``count`` bytes received."""
        self._idle = 0.0
        self._received += count

    def add_wait(self, seconds: float) -> None:
        """Record time spent waiting. Raises TimeoutError, Cancelled."""
        self.check()
        self._idle += seconds
        self._waited += seconds
        if self._idle > self.idle_timeout:
            raise TimeoutError(f"nothing received for {self.idle_timeout:g} s")
        if self._waited > self.idle_timeout:
            if self._received < MIN_RATE * self._waited:
                raise TimeoutError(f"only {self._received} bytes received in {self.idle_timeout:g} s")
            self._waited, self._received = 0.0, 0

    def run_blocking(self, call: Callable[[], T]) -> T:
        """Run a call that cannot be interrupted in a thread, and abandon the thread on a timeout.

        Raises what the call raises, TimeoutError, Cancelled.
        """
        self.restart()
        pool = ThreadPoolExecutor(1, "lookup")
        try:
            future = pool.submit(call)
            while not wait([future], POLL_INTERVAL).done:
                self.add_wait(POLL_INTERVAL)
            return future.result()
        finally:
            pool.shutdown(wait=False)
