"""What the interface works with; handed to it whole, and to its handlers one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from lipsync.api.metrics import Metrics
from lipsync.api.rate_limits import RateLimiter
from lipsync.api.slots import ConcurrencyLimiter
from lipsync.api.upload_store import UploadStore
from lipsync.errors import LipsyncError
from lipsync.settings import Settings
from lipsync.storage.base import Storage
from lipsync.tasks.store import TaskStore


@dataclass(frozen=True, slots=True)
class Services:
    """``announce`` rings the workers' doorbell for a task's id, and raises LipsyncError or OSError if it cannot.

    ``now`` is the clock (aware, UTC). ``webhook_secret`` tells what signs the calls about a key's tasks.
    ``link_secret``: what a local storage signs its links with; empty: there is none.
    """

    settings: Settings
    store: TaskStore
    storage: Storage
    announce: Callable[[str], None]
    now: Callable[[], datetime]
    webhook_secret: Callable[[str | None], str] = field(repr=False)
    link_secret: str = field(default="", repr=False)


FRESH = timedelta(seconds=5)
PATIENCE = timedelta(seconds=10)


class ReadinessCheck:
    """Whether what the interface stands on answers. Anybody may ask, so nobody looks more often than ``FRESH`` allows.

    One thread looks. Who asks meanwhile waits for nothing, or a storage that hangs would hold every thread: he gets
    what was seen last, and after ``PATIENCE`` that the storage is silent. At first all is well, as whoever starts the
    service has seen. Safe from any thread.
    """

    def __init__(self, services: Services) -> None:
        self._parts: dict[str, Callable[[], object]] = {
            "task store": lambda: services.store.oldest_waiting(),
            "storage": lambda: services.storage.check(),
        }
        self._now = services.now
        self._lock = threading.Lock()
        self._silent: tuple[str, ...] = ()
        self._seen: datetime | None = None
        self._looking: tuple[str, datetime] | None = None

    def silent(self) -> tuple[str, ...]:
        """The parts that do not answer."""
        with self._lock:
            now = self._now()
            if self._looking is not None:
                part, since = self._looking
                return self._silent if abs(now - since) < PATIENCE else (part,)
            if self._seen is not None and abs(now - self._seen) < FRESH:
                return self._silent
            self._looking = next(iter(self._parts)), now
        try:
            silent = self._look()
            with self._lock:
                self._silent, self._seen = silent, self._now()
        finally:
            with self._lock:
                self._looking = None
        return silent

    def _look(self) -> tuple[str, ...]:
        silent = []
        for part, ask in self._parts.items():
            with self._lock:
                self._looking = part, self._now()
            try:
                ask()
            except LipsyncError:
                silent.append(part)
        return tuple(silent)


@dataclass(frozen=True, slots=True)
class AppState:
    """The services, and what the interface itself keeps: uploads, who asks how often and watches, what was seen."""

    services: Services
    shelf: UploadStore
    buckets: RateLimiter
    streams: ConcurrencyLimiter
    meter: Metrics
    watch: ReadinessCheck

    @property
    def settings(self) -> Settings:
        return self.services.settings

    @property
    def store(self) -> TaskStore:
        return self.services.store

    @property
    def storage(self) -> Storage:
        return self.services.storage

    def now(self) -> datetime:
        return self.services.now()


def open_state(services: Services) -> AppState:
    """A new one, with empty counters."""
    settings = services.settings
    shelf = UploadStore(settings.data_dir / "uploads", settings.max_upload_bytes, settings.upload_quota_bytes)
    buckets, streams = RateLimiter(settings.requests_per_minute), ConcurrencyLimiter(settings.max_event_streams)
    return AppState(services, shelf, buckets, streams, Metrics(), ReadinessCheck(services))


def state_of(request: Request) -> AppState:
    """The application's desk."""
    desk = request.app.state.desk
    assert isinstance(desk, AppState)
    return desk


StateDep = Annotated[AppState, Depends(state_of)]
