"""PostgreSQL that is slow, hangs or is gone without a word: whoever asks it gets an answer in time."""

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
from lipsync.tasks.database import HANGUP_MARGIN, LIBPQ_DEFAULTS, open_engine
from lipsync.tasks.store import TaskStore, migrate
from lipsync.tasks.task import Status

STATEMENT_TIMEOUT = 0.5  # seconds
CONNECT = 2  # seconds, the least that the client library takes


class Relay:
    """A way to the server on which, once it is ``cut``, everything gets lost and nobody hangs up."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._open: list[socket.socket] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry)
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

    def _carry(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.05):
                if self.cut.is_set():
                    time.sleep(0.02)
                elif key.fileobj is self._listener:
                    self._accept()
                else:
                    self._pass_on(key.fileobj, key.data)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(self._server)
        self._open += [client, server]
        self._selector.register(client, selectors.EVENT_READ, server)
        self._selector.register(server, selectors.EVENT_READ, client)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
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
        pytest.skip("the server is reached through a socket, not over the network")
    with Relay(server.host, server.port or 5432) as opened:
        yield opened


@contextmanager
def hasty(url: str) -> Iterator[TaskStore]:
    """A store that waits for ``STATEMENT_TIMEOUT`` only."""
    migrate(url)
    with open_engine(url) as engine:
        yield TaskStore(engine, statement_timeout=STATEMENT_TIMEOUT)


@pytest.fixture
def other(postgres_url) -> Iterator[psycopg.Connection[Any]]:
    """A connection of somebody else's."""
    with closing(psycopg.connect(postgres_url)) as opened:
        yield opened


@pytest.fixture
def through(postgres_url, relay) -> Iterator[TaskStore]:
    """A store behind the relay."""
    server = make_url(postgres_url).set(host="127.0.0.1", port=relay.port)
    address = server.update_query_dict({"connect_timeout": str(CONNECT)}).render_as_string(hide_password=False)
    with hasty(address) as store:
        yield store


def test_a_server_that_falls_silent_holds_nobody_up(through, relay, new, now, lease):
    task = through.claim(through.create(new, now=now).id, "w", lease, now)
    assert task is not None
    relay.cut.set()
    for at_most in (
        STATEMENT_TIMEOUT + HANGUP_MARGIN + CONNECT,
        CONNECT,
    ):  # what is there is given up, then nothing new comes about
        began = time.monotonic()
        with pytest.raises(StorageFailed, match="did not answer"):
            through.heartbeat(task.id, "w", lease, None, now)
        assert time.monotonic() - began < at_most + 1
    relay.cut.clear()
    assert through.heartbeat(task.id, "w", lease, None, now).lease_owner == "w"


def test_silence_in_the_middle_of_a_statement_is_given_up(through, relay, other, new, now, lease):
    task = through.create(new, now=now)
    cut = threading.Timer(STATEMENT_TIMEOUT / 4, relay.cut.set)
    other.execute("SELECT 1 FROM tasks FOR UPDATE")
    cut.start()
    began = time.monotonic()
    with pytest.raises(StorageFailed, match="no response"):
        through.claim(task.id, "w", lease, now)
    assert time.monotonic() - began < STATEMENT_TIMEOUT + HANGUP_MARGIN + 1
    cut.join()
    relay.cut.clear()
    assert through.get(task.id).status is Status.QUEUED


def test_who_waits_for_a_lock_for_too_long_is_told_by_the_server_and_keeps_the_connection(
    postgres_url, other, new, now, lease
):
    with hasty(postgres_url) as store:
        task = store.create(new, now=now)
        other.execute("SELECT 1 FROM tasks FOR UPDATE")
        with pytest.raises(StorageFailed, match="statement timeout"):
            store.claim(task.id, "w", lease, now)
        other.rollback()
        assert store.claim(task.id, "w", lease, now) is not None


def test_a_client_that_is_gone_in_the_middle_of_a_transaction_gives_its_locks_up(through, relay, new, now, other):
    task = through.create(new, now=now)
    with suppress(StorageFailed), through._writing() as session:
        through._row(session, task.id)
        relay.cut.set()
        began = time.monotonic()
        other.execute("SELECT 1 FROM tasks FOR UPDATE")
        assert 2 * STATEMENT_TIMEOUT - 0.2 < time.monotonic() - began < 2 * STATEMENT_TIMEOUT + 2
        relay.cut.clear()
        through._row(session, task.id)


def test_the_address_may_have_its_own_limits_of_the_network(postgres_url):
    with open_engine(f"{postgres_url}&connect_timeout=7&keepalives_idle=99") as engine, engine.connect() as connection:
        told = connection.connection.driver_connection.info.get_parameters()
    assert {name: told[name] for name in LIBPQ_DEFAULTS} == {
        name: str(value) for name, value in (LIBPQ_DEFAULTS | {"connect_timeout": 7, "keepalives_idle": 99}).items()
    }


def test_a_migration_may_take_any_time(postgres_url):
    with open_engine(postgres_url) as engine, engine.connect() as connection:
        assert connection.connection.driver_connection.response_timeout is None
        assert connection.execute(text("SHOW statement_timeout")).scalar() == "0"
