"""Networks stay open between tasks, but not for ever."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from lipsync.models.session_cache import SessionCache
from lipsync.worker.background import repeated

EVERY = 30.0  # seconds


@contextmanager
def cooling(sessions: SessionCache, idle: float, every: float = EVERY) -> Iterator[None]:
    """Unload what nobody asked for during the last ``idle`` seconds, for as long as the ``with`` lasts."""
    log = logging.getLogger(__name__)

    def once() -> float:
        if gone := sessions.forget(idle):
            log.info("%d networks were not used for %.0f s and are unloaded", gone, idle)
        return every

    with repeated("warmth", once):
        yield
