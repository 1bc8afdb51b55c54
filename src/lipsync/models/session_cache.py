"""Keep sessions open between jobs."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Lock

from lipsync.models.devices import Runtime, choose_runtime, open_session
from lipsync.models.session import OpeningSession, Session, SessionOptions

MAX_SESSIONS = 12


class SessionCache:
    """Open each model once per set of options. Thread-safe.

    ``max_sessions``: beyond that, the least recently used session is dropped. ``clock``: returns seconds.
    """

    def __init__(self, max_sessions: int = MAX_SESSIONS, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_sessions, self._clock = max_sessions, clock
        self._lock = Lock()
        self._sessions: OrderedDict[Hashable, tuple[Session, float]] = OrderedDict()
        self._opening: dict[Hashable, Future[Session]] = {}
        self._runtimes: dict[tuple[str, str], Runtime] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def open(
        self,
        model: bytes | Path,
        *,
        device: str = "cpu",
        precision: str = "fp32",
        shapes: tuple[int, ...] | None = None,
        threads: int | None = None,
        streams: int = 1,
        cache_dir: Path | None = None,
    ) -> Session:
        """Return a session as ``devices.open_session`` does, which also documents the errors.

        A file that has changed since is opened again.
        """
        options = SessionOptions(device, precision, shapes, threads, streams, cache_dir)
        key = (_identity(model), options)
        with self._lock:
            session, opening = self._known(key), self._opening.get(key)
        if session is None:
            session = self._open(key, model, options) if opening is None else opening.result()
        return session

    def open_later(
        self,
        model: bytes | Path,
        *,
        shapes: tuple[int, ...] | None = None,
        threads: int | None = None,
        streams: int = 1,
    ) -> Session:
        """Begin to open a session on the CPU in a thread, so that the caller can do other work meanwhile.

        The session's first use waits until it is open, and raises what ``open`` raises.
        """
        options = SessionOptions("cpu", "fp32", shapes, threads, streams)
        key = (_identity(model), options)
        with self._lock:
            session = self._known(key)
            if session is not None:
                return session
            if key not in self._opening:
                pool = ThreadPoolExecutor(1, "opening")
                self._opening[key] = pool.submit(self._open, key, model, options)
                pool.shutdown(wait=False)  # its thread ends with the work
            return OpeningSession(self._opening[key])

    def _known(self, key: Hashable) -> Session | None:
        """An open session, now the most recently used one. Call it with the lock held."""
        if key not in self._sessions:
            return None
        session, _ = self._sessions.pop(key)
        self._sessions[key] = session, self._clock()
        return session

    def _open(self, key: Hashable, model: bytes | Path, options: SessionOptions) -> Session:
        try:
            session = open_session(
                model,
                device=options.device,
                precision=options.precision,
                shapes=options.shapes,
                threads=options.threads,
                streams=options.streams,
                cache_dir=options.cache_dir,
            )
        except BaseException:
            with self._lock:
                self._opening.pop(key, None)
            raise
        with self._lock:
            self._opening.pop(key, None)
            self._sessions[key] = session, self._clock()
            while len(self._sessions) > self._max_sessions:
                self._sessions.popitem(last=False)
        return session

    def runtime(self, device: str, precision: str) -> Runtime:
        """Return the result of ``devices.choose_runtime``, which is cached because it probes the devices."""
        key = (device, precision)
        if key not in self._runtimes:
            self._runtimes[key] = choose_runtime(device, precision)
        return self._runtimes[key]

    def forget(self, *sessions: Session) -> None:
        """Drop these sessions; each stays alive until its user drops it."""
        with self._lock:
            for key in [key for key, (session, _) in self._sessions.items() if session in sessions]:
                del self._sessions[key]

    def evict(self, idle: float = 0.0) -> int:
        """Drop the sessions that were not requested during the last ``idle`` seconds; return their number.

        A session that is still in use stays alive until its user drops it.
        """
        limit = self._clock() - idle
        with self._lock:
            expired = [key for key, (_, used) in self._sessions.items() if used <= limit]
            for key in expired:
                del self._sessions[key]
        return len(expired)


def _identity(model: bytes | Path) -> Hashable:
    if isinstance(model, bytes):
        return model
    if not model.is_file():
        return model
    status = model.stat()
    return model.resolve(), status.st_mtime_ns, status.st_size
