from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def document(house) -> dict[str, Any]:
    told: dict[str, Any] = house.client.get("/openapi.json").json()
    return told


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for path in document["paths"].values() for operation in path.values())


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from (value for name, value in part.items() if name == "$ref" and isinstance(value, str))
        for value in part.values():
            yield from references(value)
    elif isinstance(part, list):
        for value in part:
            yield from references(value)


def test_every_operation_says_what_it_does_and_how_it_fails(document):
    names = [operation["operationId"] for operation in operations(document)]
    assert len(set(names)) == len(names) >= 26
    assert "tasks_create" in names
    tags = {tag["name"] for tag in document["tags"]}
    for operation in operations(document):
        assert set(operation["tags"]) <= tags
        assert operation["summary"]
        assert operation["description"]
        assert "500" in operation["responses"]
        for status, told in operation["responses"].items():
            assert (set(told.get("content", {})) == {"application/problem+json"}) == (int(status) >= 400)


def test_every_reference_leads_somewhere(document):
    for reference in set(references(document)):
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_a_new_task_has_an_example_that_is_good(document, house):
    example = document["components"]["schemas"]["TaskRequest"]["examples"][0]
    assert house.client.post("/v1/tasks", json=example, headers=house.key()).status_code == 201


def test_a_key_is_wanted_where_it_is_needed(document):
    keyless = {o["operationId"] for o in operations(document) if not o.get("security")}
    assert keyless == {"health_healthz", "health_readyz", "files_get", "files_head", "tus_options"}
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_no_page_runs_scripts_from_elsewhere(house):
    for path in ("/docs", "/redoc", "/docs/oauth2-redirect"):
        answer = house.client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert house.client.get("/openapi.json").headers["content-type"] == "application/json"
