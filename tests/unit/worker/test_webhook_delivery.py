"""Webhook calls to a local server: delivered, retried, given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest

from lipsync.errors import OptionInvalid, SettingInvalid, StorageFailed
from lipsync.monitor import Monitor
from lipsync.net import Limits, Transport
from lipsync.net.post import post
from lipsync.tasks.secrets import webhook_secret
from lipsync.tasks.store import TaskStore, migrate, open_store
from lipsync.tasks.task import Delivery, NewTask, Source, Task
from lipsync.tasks.webhooks import sign_body, webhook_body
from lipsync.worker import webhook_delivery
from lipsync.worker.webhook_delivery import (
    JITTER,
    MAX_CALLS,
    MAX_CALLS_PER_SERVER,
    RETRY_DELAYS,
    CallQueue,
    WebhookSender,
    delivering,
    server_of,
)

SECRET = "geheim"
START = datetime(2026, 3, 4, 5, 6, 7, 890_123, UTC)
SECOND = timedelta(seconds=1)
LIMITS = Limits(idle_timeout=1.0, total_timeout=3.0, allowed_hosts=("127.0.0.1",))
Reply = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Clock:
    """A clock that only the test advances."""

    at: datetime = START

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Receiver:
    """A server's ``reply``, and the requests that it received: path, headers, body."""

    port: int
    reply: Reply | None = None
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str = "/hook", userinfo: str = "", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{userinfo}{host}:{self.port}{path}"


def says(code: int, body: bytes = b"thanks", **headers: str) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return reply


