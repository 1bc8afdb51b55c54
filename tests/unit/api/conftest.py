"""The application on a real SQLite task store and a real folder, with a manual clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from lipsync.api.app import create_app
from lipsync.api.state import Services
from lipsync.errors import StorageFailed
from lipsync.monitor import Monitor
from lipsync.settings import Settings
from lipsync.storage.base import LocalOptions
from lipsync.storage.local import LocalStorage
from lipsync.tasks.migrate import migrate
from lipsync.tasks.secrets import webhook_secret
from lipsync.tasks.store import TaskStore, open_store
from lipsync.tasks.task import Manifest, Output, Performance, Status, Task
from lipsync.tasks.transitions import new_delivery

SECRET = "the tests' secret"
SIGNS = partial(webhook_secret, "the service's own")
TASK_REQUEST = {"video": {"url": "https://example.org/v.mp4"}, "audio": {"url": "https://example.org/a.wav"}}
LEASE = timedelta(seconds=60)


@dataclass
class Clock:
    """A clock that moves on request only."""

    time: datetime = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, **delta: float) -> None:
        self.time += timedelta(**delta)


@dataclass
class Notifier:
    """Records announced tasks, or fails."""

    announced: list[str] = field(default_factory=list)
    broken: bool = False

    def __call__(self, task_id: str) -> None:
        if self.broken:
            raise StorageFailed("no broker")
        self.announced.append(task_id)


@dataclass
class Service:
    """The API client and the services behind it."""

    client: TestClient
    services: Services
    storage: LocalStorage
    clock: Clock
    notifier: Notifier
    folder: Path
    task_request: dict[str, Any]
    lease: timedelta = LEASE

    @property
    def store(self) -> TaskStore:
        return self.services.store

    def client_with(self, **changes: Any) -> TestClient:
        """A client of the same service with some services replaced."""
        return TestClient(create_app(replace(self.services, **changes)), raise_server_exceptions=False)

    def key(self, *scopes: str) -> dict[str, str]:
        """The header of a new key; by default with the read and write scopes."""
        _, secret = self.store.create_key("test", scopes or ("tasks:read", "tasks:write"), self.clock())
        return {"Authorization": f"Bearer {secret}"}

    def create_task(self, headers: Mapping[str, str], **more: Any) -> dict[str, Any]:
        """Create a task and return its JSON."""
        answer = self.client.post("/v1/tasks", json={**self.task_request, **more}, headers=headers)
        assert answer.status_code == 201, answer.text
        task: dict[str, Any] = answer.json()
        return task

    def enqueue(self, task_id: str, url: str) -> str:
        """Enqueue a webhook call; returns its id."""
        with self.store._writing() as session:
            row = new_delivery(task_id, url, "task.completed", "{}", self.clock())
            session.add(row)
            return row.id

    def complete(self, task_id: str, content: bytes = b"a video") -> Task:
        """Complete a task as a worker would."""
        self.store.claim(task_id, "w", LEASE, self.clock())
        self.store.advance(task_id, "w", Status.PROCESSING, self.clock())
        self.store.advance(task_id, "w", Status.UPLOADING, self.clock())
        for engine in self.store.get(task_id).engines:
            path = self.folder / "video.mp4"
            path.write_bytes(content)
            stored = self.storage.put(path, f"2026/{task_id}/{engine}.mp4", "video/mp4", Monitor())
            output = Output(engine, stored.key, stored.url, stored.size, stored.sha256, 640, 480, 1.0)
            self.store.add_output(task_id, "w", output, self.clock())
        self.store.set_manifest(
            task_id, "w", Manifest(stored.key, stored.url, stored.size, stored.sha256), self.clock()
        )
        return self.store.finish(task_id, "w", Performance(1.0, 25, 25.0, 1 << 20), {"process": 1.0}, self.clock())


class Documented:
    """Fails on every response that the OpenAPI document does not describe."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        known = document["paths"].items()
        self._paths = [
            (re.compile(re.sub(r"{key}", ".+", re.sub(r"{[a-z_]+(?<!{key)}", "[^/]+", p))), o) for p, o in known
        ]

    def __call__(self, answer: Any) -> None:
        path = answer.request.url.path
        operations = next((methods for pattern, methods in self._paths if pattern.fullmatch(path)), {})
        operation = operations.get(answer.request.method.lower())
        if operation is not None and answer.status_code != 405:
            response = operation["responses"].get(str(answer.status_code))
            assert response is not None, f"{answer.request.method} {path} says {answer.status_code}"
            kind = answer.headers.get("content-type", "").partition(";")[0]
            assert not kind or kind in response.get("content", {}), f"{answer.request.method} {path} sends {kind}"


@pytest.fixture(scope="session")
def documented(tmp_path_factory) -> Documented:
    folder = tmp_path_factory.mktemp("documented")
    settings = Settings(_env_file=None, data_dir=folder)
    storage = LocalStorage(LocalOptions(folder, settings.address, SECRET))
    with open_store(settings.database) as store:
        return Documented(create_app(Services(settings, store, storage, Notifier(), Clock(), SIGNS)).openapi())


@pytest.fixture
def build(tmp_path, documented) -> Iterator[Callable[..., Service]]:
    """A function that creates services with the given settings."""
    with ExitStack() as stack:

        def make(**given: Any) -> Service:
            settings = Settings(_env_file=None, data_dir=tmp_path, **{"public_url": "http://testserver", **given})
            migrate(settings.database)
            clock, notifier = Clock(), Notifier()
            store = stack.enter_context(open_store(settings.database))
            options = LocalOptions(tmp_path / "results", settings.address, SECRET)
            storage = LocalStorage(options, now=lambda: clock().timestamp())
            services = Services(settings, store, storage, notifier, clock, SIGNS, SECRET)
            client = TestClient(create_app(services), raise_server_exceptions=False)
            client.event_hooks["response"].append(documented)
            stack.callback(client.close)
            return Service(client, services, storage, clock, notifier, tmp_path, TASK_REQUEST)

        yield make


@pytest.fixture
def service(build) -> Service:
    """A service with default settings."""
    default: Service = build()
    return default
