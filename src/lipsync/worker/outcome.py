"""How an attempt at a task ends: recorded in the store, and logged."""

from __future__ import annotations

import logging
import threading
import time

from lipsync.errors import LeaseLost, LipsyncError, TimedOut
from lipsync.pipeline.job import EnhanceStatus, Result
from lipsync.tasks.events import Event, TaskLog
from lipsync.tasks.task import Performance, Status, Task, TaskFailure
from lipsync.worker.context import WorkerContext
from lipsync.worker.lease import LeaseKeeper, StopReason
from lipsync.worker.vram import VideoMemory

FINAL_REPORT_TIMEOUT = 15.0  # seconds for the store to record why a stuck task was given up


class AttemptOutcome:
    """Records the end of one attempt in the store and in the log. The attempt begins with the object."""

    def __init__(self, task: Task, context: WorkerContext) -> None:
        self._task, self._context = task, context
        self._started = time.monotonic()
        self._log = TaskLog(__name__, task.id, task.attempts)
        values = (task.attempts, task.max_attempts, ", ".join(task.engines))
        self._log.event(Event.TASK_STARTED, logging.INFO, "attempt %d of %d with %s", *values)

    def completed(self, result: Result, memory: VideoMemory | None) -> None:
        """Record a completed task and its cost."""
        task, context, seconds = self._task, self._context, self._seconds()
        rate = result.frames / seconds if seconds else 0.0
        video_memory = (None, None, None) if memory is None else (memory.peak, memory.mean, memory.total)
        performance = Performance(seconds, result.frames, rate, result.peak_memory, *video_memory)
        context.store.finish(task.id, context.worker, performance, dict(result.seconds), context.now())
        self._log_completed(result, rate, seconds)

    def _log_completed(self, result: Result, rate: float, seconds: float) -> None:
        text = f"completed after {seconds:.1f} s: {result.frames} frames, {rate:.1f} frames/s"
        level, code, enhanced = logging.INFO, None, result.enhanced
        if enhanced is not None and enhanced.status is EnhanceStatus.FAILED:
            level, code = logging.WARNING, enhanced.code
            text = f"{text}; not enhanced: {enhanced.message} [{code}]"
        self._log.event(Event.TASK_COMPLETED, level, "%s", text, code=code, seconds=seconds)

    def stopped(self, lease: LeaseKeeper) -> None:
        """Record why the work was stopped. Raises LeaseLost if the lease was lost."""
        task, context, seconds = self._task, self._context, self._seconds()
        if lease.stop_reason is StopReason.TIMED_OUT:
            self.failed(TaskFailure(TimedOut.code, lease.exceeded, TimedOut.retryable), logging.ERROR)
        elif lease.stop_reason is StopReason.CANCELLED:
            context.store.cancel(task.id, context.worker, context.now())
            self._log.event(Event.TASK_CANCELLED, logging.INFO, "cancelled after %.1f s", seconds, seconds=seconds)
        elif lease.stop_reason is StopReason.RELEASED:
            context.store.release(task.id, context.worker, context.now())
            message = "returned to queue after %.1f s"
            self._log.event(Event.TASK_RELEASED, logging.INFO, message, seconds, seconds=seconds)
        else:
            raise LeaseLost(f"task {task.id}: {context.worker} no longer owns it")

    def failed(self, error: TaskFailure, level: int) -> None:
        """Record a failure; ``level`` of the log record unless the task is retried."""
        task, context, seconds = self._task, self._context, self._seconds()
        delay = context.retry_delay * 2 ** (task.attempts - 1) if error.retryable else None
        context.store.log(task.id, "error", f"{error.message} [{error.code}]", context.now())
        status = context.store.fail(task.id, context.worker, error, context.now(), delay).status
        event, text = Event.TASK_FAILED, f"{status} after {seconds:.1f} s: {error.message} [{error.code}]"
        if delay is not None and status is Status.QUEUED:
            event, level = Event.TASK_RETRIED, logging.WARNING
            text = f"failed after {seconds:.1f} s, retrying in {delay.total_seconds():.0f} s: "
            text += f"{error.message} [{error.code}]"
        elif status is Status.CANCELLED:
            event = Event.TASK_CANCELLED
        self._log.event(event, level, "%s", text, code=error.code, seconds=seconds)

    def lost(self) -> None:
        """Log that another worker owns the task, or that it was deleted."""
        message = "lease lost; discarding this attempt"
        self._log.event(Event.LEASE_LOST, logging.WARNING, message, code=LeaseLost.code, seconds=self._seconds())

    def stuck(self, lease: LeaseKeeper, stack: str) -> None:
        """Record that the work ignores a stop request, as far as the store answers within ``FINAL_REPORT_TIMEOUT``.

        A task that was to be released is left to recovery, which counts the attempt: it may hang again.
        """
        report = threading.Thread(target=self._final_report, args=(lease, stack), name="final report", daemon=True)
        report.start()
        report.join(FINAL_REPORT_TIMEOUT)

    def _final_report(self, lease: LeaseKeeper, stack: str) -> None:
        task, context = self._task, self._context
        try:
            message = f"{lease.stop_reason}, but the work did not stop. Stack of its thread:\n{stack}"
            context.store.log(task.id, "error", message, context.now())
            if lease.stop_reason in (StopReason.TIMED_OUT, StopReason.CANCELLED):
                self.stopped(lease)
        except LipsyncError as error:  # the task may have ended at this very moment
            message = "could not record the outcome: %s [%s]"
            self._log.event(Event.OUTCOME_LOST, logging.ERROR, message, error, error.code, code=error.code)

    def _seconds(self) -> float:
        return time.monotonic() - self._started
