"""A task store in SQLite with a task in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from lipsync.tasks.store import TaskStore, migrate, open_store
from lipsync.tasks.task import NewTask, Source, Task
from lipsync.tasks.webhooks import webhook_body

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
def store(tmp_path) -> Iterator[TaskStore]:
    migrate(f"sqlite:///{tmp_path}/tasks.db")
    with open_store(f"sqlite:///{tmp_path}/tasks.db", webhook_body=webhook_body) as opened:
        yield opened


@pytest.fixture
def new() -> NewTask:
    return NewTask(Source("upload", "a"), Source("upload", "b"), ("passthrough",), {})


@pytest.fixture
def task(store, new) -> Task:
    """A queued task."""
    return store.create(new, now=NOW)