def cuts(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without a response."""


def endless(code: int) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 65_536)

    return reply


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server_side.requests.append((self.path, dict(self.headers), body))
            (server_side.reply or says(200))(self)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Keep stderr clean."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 64

        def get_request(self):
            server_side.connections += 1
            return super().get_request()

        def handle_error(self, *_: object) -> None:
            """Some of these tests expect clients that hang up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        server_side = Receiver(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server_side
        finally:
            server_side.over.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def stalls(receiver) -> Reply:
    """Send nothing until the test ends."""
    return lambda handler: receiver.over.wait(30) and None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ended(store, clock) -> Callable[[str], Task]:
    """Create a cancelled task with a webhook."""

    def make(webhook: str, key_id: str | None = "k1") -> Task:
        audio, video = Source("url", "http://h/a.wav"), Source("url", "http://h/v.mp4")
        new = NewTask(video, audio, ("passthrough",), {}, key_id=key_id, webhook=webhook)
        return store.request_cancel(store.create(new, idempotency_key=None, now=clock(), max_attempts=3).id, clock())

    return make


def deliver_due(sender: WebhookSender) -> int:
    """Make all calls that are due; returns their number."""
    count = 0
    with ThreadPoolExecutor(MAX_CALLS) as pool:
        calls = CallQueue(sender, pool)
        while (started := calls.start_due()) or calls.in_progress:
            count += started
            calls.wait_for_one()
    return count


def is_signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    return headers["Lipsync-Signature"] == f"v1={sign_body(secret, int(headers['Lipsync-Timestamp']), body)}"


@pytest.fixture
def deliver(store, clock) -> Callable[..., int]:
    def call(limits: Limits = LIMITS, transport: Transport | None = None, chance: float = 0.0) -> int:
        sender = WebhookSender(store, SECRET, limits, transport or Transport(), clock, chance=lambda: chance)
        return deliver_due(sender)

    return call


def logged(store: TaskStore, task: Task) -> Delivery:
    (delivery,) = store.deliveries(task.id)
    return delivery


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_no_call_is_made_without_a_secret(store, clock, ended, receiver):
    task = ended(receiver.url())
    with pytest.raises(SettingInvalid), delivering(store, "", LIMITS, Transport(), clock):
        pass
    with pytest.raises(SettingInvalid):
        WebhookSender(store, "", LIMITS, Transport(), clock)
    assert logged(store, task).attempts == 0
    assert receiver.connections == 0


def test_a_call_is_signed_and_recorded(store, clock, ended, deliver, receiver):
    task = ended(receiver.url("/hook?token=x", userinfo="ann:p%40ss@"))
    pending = logged(store, task)
    assert deliver() == 1
    ((path, headers, body),) = receiver.requests
    assert (path, body.decode()) == ("/hook?token=x", webhook_body(task))
    assert headers["Authorization"] == "Basic YW5uOnBAc3M="
    assert (headers["Lipsync-Event"], headers["Lipsync-Delivery"]) == ("task.cancelled", pending.id)
    assert headers["Content-Type"] == "application/json"
    assert headers["Host"] == f"127.0.0.1:{receiver.port}"
    assert headers["Lipsync-Timestamp"] == str(int(clock().timestamp()))
    assert is_signed(webhook_secret(SECRET, "k1"), headers, body)
    done = logged(store, task)
    assert (done.delivered_at, done.next_at, done.attempts) == (clock(), None, 1)
    assert (done.last_status, done.last_error) == (200, None)
    assert deliver() == 0


@pytest.mark.parametrize("key_id", ["k2", None])
def test_a_call_is_signed_for_the_key_of_its_task_and_for_no_other(ended, deliver, receiver, key_id):
    ended(receiver.url(), key_id)
    deliver()
    ((_, headers, body),) = receiver.requests
    assert is_signed(webhook_secret(SECRET, key_id), headers, body)
    others = [SECRET, webhook_secret(SECRET, "k1"), webhook_secret("other", key_id)]
    assert not any(is_signed(other, headers, body) for other in others)


@pytest.mark.parametrize("reply", [says(201), says(204, b""), endless(200), says(299, b"x", **{"Content-Length": "9"})])
def test_every_2xx_is_success_whatever_follows(store, ended, deliver, receiver, reply):
    receiver.reply = reply
    task = ended(receiver.url())
    deliver()
    assert logged(store, task).delivered_at is not None
    assert logged(store, task).last_error is None


def test_a_2xx_whose_content_never_comes_is_success(store, ended, deliver, receiver, stalls):
    def reply(handler: BaseHTTPRequestHandler) -> None:
        says(202, b"", **{"Content-Length": "9"})(handler)
        stalls(handler)

    receiver.reply = reply
    task = ended(receiver.url())
    deliver()
    assert (logged(store, task).last_status, logged(store, task).last_error) == (202, None)


@pytest.mark.parametrize("code", [400, 401, 404, 429, 500, 503])
def test_a_call_with_an_error_response_is_retried_later(store, clock, ended, deliver, receiver, code):
    receiver.reply = says(code, b"not\nnow \x00\xff" + b"x" * 100_000)
    task = ended(receiver.url())
    deliver()
    failed = logged(store, task)
    assert (failed.last_status, failed.next_at, failed.delivered_at) == (code, clock() + 10 * SECOND, None)
    assert failed.last_error.startswith(f"the receiver answered {code} ")
    assert "not now" in failed.last_error
    assert len(failed.last_error) < 200
    assert failed.last_error.isprintable()
    assert deliver() == 0
    receiver.reply = says(200)
    clock.at += 10 * SECOND
    assert deliver() == 1
    assert logged(store, task).last_error is None
    assert len({headers["Lipsync-Delivery"] for _, headers, _ in receiver.requests}) == 1


def test_a_call_is_retried_with_growing_delays_and_then_given_up(store, clock, ended, deliver, receiver):
    receiver.reply = says(500)
    task = ended(receiver.url())
    for delay in RETRY_DELAYS:
        assert deliver() == 1
        assert logged(store, task).next_at == clock() + delay
        clock.at += delay
    assert deliver() == 1
    assert logged(store, task).next_at is None
    assert logged(store, task).attempts == len(RETRY_DELAYS) + 1
    clock.at += timedelta(days=30)
    assert deliver() == 0
    assert all(sooner < later for sooner, later in pairwise(RETRY_DELAYS))


def test_jitter_makes_a_delay_a_little_longer(store, clock, ended, deliver, receiver):
    receiver.reply = says(500)
    task = ended(receiver.url())
    deliver(chance=0.5)
    assert logged(store, task).next_at == clock() + RETRY_DELAYS[0] * (1 + JITTER / 2)


def test_an_unexpected_exception_fails_that_call_alone(store, clock, ended, deliver, receiver, monkeypatch):
    def odd(*_: object) -> None:
        raise RecursionError("unexpected")

    first = ended(receiver.url())
    monkeypatch.setattr(webhook_delivery, "post", odd)
    deliver()
    assert (logged(store, first).last_error, logged(store, first).next_at > clock()) == (
        "unexpected RecursionError",
        True,
    )
    monkeypatch.undo()
    second = ended(receiver.url())
    deliver()
    assert logged(store, second).last_error is None


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize(
    ("retry_after", "delay"),
    [
        ("120", 120),
        ("3", 10),
        ("0", 10),
        ("999999999", 21_600),
        ("9" * 4000, 10),
        ("-5", 10),
        ("soon", 10),
        ("Wed, 04 Mar 2026 05:16:07 GMT", 599.10987700),
        ("Wed, 04 Mar 2026 05:16:07 -0000", 599.10987700),
        ("Wed, 04 Mar 2020 05:16:07 GMT", 10),
        ("Wed, 04 Mar 9999 05:16:07 GMT", 21_600),
        ("Wed, 99 Mar 2026 05:16:07 GMT", 10),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", 10),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 21_600),
    ],
)
def test_an_overloaded_receiver_sets_the_delay(store, clock, ended, deliver, receiver, code, retry_after, delay):
    receiver.reply = says(code, **{"Retry-After": retry_after})
    task = ended(receiver.url())
    deliver()
    assert logged(store, task).next_at == clock() + timedelta(seconds=round(delay, 6))


def test_retry_after_counts_only_for_overloaded_receivers_and_not_after_the_last_attempt(
    store, clock, ended, deliver, receiver
):
    receiver.reply = says(500, **{"Retry-After": "120"})
    task = ended(receiver.url())
    deliver()
    assert logged(store, task).next_at == clock() + RETRY_DELAYS[0]
    receiver.reply = says(503, **{"Retry-After": "120"})
    for _ in RETRY_DELAYS:
        clock.at += 2 * RETRY_DELAYS[-1]
        assert deliver() == 1
    assert logged(store, task).next_at is None


def test_a_receiver_that_is_gone_is_not_called_again(store, clock, ended, deliver, receiver):
    receiver.reply = says(410)
    task = ended(receiver.url())
    deliver()
    gone = logged(store, task)
    assert (gone.last_status, gone.next_at, gone.delivered_at) == (410, None, None)
    clock.at += timedelta(days=30)
    assert deliver() == 0


@pytest.mark.parametrize("code", [301, 302, 307])
def test_redirects_are_not_followed(store, ended, deliver, receiver, code):
    receiver.reply = says(code, Location=receiver.url("/elsewhere"))
    task = ended(receiver.url())
    deliver()
    assert [path for path, _, _ in receiver.requests] == ["/hook"]
    assert logged(store, task).last_status == code
    assert logged(store, task).next_at is not None


def test_a_receiver_that_hangs_up_stalls_or_sends_garbage_is_called_again(
    store, clock, ended, deliver, receiver, stalls
):
    replies = [cuts, stalls, lambda handler: handler.wfile.write(b"SSH-2.0 hello\r\n") and None]
    for reply in replies:
        receiver.reply = reply
        task = ended(receiver.url("/hook?token=klartext", userinfo="ann:passwort@"))
        began = time.monotonic()
        assert deliver() == 1
        assert time.monotonic() - began < 5
        failed = logged(store, task)
        assert (failed.last_status, failed.next_at) == (None, clock() + RETRY_DELAYS[0])
        assert f"http://127.0.0.1:{receiver.port}/hook" in failed.last_error
        assert "klartext" not in failed.last_error
        assert "passwort" not in failed.last_error


def test_a_receiver_that_sends_endless_headers_times_out(store, ended, deliver, receiver):
    def drips(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not receiver.over.wait(0.1):
            handler.wfile.write(b"X-A: b\r\n")

    receiver.reply = drips
    task = ended(receiver.url())
    began = time.monotonic()
    deliver()
    assert time.monotonic() - began < 5
    assert logged(store, task).last_status is None
    assert logged(store, task).next_at is not None


def test_a_receiver_that_sends_single_bytes_times_out(store, ended, deliver, receiver):
    def drips(handler: BaseHTTPRequestHandler) -> None:
        for byte in b"HTTP/1.1 200 OK\r\n":
            handler.wfile.write(bytes([byte]))
            if receiver.over.wait(0.3):
                return

    receiver.reply = drips
    task = ended(receiver.url())
    began = time.monotonic()
    deliver(Limits(idle_timeout=30.0, total_timeout=1.5, allowed_hosts=("127.0.0.1",)))
    assert time.monotonic() - began < 3
    assert logged(store, task).last_status is None
    assert logged(store, task).next_at is not None


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/hook", "http://nowhere.invalid/hook"])
def test_an_unreachable_receiver_is_called_again(store, clock, ended, deliver, url):
    def unknown(host: str, port: int) -> tuple[str, ...]:
        raise OSError("unknown")

    task = ended(url)
    deliver(transport=Transport(resolver=unknown))
    assert (logged(store, task).last_status, logged(store, task).next_at) == (None, clock() + RETRY_DELAYS[0])
    assert logged(store, task).last_error


def test_an_https_call_never_falls_back_to_plain_http(store, ended, deliver, receiver):
    task = ended(receiver.url(scheme="https"))
    deliver()
    assert not receiver.requests
    assert logged(store, task).next_at is not None


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://[::1]/x", "http://10.0.0.1/x", "ftp://h/x", "http://2130706433/x"]
)
def test_a_forbidden_address_is_given_up_at_once(store, ended, deliver, url):
    task = ended(url)
    began = time.monotonic()
    deliver()
    assert time.monotonic() - began < 1
    given_up = logged(store, task)
    assert (given_up.next_at, given_up.last_status, given_up.delivered_at) == (None, None, None)
    assert given_up.last_error


def test_a_name_that_resolves_to_a_forbidden_address_is_refused_without_a_connection(store, ended, deliver, receiver):
    tasks = [ended(receiver.url(host="hook.test")), ended("http://127.0.0.1.:9/x")]
    transport = Transport(resolver=lambda host, port: ("93.184.215.14", "127.0.0.1"))
    deliver(Limits(), transport)
    assert receiver.connections == 0
    assert [logged(store, task).next_at for task in tasks] == [None, None]


def test_a_name_is_resolved_once_and_that_address_is_called(store, ended, deliver, receiver):
    asked = []

    def resolver(host: str, port: int) -> tuple[str, ...]:
        asked.append((host, port))
        return ("127.0.0.1",)

    task = ended(receiver.url(host="hook.test"))
    deliver(Limits(allowed_hosts=("hook.test",)), Transport(resolver=resolver))
    assert asked == [("hook.test", receiver.port)]
    assert logged(store, task).last_status == 200


def test_many_senders_make_each_call_once(store, ended, deliver, receiver):
    tasks = [ended(receiver.url()) for _ in range(40)]
    barrier = threading.Barrier(4)

    def send(_: int) -> int:
        barrier.wait()
        count = 0
        while delivered := deliver():
            count += delivered
        return count

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(send, range(4))) == 40
    assert len({headers["Lipsync-Delivery"] for _, headers, _ in receiver.requests}) == len(receiver.requests) == 40
    assert {logged(store, task).attempts for task in tasks} == {1}


def test_a_server_that_stalls_does_not_delay_the_others(store, ended, receiver, stalls, clock):
    receiver.reply = lambda handler: (says(200) if "quick" in handler.headers["Host"] else stalls)(handler)
    slow = [ended(receiver.url(host="slow.test")) for _ in range(3 * MAX_CALLS)]
    quick = [ended(receiver.url(host="quick.test")) for _ in range(3 * MAX_CALLS)]
    limits = Limits(allowed_hosts=("slow.test", "quick.test"))
    transport = Transport(resolver=lambda host, port: ("127.0.0.1",))
    with delivering(store, SECRET, limits, transport, clock, interval=0.01):
        began = time.monotonic()
        eventually(lambda: all(logged(store, task).delivered_at for task in quick))
        assert time.monotonic() - began < 5
        assert sum(logged(store, task).attempts for task in slow) == MAX_CALLS_PER_SERVER


def test_a_slot_that_is_free_is_used_at_once(store, ended, receiver, stalls, clock):
    receiver.reply = lambda handler: (stalls if handler.path == "/slow" else says(200))(handler)
    with delivering(store, SECRET, Limits(allowed_hosts=("127.0.0.1",)), Transport(), clock, interval=0.01):
        slow = ended(receiver.url("/slow"))
        eventually(lambda: bool(receiver.requests))
        quick = [ended(receiver.url("/quick")) for _ in range(3 * MAX_CALLS)]
        eventually(lambda: all(logged(store, task).delivered_at for task in quick))
        assert logged(store, slow).last_error is None


def test_calls_to_one_server_are_limited(store, ended, deliver, receiver):
    lock, full, current, highest = threading.Lock(), threading.Event(), [0], [0]

    def reply(handler: BaseHTTPRequestHandler) -> None:
        with lock:
            current[0] += 1
            highest[0] = max(highest[0], current[0])
            if current[0] >= MAX_CALLS_PER_SERVER:
                full.set()
        full.wait(0.8)
        time.sleep(0.05)  # for a call too many to arrive
        with lock:
            current[0] -= 1
        says(200)(handler)

    receiver.reply = reply
    for _ in range(4 * MAX_CALLS_PER_SERVER):
        ended(receiver.url())
    assert deliver(Limits(allowed_hosts=("127.0.0.1",))) == 4 * MAX_CALLS_PER_SERVER
    assert highest[0] == MAX_CALLS_PER_SERVER


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("https://h:9/a//b?c", "https://h:9"),
        ("http://h?x=//y", "http://h"),
        ("http://h#x", "http://h"),
        ("http://u:p@h", "http://u:p@h"),
        ("nonsense", "nonsense"),
    ],
)
def test_the_server_of_a_url(address, server):
    assert server_of(address) == server


