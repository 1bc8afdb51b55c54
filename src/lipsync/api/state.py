"""The state that the API's handlers share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from lipsync.api.metrics import Metrics
from lipsync.api.rate_limits import ConcurrencyLimiter, RateLimiter
from lipsync.api.upload_store import UploadStore
from lipsync.errors import LipsyncError
from lipsync.settings import Settings
from lipsync.storage.base import Storage
from lipsync.tasks.store import TaskStore

READINESS_CACHE = timedelta(seconds=5)
READINESS_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Services:
    """The services behind the API.

    ``announce`` notifies the workers of a task ID; it raises LipsyncError or OSError on failure. ``now`` is the clock
    (aware, UTC). ``webhook_secret`` returns the signing secret for a key's webhook calls. ``link_secret`` signs links
    to local results; it is empty if results are stored elsewhere.
    """

    settings: Settings
    store: TaskStore
    storage: Storage
    announce: Callable[[str], None]
    now: Callable[[], datetime]
    webhook_secret: Callable[[str | None], str] = field(repr=False)
    link_secret: str = field(default="", repr=False)


class ReadinessCheck:
    """Checks the task store and the storage, at most once per ``READINESS_CACHE``. Thread-safe.

    One thread checks at a time. Concurrent callers get the previous result at once, so a hanging storage cannot block
    every thread; after ``READINESS_TIMEOUT`` they see the component under check as failing. The initial result is
    "ready": the service checks both before it starts.
    """

    def __init__(self, services: Services) -> None:
        self._checks: dict[str, Callable[[], object]] = {
            "task store": lambda: services.store.oldest_waiting(),
            "storage": lambda: services.storage.check(),
        }
        self._now = services.now
        self._lock = threading.Lock()
        self._failing: tuple[str, ...] = ()
        self._checked_at: datetime | None = None
        self._running: tuple[str, datetime] | None = None  # the component under check, and since when

    def failing(self) -> tuple[str, ...]:
        """Return the names of the components that do not respond."""
        with self._lock:
            now = self._now()
            if self._running is not None:
                component, since = self._running
                return self._failing if abs(now - since) < READINESS_TIMEOUT else (component,)
            if self._checked_at is not None and abs(now - self._checked_at) < READINESS_CACHE:
                return self._failing
            self._running = next(iter(self._checks)), now
        try:
            failing = self._run_checks()
            with self._lock:
                self._failing, self._checked_at = failing, self._now()
        finally:
            with self._lock:
                self._running = None
        return failing

    def _run_checks(self) -> tuple[str, ...]:
        failing = []
        for component, check in self._checks.items():
            with self._lock:
                self._running = component, self._now()
            try:
                check()
            except LipsyncError:
                failing.append(component)
        return tuple(failing)


@dataclass(frozen=True, slots=True)
class AppState:
    """The services, and what the API itself keeps: uploads, limits, metrics and the last readiness check."""

    services: Services
    uploads: UploadStore
    rate_limiter: RateLimiter
    event_streams: ConcurrencyLimiter
    metrics: Metrics
    readiness: ReadinessCheck

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
    """Create the state with empty counters."""
    settings = services.settings
    return AppState(
        services,
        uploads=UploadStore(settings.data_dir / "uploads", settings.max_upload_bytes, settings.upload_quota_bytes),
        rate_limiter=RateLimiter(settings.requests_per_minute),
        event_streams=ConcurrencyLimiter(settings.max_event_streams),
        metrics=Metrics(),
        readiness=ReadinessCheck(services),
    )


def state_of(request: Request) -> AppState:
    """Return the application's state."""
    state = request.app.state.lipsync
    assert isinstance(state, AppState)
    return state


StateDep = Annotated[AppState, Depends(state_of)]
