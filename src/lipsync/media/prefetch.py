"""Read ahead in a background thread through a bounded queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

STOP_POLL_INTERVAL = 0.05  # seconds between checks whether the reader has left


@dataclass(frozen=True, slots=True)
class _Failure:
    error: BaseException


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    value: T


@contextmanager
def prefetch(items: Iterable[T], depth: int = 4) -> Iterator[Iterator[T]]:
    """Read ``items`` in a thread, at most ``depth`` ahead; the source's errors are raised in the reader.

    On exit, the thread is stopped and joined, and the source is closed if it is a generator.
    """
    ready: queue.Queue[_Item[T] | _Failure | None] = queue.Queue(depth)
    stopped = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, ready, stopped), name="prefetch", daemon=True)
    thread.start()
    try:
        yield _drain(ready)
    finally:
        stopped.set()
        thread.join()


def _fill(items: Iterable[T], ready: queue.Queue[_Item[T] | _Failure | None], stopped: threading.Event) -> None:
    try:
        for item in items:
            if not _put(_Item(item), ready, stopped):
                break
        else:
            _put(None, ready, stopped)
    except BaseException as error:  # noqa: BLE001 - raised again in the reader
        _put(_Failure(error), ready, stopped)
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _put(
    entry: _Item[T] | _Failure | None, ready: queue.Queue[_Item[T] | _Failure | None], stopped: threading.Event
) -> bool:
    while not stopped.is_set():
        try:
            ready.put(entry, timeout=STOP_POLL_INTERVAL)
        except queue.Full:
            continue
        return True
    return False


def _drain(ready: queue.Queue[_Item[T] | _Failure | None]) -> Iterator[T]:
    while (entry := ready.get()) is not None:
        if isinstance(entry, _Failure):
            raise entry.error
        yield entry.value
