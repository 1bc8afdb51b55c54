"""The service conforms to its OpenAPI document: generated requests get documented responses only."""

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
OFTEN = 0.9  # probability of a value that refers to existing content
STATES = ("waiting", "running", "failed", "cancelled", *["completed"] * 3)  # only completed tasks have results
OFF = {"enabled": False}
CHECKS = {
    "positive_data_acceptance": OFF,  # valid values may refer to nothing
    "negative_data_rejection": {"expected-statuses": ["4xx"]},  # tus checks its version first
}
PARTS = {"include-method": "PATCH", "generation": {"max-examples": 60}}  # few generated parts fit their upload
ELSEWHERE = {  # deleted through the other upload path, or available only on completion
    "include-path-regex": "^/v1/(uploads|tus)|/(manifest|outputs)",
    "checks": {"ensure_resource_availability": OFF},
}
WATCH = {"include-operation-id": "watch_task", "max-stream-events": 1, "request-timeout": 3}  # the stream may not end


@dataclass
class Inspection:
    """Results of the requests: the statuses of each operation, and all faults."""

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
    """Create a task in this state, with a log line and a webhook call."""
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
    """Publish a file; return its key, and the expiry and signature of a link."""
    path = service.folder / "video.mp4"
    path.write_bytes(b"a video")
    key = service.storage.put(path, "video.mp4", "video/mp4", Monitor()).key  # generated parameters have no slash
    link = parse_qs(urlsplit(service.storage.url(key)).query)
    return key, int(link["expires"][0]), link["signature"][0]


def populate(service: Any, headers: Mapping[str, str]) -> dict[str, Sequence[object]]:
    """Fill the service; return parameter values that refer to its content."""
    tasks = [new_task(service, headers, state) for _ in range(6) for state in STATES]
    tus_headers = {**headers, "Tus-Resumable": "1.0.0", "Upload-Length": "64"}
    uploads = [service.client.post("/v1/tus", headers=tus_headers).headers["location"] for _ in range(24)]
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
    """Send valid and invalid requests for every operation. They are the same in each run, except for IDs."""
    options = {
        "seed": 1,
        "generation": GENERATION,
        "dictionaries": {name: {"values": list(given)} for name, given in values.items()},
        "parameters": {name: {"dictionary": name, "probability": OFTEN} for name in values},
        "operations": [WATCH, PARTS, ELSEWHERE],
        "checks": CHECKS,
        "cache": OFF,
        "analysis": {"constants": OFF},  # do not read values from the source
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
    """Return the operations that never succeeded."""
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
