"""Commands whose standard output cannot be written to its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lipsync.cli.exit_codes import NEGATIVE, PIPE_CLOSED

FULL = Path("/dev/full")


def run(arguments: tuple[str, ...], stdout: int, unbuffered: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    command = [sys.executable, "-m", "lipsync", *arguments]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, env=environment, text=True, check=False)


@pytest.fixture
def closed_pipe():
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGPIPE")
@pytest.mark.parametrize(
    ("arguments", "unbuffered"), [(("--help",), ""), (("models", "list"), ""), (("models", "list", "--json"), "1")]
)
def test_a_closed_pipe_ends_a_command_quietly(arguments, unbuffered, closed_pipe):
    done = run(arguments, closed_pipe, unbuffered)
    assert (done.returncode, done.stderr) == (PIPE_CLOSED, "")


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_one_line_and_a_failure():
    with FULL.open("wb") as full:
        done = run(("--version",), full.fileno())
    assert done.returncode == NEGATIVE
    assert done.stderr == "lipsync: standard output: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("stream", [1, 2])
def test_a_command_runs_without_a_standard_stream(stream, speaker, voice, tmp_path):
    output = tmp_path / "out.mp4"
    files = f"--video {speaker} --audio {voice} -o {output} --engine passthrough"
    command = f"{sys.executable} -m lipsync sync {files} {stream}>&-"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert output.stat().st_size
