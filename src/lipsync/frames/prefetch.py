"""Read ahead in a background thread; items change hands in runs, because every hand-over wakes a thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


@contextmanager
def prefetch(items: Iterable[T], depth: int = 6) -> Iterator[Iterator[T]]:
    """Read ``items`` in a thread, at most ``depth`` ahead; the source's errors are raised in the reader.

    The reader takes up to half of them at a time. On exit, the thread is stopped and joined, and the source is closed
    if it is a generator.
    """
    buffer: _Buffer[T] = _Buffer(max(1, depth // 2))
    thread = threading.Thread(target=_fill, args=(items, buffer), name="prefetch", daemon=True)
    thread.start()
    try:
        yield buffer.drain()
    finally:
        buffer.stop()
        thread.join()


class _Buffer(Generic[T]):
    """Up to ``size`` items between two threads. A reader that waits is woken when they are complete or the last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Add an item as soon as there is space; return False if the reader has left."""
        with self._changed:
            self._items.append(item)
            if len(self._items) >= self._size:
                self._changed.notify()
                self._changed.wait_for(lambda: self._stopped or len(self._items) < self._size)
            return not self._stopped

    def end(self, error: BaseException | None) -> None:
        """Let the reader take the remaining items and raise ``error``."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def drain(self) -> Iterator[T]:
        while run := self._take():
            while run:
                yield run.popleft()
        if self._error is not None:
            raise self._error

    def _take(self) -> deque[T]:
        with self._changed:
            if not self._items:
                self._changed.wait_for(lambda: self._ended or len(self._items) >= self._size)
            run, self._items = self._items, deque()
            self._changed.notify()
            return run


def _fill(items: Iterable[T], buffer: _Buffer[T]) -> None:
    error: BaseException | None = None
    try:
        _move(items, buffer)
    except BaseException as exc:  # noqa: BLE001 - raised again in the reader
        error = exc
    buffer.end(error)


def _move(items: Iterable[T], buffer: _Buffer[T]) -> None:
    with ExitStack() as stack:
        close = getattr(items, "close", None)
        if close is not None:
            stack.callback(close)
        for item in items:
            if not buffer.put(item):
                return