def test_a_call_is_deleted_with_its_task(store, ended, deliver, receiver):
    task = ended(receiver.url())

    def reply(handler: BaseHTTPRequestHandler) -> None:
        store.delete(task.id)
        says(200)(handler)

    receiver.reply = reply
    assert deliver() == 1
    assert not store.deliveries(task.id)


def test_new_calls_are_made_while_delivering(store, clock, ended, receiver):
    with delivering(store, SECRET, LIMITS, Transport(), clock, interval=0.01):
        tasks = [ended(receiver.url()) for _ in range(3 * MAX_CALLS)]
        eventually(lambda: all(logged(store, task).delivered_at for task in tasks))
    ended(receiver.url())
    time.sleep(0.1)
    assert len(receiver.requests) == 3 * MAX_CALLS


def test_delivering_survives_a_store_that_does_not_answer(tmp_path, clock, receiver, caplog):
    url = f"sqlite:///{tmp_path}/later.db"
    new = NewTask(Source("url", "http://h/v"), Source("url", "http://h/a"), ("p",), {}, webhook=receiver.url())
    with (
        open_store(url, webhook_body=webhook_body) as store,
        delivering(store, SECRET, LIMITS, Transport(), clock, interval=0.01),
    ):
        eventually(lambda: StorageFailed.code in caplog.text)
        migrate(url)
        task = store.create(new, idempotency_key=None, now=clock(), max_attempts=3)
        store.request_cancel(task.id, clock())
        eventually(lambda: logged(store, task).delivered_at is not None)


