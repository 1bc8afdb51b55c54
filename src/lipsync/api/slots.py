"""How many of something somebody may have open at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from lipsync.api.errors import ApiError

PAUSE = "30"  # seconds after which it may be worth asking again


class ConcurrencyLimiter:
    """So many for each name, in this process's memory. Safe from any thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()

    @contextmanager
    def one(self, name: str) -> Iterator[None]:
        """A slot for as long as the ``with`` lasts. Raises Refusal if all of them are taken."""
        with self._lock:
            if self._taken[name] >= self._most:
                told = f"{self._most} event streams are open; no more are allowed at once"
                raise ApiError("streams_exceeded", told, {"Retry-After": PAUSE})
            self._taken[name] += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken[name] -= 1
