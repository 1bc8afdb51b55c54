from __future__ import annotations

import http
import json
import subprocess
import sys

import pytest

from lipsync.api.errors import API_ERRORS, STATUS
from lipsync.api.problems import SERVER_ERROR, describe_status
from lipsync.errors import LipsyncError
from lipsync.tasks.store import open_store


def tree(kind: type[LipsyncError]) -> list[type[LipsyncError]]:
    return [kind, *(below for sub in kind.__subclasses__() for below in tree(sub))]


def test_every_error_of_the_package_has_a_status_and_nothing_else_has():
    here = {kind for kind in tree(LipsyncError) if kind.__module__ == "lipsync.errors"}
    assert set(STATUS) == here
    assert len({kind.code for kind in here}) == len(here)


@pytest.mark.parametrize("kind", STATUS)
def test_statuses_are_errors_and_retryable_ones_are_server_errors(kind):
    assert 400 <= STATUS[kind] < 600
    assert http.HTTPStatus(STATUS[kind])
    assert not kind.retryable or STATUS[kind] > SERVER_ERROR
    assert "\n" not in kind.title


def test_codes_of_the_api_are_not_those_of_the_package():
    shared = set(API_ERRORS) & {kind.code for kind in STATUS}
    assert shared <= {"file_missing"}
    assert all(describe_status(kind.status) for kind in API_ERRORS.values())


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("PUT", "/v1/tasks", 405, "method_not_allowed"),
        ("GET", "/v1/tasks", 401, "key_missing"),
        ("GET", "/v1/tasks/x", 401, "key_missing"),
        ("GET", "/v1/files/x?expires=1&signature=x", 403, "link_invalid"),
        ("GET", "/v1/files/x", 422, "request_invalid"),
    ],
)
def test_every_failure_is_a_problem(service, method, path, status, code):
    answer = service.client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["code"] == code
    assert problem["type"] == f"urn:lipsync:problem:{code}"
    assert problem["instance"] == path.partition("?")[0]
    assert problem["title"]
    assert problem["detail"]
    assert problem["remedy"]


def test_the_allow_header_lists_all_methods_of_a_path(service):
    assert service.client.put("/v1/tasks").headers["allow"] == "GET, POST"
    assert service.client.put("/v1/tasks/x").headers["allow"] == "DELETE, GET"


@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        (b"{", 422, "body.1"),
        (b"[]", 422, "body"),
        (b'{"video": {"url": "https://example.org/v"}}', 422, "body.audio"),
        (b'{"\\ud800": 1}', 422, "body"),
        (b'"\xff"', 400, None),
        (b'{"options": {"crf": %s}}' % (b"9" * 5000), 400, None),
        (b" " * (1 << 20) + b"{}", 413, None),
    ],
)
def test_an_invalid_body_is_rejected(service, body, status, where):
    headers = {**service.key(), "Content-Type": "application/json"}
    answer = service.client.post("/v1/tasks", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    if where is not None:
        faults = answer.json()["faults"]
        assert where in [fault["where"] for fault in faults]


def test_a_body_of_unknown_length_is_limited_too(service):
    headers = {**service.key(), "Content-Type": "application/json"}
    answer = service.client.post("/v1/tasks", content=iter([b" " * 600_000] * 2), headers=headers)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_malformed_content_length_is_ignored(service):
    headers = {**service.key(), "Content-Length": "²".encode("latin-1")}
    assert service.client.post("/v1/tasks", json=service.task_request, headers=headers).status_code == 201


def test_problems_do_not_repeat_the_request(service):
    request = service.task_request | {"video": {"url": "ftp://user:pa55@example.org/v.mp4"}}
    answer = service.client.post("/v1/tasks", json=request, headers=service.key())
    assert answer.status_code == 422
    assert "pa55" not in answer.text


def test_an_unexpected_exception_leaks_nothing(build):
    service = build(keys_required=False)

    class Broken:
        def get(self, task_id: str) -> None:
            raise ZeroDivisionError("secret of the service")

    client = service.client_with(store=Broken())
    answer = client.get("/v1/tasks/x")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "secret" not in answer.text


def test_a_failing_database_is_reported_without_its_address(build, caplog):
    service = build(keys_required=False)
    with open_store(f"sqlite:///{service.folder}/nowhere/tasks.db") as away:
        answer = service.client_with(store=away).get("/v1/tasks/x")
    assert answer.status_code == 503
    assert answer.json()["code"] == "storage_failed"
    assert answer.headers["retry-after"] == "5"
    assert "unable to open" not in answer.text
    (record,) = [record for record in caplog.records if "unable to open" in record.message]
    assert (record.event, record.code) == ("request.failed", "storage_failed")


WITHOUT_DOCSTRINGS = """
import json, sys
from datetime import UTC, datetime
from pathlib import Path
from fastapi.testclient import TestClient
from lipsync.api.app import create_app
from lipsync.api.errors import error_rows
from lipsync.api.state import Services
from lipsync.errors import NoFaceFound
from lipsync.settings import Settings

class Store:
    def get(self, task_id):
        raise NoFaceFound("no face")

settings = Settings(_env_file=None, data_dir=Path(sys.argv[1]), keys_required=False, public_url="http://testserver")
app = create_app(Services(settings, Store(), None, print, lambda: datetime.now(UTC), str))
client = TestClient(app)
problem = client.get("/v1/tasks/x").json()
operations = [operation for path in app.openapi()["paths"].values() for operation in path.values()]
print(json.dumps({
    "docstring": NoFaceFound.__doc__,
    "title": problem["title"],
    "remedy": bool(problem["remedy"]),
    "undocumented": [o["operationId"] for o in operations if not (o.get("summary") and o.get("description"))],
    "untitled": [code for _, code, title, remedy in error_rows() if not (title and remedy)],
    "page": client.get("/docs").status_code,
}))
"""


def test_titles_and_descriptions_do_not_depend_on_docstrings(tmp_path):
    done = subprocess.run(
        [sys.executable, "-OO", "-W", "ignore", "-c", WITHOUT_DOCSTRINGS, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "docstring": None,
        "title": "No face was detected",
        "remedy": True,
        "undocumented": [],
        "untitled": [],
        "page": 200,
    }
