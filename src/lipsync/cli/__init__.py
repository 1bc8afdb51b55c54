"""The command line. Only the chosen command's module is imported, so that help is fast."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

from lipsync._version import __version__

COMMANDS: Mapping[str, str] = {
    "sync": "animate the mouth in a video or photo to an audio track",
    "infer": "run with the flags of Wav2Lip's inference.py",
    "demo": "make a short example from bundled footage",
    "models": "fetch or import the weights that some engines need",
    "serve": "run the service: the REST API and, by default, a worker",
    "worker": "run a worker of the service",
    "tasks": "list, show, cancel and retry tasks of the service",
    "keys": "create, list and revoke API keys",
    "settings": "list the service's settings",
    "smoke-test": "run one task on a running service and check its result",
    "doctor": "check the installation",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; failures are one line on standard error."""
    _open_closed_streams()
    try:
        try:
            return _main(sys.argv[1:] if arguments is None else arguments)
        finally:
            _flush_output()
    except BrokenPipeError:
        from lipsync.cli.exit_codes import PIPE_CLOSED

        _discard_output()
        return PIPE_CLOSED


def _open_closed_streams() -> None:
    """Discard what is written to a standard stream that the parent process has closed."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  open until the process ends
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  open until the process ends


def _flush_output() -> None:
    """Write what is buffered; the interpreter would do it too late to handle a failure."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise SystemExit(f"lipsync: standard output: {error.strerror}") from error


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _main(arguments: Sequence[str]) -> int:
    parsed = build_parser(arguments[0] if arguments else "").parse_args(arguments)

    from lipsync.cli.run_command import run_command

    return run_command(parsed)


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser with the arguments of one command, or of all for None; the other commands have their help only."""
    parser = argparse.ArgumentParser(
        prog="lipsync",
        description="Animates the mouth in a video or photo to any voice. Runs on a CPU; downloads nothing.",
        epilog="example: lipsync sync --video speaker.mp4 --audio voice.wav -o result.mp4",
    )
    parser.add_argument("--version", action="version", version=f"lipsync {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, text in COMMANDS.items():
        subparser = commands.add_parser(name, help=text)
        if command in (name, None):
            import_module(f"lipsync.cli.{name.replace('-', '_')}").add_to(subparser)
    return parser
