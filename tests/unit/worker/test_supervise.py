from __future__ import annotations

import sys
import time
from pathlib import Path

from lipsync.worker.supervise import supervised


def waits_for(condition, seconds: float = 20) -> bool:
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.05)
    return bool(condition())


def command(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


NOTE = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1], str(os.getpid())).write_text(os.environ['MARK']); "


def test_a_child_that_exits_is_restarted(tmp_path):
    with supervised({"MARK": "x"}, command(NOTE + "sys.exit(3)", tmp_path)):
        assert waits_for(lambda: len(list(tmp_path.iterdir())) >= 2)
    assert {path.read_text() for path in tmp_path.iterdir()} == {"x"}


def test_the_child_is_terminated_with_the_service(tmp_path):
    end = "pathlib.Path(sys.argv[1], 'end').touch()"
    code = f"import signal; signal.signal(signal.SIGTERM, lambda *_: ({end}, sys.exit(0))); "
    with supervised({"MARK": ""}, command(NOTE + code + "time.sleep(60)", tmp_path)):
        assert waits_for(lambda: list(tmp_path.iterdir()))
        time.sleep(0.5)
    assert (tmp_path / "end").exists()


def test_the_child_ends_when_the_service_is_killed(tmp_path):
    """Its standard input reaches the end; another process stands in for the service."""
    import subprocess

    child = "import sys, pathlib; sys.stdin.buffer.read(); pathlib.Path(sys.argv[1]).touch()"
    service = f"""
import sys, time
from lipsync.worker.supervise import supervised
with supervised({{}}, [sys.executable, "-c", {child!r}, sys.argv[1]]):
    print("up", flush=True)
    time.sleep(60)
"""
    end = Path(tmp_path, "end")
    with subprocess.Popen(command(service, end), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(1)
        assert not end.exists()
        process.kill()
    assert waits_for(end.exists)
