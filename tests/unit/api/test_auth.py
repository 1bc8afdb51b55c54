from __future__ import annotations

import pytest

from lipsync.api.auth import is_loopback
from lipsync.errors import SettingInvalid


def test_scopes_limit_what_a_key_may_do(service):
    reader, writer = service.key("tasks:read"), service.key("tasks:write")
    assert service.client.get("/v1/tasks", headers=reader).status_code == 200
    assert service.client.post("/v1/tasks", json=service.task_request, headers=writer).status_code == 201
    refused = service.client.post("/v1/tasks", json=service.task_request, headers=reader)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert service.client.get("/v1/tasks", headers=writer).status_code == 403


@pytest.mark.parametrize("header", ["Bearer lsk_000000000000_x", "Bearer x", "bearer " + "é" * 9])
def test_an_unknown_key_is_rejected(service, header):
    answer = service.client.get("/v1/tasks", headers={"Authorization": header.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_unknown")
    assert answer.headers["www-authenticate"] == 'Bearer realm="lipsync", error="invalid_token"'


def test_a_request_without_a_key_is_answered_with_how_to_send_one(service):
    for headers in ({}, {"Authorization": "Basic eDp5"}):
        answer = service.client.get("/v1/tasks", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "key_missing")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_revoked_key_is_rejected(service):
    headers = service.key()
    service.store.revoke_key(service.store.list_keys()[0].id, service.clock())
    assert service.client.get("/v1/tasks", headers=headers).json()["code"] == "key_unknown"


def test_each_key_sees_its_own_tasks_and_an_admin_sees_all(service):
    mine, yours, admin = service.key(), service.key(), service.key("admin")
    task = service.create_task(mine)["id"]
    for method, path in (
        ("GET", f"/v1/tasks/{task}"),
        ("GET", f"/v1/tasks/{task}/logs"),
        ("GET", f"/v1/tasks/{task}/events"),
        ("GET", f"/v1/tasks/{task}/outputs/rewrite"),
        ("POST", f"/v1/tasks/{task}/retry"),
        ("POST", f"/v1/tasks/{task}/cancel"),
        ("DELETE", f"/v1/tasks/{task}"),
        ("GET", f"/lip_sync_task/status?task_id={task}"),
    ):
        answer = service.client.request(method, path, headers=yours)
        assert (answer.status_code, answer.json()["code"]) == (404, "task_missing")
    assert service.client.get("/v1/tasks", headers=yours).json()["tasks"] == []
    for headers in (mine, admin):
        assert [t["id"] for t in service.client.get("/v1/tasks", headers=headers).json()["tasks"]] == [task]
        assert service.client.get(f"/v1/tasks/{task}", headers=headers).status_code == 200


def test_keys_can_be_disabled_on_a_loopback_address_only(build):
    assert build(keys_required=False).client.get("/v1/tasks").status_code == 200
    with pytest.raises(SettingInvalid, match="LIPSYNC_KEYS_REQUIRED"):
        build(keys_required=False, host="0.0.0.0")
    assert build(host="0.0.0.0").client.get("/v1/tasks").status_code == 401


FOREIGN = [
    {"Host": "evil.example"},
    {"Host": "evil.example:8000"},
    {"Host": "evil_x.example.:8000"},
    {"Host": "evil.example:99999"},
    {"Host": "127.0.0.1:8000@evil.example"},
    {"Host": "0.0.0.0:8000"},
    {"Host": ""},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "file://"},
    {"Origin": "http://["},
    {"Origin": ""},
    {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:9"},
    {"Host": "127.0.0.1:8000", "Origin": "http://127.0.0.1:8000.evil.example"},
    {"Host": "127.0.0.1:8000", "Origin": "http://evil.example/@127.0.0.1:8000"},
]
OWN = [
    {"Host": "localhost:8000"},
    {"Host": "127.0.0.1"},
    {"Host": "[::1]:8000", "Origin": "http://[::1]:8000"},
    {"Host": "LocalHost:8000", "Origin": "http://localhost:8000"},
    {"Host": "127.0.0.1:8000", "Origin": "http://testserver"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_without_keys_foreign_origins_are_rejected(build, headers):
    client = build(keys_required=False).client
    for method, path in (("POST", "/v1/uploads"), ("POST", "/v1/tasks"), ("GET", "/v1/tasks"), ("POST", "/v1/tus")):
        answer = client.request(method, path, content=b"x", headers={"Tus-Resumable": "1.0.0", **headers})
        assert (answer.status_code, answer.json()["code"]) == (403, "host_unknown")


@pytest.mark.parametrize("headers", OWN)
def test_without_keys_local_requests_are_served(build, headers):
    client = build(keys_required=False).client
    assert client.post("/v1/uploads", content=b"x", headers=headers).status_code == 201


@pytest.mark.parametrize("header", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"])
def test_without_keys_a_proxy_must_be_configured(build, header):
    headers = {"Host": "127.0.0.1:8000", header: "198.51.100.7"}
    refused = build(keys_required=False, public_url="").client.get("/v1/tasks", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "host_unknown")
    named = build(keys_required=False, public_url="https://lips.example").client
    assert named.get("/v1/tasks", headers=headers).status_code == 200
    assert named.get("/v1/tasks", headers=headers | {"Host": "lips.example"}).status_code == 200


def test_with_keys_any_host_is_accepted(service):
    headers = service.key() | {"Host": "lips.example", "Origin": "https://elsewhere.example", "X-Forwarded-For": "::2"}
    assert service.client.get("/v1/tasks", headers=headers).status_code == 200


def test_loopback_addresses_are_recognised():
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", ""))
