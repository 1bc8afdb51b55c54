"""One worker as a child of the service: started again when it dies, ended with it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

COMMAND = (sys.executable, "-m", "lipsync", "worker", "--until-parent-ends")
PAUSES = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)  # seconds before it is started again, the more often the longer
WELL = 60.0  # seconds after which a child that ran so long is taken to be well
PATIENCE = 20.0  # seconds that it has to hand back its task


@contextmanager
def supervised(environment: Mapping[str, str], command: Sequence[str] = COMMAND) -> Iterator[None]:
    """Keep a worker running for as long as the ``with`` lasts; ``environment``: what is set for it beside ours.

    It holds the other end of a pipe, so that it ends as well if this process is killed.
    """
    supervisor = _Supervisor(command, {**os.environ, **environment})
    thread = threading.Thread(target=supervisor.keep, name="supervisor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        supervisor.end()
        thread.join()


class _Supervisor:
    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command, self._environment = command, environment
        self._ended = threading.Event()

    def end(self) -> None:
        self._ended.set()

    def keep(self) -> None:
        failures = 0
        while not self._ended.is_set():
            with subprocess.Popen(self._command, stdin=subprocess.PIPE, env=self._environment) as child:
                well = self._watch(child)
            if self._ended.is_set():
                return
            failures = 0 if well else failures + 1
            pause = PAUSES[min(failures, len(PAUSES) - 1)]
            logging.getLogger(__name__).error(
                "the worker ended by itself (exit %s); it is started again in %.1f s", child.returncode, pause
            )
            self._ended.wait(pause)

    def _watch(self, child: subprocess.Popen[bytes]) -> bool:
        """Until the child or the service ends; whether the child ran for long."""
        lived = 0.0
        while child.poll() is None and not self._ended.wait(0.2):
            lived += 0.2
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                child.kill()
        return lived > WELL
