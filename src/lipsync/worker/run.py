"""A worker: claims tasks one after the other, until it is told to end."""

from __future__ import annotations

import logging
import os
import socket
import threading
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery import Celery, signals
from celery.apps.worker import _shutdown_handler
from celery.exceptions import SecurityWarning

from lipsync.errors import LipsyncError, StorageFailed
from lipsync.settings import Settings
from lipsync.worker.broker import TASK, TaskNotifier, make_app
from lipsync.worker.context import secret_of, worker_context
from lipsync.worker.execute import WorkerContext, execute, remove_orphans
from lipsync.worker.lease import LeaseKeeper, TaskLog
from lipsync.worker.recovery import recovering, sweeping
from lipsync.worker.retention import pruning
from lipsync.worker.warmth import cooling
from lipsync.worker.webhook_delivery import delivering

ALONE = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
STUCK = 70  # the exit status of a worker whose work hung; as for any fault of ours


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, which hands back what is in hand.

    The process ends with status 70 when its work does not stop although it was told to: whoever supervises it starts
    a new one. Raises SettingInvalid, StorageFailed, OutputUnwritable before it starts.
    """
    with worker_context(settings) as at:
        swept = remove_orphans(at.folder, at.store)
        here = socket.gethostname(), os.getpid()
        logging.getLogger(__name__).info("%s on %s, process %d: %d old folders removed", at.worker, *here, len(swept))
        app = make_app(settings.broker_url, settings.data_dir / "queue")
        shift = WorkerLoop(at)
        add_task(app, shift)
        signals.setup_logging.connect(leave_the_log, weak=False)
        signals.worker_shutting_down.connect(shift.end, weak=False)
        bell = TaskNotifier(app)
        notify_once(at, bell)
        with (
            recovering(at.store, bell.ring, at.now, crowded=bell.crowded) as stop_ringing,
            delivering(at.store, secret_of(settings), at.limits, at.transport, at.now),
            sweeping(at.folder, at.store),
            pruning(at.store, at.storage, at.uploads, timedelta(days=settings.retention_days), at.now),
            cooling(at.sessions, settings.model_idle_seconds),
            warnings.catch_warnings(),
        ):
            shift.at_end(stop_ringing)  # nobody here would hear it
            warnings.simplefilter("ignore", SecurityWarning)  # of being root: only JSON is taken, so it does not matter
            # A thread, not a process of its own: warm for the next task, and told at once that it has to end.
            ears = quiet_worker(app)
            ears.start()
        if ears.exitcode:  # a broker that takes back a message from whoever works on another for long ends it too
            raise StorageFailed(f"{at.worker} has ended, for it could not go on with the broker")
        logging.getLogger(__name__).info("%s has ended", at.worker)


def quiet_worker(app: Celery) -> Any:
    """Celery's worker, which else says on stdout that it was told to end, past the log."""

    class Quiet(app.Worker):  # type: ignore[misc]
        def install_platform_tweaks(self, worker: Any) -> None:
            super().install_platform_tweaks(worker)
            for name in ("SIGTERM", "SIGINT"):
                _shutdown_handler(worker, sig=name, verbose=False)

    return Quiet(pool="threads", concurrency=1, quiet=True, **ALONE)


def notify_once(at: WorkerContext, bell: TaskNotifier) -> None:
    """For whatever has waited longest: a message may have been lost with the worker before this one."""
    try:
        for task_id in at.store.reap(at.now(), silence=timedelta(0), limit=1):
            bell.ring(task_id)
    except LipsyncError as error:  # Celery waits for the broker by itself
        logging.getLogger(__name__).warning("%s [%s]", error, error.code)


def add_task(app: Celery, shift: WorkerLoop) -> None:
    """The one thin task: somebody rang."""

    def rung(task_id: str) -> None:
        shift.work(task_id)

    app.task(name=TASK)(rung)


def leave_the_log(**_: Any) -> None:
    """The door has set up the log. Celery would do so anew, from warnings on, unless somebody hears this signal."""
    logging.getLogger("celery").setLevel(logging.WARNING)  # else it has two lines of its own for each task


def leave() -> None:
    """End this process at once, whatever hangs in it."""
    logging.shutdown()
    os._exit(STUCK)


class WorkerLoop:
    """What one worker does between its start and its end. ``stuck`` has to end the process."""

    def __init__(self, at: WorkerContext, stuck: Callable[[], None] = leave) -> None:
        self._at, self._stuck = at, stuck
        self._turn = threading.Lock()
        self._hold: LeaseKeeper | None = None
        self._last: list[Callable[[], None]] = []
        self._over = False

    def at_end(self, last: Callable[[], None]) -> None:
        """Call this when the end begins."""
        self._last.append(last)

    def work(self, task_id: str) -> None:
        """Do that task if nobody else has it, then whatever else is waiting."""
        at = self._at
        wanted: str | None = task_id
        log: logging.Logger | TaskLog = TaskLog(__name__, task_id)
        try:
            while not self._over and (task := at.store.claim(wanted, at.worker, at.lease, at.now())) is not None:
                log = TaskLog(__name__, task.id)
                execute(task, at, self._started, self._stuck)
                log, wanted = logging.getLogger(__name__), None
        except LipsyncError as error:  # the store does not answer; recovery will ring again
            log.error("%s [%s]; it is left to recovery", error, error.code)

    def end(self, **_: Any) -> None:
        """Hand back what is in hand and take nothing more."""
        for last in self._last:
            last()
        with self._turn:
            self._over = True
            if self._hold is not None:
                self._hold.release()

    def _started(self, hold: LeaseKeeper) -> None:
        with self._turn:
            self._hold = hold
            if self._over:
                hold.release()
