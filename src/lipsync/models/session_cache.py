"""Networks that stay open from one job to the next."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from threading import Lock

from lipsync.models.devices import Runtime, choose_runtime, open_session
from lipsync.models.session import Session, SessionOptions

MOST = 12


class SessionCache:
    """Opens each network once for all who ask for the same. Safe from several threads.

    At most ``most`` stay open: those that were asked for last. ``clock`` counts seconds.
    """

    def __init__(self, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._lock = Lock()
        self._opened: OrderedDict[Hashable, tuple[Session, float]] = OrderedDict()
        self._runtimes: dict[tuple[str, str], Runtime] = {}

    def __len__(self) -> int:
        return len(self._opened)

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
        """What ``devices.open_session`` gives for the same, and raises; a file that was changed is another one."""
        setup = SessionOptions(device, precision, shapes, threads, streams, cache_dir)
        key = (_identity(model), setup)
        with self._lock:
            if key in self._opened:
                session, _ = self._opened.pop(key)
                self._opened[key] = session, self._clock()
                return session
        session = open_session(
            model,
            device=device,
            precision=precision,
            shapes=shapes,
            threads=threads,
            streams=streams,
            cache_dir=cache_dir,
        )
        with self._lock:
            self._opened[key] = session, self._clock()
            while len(self._opened) > self._most:
                self._opened.popitem(last=False)
        return session

    def runtime(self, device: str, precision: str) -> Runtime:
        """What ``devices.choose_runtime`` answers, and raises; it is tried out once."""
        asked = (device, precision)
        if asked not in self._runtimes:
            self._runtimes[asked] = choose_runtime(device, precision)
        return self._runtimes[asked]

    def forget(self, idle: float = 0.0) -> int:
        """Let go of what nobody asked for during the last ``idle`` seconds, for its memory; gives how many went.

        Whoever runs one of them keeps it until he is done.
        """
        limit = self._clock() - idle
        with self._lock:
            old = [key for key, (_, used) in self._opened.items() if used <= limit]
            for key in old:
                del self._opened[key]
        return len(old)


def _identity(model: bytes | Path) -> Hashable:
    if isinstance(model, bytes):
        return model
    if not model.is_file():
        return model
    facts = model.stat()
    return model.resolve(), facts.st_mtime_ns, facts.st_size
