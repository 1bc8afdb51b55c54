"""The service keeps to its OpenAPI document: requests made up from it, good and bad, get no answer that it lacks."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lipsync.api.routes.tus import CONTENT_TYPE
from lipsync.monitor import Monitor
from lipsync.tasks.task import Status, TaskFailure, TaskProgress

if os.environ.get("LIPSYNC_REQUIRE_SERVICES") == "1":
    schemathesis: Any = import_module("schemathesis")
else:
    schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis")
engine, events = import_module("schemathesis.engine"), import_module("schemathesis.engine.events")
sampled_from = import_module("hypothesis.strategies").sampled_from

MANY = 10**9
UNBOUNDED = {"requests_per_minute": MANY, "max_active_tasks": MANY}
GENERATION = {"deterministic": True, "no-shrink": True, "max-examples": 20, "database": "none"}
CONTENT = b"x"
OFTEN = 0.9  # how probable a value is that leads somewhere, among all that the document allows
STATES = ("waiting", "running", "failed", "cancelled", *["completed"] * 3)  # which alone have results
OFF = {"enabled": False}
CHECKS = {
    "positive_data_acceptance": OFF,  # much that fits a schema leads nowhere
    "negative_data_rejection": {"expected-statuses": ["4xx"]},  # tus says 412 before anything else
}
PARTS = {"include-method": "PATCH", "generation": {"max-examples": 60}}  # few of them have all that has to fit
ELSEWHERE = {  # deleted through the other of two ways to upload; or there only once the task is completed
    "include-path-regex": "^/v1/(uploads|tus)|/(manifest|outputs)",
    "checks": {"ensure_resource_availability": OFF},
}
WATCH = {"include-operation-id": "watch_task", "max-stream-events": 1, "request-timeout": 3}  # it may never end


@dataclass
class Inspection:
    """What came of the requests: the statuses that each operation answered with, and all that was wrong."""

    answers: dict[str, set[int]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def note(self, event: Any) -> None:
        if isinstance(event, events.NonFatalError):
            self.faults.append(f"{event.label}: {event.info}")
        elif isinstance(event, events.FatalError):
            raise event.exception
        elif isinstance(event, events.ScenarioFinished):
            self._note_answers(event.recorder)

    def _note_answers(self, recorder: Any) -> None:
        for number, exchange in recorder.interactions.items():
            statuses = self.answers.setdefault(recorder.cases[number].value.operation.label, set())
            if exchange.response is not None:
                statuses.add(exchange.response.status_code)
        for check in (check for checks in recorder.checks.values() for check in checks if check.failure_info):
            failure = check.failure_info.failure
            self.faults.append(f"{check.name}: {failure.title}\n{failure.message}\n{check.failure_info.code_sample}")

    def check(self) -> None:
        assert not self.faults, "\n\n".join(self.faults)


def new_task(service: Any, headers: Mapping[str, str], state: str) -> str:
    """A task that got so far, with a line in its log and a call of its webhook."""
    task: str = service.create_task(headers, webhook="https://example.org/done")["id"]
    service.store.log(task, "INFO", "a line", service.clock(), "rewrite")
    service.enqueue(task, "https://example.org/done")
    if state == "completed":
        service.complete(task)
    elif state == "cancelled":
        service.store.request_cancel(task, service.clock())
    elif state in ("running", "failed"):
        service.store.claim(task, "w", service.lease, service.clock())
        service.store.advance(task, "w", Status.PROCESSING, service.clock())
        service.store.heartbeat(task, "w", service.lease, TaskProgress("synthesise", 1, None), service.clock())
        if state == "failed":
            service.store.fail(task, "w", TaskFailure("no_face_found", "no face was detected", False), service.clock())
    return task


def published(service: Any) -> tuple[str, int, str]:
    """A file's key, and the expiry and the signature of a link to it."""
    film = service.folder / "film.mp4"
    film.write_bytes(b"a film")
    key = service.storage.put(film, "film.mp4", "video/mp4", Monitor()).key  # made up paths have no slash in a part
    link = parse_qs(urlsplit(service.storage.url(key)).query)
    return key, int(link["expires"][0]), link["signature"][0]


