"""Log records about tasks, with fields that programs can read beside the sentence for people."""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

FIELDS = ("event", "task", "code", "attempt", "seconds")


class Event(StrEnum):
    """Stable name of a log record about a task."""

    TASK_CREATED = "task.created"
    TASK_UNANNOUNCED = "task.unannounced"
    TASK_STARTED = "task.started"
    TASK_COMPLETED = "task.completed"
    TASK_RETRIED = "task.retried"
    TASK_FAILED = "task.failed"
    TASK_CANCELLED = "task.cancelled"
    TASK_RELEASED = "task.released"
    TASK_STUCK = "task.stuck"
    TASK_DEFERRED = "task.deferred"
    OUTCOME_LOST = "outcome.lost"
    LEASE_LOST = "lease.lost"
    WEBHOOK_DELIVERED = "webhook.delivered"
    WEBHOOK_RETRIED = "webhook.retried"
    WEBHOOK_FAILED = "webhook.failed"
    REQUEST_FAILED = "request.failed"


EVENTS: Mapping[Event, str] = MappingProxyType(
    {
        Event.TASK_CREATED: "The API queued a new task.",
        Event.TASK_UNANNOUNCED: "The API could not reach the broker; recovery will announce the task.",
        Event.TASK_STARTED: "A worker began an attempt.",
        Event.TASK_COMPLETED: "All results are published; `code` is set if the enhancement failed.",
        Event.TASK_RETRIED: "The attempt failed and the task is queued for another one.",
        Event.TASK_FAILED: "The task failed for good.",
        Event.TASK_CANCELLED: "The task was cancelled while it ran.",
        Event.TASK_RELEASED: "The worker is shutting down and returned the task to the queue.",
        Event.TASK_STUCK: "The work ignored a stop request for longer than the grace period; the worker exits.",
        Event.TASK_DEFERRED: "The task store did not answer; recovery will announce the task again.",
        Event.OUTCOME_LOST: "The worker could not record how the attempt ended.",
        Event.LEASE_LOST: "Another worker owns the task, or it was deleted; this attempt is discarded.",
        Event.WEBHOOK_DELIVERED: "The receiver accepted a webhook call.",
        Event.WEBHOOK_RETRIED: "A webhook call failed and will be made again.",
        Event.WEBHOOK_FAILED: "A webhook call failed for good.",
        Event.REQUEST_FAILED: "The API answered a request with a server error.",
    }
)


class TaskLog(logging.LoggerAdapter[logging.Logger]):
    """A logger for one task: messages begin with the task's id, records carry the fields named in ``FIELDS``."""

    def __init__(self, name: str, task_id: str, attempt: int | None = None) -> None:
        fields: dict[str, Any] = {"task": task_id} | ({} if attempt is None else {"attempt": attempt})
        super().__init__(logging.getLogger(name), fields)
        self._task_id = task_id

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **kwargs.get("extra", {})}
        return f"task {self._task_id}: {msg}", kwargs

    def event(
        self,
        event: Event,
        level: int,
        message: str,
        *values: object,
        code: str | None = None,
        seconds: float | None = None,
        exc_info: bool = False,
    ) -> None:
        """Log ``message % values`` under the name of an event.

        ``code``: of an error class. ``seconds``: how long the attempt or the call took.
        """
        optional = {"code": code, "seconds": None if seconds is None else round(seconds, 3)}
        fields = {name: value for name, value in optional.items() if value is not None}
        self.log(level, message, *values, extra={"event": event.value, **fields}, exc_info=exc_info)
