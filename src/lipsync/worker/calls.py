"""Webhook calls are made, again if need be, and what became of them is written down."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from lipsync.errors import AddressForbidden, Cancelled, FetchFailed, LipsyncError, OptionInvalid
from lipsync.intake import Limits, Means
from lipsync.intake.post import post
from lipsync.jobs.store import TaskStore
from lipsync.jobs.task import Delivery
from lipsync.monitor import Monitor
from lipsync.worker.background import repeated
from lipsync.worker.webhooks import check_secret, headers_of

EVERY = 1.0  # seconds
PATIENCE = 10.0  # seconds for one call in all, well within the time for which the store gives it to one sender
AT_ONCE = 8  # calls, so that one receiver that stalls does not hold up the others
PAUSES = tuple(timedelta(seconds=count) for count in (10, 60, 300, 1_800, 7_200, 21_600))  # then it is given up


@contextmanager
def delivering(
    store: TaskStore,
    secret: str,
    limits: Limits,
    means: Means,
    now: Callable[[], datetime],
    every: float = EVERY,
) -> Iterator[None]:
    """Make the calls that are due in a thread, for as long as the ``with`` lasts. Any number of processes may do so.

    Raises SettingInvalid if there is no secret.
    """
    check_secret(secret)
    monitor = Monitor()

    def once() -> float:
        full = _deliver(store, secret, limits, means, now, monitor) == AT_ONCE
        return 0.0 if full else every

    with repeated("webhooks", once):
        try:
            yield
        finally:
            monitor.cancel()


def deliver_due(
    store: TaskStore,
    secret: str,
    limits: Limits,
    means: Means,
    now: Callable[[], datetime],
    monitor: Monitor | None = None,
) -> int:
    """Make up to ``AT_ONCE`` calls that are due, side by side, and record them; how many they were.

    Of the limits count ``allowed_hosts``, and the times where they are shorter than ``PATIENCE``. Raises StorageFailed,
    SettingInvalid if there is no secret.
    """
    check_secret(secret)
    calls = store.due_deliveries(now(), AT_ONCE)
    if not calls:
        return 0
    patience = min(limits.patience, PATIENCE)
    limits = replace(limits, patience=patience, most_seconds_in_all=min(limits.most_seconds_in_all, PATIENCE))
    watch = monitor or Monitor()

    def make(call: Delivery) -> None:
        outcome = _call(call, secret, limits, means, now(), watch)
        _record(store, call, outcome, now())

    with ThreadPoolExecutor(AT_ONCE, "webhook") as pool:
        list(pool.map(make, calls))  # a list, for only who asks for the results hears of errors
    return len(calls)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """``error`` None: delivered; ``retry_in`` None: that was it."""

    status: int | None = None
    error: str | None = None
    retry_in: timedelta | None = None


def _deliver(
    store: TaskStore, secret: str, limits: Limits, means: Means, now: Callable[[], datetime], monitor: Monitor
) -> int:
    """What cannot be done now is logged, and done next time."""
    try:
        return deliver_due(store, secret, limits, means, now, monitor)
    except LipsyncError as error:
        logging.getLogger(__name__).warning("webhooks: %s [%s]", error, error.code)
        return 0


def _call(call: Delivery, secret: str, limits: Limits, means: Means, now: datetime, monitor: Monitor) -> _Outcome:
    body = call.body.encode()
    later = PAUSES[call.attempts - 1] if call.attempts <= len(PAUSES) else None
    try:
        answer = post(call.url, body, headers_of(secret, call.id, call.event, body, now), limits, monitor, means)
    except (AddressForbidden, OptionInvalid) as error:
        return _Outcome(error=str(error))
    except FetchFailed as error:  # also a certificate that is not trusted: it may be renewed by then
        return _Outcome(error=str(error), retry_in=later)
    except Cancelled:
        return _Outcome(error="the service ended before an answer came", retry_in=timedelta(0))
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return _Outcome(answer.status)
    said = f"the receiver says {answer.status} {answer.text}".rstrip()
    return _Outcome(answer.status, said, None if answer.status == HTTPStatus.GONE else later)


def _record(store: TaskStore, call: Delivery, outcome: _Outcome, now: datetime) -> None:
    store.record_delivery(call.id, now, status=outcome.status, error=outcome.error, retry_in=outcome.retry_in)
    log = logging.getLogger(__name__)
    if outcome.error is None:
        log.info("task %s: webhook %s delivered", call.task_id, call.id)
    elif outcome.retry_in is None:
        log.warning("task %s: webhook %s given up: %s", call.task_id, call.id, outcome.error)
    else:
        log.info("task %s: webhook %s failed, once more later: %s", call.task_id, call.id, outcome.error)