def populate(service: Any, headers: Mapping[str, str]) -> dict[str, Sequence[object]]:
    """Fill the service; values that lead somewhere in it, by parameter."""
    tasks = [new_task(service, headers, state) for _ in range(6) for state in STATES]
    speaks = {**headers, "Tus-Resumable": "1.0.0", "Upload-Length": "64"}
    uploads = [service.client.post("/v1/tus", headers=speaks).headers["location"] for _ in range(24)]
    uploads += [service.client.post("/v1/uploads", content=b"x", headers=headers).headers["location"] for _ in range(8)]
    key, expires, signature = published(service)
    return {
        "path.task_id": tasks,
        "query.task_id": tasks,
        "path.engine": ["rewrite"],
        "path.key": [key],
        "query.expires": [expires],
        "query.signature": [signature],
        "path.upload_id": [path.rpartition("/")[2] for path in uploads],
        "header.tus-resumable": ["1.0.0"],
        "header.upload-length": ["64"],
        "header.upload-offset": ["0"],
        "header.upload-checksum": ["sha256 " + base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()],
        "body.video_url": ["https://example.org/v.mp4"],
        "body.audio_url": ["https://example.org/a.wav"],
    }


def inspect(service: Any, values: Mapping[str, Sequence[object]], **more: Any) -> Inspection:
    """Ask for everything in the document, rightly and wrongly. The requests are the same each time, but for ids."""
    options = {
        "seed": 1,
        "generation": GENERATION,
        "dictionaries": {name: {"values": list(given)} for name, given in values.items()},
        "parameters": {name: {"dictionary": name, "probability": OFTEN} for name in values},
        "operations": [WATCH, PARTS, ELSEWHERE],
        "checks": CHECKS,
        "cache": OFF,
        "analysis": {"constants": OFF},  # none of the service's source is read for values
    }
    schemathesis.openapi.media_type(CONTENT_TYPE, sampled_from([CONTENT, CONTENT, CONTENT, b"", bytes(64), bytes(65)]))
    config = schemathesis.Config.from_dict(options | more)
    document = schemathesis.openapi.from_asgi("/openapi.json", service.client.app, config=config)
    inspection = Inspection()
    for event in engine.from_schema(document).execute():
        inspection.note(event)
    return inspection


def operations(service: Any) -> dict[str, dict[str, Any]]:
    paths = service.client.app.openapi()["paths"].items()
    return {f"{method.upper()} {path}": operation for path, methods in paths for method, operation in methods.items()}


def never_successful(inspection: Inspection) -> list[str]:
    """Operations that failed whatever they were asked for."""
    return [operation for operation, statuses in inspection.answers.items() if min(statuses) >= 400]


def test_with_a_key_every_answer_is_documented(build):
    service = build(**UNBOUNDED)
    headers = service.key("admin")
    inspection = inspect(service, populate(service, headers), headers=headers)
    inspection.check()
    assert inspection.answers.keys() == operations(service).keys()
    assert not never_successful(inspection)


def test_without_a_key_every_answer_is_documented(build):
    service = build(**UNBOUNDED)
    inspection = inspect(service, populate(service, service.key()), phases={"fuzzing": OFF, "stateful": OFF})
    inspection.check()
    keyed = [operation for operation, details in operations(service).items() if "401" in details["responses"]]
    assert len(keyed) >= 20
    assert all(401 in inspection.answers[operation] for operation in keyed)


def test_with_keys_disabled_every_answer_is_documented(build):
    service = build(keys_required=False, **UNBOUNDED)
    generation = GENERATION | {"with-security-parameters": False}
    checks = CHECKS | {"ignored_auth": OFF, "missing_required_header": OFF}
    inspection = inspect(service, populate(service, {}), generation=generation, checks=checks, phases={"stateful": OFF})
    inspection.check()
    assert not never_successful(inspection)
