from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from lipsync.media.prefetch import prefetch


def workers() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "prefetch"]


def test_order_and_end():
    with prefetch(iter(range(100)), depth=3) as items:
        assert list(items) == list(range(100))
    assert not workers()


def test_it_never_runs_further_ahead_than_it_may():
    taken = []

    def source() -> Iterator[int]:
        for k in range(50):
            taken.append(k)
            yield k

    with prefetch(source(), depth=4) as items:
        for k in items:
            time.sleep(0.002)
            assert len(taken) <= k + 1 + 4 + 2  # those that wait, the one in hand and the one on its way


def test_a_failure_comes_out_where_the_items_do():
    def source() -> Iterator[int]:
        yield 1
        raise KeyError("broken")

    with prefetch(source()) as items:
        assert next(items) == 1
        with pytest.raises(KeyError, match="broken"):
            next(items)
    assert not workers()


def test_leaving_early_stops_the_source_and_closes_it():
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            k = 0
            while True:
                yield k
                k += 1
        finally:
            closed.set()

    with prefetch(source(), depth=2) as items:
        assert next(items) == 0
    assert closed.is_set()
    assert not workers()
