"""PostgreSQL that is slow, hangs or vanishes: callers get an error in time."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url, text

from lipsync.errors import StorageFailed
from lipsync.tasks.database import HANGUP_MARGIN, LIBPQ_DEFAULTS, open_database
from lipsync.tasks.store import TaskStore, migrate
from lipsync.tasks.task import Status

STATEMENT_TIMEOUT = 0.5  # seconds
CONNECT = 2  # seconds, the least that the client library takes


class Relay:
    """A proxy to the server that drops all data, without closing connections, while ``cut`` is set."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._open: list[socket.socket] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.port = self._listener.getsockname()[1]
        self.cut = threading.Event()

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        for end in (*self._open, self._listener, self._selector):
            end.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.05):
                if self.cut.is_set():
                    time.sleep(0.02)
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    self._forward(key.fileobj, key.data)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(self._server)
        self._open += [client, server]
        self._selector.register(client, selectors.EVENT_READ, server)
        self._selector.register(server, selectors.EVENT_READ, client)

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        content = b""
        with suppress(ConnectionError):
            content = source.recv(65_536)
            target.sendall(content)
        if not content:
            self._selector.unregister(source)
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)


@pytest.fixture
def relay(postgres_url) -> Iterator[Relay]:
    server = make_url(postgres_url)
    if server.host is None or server.host.startswith("/"):
        pytest.skip("the server is reached proxied a socket, not over the network")
    with Relay(server.host, server.port or 5432) as opened:
        yield opened


@contextmanager
def impatient_store(url: str) -> Iterator[TaskStore]:
    """A store whose statements have ``STATEMENT_TIMEOUT`` seconds."""
    migrate(url)
    with open_database(url) as engine:
        yield TaskStore(engine, statement_timeout=STATEMENT_TIMEOUT)


@pytest.fixture
def other(postgres_url) -> Iterator[psycopg.Connection[Any]]:
    """A connection that competes for locks."""
    with closing(psycopg.connect(postgres_url)) as opened:
        yield opened


@pytest.fixture
def proxied(postgres_url, relay) -> Iterator[TaskStore]:
    """A store behind the relay."""
    server = make_url(postgres_url).set(host="127.0.0.1", port=relay.port)
    address = server.update_query_dict({"connect_timeout": str(CONNECT)}).render_as_string(hide_password=False)
    with impatient_store(address) as store:
        yield store


def test_a_server_that_vanishes_does_not_block_callers(proxied, relay, new, now, lease):
    task = proxied.claim(proxied.create(new, now=now).id, "w", lease, now)
    assert task is not None
    relay.cut.set()
    for limit in (
        STATEMENT_TIMEOUT + HANGUP_MARGIN + CONNECT,
        CONNECT,
    ):  # the open connection times out, then a new one
        began = time.monotonic()
        with pytest.raises(StorageFailed, match="did not answer"):
            proxied.heartbeat(task.id, "w", lease, None, now)
        assert time.monotonic() - began < limit + 1
    relay.cut.clear()
    assert proxied.heartbeat(task.id, "w", lease, None, now).lease_owner == "w"


def test_a_server_that_vanishes_during_a_statement_is_given_up(proxied, relay, other, new, now, lease):
    task = proxied.create(new, now=now)
    cut = threading.Timer(STATEMENT_TIMEOUT / 4, relay.cut.set)
    other.execute("SELECT 1 FROM tasks FOR UPDATE")
    cut.start()
    began = time.monotonic()
    with pytest.raises(StorageFailed, match="no response"):
        proxied.claim(task.id, "w", lease, now)
    assert time.monotonic() - began < STATEMENT_TIMEOUT + HANGUP_MARGIN + 1
    cut.join()
    relay.cut.clear()
    assert proxied.get(task.id).status is Status.QUEUED


def test_a_lock_that_is_not_released_ends_in_a_statement_timeout(postgres_url, other, new, now, lease):
    with impatient_store(postgres_url) as store:
        task = store.create(new, now=now)
        other.execute("SELECT 1 FROM tasks FOR UPDATE")
        with pytest.raises(StorageFailed, match="statement timeout"):
            store.claim(task.id, "w", lease, now)
        other.rollback()
        assert store.claim(task.id, "w", lease, now) is not None


def test_a_client_that_vanishes_during_a_transaction_loses_its_locks(proxied, relay, new, now, other):
    task = proxied.create(new, now=now)
    with suppress(StorageFailed), proxied._writing() as session:
        proxied._row(session, task.id)
        relay.cut.set()
        began = time.monotonic()
        other.execute("SELECT 1 FROM tasks FOR UPDATE")
        assert 2 * STATEMENT_TIMEOUT - 0.2 < time.monotonic() - began < 2 * STATEMENT_TIMEOUT + 2
        relay.cut.clear()
        proxied._row(session, task.id)


def test_the_url_overrides_connection_defaults(postgres_url):
    with (
        open_database(f"{postgres_url}&connect_timeout=7&keepalives_idle=99") as engine,
        engine.connect() as connection,
    ):
        parameters = connection.connection.driver_connection.info.get_parameters()
    assert {name: parameters[name] for name in LIBPQ_DEFAULTS} == {
        name: str(value) for name, value in (LIBPQ_DEFAULTS | {"connect_timeout": 7, "keepalives_idle": 99}).items()
    }


def test_a_migration_has_no_statement_timeout(postgres_url):
    with open_database(postgres_url) as engine, engine.connect() as connection:
        assert connection.connection.driver_connection.response_timeout is None
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "0"
