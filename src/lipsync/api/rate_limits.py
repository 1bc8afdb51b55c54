"""Limits per API key: request rate and concurrent connections. Both are counted in this process's memory."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from lipsync.api.errors import ApiError

ROUNDING = 1e-6  # seconds; keeps floating-point noise from adding a second to Retry-After
CONCURRENCY_RETRY_AFTER = 30  # seconds


class RateLimiter:
    """A token bucket per key. Thread-safe."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and the time in seconds of that level

    def acquire(self, key: str, seconds: float) -> None:
        """Take one token at time ``seconds``. Raises ApiError with Retry-After if the bucket is empty."""
        rate = self._per_minute / 60
        with self._lock:
            tokens, updated = self._buckets.get(key, (float(self._per_minute), seconds))
            tokens = min(self._per_minute, tokens + max(0.0, seconds - updated) * rate)
            allowed = tokens >= 1
            self._buckets[key] = (tokens - 1 if allowed else tokens, seconds)
        if not allowed:
            wait = math.ceil((1 - tokens) / rate - ROUNDING)
            detail = f"rate limit exceeded: {self._per_minute} requests per minute; retry in {wait} s"
            raise ApiError("rate_exceeded", detail, {"Retry-After": str(wait)})


class ConcurrencyLimiter:
    """At most ``limit`` open event streams per key. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()

    @contextmanager
    def slot(self, key: str) -> Iterator[None]:
        """Occupy one slot inside the ``with`` block. Raises ApiError if none is free."""
        with self._lock:
            if self._open[key] >= self._limit:
                detail = f"this API key already has {self._limit} event streams open; close one first"
                raise ApiError("streams_exceeded", detail, {"Retry-After": str(CONCURRENCY_RETRY_AFTER)})
            self._open[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[key] -= 1
