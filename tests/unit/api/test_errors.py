from __future__ import annotations

import http

import pytest

from lipsync.api.errors import API_ERRORS, SERVER_ERROR, STATUS, phrase
from lipsync.errors import LipsyncError
from lipsync.tasks.store import open_store


def tree(kind: type[LipsyncError]) -> list[type[LipsyncError]]:
    return [kind, *(below for sub in kind.__subclasses__() for below in tree(sub))]


def test_every_error_of_the_package_has_a_status_and_nothing_else_has():
    here = {kind for kind in tree(LipsyncError) if kind.__module__ == "lipsync.errors"}
    assert set(STATUS) == here
    assert len({kind.code for kind in here}) == len(here)


@pytest.mark.parametrize("kind", STATUS)
def test_a_status_is_one_of_a_failure_and_what_may_pass_is_not_the_clients_fault(kind):
    assert 400 <= STATUS[kind] < 600
    assert http.HTTPStatus(STATUS[kind])
    assert not kind.retryable or STATUS[kind] > SERVER_ERROR
    assert "\n" not in kind.title


def test_codes_of_refusals_are_not_those_of_errors():
    shared = set(API_ERRORS) & {kind.code for kind in STATUS}
    assert shared <= {"file_missing"}
    assert all(phrase(status) for status, _ in API_ERRORS.values())


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
def test_every_failure_is_a_problem(house, method, path, status, code):
    answer = house.client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["code"] == code
    assert told["type"] == f"urn:lipsync:problem:{code}"
    assert told["instance"] == path.partition("?")[0]
    assert told["title"]
    assert told["detail"]


def test_the_methods_of_a_path_are_told(house):
    assert house.client.put("/v1/tasks").headers["allow"] == "GET, POST"
    assert house.client.put("/v1/tasks/x").headers["allow"] == "DELETE, GET"


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
def test_a_body_that_makes_no_sense(house, body, status, where):
    headers = {**house.key(), "Content-Type": "application/json"}
    answer = house.client.post("/v1/tasks", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    if where is not None:
        told = answer.json()["faults"]
        assert where in [fault["where"] for fault in told]


def test_a_body_of_unknown_length_is_limited_too(house):
    headers = {**house.key(), "Content-Type": "application/json"}
    answer = house.client.post("/v1/tasks", content=iter([b" " * 600_000] * 2), headers=headers)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_length_that_only_looks_like_a_number_is_none(house):
    headers = {**house.key(), "Content-Length": "²".encode("latin-1")}
    assert house.client.post("/v1/tasks", json=house.wish, headers=headers).status_code == 201


def test_what_was_sent_is_not_repeated(house):
    wish = house.wish | {"video": {"url": "ftp://user:pa55@example.org/v.mp4"}}
    answer = house.client.post("/v1/tasks", json=wish, headers=house.key())
    assert answer.status_code == 422
    assert "pa55" not in answer.text


def test_a_fault_of_the_service_leaks_nothing(build):
    house = build(keys_required=False)

    class Broken:
        def get(self, task_id: str) -> None:
            raise ZeroDivisionError("secret of the house")

    client = house.over(store=Broken())
    answer = client.get("/v1/tasks/x")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert "secret" not in answer.text


def test_a_database_that_is_away_is_told_without_its_address(build, caplog):
    house = build(keys_required=False)
    with open_store(f"sqlite:///{house.folder}/nowhere/tasks.db") as away:
        answer = house.over(store=away).get("/v1/tasks/x")
    assert answer.status_code == 503
    assert answer.json()["code"] == "storage_failed"
    assert answer.headers["retry-after"] == "5"
    assert "unable to open" not in answer.text
    assert "unable to open" in caplog.text
