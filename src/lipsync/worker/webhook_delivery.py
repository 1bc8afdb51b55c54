"""Deliver webhook calls: make those that are due, retry failures with increasing delays, record every attempt."""

from __future__ import annotations

import logging
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from lipsync.errors import AddressForbidden, Cancelled, FetchFailed, LipsyncError, OptionInvalid
from lipsync.monitor import Monitor
from lipsync.net import Limits, Transport
from lipsync.net.post import Answer, post
from lipsync.tasks.deliveries import DueDelivery
from lipsync.tasks.events import Event, TaskLog
from lipsync.tasks.secrets import check_secret, webhook_secret
from lipsync.tasks.store import TaskStore
from lipsync.tasks.webhooks import webhook_headers
from lipsync.worker.maintenance import repeat

POLL_INTERVAL = 1.0  # seconds
CALL_TIMEOUT = 10.0  # seconds for a whole call, well within the lease that the store grants to one sender
MAX_CALLS = 8  # concurrent
MAX_CALLS_PER_SERVER = 4  # so that a server that stalls does not hold up the others
RETRY_DELAYS = tuple(timedelta(seconds=count) for count in (10, 60, 300, 1_800, 7_200, 21_600))
JITTER = 0.25  # largest random share added to a delay, so that calls that failed together are not retried together
OVERLOADED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
SECONDS = re.compile(r"[0-9]{1,9}")
SERVER_END = re.compile(r"[/?#]")


@contextmanager
def delivering(
    store: TaskStore,
    secret: str,
    limits: Limits,
    transport: Transport,
    now: Callable[[], datetime],
    interval: float = POLL_INTERVAL,
) -> Iterator[None]:
    """Make the calls that are due, in threads, while the ``with`` block runs.

    Any number of processes may do so at the same time. ``secret``: the service's root secret. Raises SettingInvalid if
    it is empty.
    """
    sender = WebhookSender(store, secret, limits, transport, now)
    with ThreadPoolExecutor(MAX_CALLS, "webhook") as pool:
        calls = CallQueue(sender, pool)
        with repeat("webhooks", lambda: _deliver(calls, interval)):
            try:
                yield
            finally:
                sender.monitor.cancel()


@dataclass(frozen=True, slots=True)
class WebhookSender:
    """Makes single calls. Raises SettingInvalid if the secret is empty.

    ``limits``: ``allowed_hosts`` applies, and the timeouts where they are shorter than ``CALL_TIMEOUT``. ``chance``:
    random numbers from 0 to 1, for ``JITTER``.
    """

    store: TaskStore
    secret: str
    limits: Limits
    transport: Transport
    now: Callable[[], datetime]
    monitor: Monitor = field(default_factory=Monitor)
    chance: Callable[[], float] = random.random

    def __post_init__(self) -> None:
        check_secret(self.secret)

    def send(self, call: DueDelivery) -> None:
        """Make a call and record its outcome. Raises StorageFailed."""
        started, log = time.monotonic(), TaskLog(__name__, call.task_id, call.attempts)
        try:
            outcome = self._post(call)
        except Exception as error:  # one receiver's answer must not stop the other calls
            log.exception("webhook %s failed unexpectedly", call.id)
            message = f"unexpected {type(error).__name__}"
            outcome = _Outcome(error=message, retry_in=_retry_delay(call.attempts, self.chance()))
        status, error_text, retry_in = outcome.status, outcome.error, outcome.retry_in
        self.store.record_delivery(call.id, self.now(), status=status, error=error_text, retry_in=retry_in)
        _log_outcome(log, call, outcome, time.monotonic() - started)

    def _post(self, call: DueDelivery) -> _Outcome:
        body, limits = call.body.encode(), self.limits
        deadline, in_all = min(limits.idle_timeout, CALL_TIMEOUT), min(limits.total_timeout, CALL_TIMEOUT)
        limits = replace(limits, idle_timeout=deadline, total_timeout=in_all)
        headers = webhook_headers(webhook_secret(self.secret, call.key_id), call.id, call.event, body, self.now())
        chance = self.chance()
        try:
            answer = post(call.url, body, headers, limits, self.monitor, self.transport)
        except (AddressForbidden, OptionInvalid) as error:
            return _Outcome(error=str(error))
        except FetchFailed as error:  # untrusted certificates too: they may be renewed before the next call
            return _Outcome(error=str(error), retry_in=_retry_delay(call.attempts, chance))
        except Cancelled:
            return _Outcome(error="the service stopped before the receiver answered", retry_in=timedelta(0))
        if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            return _Outcome(answer.status)
        message = f"the receiver answered {answer.status} {answer.text}".rstrip()
        if answer.status == HTTPStatus.GONE:
            return _Outcome(answer.status, message)
        return _Outcome(answer.status, message, _retry_delay(call.attempts, chance, retry_after(answer, self.now())))


