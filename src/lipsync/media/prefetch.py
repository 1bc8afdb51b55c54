"""A thread that works ahead of its reader, a few items at most."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE = 0.05  # seconds between looks at whether the reader is gone


@dataclass(frozen=True, slots=True)
class _Failure:
    error: BaseException


@dataclass(frozen=True, slots=True)
class _Item(Generic[T]):
    value: T


@contextmanager
def prefetch(items: Iterable[T], depth: int = 4) -> Iterator[Iterator[T]]:
    """Read ``items`` in a thread, at most ``depth`` ahead; errors come out where the items do.

    Leaving the with stops the thread, closes the source if it is a generator, and joins.
    """
    ready: queue.Queue[_Item[T] | _Failure | None] = queue.Queue(depth)
    gone = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, ready, gone), name="prefetch", daemon=True)
    thread.start()
    try:
        yield _drain(ready)
    finally:
        gone.set()
        thread.join()


def _fill(items: Iterable[T], ready: queue.Queue[_Item[T] | _Failure | None], gone: threading.Event) -> None:
    try:
        for item in items:
            if not _put(_Item(item), ready, gone):
                break
        else:
            _put(None, ready, gone)
    except BaseException as error:  # noqa: BLE001 - it is raised again in the reader's thread
        _put(_Failure(error), ready, gone)
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _put(
    entry: _Item[T] | _Failure | None, ready: queue.Queue[_Item[T] | _Failure | None], gone: threading.Event
) -> bool:
    while not gone.is_set():
        try:
            ready.put(entry, timeout=PATIENCE)
        except queue.Full:
            continue
        return True
    return False


def _drain(ready: queue.Queue[_Item[T] | _Failure | None]) -> Iterator[T]:
    while (entry := ready.get()) is not None:
        if isinstance(entry, _Failure):
            raise entry.error
        yield entry.value
