from __future__ import annotations

import pytest

from lipsync.errors import Cancelled
from lipsync.monitor import Monitor, Progress, watched


def test_progress_has_a_rate_and_the_time_left():
    progress = Progress("render", 50, 200, 2.0)
    assert progress.rate == 25
    assert progress.seconds_left == 6
    assert Progress("render", 0, 200, 0.0).seconds_left is None
    assert Progress("render", 5, None, 1.0).seconds_left is None


def test_every_item_is_reported_and_passed_on():
    reports: list[Progress] = []
    monitor = Monitor(reports.append)
    assert list(watched("abc", monitor, "track", 3)) == ["a", "b", "c"]
    assert [(r.stage, r.done, r.total) for r in reports] == [
        ("track", 1, 3), ("track", 2, 3), ("track", 3, 3), ("track", 3, 3),
    ]  # fmt: skip
    assert set(monitor.seconds) == {"track"}


def test_the_last_report_has_the_actual_total():
    reports: list[Progress] = []
    list(watched("ab", Monitor(reports.append), "track", 5))
    assert (reports[-1].done, reports[-1].total) == (2, 2)


def test_cancelling_stops_before_the_next_item():
    monitor = Monitor()
    seen = []
    items = watched(range(10), monitor, "render")
    for item in items:
        seen.append(item)
        if item == 2:
            monitor.cancel()
            break
    with pytest.raises(Cancelled):
        next(items)
    assert seen == [0, 1, 2]
    assert monitor.cancelled


def test_an_error_in_the_callback_is_raised():
    def broken(progress: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(watched("a", Monitor(broken), "track"))
