"""How often somebody may ask: a bucket of tokens that fills again at a steady rate."""

from __future__ import annotations

import math
import threading

from lipsync.api.errors import ApiError

ROUNDING = 1e-6  # seconds


class RateLimiter:
    """One bucket for each name, in this process's memory; as many names as there are keys. Safe from any thread."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._lock = threading.Lock()
        self._levels: dict[str, tuple[float, float]] = {}  # tokens, and the time (seconds) of that level

    def take(self, name: str, seconds: float) -> None:
        """Take one token at the time ``seconds``. Raises Refusal with the wait in Retry-After if there is none."""
        rate = self._per_minute / 60
        with self._lock:
            level, since = self._levels.get(name, (float(self._per_minute), seconds))
            level = min(self._per_minute, level + max(0.0, seconds - since) * rate)
            enough = level >= 1
            self._levels[name] = (level - 1 if enough else level, seconds)
        if not enough:
            wait = math.ceil((1 - level) / rate - ROUNDING)
            told = f"{self._per_minute} requests a minute are allowed; the next in {wait} s"
            raise ApiError("rate_exceeded", told, {"Retry-After": str(wait)})
