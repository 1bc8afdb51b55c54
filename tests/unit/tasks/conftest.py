"""Task stores in SQLite and PostgreSQL: every test here runs with both."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import delete

from lipsync.tasks.database import open_database
from lipsync.tasks.rows import delivery_of
from lipsync.tasks.store import TaskStore, migrate, open_store
from lipsync.tasks.tables import Base
from lipsync.tasks.task import Delivery, NewTask, Output, Performance, Source, Task
from lipsync.tasks.transitions import new_delivery

SERVER = os.environ.get("LIPSYNC_TEST_POSTGRES", "postgresql://root@127.0.0.1:5432/test")
NOW = datetime(2026, 3, 4, 5, 6, 7, 890_123, UTC)
LEASE = timedelta(seconds=30)


@contextmanager
def empty_schema() -> Iterator[str]:
    """Create a separate PostgreSQL schema; drop it afterwards."""
    name = f"lipsync_{secrets.token_hex(6)}"
    try:
        server = psycopg.connect(SERVER, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as exc:
        if os.environ.get("LIPSYNC_REQUIRE_SERVICES") == "1":
            raise
        pytest.skip(f"no PostgreSQL at {SERVER}: {exc}")
    with server:
        server.execute(f"CREATE SCHEMA {name}")
        try:
            yield f"{SERVER}?options=-csearch_path%3D{name}"
        finally:
            server.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a store whose schema is up to date."""
    if request.param == "sqlite":
        address = f"sqlite:///{tmp_path_factory.mktemp('jobs')}/tasks.db"
        migrate(address)
        yield address
    else:
        with empty_schema() as address:
            migrate(address)
            yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/folder/tasks.db"
    else:
        with empty_schema() as address:
            yield address


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The URL of an empty database on a server."""
    with empty_schema() as address:
        yield address


@pytest.fixture
def store(url: str) -> Iterator[TaskStore]:
    """An empty store; a webhook's body is the task's id and status."""
    with open_database(url) as engine, engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(delete(table))
    with open_store(url, webhook_body=lambda task: f"{task.id} {task.status}") as opened:
        yield opened


@pytest.fixture
def enqueue(store: TaskStore) -> Callable[..., Delivery]:
    """Enqueue a webhook call of a task that is due at ``NOW``."""

    def add(task_id: str, url: str) -> Delivery:
        with store._writing() as session:
            row = new_delivery(task_id, url, "e", "{}", NOW)
            session.add(row)
            session.flush()
            return delivery_of(row)

    return add


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture
def lease() -> timedelta:
    return LEASE


@pytest.fixture
def new() -> NewTask:
    return NewTask(Source("url", "http://h/v.mp4"), Source("url", "http://h/a.wav"), ("passthrough",), {"crf": 18})


@pytest.fixture
def waiting(store: TaskStore, new: NewTask) -> Callable[..., Task]:
    """Create a queued task, ``later`` seconds after ``NOW``; keyword arguments are NewTask's and create's."""

    def make(later: float = 0, idempotency_key: str | None = None, max_attempts: int = 3, **fields: Any) -> Task:
        at = NOW + timedelta(seconds=later)
        request = replace(new, **fields)
        return store.create(request, idempotency_key=idempotency_key, now=at, max_attempts=max_attempts)

    return make


@pytest.fixture
def running(store: TaskStore, waiting: Callable[..., Task]) -> Callable[..., Task]:
    """Create a task that the worker ``w`` owns."""

    def make(**fields: Any) -> Task:
        claimed = store.claim(waiting(**fields).id, "w", LEASE, NOW)
        assert claimed is not None
        return claimed

    return make


@pytest.fixture
def output() -> Output:
    return Output("passthrough", "k/o.mp4", "http://s/k/o.mp4", 5_000_000_000, "ab" * 32, 1280, 720, 1.5)


@pytest.fixture
def performance() -> Performance:
    return Performance(2.5, 50, 20.0, 400_000_000)
