"""Webhook calls are made, again if need be, and what became of them is written down."""

from __future__ import annotations

import logging
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from lipsync.errors import AddressForbidden, Cancelled, FetchFailed, LipsyncError, OptionInvalid
from lipsync.monitor import Monitor
from lipsync.net import Limits, Transport
from lipsync.net.post import Answer, post
from lipsync.tasks.deliveries import Due
from lipsync.tasks.secrets import check_secret, webhook_secret
from lipsync.tasks.store import TaskStore
from lipsync.tasks.task import Delivery
from lipsync.tasks.webhooks import headers_of
from lipsync.worker.background import repeated

EVERY = 1.0  # seconds
PATIENCE = 10.0  # seconds for one call in all, well within the time for which the store gives it to one sender
AT_ONCE = 8  # calls
SHARE = 4  # of them to one server, so that one that stalls does not hold up the others
PAUSES = tuple(timedelta(seconds=count) for count in (10, 60, 300, 1_800, 7_200, 21_600))  # then it is given up
JITTER = 0.25  # most that chance adds to a pause, as a share of it: what failed together does not come back together
BURDENED = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
SECONDS = re.compile(r"[0-9]{1,9}")
END = re.compile(r"[/?#]")  # of a server's name in an address


@contextmanager
def delivering(
    store: TaskStore,
    secret: str,
    limits: Limits,
    transport: Transport,
    now: Callable[[], datetime],
    every: float = EVERY,
) -> Iterator[None]:
    """Make the calls that are due in threads, for as long as the ``with`` lasts. Any number of processes may do so.

    ``secret``: the service's own, of which each API key's is made. Raises SettingInvalid if there is no secret.
    """
    sender = _Sender(store, secret, limits, transport, now, Monitor(), random.random)
    with ThreadPoolExecutor(AT_ONCE, "webhook") as pool:
        calls = _Calls(sender, pool)
        with repeated("webhooks", lambda: _go_on(calls, every)):
            try:
                yield
            finally:
                sender.monitor.cancel()


def deliver_due(
    store: TaskStore,
    secret: str,
    limits: Limits,
    transport: Transport,
    now: Callable[[], datetime],
    monitor: Monitor | None = None,
    chance: Callable[[], float] = random.random,
) -> int:
    """Make all calls that are due, ``AT_ONCE`` side by side, and record them; how many they were.

    Of the limits count ``allowed_hosts``, and the times where they are shorter than ``PATIENCE``. ``chance``: from 0 to
    1, for ``JITTER``. Raises StorageFailed, SettingInvalid if there is no secret.
    """
    sender, count = _Sender(store, secret, limits, transport, now, monitor or Monitor(), chance), 0
    with ThreadPoolExecutor(AT_ONCE, "webhook") as pool:
        calls = _Calls(sender, pool)
        while (begun := calls.begin()) or calls.under_way:
            count += begun
            calls.settle()
    return count


@dataclass(frozen=True, slots=True)
class _Sender:
    """What a call takes. Raises SettingInvalid if there is no secret."""

    store: TaskStore
    secret: str
    limits: Limits
    transport: Transport
    now: Callable[[], datetime]
    monitor: Monitor
    chance: Callable[[], float]

    def __post_init__(self) -> None:
        check_secret(self.secret)

    def make(self, call: Due) -> None:
        """Make and record a call. Raises StorageFailed."""
        try:
            outcome = _call(call, self)
        except Exception as error:  # what one receiver answers must not keep the others from their calls
            logging.getLogger(__name__).exception("task %s: webhook %s failed unexpectedly", call.task_id, call.id)
            told = f"unexpected {type(error).__name__}"
            outcome = _Outcome(error=told, retry_in=_pause(call.attempts, self.chance()))
        _record(self.store, call, outcome, self.now())


