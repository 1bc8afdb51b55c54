"""What a process of the service does again and again beside its work."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(name: str, once: Callable[[], float]) -> Iterator[Callable[[], None]]:
    """Call ``once`` in a thread again and again, for as long as the ``with`` lasts or until what it gives is called.

    ``once`` gives the seconds until the next call, and must not raise.
    """
    ended = threading.Event()

    def keep() -> None:
        pause = 0.0
        while not ended.wait(pause):
            pause = once()

    thread = threading.Thread(target=keep, name=name, daemon=True)
    thread.start()
    try:
        yield ended.set
    finally:
        ended.set()
        thread.join()
