from __future__ import annotations

import pytest

from lipsync.api.auth import is_loopback
from lipsync.errors import SettingInvalid


def test_a_key_opens_what_its_scopes_say(house):
    reader, writer = house.key("tasks:read"), house.key("tasks:write")
    assert house.client.get("/v1/tasks", headers=reader).status_code == 200
    assert house.client.post("/v1/tasks", json=house.wish, headers=writer).status_code == 201
    refused = house.client.post("/v1/tasks", json=house.wish, headers=reader)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert house.client.get("/v1/tasks", headers=writer).status_code == 403


@pytest.mark.parametrize("told", ["Bearer lsk_000000000000_x", "Bearer x", "bearer " + "é" * 9])
def test_a_key_that_is_none_opens_nothing(house, told):
    answer = house.client.get("/v1/tasks", headers={"Authorization": told.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_unknown")
    assert answer.headers["www-authenticate"] == 'Bearer realm="lipsync", error="invalid_token"'


def test_without_a_key_it_is_told_how_to_send_one(house):
    for headers in ({}, {"Authorization": "Basic eDp5"}):
        answer = house.client.get("/v1/tasks", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "key_missing")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_revoked_key_opens_nothing(house):
    headers = house.key()
    house.store.revoke_key(house.store.list_keys()[0].id, house.clock())
    assert house.client.get("/v1/tasks", headers=headers).json()["code"] == "key_unknown"


def test_each_key_sees_its_own_tasks_and_an_admin_sees_all(house):
    mine, yours, admin = house.key(), house.key(), house.key("admin")
    task = house.new(mine)["id"]
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
        answer = house.client.request(method, path, headers=yours)
        assert (answer.status_code, answer.json()["code"]) == (404, "task_missing")
    assert house.client.get("/v1/tasks", headers=yours).json()["tasks"] == []
    for headers in (mine, admin):
        assert [t["id"] for t in house.client.get("/v1/tasks", headers=headers).json()["tasks"]] == [task]
        assert house.client.get(f"/v1/tasks/{task}", headers=headers).status_code == 200


def test_keys_can_be_off_on_this_machine_alone(build):
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
def test_without_keys_pages_from_elsewhere_are_kept_out(build, headers):
    client = build(keys_required=False).client
    for method, path in (("POST", "/v1/uploads"), ("POST", "/v1/tasks"), ("GET", "/v1/tasks"), ("POST", "/v1/tus")):
        answer = client.request(method, path, content=b"x", headers={"Tus-Resumable": "1.0.0", **headers})
        assert (answer.status_code, answer.json()["code"]) == (403, "host_unknown")


@pytest.mark.parametrize("headers", OWN)
def test_without_keys_the_own_page_and_programs_of_this_machine_come_in(build, headers):
    client = build(keys_required=False).client
    assert client.post("/v1/uploads", content=b"x", headers=headers).status_code == 201


@pytest.mark.parametrize("header", ["Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP"])
def test_without_keys_a_proxy_is_served_only_if_it_is_named(build, header):
    headers = {"Host": "127.0.0.1:8000", header: "198.51.100.7"}
    refused = build(keys_required=False, public_url="").client.get("/v1/tasks", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "host_unknown")
    named = build(keys_required=False, public_url="https://lips.example").client
    assert named.get("/v1/tasks", headers=headers).status_code == 200
    assert named.get("/v1/tasks", headers=headers | {"Host": "lips.example"}).status_code == 200


def test_with_keys_the_host_does_not_matter(house):
    headers = house.key() | {"Host": "lips.example", "Origin": "https://elsewhere.example", "X-Forwarded-For": "::2"}
    assert house.client.get("/v1/tasks", headers=headers).status_code == 200


def test_what_a_loopback_address_is():
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", ""))
