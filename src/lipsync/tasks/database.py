"""The connection to SQLite or PostgreSQL: short transactions, and the database's errors as ours."""

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

PATIENCE = 30  # seconds for a connection, or for SQLite's one writer
LOOK = (0.0005, 0.002)  # seconds between two looks at SQLite's write lock, so that nobody looks in step

# What PostgreSQL's client library is told, unless the address tells it. Keepalives find a peer that is gone without a
# word while nothing is under way, the user timeout one that takes no more packets.
NETWORK = {
    "connect_timeout": 5,  # seconds, for each host
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # milliseconds
}
ANSWER = 10.0  # seconds for PostgreSQL to do one statement of the task store
MARGIN = 1.0  # seconds more before we hang up, so that a server that is well says first that it took too long
RECYCLE = 300  # seconds after which a connection is made anew, so that a server demoted in a failover is left

WRITES = "lipsync_writes"  # an option of SQLAlchemy's connections, ours: how SQLite is to synchronise


@contextmanager
def database_errors() -> Iterator[None]:
    """Around every use of the database. Raises StorageFailed, and OptionInvalid for values that no column takes."""
    try:
        yield
    except sqlalchemy.exc.DataError as exc:
        raise OptionInvalid(f"the task store cannot hold that: {_line(exc)}") from exc
    except (sqlalchemy.exc.DBAPIError, sqlalchemy.exc.TimeoutError) as exc:
        raise StorageFailed(f"the task store did not answer: {_line(exc)}") from exc


def parse(url: str) -> URL:
    """The database's address, with the driver that is used here. Raises SettingInvalid; never shows the password."""
    try:
        parsed = make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError) as exc:
        raise SettingInvalid("the task store's address is not a database URL, such as sqlite:///tasks.db") from exc
    kind = parsed.drivername.partition("+")[0]
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise SettingInvalid(f"the task store is in SQLite or PostgreSQL, not in {kind}")
    if parsed.database in (None, "", ":memory:"):
        raise SettingInvalid("the task store needs a file: one in memory would be lost with its process")
    return parsed.set(drivername="sqlite+pysqlite")


@contextmanager
def connected(url: str) -> Iterator[Engine]:
    """The engine, disposed of at the end. Nothing connects yet. Raises SettingInvalid.

    Connecting takes a few seconds at most. A statement may take any time, as those of a migration do.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": PATIENCE})
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", _begin)
    else:
        network = {name: value for name, value in NETWORK.items() if name not in parsed.query}
        # A server that was restarted leaves dead connections in the pool, hence the ping.
        engine = create_engine(parsed, pool_pre_ping=True, pool_recycle=RECYCLE, connect_args=network)
        event.listen(engine, "do_connect", _connect)
    try:
        yield engine
    finally:
        engine.dispose()


def writer(engine: Engine, lasting: bool = True) -> Engine:
    """The same engine, whose transactions take SQLite's write lock as they begin.

    What is not ``lasting`` outlives the death of any process, but perhaps not a power cut, and is faster.
    """
    return engine.execution_options(**{WRITES: "FULL" if lasting else "NORMAL"})


class Database:
    """Transactions: ``reading`` sees one state, ``writing`` is committed at its end or not at all.

    ``answer``: seconds for PostgreSQL to do one statement, whether it is busy, hangs or is out of reach.
    """

    def __init__(self, engine: Engine, notify: Callable[[Task], str] | None = None, answer: float = ANSWER) -> None:
        if engine.dialect.name == "postgresql":
            event.listen(engine, "connect", lambda connection, record: _bound(connection, answer))
        self._reader = engine
        self._writers = {lasting: writer(engine, lasting) for lasting in (True, False)}
        self._notify = notify

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with database_errors(), Session(self._reader) as session:
            yield session

    @contextmanager
    def _writing(self, lasting: bool = True) -> Iterator[Session]:
        engine = self._writers[lasting]
        with database_errors(), Session(engine, expire_on_commit=False) as session, session.begin():
            yield session


class _Line(psycopg.Connection[Any]):
    """A connection that hangs up on a server that keeps silent for too long.

    No setting of the client library's does that: a server that is stopped still has its kernel acknowledge packets, and
    its own timeouts stand still with it.
    """

    silence: float | None = None  # seconds; None: any time

    def wait(self, gen: PQGen[RV], *more: Any, **named: Any) -> RV:
        """All of the driver's waiting for a server that is connected goes through here."""
        return super().wait(gen if self.silence is None else self._in_time(gen, self.silence), *more, **named)

    def _in_time(self, steps: PQGen[RV], seconds: float) -> PQGen[RV]:
        end = time.monotonic() + seconds
        try:
            wanted = next(steps)
            while True:
                ready = yield wanted  # nothing is ready when the driver merely looks up, several times a second
                if not ready and time.monotonic() > end:
                    self.close()  # whoever used it after this would get this statement's answer
                    raise psycopg.OperationalError(f"the server kept silent for {seconds:.0f} s")
                wanted = steps.send(ready)
        except StopIteration as last:
            answer: RV = last.value
            return answer


def _connect(dialect: Any, record: Any, arguments: Any, named: Any) -> _Line:
    return _Line.connect(*arguments, **named)


def _bound(connection: _Line, answer: float) -> None:
    """Let no statement take longer than ``answer`` seconds, and no lock outlast a client that is gone by much more."""
    connection.silence = answer + MARGIN
    settings = {"statement_timeout": answer, "idle_in_transaction_session_timeout": 2 * answer}
    for name, seconds in settings.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, f"{seconds * 1000:.0f}"))
    connection.commit()


def _prepare(connection: sqlite3.Connection, record: Any) -> None:
    connection.isolation_level = None  # pysqlite would begin too late, and not at all before a SELECT
    connection.execute("PRAGMA foreign_keys = ON")


def _begin(connection: Connection) -> None:
    synchronous = connection.get_execution_options().get(WRITES)
    if synchronous is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous = {synchronous}")
    # A transaction that reads first and writes later cannot wait for another writer; it fails at once. And SQLite's
    # own waiting sleeps ever longer, so that whoever waits is starved by those who come and go.
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    end = time.monotonic() + PATIENCE
    try:
        while not _began(connection, last=time.monotonic() > end):
            time.sleep(random.uniform(*LOOK))
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {PATIENCE * 1000}")


def _began(connection: Connection, last: bool) -> bool:
    """Whether the write lock was to be had; raises the driver's error where it is another, or where it is the last."""
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except sqlalchemy.exc.OperationalError as exc:
        if last or getattr(exc.orig, "sqlite_errorcode", None) != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _line(exc: Exception) -> str:
    """The first line of what the driver said, without SQLAlchemy's copy of the statement and its values."""
    return next(iter(str(getattr(exc, "orig", None) or exc).strip().splitlines()), type(exc).__name__)
