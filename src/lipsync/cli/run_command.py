"""One command from its parsed arguments to its exit code: signals, failures, messages."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lipsync.cli.exit_codes import BUG, INTERRUPTED, TERMINATED, exit_code_of
from lipsync.errors import Cancelled, LipsyncError, unexpected
from lipsync.monitor import Monitor

STOP_TIMEOUT = 0.4  # seconds for a job to stop by itself


def run_command(arguments: argparse.Namespace) -> int:
    """Run ``arguments.run`` and return its exit code, or that of its failure."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads spin while idle, and there is little for them
    monitor = Monitor()
    with _signals(monitor) as received:
        try:
            with _no_alarm_after():
                return int(arguments.run(arguments, monitor))
        except LipsyncError as error:
            return _failed(arguments, error.code, str(error), exit_code_of(type(error)))
        except Cancelled as stop:
            code = TERMINATED if signal.SIGTERM in received else INTERRUPTED
            files = f"complete: {', '.join(map(str, stop.complete))}" if stop.complete else "nothing was written"
            return _failed(arguments, "cancelled", f"stopped; {files}", code)
        except BrokenPipeError:
            raise  # the reader of the output has closed it, which main() handles
        except Exception as error:
            if arguments.debug:
                raise
            message = f"{unexpected(error)}. This is a bug; please report it with --debug's output"
            return _failed(arguments, "bug", message, BUG)


@contextmanager
def _signals(monitor: Monitor) -> Iterator[list[int]]:
    """Let Ctrl-C and SIGTERM cancel the job, by force after STOP_TIMEOUT; a second signal ends the process at once."""
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        monitor.cancel()
        if len(received) > 1:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, STOP_TIMEOUT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Cancelled("stopped on request")

    handlers = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if hasattr(signal, "SIGALRM"):
        handlers[signal.SIGALRM] = interrupt
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _no_alarm_after() -> Iterator[None]:
    """Disarm the timer of ``_signals`` at the end, so that it cannot interrupt the report of a stopped job."""
    try:
        yield
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)


def _failed(arguments: argparse.Namespace, code: str, message: str, exit_status: int) -> int:
    if getattr(arguments, "json", False):
        print(json.dumps({"error": {"code": code, "message": message}}))
    else:
        print(f"lipsync: {message} [{code}]", file=sys.stderr)
    return exit_status
