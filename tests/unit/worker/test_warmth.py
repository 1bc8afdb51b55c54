"""Networks that nobody uses are unloaded."""

from __future__ import annotations

import logging
import threading

from lipsync.worker.warmth import cooling


class Counted:
    """Networks of which some are always old."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.twice = threading.Event()

    def forget(self, idle: float) -> int:
        self.asked.append(idle)
        if len(self.asked) > 1:
            self.twice.set()
        return 3


def test_old_networks_are_unloaded_again_and_again_and_the_log_says_so(caplog):
    sessions = Counted()
    with caplog.at_level(logging.INFO), cooling(sessions, 600, every=0.01):  # type: ignore[arg-type]
        assert sessions.twice.wait(10)
    asked = len(sessions.asked)
    assert set(sessions.asked) == {600}
    assert caplog.messages[0] == "3 networks were not used for 600 s and are unloaded"
    assert len(sessions.asked) == asked
