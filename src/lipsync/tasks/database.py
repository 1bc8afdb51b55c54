"""Connections to SQLite or PostgreSQL: short transactions, bounded waits, database errors mapped to ours."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy.exc
from psycopg.abc import RV, PQGen
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.orm import Session

from lipsync.errors import OptionInvalid, SettingInvalid, StorageFailed
from lipsync.tasks.task import Task

CONNECT_TIMEOUT = 30  # seconds for a connection from the pool, or for SQLite's write lock
LOCK_POLL_RANGE = (0.0005, 0.002)  # seconds between attempts to lock SQLite, random so that writers do not synchronise

# Defaults of libpq connection parameters, which the URL may override. Keepalives detect a peer that vanished from an
# idle connection, the user timeout one that no longer acknowledges packets.
LIBPQ_DEFAULTS = {
    "connect_timeout": 5,  # seconds, for each host
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}
STATEMENT_TIMEOUT = 10.0  # seconds for one statement on PostgreSQL
HANGUP_MARGIN = (
    1.0  # seconds beyond that before the client hangs up, so that a healthy server reports the timeout first
)
POOL_RECYCLE = 300  # seconds of a connection's life, so that a server demoted in a failover is left

SYNCHRONOUS = "lipsync_synchronous"  # execution option: SQLite's PRAGMA synchronous for a writing transaction


@contextmanager
def database_errors() -> Iterator[None]:
    """Map the database's errors. Raises StorageFailed, and OptionInvalid for values that no column can hold."""
    try:
        yield
    except sqlalchemy.exc.DataError as exc:
        raise OptionInvalid(f"the task store cannot hold that value: {_first_line(exc)}") from exc
    except (sqlalchemy.exc.DBAPIError, sqlalchemy.exc.TimeoutError) as exc:
        raise StorageFailed(f"the task store did not answer: {_first_line(exc)}") from exc


def parse_url(url: str) -> URL:
    """Parse a database URL and select its driver. Raises SettingInvalid, whose message never shows the password."""
    try:
        parsed = make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as exc:
        raise SettingInvalid("the task store's address is not a database URL, such as sqlite:///tasks.db") from exc
    dialect = parsed.drivername.partition("+")[0]
    if dialect in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if dialect != "sqlite":
        raise SettingInvalid(f"the task store does not support {dialect}; use SQLite or PostgreSQL")
    if parsed.database in (None, "", ":memory:"):
        raise SettingInvalid("the task store needs a file: an in-memory database would be lost with its process")
    return parsed.set(drivername="sqlite+pysqlite")


@contextmanager
def open_database(url: str) -> Iterator[Engine]:
    """Create an engine, disposed of at the end; it connects on first use. Raises SettingInvalid.

    Connecting takes a few seconds at most. Statements have no time limit, because migrations may take long.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": CONNECT_TIMEOUT})
        event.listen(engine, "connect", _configure_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        parameters = {name: value for name, value in LIBPQ_DEFAULTS.items() if name not in parsed.query}
        # The ping replaces pooled connections that died with a restarted server.
        engine = create_engine(parsed, pool_pre_ping=True, pool_recycle=POOL_RECYCLE, connect_args=parameters)
        event.listen(engine, "do_connect", _connect)
    try:
        yield engine
    finally:
        engine.dispose()


def writing_engine(engine: Engine, durable: bool = True) -> Engine:
    """The same engine with transactions that take SQLite's write lock as they begin.

    Without ``durable``, commits are faster and survive the death of any process, but perhaps not a power cut.
    """
    return engine.execution_options(**{SYNCHRONOUS: "FULL" if durable else "NORMAL"})


class Database:
    """Transactions: ``_reading`` sees one consistent state, ``_writing`` commits at its end or not at all.

    ``statement_timeout``: seconds for one statement on PostgreSQL, whether it is busy, hangs or is unreachable.
    """

    def __init__(
        self,
        engine: Engine,
        webhook_body: Callable[[Task], str] | None = None,
        statement_timeout: float = STATEMENT_TIMEOUT,
    ) -> None:
        if engine.dialect.name == "postgresql":
            event.listen(engine, "connect", lambda connection, record: _set_timeouts(connection, statement_timeout))
        self._reader = engine
        self._writers = {durable: writing_engine(engine, durable) for durable in (True, False)}
        self._webhook_body = webhook_body

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with database_errors(), Session(self._reader) as session:
            yield session

    @contextmanager
    def _writing(self, durable: bool = True) -> Iterator[Session]:
        engine = self._writers[durable]
        with database_errors(), Session(engine, expire_on_commit=False) as session, session.begin():
            yield session


class _TimedConnection(psycopg.Connection[Any]):
    """A connection that hangs up when the server does not respond in time.

    No libpq parameter does that: the kernel of a stopped server process still acknowledges packets, and the server's
    own timeouts are stopped with it.
    """

    response_timeout: float | None = None  # seconds; None: no limit

    def wait(self, gen: PQGen[RV], *arguments: Any, **options: Any) -> RV:
        """Wait for the server; psycopg does all its waiting on an established connection here."""
        timeout = self.response_timeout
        return super().wait(gen if timeout is None else self._limit(gen, timeout), *arguments, **options)

    def _limit(self, steps: PQGen[RV], seconds: float) -> PQGen[RV]:
        end = time.monotonic() + seconds
        try:
            condition = next(steps)
            while True:
                ready = yield condition  # psycopg polls several times a second; nothing is ready then
                if not ready and time.monotonic() > end:
                    self.close()  # a later statement would receive this one's response
                    raise psycopg.OperationalError(f"no response from the server for {seconds:.0f} s")
                condition = steps.send(ready)
        except StopIteration as last:
            value: RV = last.value
            return value


def _connect(dialect: Any, record: Any, arguments: Any, options: Any) -> _TimedConnection:
    return _TimedConnection.connect(*arguments, **options)


def _set_timeouts(connection: _TimedConnection, seconds: float) -> None:
    """Limit every statement to ``seconds``, and release the locks of a client that vanished soon after that."""
    connection.response_timeout = seconds + HANGUP_MARGIN
    settings = {"statement_timeout": seconds, "idle_in_transaction_session_timeout": 2 * seconds}
    for name, limit in settings.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, f"{limit * 1000:.0f}"))
    connection.commit()


def _configure_sqlite(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None  # pysqlite itself would begin too late, and never before a SELECT
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    synchronous = connection.get_execution_options().get(SYNCHRONOUS)
    if synchronous is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
    # A transaction that reads before it writes cannot wait for another writer; it fails at once. SQLite's own busy
    # handler sleeps longer and longer, so that a waiting process starves.
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    end = time.monotonic() + CONNECT_TIMEOUT
    try:
        while not _lock_sqlite(connection, last_attempt=time.monotonic() > end):
            time.sleep(random.uniform(*LOCK_POLL_RANGE))
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {CONNECT_TIMEOUT * 1000}")


def _lock_sqlite(connection: Connection, last_attempt: bool) -> bool:
    """Whether the write lock was free; raises the driver's error on the last attempt, or if it is any other error."""
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except sqlalchemy.exc.OperationalError as exc:
        if last_attempt or getattr(exc.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _first_line(exc: Exception) -> str:
    """First line of the driver's message, without SQLAlchemy's copy of the statement and its values."""
    return next(iter(str(getattr(exc, "orig", None) or exc).strip().splitlines()), type(exc).__name__)
