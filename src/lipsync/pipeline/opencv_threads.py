"""Keep OpenCV from starting threads while jobs run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2


class _ThreadLimit:
    """OpenCV has one thread count per process: the first of overlapping jobs sets it, the last one restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs, self._before = 0, 0

    def acquire(self) -> None:
        with self._lock:
            if not self._jobs:
                self._before = cv2.getNumThreads()
                cv2.setNumThreads(1)
            self._jobs += 1

    def release(self) -> None:
        with self._lock:
            self._jobs -= 1
            if not self._jobs:
                cv2.setNumThreads(self._before)


_LIMIT = _ThreadLimit()


@contextmanager
def single_threaded_opencv() -> Iterator[None]:
    """Run OpenCV's functions in the calling thread.

    A job's stages already run in parallel; further threads for small images only wait for each other, which costs a
    third more processor time.
    """
    _LIMIT.acquire()
    try:
        yield
    finally:
        _LIMIT.release()
