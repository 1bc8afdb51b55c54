"""Finished tasks and their files are not kept for ever."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from lipsync.errors import LipsyncError
from lipsync.storage.base import Storage
from lipsync.tasks.prune import prune
from lipsync.tasks.store import TaskStore
from lipsync.worker.background import repeated

EVERY = 3600.0  # seconds


@contextmanager
def pruning(
    store: TaskStore,
    storage: Storage,
    uploads: Path,
    keep: timedelta,
    now: Callable[[], datetime],
    every: float = EVERY,
) -> Iterator[None]:
    """Delete what ended longer than ``keep`` ago, now and then, for as long as the ``with`` lasts."""
    log = logging.getLogger(__name__)

    def once() -> float:
        try:
            gone = prune(store, storage, uploads, now() - keep)
            if gone:
                log.info("%d tasks were older than %s and are pruned", gone, keep)
        except LipsyncError as error:
            log.warning("pruning: %s [%s]", error, error.code)
        return every

    with repeated("retention", once):
        yield