class _Calls:
    """The calls under way, each in a thread of the pool. For one thread alone."""

    def __init__(self, sender: _Sender, pool: ThreadPoolExecutor) -> None:
        self._sender, self._pool = sender, pool
        self.under_way: dict[Future[None], str] = {}

    def begin(self) -> int:
        """Begin what is due as far as there is room; how many calls. Raises StorageFailed."""
        count, sender = 0, self._sender
        while len(self.under_way) < AT_ONCE and not sender.monitor.cancelled:
            # One by one, for each may be the one that makes its server a busy one.
            calls = sender.store.due_deliveries(sender.now(), 1, busy=self._busy())
            if not calls:
                break
            self.under_way[self._pool.submit(sender.make, calls[0])] = server_of(calls[0].url)
            count += 1
        return count

    def settle(self, seconds: float | None = None) -> None:
        """Wait until one ends, at most so long. Raises StorageFailed if what came of it could not be recorded."""
        for call in wait(self.under_way, seconds, FIRST_COMPLETED).done:
            del self.under_way[call]
            call.result()

    def _busy(self) -> list[str]:
        return [server for server, count in Counter(self.under_way.values()).items() if count >= SHARE]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """``error`` None: delivered; ``retry_in`` None: that was it."""

    status: int | None = None
    error: str | None = None
    retry_in: timedelta | None = None


def server_of(address: str) -> str:
    """Scheme, host and port, as they are written: what the addresses of one server begin with."""
    scheme, slashes, rest = address.partition("//")
    return scheme + slashes + END.split(rest, maxsplit=1)[0]


def _go_on(calls: _Calls, every: float) -> float:
    """Seconds until there may be something to do. What cannot be done now is logged, and done next time."""
    try:
        calls.begin()
        if calls.under_way:
            calls.settle(every)
            return 0.0
    except LipsyncError as error:
        logging.getLogger(__name__).warning("webhooks: %s [%s]", error, error.code)
    return every


def _pause(attempts: int, chance: float, asked: timedelta = timedelta(0)) -> timedelta | None:
    """How long to wait after so many attempts, or as long as was ``asked`` for; None: there were enough."""
    if attempts > len(PAUSES):
        return None
    return max(PAUSES[attempts - 1], min(asked, PAUSES[-1])) * (1 + JITTER * chance)


def asked_for(answer: Answer, now: datetime) -> timedelta:
    """How long a receiver that is overburdened wants to be left alone (RFC 9110, section 10.2.3); 0: it does not say.

    Either seconds or a date.
    """
    told = answer.retry_after
    if answer.status not in BURDENED:
        return timedelta(0)
    if SECONDS.fullmatch(told):
        return timedelta(seconds=int(told))
    try:
        moment = parsedate_to_datetime(told)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):  # no date, or one that no calendar has
        return timedelta(0)


def _call(call: Due, sender: _Sender) -> _Outcome:
    body, limits = call.body.encode(), sender.limits
    deadline = min(limits.deadline, PATIENCE)
    limits = replace(limits, deadline=deadline, most_seconds_in_all=min(limits.most_seconds_in_all, PATIENCE))
    secret = webhook_secret(sender.secret, call.key_id)
    headers = headers_of(secret, call.id, call.event, body, sender.now())
    chance = sender.chance()
    later = _pause(call.attempts, chance)
    try:
        answer = post(call.url, body, headers, limits, sender.monitor, sender.transport)
    except (AddressForbidden, OptionInvalid) as error:
        return _Outcome(error=str(error))
    except FetchFailed as error:  # also a certificate that is not trusted: it may be renewed by then
        return _Outcome(error=str(error), retry_in=later)
    except Cancelled:
        return _Outcome(error="the service ended before an answer came", retry_in=timedelta(0))
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return _Outcome(answer.status)
    said = f"the receiver says {answer.status} {answer.text}".rstrip()
    if answer.status == HTTPStatus.GONE:
        return _Outcome(answer.status, said)
    return _Outcome(answer.status, said, _pause(call.attempts, chance, asked_for(answer, sender.now())))


def _record(store: TaskStore, call: Delivery, outcome: _Outcome, now: datetime) -> None:
    store.record_delivery(call.id, now, status=outcome.status, error=outcome.error, retry_in=outcome.retry_in)
    log = logging.getLogger(__name__)
    if outcome.error is None:
        log.info("task %s: webhook %s delivered", call.task_id, call.id)
    elif outcome.retry_in is None:
        log.warning("task %s: webhook %s given up: %s", call.task_id, call.id, outcome.error)
    else:
        log.info("task %s: webhook %s failed, once more later: %s", call.task_id, call.id, outcome.error)
