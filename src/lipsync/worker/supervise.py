"""Run a worker as a child process: restart it when it dies, stop it with the service."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

COMMAND = (sys.executable, "-m", "lipsync", "worker", "--until-parent-ends")
RESTART_DELAYS = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)  # seconds, by number of consecutive failures
POLL_INTERVAL = 0.2  # seconds
HEALTHY_AFTER = 60.0  # seconds after which a child no longer counts as failing to start
STOP_TIMEOUT = 20.0  # seconds for the child to return its task to the queue


@contextmanager
def supervised(environment: Mapping[str, str], command: Sequence[str] = COMMAND) -> Iterator[None]:
    """Keep a worker running while the ``with`` block runs; ``environment`` is added to the current one.

    The child holds the other end of a pipe, so that it ends even if this process is killed.
    """
    supervisor = _Supervisor(command, {**os.environ, **environment})
    thread = threading.Thread(target=supervisor.run, name="supervisor", daemon=True)
    thread.start()
    try:
        yield
    finally:
        supervisor.stop()
        thread.join()


class _Supervisor:
    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command, self._environment = command, environment
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            with subprocess.Popen(self._command, stdin=subprocess.PIPE, env=self._environment) as child:
                healthy = self._watch(child)
            if self._stopped.is_set():
                return
            failures = 0 if healthy else failures + 1
            delay = RESTART_DELAYS[min(failures, len(RESTART_DELAYS) - 1)]
            logging.getLogger(__name__).error(
                "the worker exited with status %s; restarting it in %.1f s", child.returncode, delay
            )
            self._stopped.wait(delay)

    def _watch(self, child: subprocess.Popen[bytes]) -> bool:
        """Wait until the child or the service ends; whether the child ran for longer than ``HEALTHY_AFTER``."""
        seconds = 0.0
        while child.poll() is None and not self._stopped.wait(POLL_INTERVAL):
            seconds += POLL_INTERVAL
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                child.kill()
        return seconds > HEALTHY_AFTER
