from __future__ import annotations

import threading
import time

import pytest

from lipsync.errors import Cancelled
from lipsync.monitor import Monitor
from lipsync.net import Limits
from lipsync.net.deadline import MIN_RATE, Deadline


def deadline(monitor: Monitor | None = None, idle: float = 1.0, total: float = 60.0) -> Deadline:
    return Deadline(Limits(idle_timeout=idle, total_timeout=total), monitor or Monitor())


def test_silence_ends_at_the_idle_timeout():
    limit = deadline()
    limit.add_wait(0.6)
    with pytest.raises(TimeoutError, match="nothing received for 1 s"):
        limit.add_wait(0.6)


def test_a_byte_restarts_the_silence_but_a_trickle_is_too_slow():
    limit = deadline()
    limit.add_wait(0.6)
    limit.add_bytes(1)
    with pytest.raises(TimeoutError, match="only 1 bytes received"):
        limit.add_wait(0.6)


def test_a_server_above_the_minimum_rate_may_take_long():
    limit = deadline()
    for _ in range(20):
        limit.add_bytes(MIN_RATE)
        limit.add_wait(0.9)


def test_a_new_phase_restarts_the_idle_timeout():
    limit = deadline()
    for _ in range(5):
        limit.add_wait(0.9)
        limit.restart()


def test_the_total_timeout_counts_work_as_well():
    limit = deadline(total=0.05)
    time.sleep(0.06)
    with pytest.raises(TimeoutError, match=r"not finished within 0\.05 s"):
        limit.check()


def test_cancelling_takes_precedence():
    monitor = Monitor()
    limit = deadline(monitor)
    monitor.cancel()
    with pytest.raises(Cancelled):
        limit.add_wait(100)


def test_a_blocking_call_returns_raises_or_is_abandoned():
    release = threading.Event()
    limit = deadline(idle=0.3)
    assert limit.run_blocking(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        limit.run_blocking(lambda: 1 // 0)
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        limit.run_blocking(lambda: release.wait(20))
    assert time.monotonic() - start < 5
    release.set()
