"""How many threads the libraries may start of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import cv2


@contextmanager
def one_thread_a_call() -> Iterator[None]:
    """Let OpenCV work in the calling thread, for as long as this lasts.

    The stages of a job run side by side already; more threads for a few small pictures only take turns waiting, which
    costs a third more processor time.
    """
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
