"""The command line. Heavy imports wait until a command needs them, so that help comes at once."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from lipsync import __version__
from lipsync.cli import demo, doctor, infer, keys, models, serve, settings, sync, tasks, worker
from lipsync.cli import smoke_test as e2e
from lipsync.cli.exit_codes import BUG, INTERRUPTED, TERMINATED, exit_code_of
from lipsync.errors import Cancelled, LipsyncError
from lipsync.monitor import Monitor

COMMANDS = (sync, infer, demo, models, serve, worker, tasks, keys, settings, e2e, doctor)
PATIENCE = 0.4  # seconds that a job has to stop by itself


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; failures are one line on standard error."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads wait for work in a loop, and there is little of it
    options = _parser().parse_args(arguments)
    monitor = Monitor()
    with _signals(monitor) as received:
        try:
            return int(options.run(options, monitor))
        except LipsyncError as error:
            return _failed(options, error.code, str(error), exit_code_of(type(error)))
        except Cancelled as stop:
            code = TERMINATED if signal.SIGTERM in received else INTERRUPTED
            left = f"complete by then: {', '.join(map(str, stop.complete))}" if stop.complete else "nothing was written"
            return _failed(options, "cancelled", f"stopped; {left}", code)
        except Exception as error:
            if options.debug:
                raise
            text = f"unexpected {type(error).__name__}: {error}; --debug shows where. This is a bug, please report it"
            return _failed(options, "bug", " ".join(text.split()), BUG)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lipsync",
        description="Moves the mouth in a video or a photo to a voice. Runs on a CPU; nothing is downloaded.",
        epilog="example: lipsync sync --video speaker.mp4 --audio voice.wav -o result.mp4",
    )
    parser.add_argument("--version", action="version", version=f"lipsync {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_to(commands)
    return parser


@contextmanager
def _signals(monitor: Monitor) -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM ask the job to stop, then make it; the second one ends the process at once."""
    received: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        received.append(number)
        monitor.cancel()
        if len(received) > 1:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)

    def insist(number: int, frame: FrameType | None) -> None:
        raise Cancelled("stopped on request")

    wanted = {signal.SIGINT: stop, signal.SIGTERM: stop}
    if hasattr(signal, "SIGALRM"):
        wanted[signal.SIGALRM] = insist
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield received
    finally:
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _failed(options: argparse.Namespace, code: str, message: str, exit_status: int) -> int:
    if getattr(options, "json", False):
        print(json.dumps({"error": {"code": code, "message": message}}))
    else:
        print(f"lipsync: {message} [{code}]", file=sys.stderr)
    return exit_status
