"""A worker: claims tasks one after the other, until it is told to end."""

from __future__ import annotations

import logging
import threading
import warnings
from typing import Any

from celery import Celery, signals
from celery.exceptions import SecurityWarning

from lipsync.errors import LipsyncError
from lipsync.jobs.execute import Workplace, execute, sweep
from lipsync.jobs.hold import Hold
from lipsync.settings import Settings
from lipsync.worker.calls import delivering
from lipsync.worker.doorbell import TASK, Doorbell, make_app
from lipsync.worker.recovery import recovering
from lipsync.worker.workplace import secret_of, workplace


def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, which hands back what is in hand.

    Raises SettingInvalid, StorageFailed, OutputUnwritable before it starts.
    """
    with workplace(settings) as at:
        swept = sweep(at.folder, at.store)
        logging.getLogger(__name__).info("worker %s: %d old folders removed", at.worker, len(swept))
        app = make_app(settings.broker_url, settings.data_dir / "queue")
        shift = Shift(at)
        add_task(app, shift)
        signals.worker_shutting_down.connect(shift.end, weak=False)
        with (
            recovering(at.store, Doorbell(app).ring, at.now),
            delivering(at.store, secret_of(settings), at.limits, at.means, at.now),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", SecurityWarning)  # of being root: only JSON is taken, so it does not matter
            # A thread, not a process of its own: warm for the next task, and told at once that it has to end.
            app.Worker(pool="threads", concurrency=1, quiet=True, **ALONE).start()


ALONE = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}


def add_task(app: Celery, shift: Shift) -> None:
    """The one thin task: somebody rang."""

    def rung(task_id: str) -> None:
        shift.work(task_id)

    app.task(name=TASK)(rung)


class Shift:
    """What one worker does between its start and its end."""

    def __init__(self, at: Workplace) -> None:
        self._at = at
        self._turn = threading.Lock()
        self._hold: Hold | None = None
        self._over = False

    def work(self, task_id: str) -> None:
        """Do that task if nobody else has it, then whatever else is waiting."""
        log = logging.getLogger(__name__)
        at, wanted = self._at, task_id
        try:
            while not self._over and (task := at.store.claim(wanted, at.worker, at.lease, at.now())) is not None:
                log.info("task %s: attempt %d", task.id, task.attempts)
                execute(task, at, self._started)
                log.info("task %s: %s", task.id, at.store.get(task.id).status)
                wanted = None  # type: ignore[assignment]
        except LipsyncError as error:  # the store does not answer; recovery will ring again
            log.error("task %s: %s [%s]", wanted, error, error.code)

    def end(self, **_: Any) -> None:
        """Hand back what is in hand and take nothing more."""
        with self._turn:
            self._over = True
            if self._hold is not None:
                self._hold.release()

    def _started(self, hold: Hold) -> None:
        with self._turn:
            self._hold = hold
            if self._over:
                hold.release()
