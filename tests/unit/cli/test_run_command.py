"""The end of a command that a signal stops."""

from __future__ import annotations

import argparse
import os
import signal
import time

import pytest

from lipsync.cli import run_command
from lipsync.errors import Cancelled
from lipsync.monitor import Monitor


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no interval timers")
def test_the_timer_of_a_signal_does_not_interrupt_the_report(monkeypatch, capsys):
    def run(arguments: argparse.Namespace, monitor: Monitor) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        raise Cancelled("stopped on request")

    report = run_command._failed

    def slow_report(*details: object) -> int:
        time.sleep(0.05)
        return report(*details)

    monkeypatch.setattr(run_command, "STOP_TIMEOUT", 0.01)
    monkeypatch.setattr(run_command, "_failed", slow_report)
    assert run_command.run_command(argparse.Namespace(run=run, json=False, debug=False)) == 130
    assert capsys.readouterr().err == "lipsync: stopped; nothing was written [cancelled]\n"
