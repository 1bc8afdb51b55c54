from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from lipsync.api.app import openapi_document


@pytest.fixture
def document(service) -> dict[str, Any]:
    body: dict[str, Any] = service.client.get("/openapi.json").json()
    return body


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (operation for path in document["paths"].values() for operation in path.values())


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == "$ref" and isinstance(value, str))
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_operation_says_what_it_does_and_how_it_fails(document):
    names = [operation["operationId"] for operation in operations(document)]
    assert len(set(names)) == len(names) >= 26
    assert "create_task" in names
    tags = {tag["name"] for tag in document["tags"]}
    for operation in operations(document):
        assert set(operation["tags"]) <= tags
        assert operation["summary"]
        assert operation["description"]
        assert "500" in operation["responses"]
        for status, response in operation["responses"].items():
            assert (set(response.get("content", {})) == {"application/problem+json"}) == (int(status) >= 400)


def test_the_document_needs_no_service(document):
    assert openapi_document() == document


def test_every_reference_leads_somewhere(document):
    for reference in set(references(document)):
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_the_example_of_a_new_task_is_valid(document, service):
    example = document["components"]["schemas"]["TaskRequest"]["examples"][0]
    assert service.client.post("/v1/tasks", json=example, headers=service.key()).status_code == 201


def test_the_document_says_which_operations_need_a_key(document):
    keyless = {o["operationId"] for o in operations(document) if not o.get("security")}
    assert keyless == {"check_health", "check_readiness", "download_file", "get_file_headers", "get_tus_capabilities"}
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_pages_with_third_party_scripts_are_disabled(service):
    for path in ("/redoc", "/docs/oauth2-redirect"):
        answer = service.client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert service.client.get("/openapi.json").headers["content-type"] == "application/json"


def test_every_field_and_parameter_has_a_description(document):
    for name, schema in document["components"]["schemas"].items():
        assert schema["description"], name
        for field, part in schema.get("properties", {}).items():
            assert part.get("description"), f"{name}.{field}"
    for operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert parameter["description"], f"{operation['operationId']}: {parameter['name']}"


def test_summaries_are_phrases_and_descriptions_are_sentences(document):
    for operation in operations(document):
        assert not operation["summary"].endswith((".", "?")), operation["operationId"]
        assert operation["description"].endswith("."), operation["operationId"]
        for response in operation["responses"].values():
            assert response["description"] not in ("Successful Response", ""), operation["operationId"]
