"""Run a worker: claim and execute tasks one after another until it is stopped."""

from __future__ import annotations

import logging
import os
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from celery import Celery, signals
from celery.apps.worker import _shutdown_handler
from celery.exceptions import SecurityWarning

from lipsync.bootstrap import secret_of
from lipsync.errors import LipsyncError, StorageFailed
from lipsync.settings import Settings
from lipsync.tasks.events import Event, TaskLog
from lipsync.worker.broker import TASK, TaskNotifier, make_app
from lipsync.worker.context import WorkerContext, worker_context
from lipsync.worker.execute import execute
from lipsync.worker.lease import LeaseKeeper
from lipsync.worker.maintenance import evicting_idle_sessions, pruning, recovering, remove_orphans, removing_orphans
from lipsync.worker.webhook_delivery import delivering

STANDALONE = {"without_gossip": True, "without_mingle": True, "without_heartbeat": True}
STUCK_STATUS = 70  # exit status of a worker whose work hung, as for any internal error


def run_worker(settings: Settings) -> None:
    """Execute tasks until SIGTERM or SIGINT, which returns the current task to the queue.

    The process exits with status 70 when its work ignores a stop request; its supervisor has to start a new one.
    Raises SettingInvalid, StorageFailed, OutputUnwritable before it starts.
    """
    log = logging.getLogger(__name__)
    with worker_context(settings) as context:
        log.info("%s started on %s, process %d", context.worker, socket.gethostname(), os.getpid())
        remove_orphans(context.work_root, context.store)
        app = make_app(settings.broker_url, settings.data_dir / "queue")
        notifier, loop = TaskNotifier(app), WorkerLoop(context)
        register_task(app, loop)
        signals.setup_logging.connect(keep_logging, weak=False)
        signals.worker_shutting_down.connect(loop.stop, weak=False)
        announce_oldest(context, notifier)
        with maintaining(settings, context, notifier) as stop_recovery, warnings.catch_warnings():
            loop.on_stop(stop_recovery)  # this worker would no longer act on an announcement
            warnings.simplefilter("ignore", SecurityWarning)  # running as root is safe: only JSON is accepted
            # Tasks run in a thread, not in a child process: models stay loaded, and a stop request arrives at once.
            celery_worker = make_celery_worker(app)
            celery_worker.start()
        if celery_worker.exitcode:  # for example RabbitMQ's consumer_timeout, which closes the channel
            raise StorageFailed(f"{context.worker} ended because the connection to the broker failed")
        log.info("%s ended", context.worker)


@contextmanager
def maintaining(settings: Settings, context: WorkerContext, notifier: TaskNotifier) -> Iterator[Callable[[], None]]:
    """Run all background chores of a worker; yields a function that stops recovery. Raises SettingInvalid."""
    store, now, retention = context.store, context.now, timedelta(days=settings.retention_days)
    with (
        recovering(store, notifier.notify, now, is_full=notifier.is_full) as stop_recovery,
        delivering(store, secret_of(settings), context.limits, context.transport, now),
        removing_orphans(context.work_root, store),
        pruning(store, context.storage, context.uploads, retention, now),
        evicting_idle_sessions(context.sessions, settings.model_idle_seconds),
    ):
        yield stop_recovery


def make_celery_worker(app: Celery) -> Any:
    """Celery's worker without the notice of a shutdown that it prints to stdout, past the log."""

    class QuietWorker(app.Worker):  # type: ignore[misc]
        def install_platform_tweaks(self, worker: Any) -> None:
            super().install_platform_tweaks(worker)
            for name in ("SIGTERM", "SIGINT"):
                _shutdown_handler(worker, sig=name, verbose=False)

    return QuietWorker(pool="threads", concurrency=1, quiet=True, **STANDALONE)


def announce_oldest(context: WorkerContext, notifier: TaskNotifier) -> None:
    """Announce the task that has waited longest: its message may have been lost with the previous worker."""
    try:
        for task_id in context.store.reap(context.now(), reannounce_after=timedelta(0), limit=1):
            notifier.notify(task_id)
    except LipsyncError as error:  # Celery itself waits for the broker
        logging.getLogger(__name__).warning("%s [%s]", error, error.code)


def register_task(app: Celery, loop: WorkerLoop) -> None:
    """Register the only Celery task: an announcement of a task's id."""

    def handler(task_id: str) -> None:
        loop.work(task_id)

    app.task(name=TASK)(handler)


def keep_logging(**_: Any) -> None:
    """Keep the logging that is configured: Celery would replace it unless this signal has a receiver."""
    logging.getLogger("celery").setLevel(logging.WARNING)  # at INFO it logs two lines of its own for each task


def exit_process() -> None:
    """End this process at once, whatever hangs in it."""
    logging.shutdown()
    os._exit(STUCK_STATUS)


class WorkerLoop:
    """Claims and executes tasks between a worker's start and its stop. ``on_stuck`` has to end the process."""

    def __init__(self, context: WorkerContext, on_stuck: Callable[[], None] = exit_process) -> None:
        self._context, self._on_stuck = context, on_stuck
        self._lock = threading.Lock()
        self._lease: LeaseKeeper | None = None
        self._callbacks: list[Callable[[], None]] = []
        self._stopped = False

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Call this when the worker begins to stop."""
        self._callbacks.append(callback)

    def work(self, task_id: str) -> None:
        """Execute that task unless another worker owns it, then every other task that is waiting."""
        context = self._context
        next_id: str | None = task_id
        log: logging.Logger | TaskLog = TaskLog(__name__, task_id)
        try:
            while not self._stopped:
                task = context.store.claim(next_id, context.worker, context.lease_time, context.now())
                if task is None:
                    return
                log = TaskLog(__name__, task.id, task.attempts)
                execute(task, context, self._started, self._on_stuck)
                log, next_id = logging.getLogger(__name__), None
        except LipsyncError as error:  # the store does not answer; recovery will announce the task again
            fields = {"event": Event.TASK_DEFERRED.value, "code": error.code}
            log.error("%s [%s]; left to recovery", error, error.code, extra=fields)

    def stop(self, **_: Any) -> None:
        """Return the current task to the queue and claim no other."""
        for callback in self._callbacks:
            callback()
        with self._lock:
            self._stopped = True
            if self._lease is not None:
                self._lease.release()

    def _started(self, lease: LeaseKeeper) -> None:
        with self._lock:
            self._lease = lease
            if self._stopped:
                lease.release()
