from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from lipsync.frames.prefetch import prefetch


def workers() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "prefetch"]


def test_items_arrive_in_order_until_the_end():
    with prefetch(iter(range(100)), depth=3) as items:
        assert list(items) == list(range(100))
    assert not workers()


def test_it_never_reads_further_ahead_than_its_depth():
    read_items = []

    def source() -> Iterator[int]:
        for k in range(50):
            read_items.append(k)
            yield k

    with prefetch(source(), depth=4) as items:
        for k in items:
            time.sleep(0.002)
            assert len(read_items) <= k + 1 + 4 + 2  # the queue, the item being read and the one being queued


def test_an_error_of_the_source_is_raised_in_the_reader():
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


def test_what_the_source_gave_before_its_error_arrives_first():
    def source() -> Iterator[int]:
        yield from range(4)
        raise KeyError("broken")

    with prefetch(source(), depth=6) as items:
        received = [next(items) for _ in range(4)]
        with pytest.raises(KeyError):
            next(items)
    assert received == [0, 1, 2, 3]


def test_an_error_while_the_source_closes_is_raised_too():
    class Source:
        def __iter__(self) -> Iterator[int]:
            return iter([1])

        def close(self) -> None:
            raise OSError("cannot close")

    with prefetch(Source()) as items:
        assert next(items) == 1
        with pytest.raises(OSError, match="cannot close"):
            next(items)


def test_the_reader_takes_a_run_of_items_at_a_time():
    ready = threading.Semaphore(0)

    def source() -> Iterator[int]:
        for k in range(4):
            ready.acquire()
            yield k

    received = []
    with prefetch(source(), depth=4) as items:
        reader = threading.Thread(target=lambda: received.extend(items))
        reader.start()
        ready.release()
        time.sleep(0.05)
        assert received == []
        for _ in range(3):
            ready.release()
        reader.join()
    assert received == [0, 1, 2, 3]
