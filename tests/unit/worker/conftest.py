"""A task store in SQLite with a task in it, and a worker's context."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
import pytest

from lipsync.net import Limits, Transport
from lipsync.storage.base import LocalOptions
from lipsync.storage.keys import KeyTemplate
from lipsync.storage.local import LocalStorage
from lipsync.tasks.store import TaskStore, migrate, open_store
from lipsync.tasks.task import NewTask, Source, Task
from lipsync.tasks.webhooks import webhook_body
from lipsync.worker.context import WorkerContext
from lipsync.worker.lease import TimeLimits

LEASE = timedelta(seconds=30)
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


INPUT_NAMES = ("video", "audio")  # in the work folder


class InputCounts:
    """Count calls of ``av.open`` and passes of ``demux`` by file name, and finished SHA-256 by digest."""

    def __init__(self) -> None:
        self.opened, self.demuxed, self.hashed = Counter[str](), Counter[str](), Counter[str]()


@pytest.fixture
def input_counts(monkeypatch) -> InputCounts:
    found, open_media, sha256 = InputCounts(), av.open, hashlib.sha256

    class CountingContainer:
        def __init__(self, name: str, container) -> None:
            self._name, self._container = name, container

        def __getattr__(self, name: str):
            return getattr(self._container, name)

        def __enter__(self):
            self._container.__enter__()
            return self

        def __exit__(self, *error) -> None:
            self._container.__exit__(*error)

        def demux(self, *streams):
            found.demuxed[self._name] += 1
            return self._container.demux(*streams)

    class CountingSha256:
        def __init__(self, content: bytes = b"") -> None:
            self._digest = sha256(content)

        def __getattr__(self, name: str):
            return getattr(self._digest, name)

        def hexdigest(self) -> str:
            found.hashed[self._digest.hexdigest()] += 1
            return self._digest.hexdigest()

    def counting_open(file, *arguments, **options):
        container = open_media(file, *arguments, **options)
        if Path(file).name not in INPUT_NAMES:
            return container
        found.opened[Path(file).name] += 1
        return CountingContainer(Path(file).name, container)

    monkeypatch.setattr(av, "open", counting_open)
    monkeypatch.setattr(hashlib, "sha256", CountingSha256)
    return found


@pytest.fixture
def context(tmp_path, store) -> WorkerContext:
    (tmp_path / "published").mkdir()
    storage = LocalStorage.open(LocalOptions(tmp_path / "published", "http://localhost:8000", "a secret of the tests"))
    return WorkerContext(
        worker="tester",
        store=store,
        storage=storage,
        work_root=tmp_path / "work",
        uploads=tmp_path,
        limits=Limits(allowed_hosts=("127.0.0.1",), max_seconds=3600),
        transport=Transport(),
        key_template=KeyTemplate.parse("{task}/{engine}{suffix}"),
        models_dir=None,
        lease_time=LEASE,
        time_limits=TimeLimits(600),
        retry_delay=timedelta(seconds=10),
        now=lambda: datetime.now(UTC),
    )