class CallQueue:
    """The calls in progress, each in a thread of the pool. Not thread-safe itself."""

    def __init__(self, sender: WebhookSender, pool: ThreadPoolExecutor) -> None:
        self._sender, self._pool = sender, pool
        self.in_progress: dict[Future[None], str] = {}

    def start_due(self) -> int:
        """Start calls that are due while slots are free; returns their number. Raises StorageFailed."""
        count, sender = 0, self._sender
        while len(self.in_progress) < MAX_CALLS and not sender.monitor.cancelled:
            # One at a time, because each may bring its server to the limit.
            calls = sender.store.due_deliveries(sender.now(), 1, busy=self._busy_servers())
            if not calls:
                break
            self.in_progress[self._pool.submit(sender.send, calls[0])] = server_of(calls[0].url)
            count += 1
        return count

    def wait_for_one(self, seconds: float | None = None) -> None:
        """Wait until a call ends, ``seconds`` at most. Raises StorageFailed if its outcome could not be recorded."""
        for call in wait(self.in_progress, seconds, FIRST_COMPLETED).done:
            del self.in_progress[call]
            call.result()

    def _busy_servers(self) -> list[str]:
        return [server for server, count in Counter(self.in_progress.values()).items() if count >= MAX_CALLS_PER_SERVER]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """Outcome of a call. ``error`` None: delivered. ``retry_in`` None: not retried."""

    status: int | None = None
    error: str | None = None
    retry_in: timedelta | None = None


def server_of(url: str) -> str:
    """Scheme, host and port exactly as written: the common prefix of one server's URLs."""
    scheme, slashes, rest = url.partition("//")
    return scheme + slashes + SERVER_END.split(rest, maxsplit=1)[0]


def retry_after(answer: Answer, now: datetime) -> timedelta:
    """The delay that an overloaded receiver asks for with Retry-After (RFC 9110, section 10.2.3); 0 if it does not.

    The header holds either seconds or a date.
    """
    value = answer.retry_after
    if answer.status not in OVERLOADED:
        return timedelta(0)
    if SECONDS.fullmatch(value):
        return timedelta(seconds=int(value))
    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):  # not a date, or outside the calendar
        return timedelta(0)


def _deliver(calls: CallQueue, interval: float) -> float:
    """Seconds until the next round. Failures are logged and left to that round."""
    try:
        calls.start_due()
        if calls.in_progress:
            calls.wait_for_one(interval)
            return 0.0
    except LipsyncError as error:
        logging.getLogger(__name__).warning("webhooks: %s [%s]", error, error.code)
    return interval


def _retry_delay(attempts: int, chance: float, requested: timedelta = timedelta(0)) -> timedelta | None:
    """Delay after this many attempts, at least as long as ``requested``; None: no further attempt."""
    if attempts > len(RETRY_DELAYS):
        return None
    return max(RETRY_DELAYS[attempts - 1], min(requested, RETRY_DELAYS[-1])) * (1 + JITTER * chance)


def _log_outcome(log: TaskLog, call: DueDelivery, outcome: _Outcome, seconds: float) -> None:
    if outcome.error is None:
        log.event(Event.WEBHOOK_DELIVERED, logging.INFO, "webhook %s delivered", call.id, seconds=seconds)
    elif outcome.retry_in is None:
        message = "webhook %s failed for good: %s"
        log.event(Event.WEBHOOK_FAILED, logging.WARNING, message, call.id, outcome.error, seconds=seconds)
    else:
        message = "webhook %s failed, retrying later: %s"
        log.event(Event.WEBHOOK_RETRIED, logging.INFO, message, call.id, outcome.error, seconds=seconds)