def test_delivering_stops_at_once_and_leaves_the_call_to_another_sender(store, clock, ended, receiver, stalls):
    receiver.reply = stalls
    task = ended(receiver.url())
    slow = Limits(allowed_hosts=("127.0.0.1",))
    with delivering(store, SECRET, slow, Transport(), clock, interval=0.01):
        eventually(lambda: bool(receiver.requests))
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert logged(store, task).next_at == clock()
    assert "stopped" in logged(store, task).last_error


def test_calls_are_logged_without_secrets(ended, deliver, receiver, caplog):
    caplog.set_level("INFO")
    receiver.reply = cuts
    task = ended(receiver.url("/hook?token=klartext", userinfo="ann:passwort@"))
    deliver()
    (record,) = [record for record in caplog.records if record.name == "lipsync.worker.webhook_delivery"]
    assert (record.task, record.event, record.attempt) == (task.id, "webhook.retried", 1)
    assert record.seconds >= 0
    assert "klartext" not in caplog.text
    assert "passwort" not in caplog.text


def test_a_header_cannot_carry_another_one(receiver):
    with pytest.raises(OptionInvalid):
        post(receiver.url(), b"", {"Lipsync-Event": "a\r\nX: y"}, LIMITS, Monitor(), Transport())
    assert receiver.connections == 0
