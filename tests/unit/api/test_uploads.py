from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from lipsync.api.shelf import Shelf

CONTENT = bytes(range(256)) * 10_000  # 2.5 MB


def left_in(house) -> list[str]:
    folder = house.folder / "uploads"
    return sorted(place.name for place in folder.iterdir()) if folder.is_dir() else []


def test_an_upload_is_kept_and_used_by_a_task(house):
    headers = house.key()
    answer = house.client.post("/v1/uploads", content=CONTENT, headers=headers)
    told = answer.json()
    assert answer.status_code == 201
    assert told == {"id": told["id"], "bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    assert house.client.get(answer.headers["location"], headers=headers).json() == told
    task = house.new(headers, video={"upload": told["id"]})
    assert task["video"] == {"url": None, "upload": told["id"], "sha256": told["sha256"], "bytes": len(CONTENT)}
    source = house.store.get(task["id"]).video
    assert (house.folder / "uploads" / source.location).read_bytes() == CONTENT


def test_the_same_file_uploaded_again_is_the_same_request(house):
    headers = house.key()
    again = headers | {"Idempotency-Key": "k"}
    tasks = []
    for _ in range(2):
        upload = house.client.post("/v1/uploads", content=CONTENT, headers=headers).json()["id"]
        answer = house.client.post("/v1/tasks", json=house.wish | {"audio": {"upload": upload}}, headers=again)
        house.clock.on(seconds=1)
        tasks.append((answer.status_code, answer.json()["id"]))
    assert tasks == [(201, tasks[0][1]), (200, tasks[0][1])]


def test_an_upload_belongs_to_its_key(house):
    mine, yours = house.key(), house.key()
    upload = house.client.post("/v1/uploads", content=CONTENT, headers=mine).json()["id"]
    assert house.client.get(f"/v1/uploads/{upload}", headers=yours).json()["code"] == "upload_missing"
    assert house.client.delete(f"/v1/uploads/{upload}", headers=yours).status_code == 404
    wish = house.wish | {"video": {"upload": upload}}
    refused = house.client.post("/v1/tasks", json=wish, headers=yours)
    assert (refused.status_code, refused.json()["code"]) == (422, "upload_unusable")
    assert house.client.delete(f"/v1/uploads/{upload}", headers=mine).status_code == 204
    assert house.client.get(f"/v1/uploads/{upload}", headers=mine).status_code == 404
    assert left_in(house) == []


@pytest.mark.parametrize("streamed", [False, True])
def test_an_upload_that_is_too_large_is_refused_and_nothing_stays(build, streamed):
    house = build(upload_bytes=2_000_000)
    body = iter([CONTENT[:700_000]] * 4) if streamed else CONTENT
    answer = house.client.post("/v1/uploads", content=body, headers=house.key())
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert left_in(house) == []
    assert house.client.post("/v1/uploads", content=CONTENT[:2_000_000], headers=house.key()).status_code == 201


def test_an_upload_without_bytes_is_none(house):
    answer = house.client.post("/v1/uploads", content=b"", headers=house.key())
    assert (answer.status_code, answer.json()["code"]) == (422, "file_empty")
    assert left_in(house) == []


@pytest.mark.parametrize("name", ["x", "..", "%2e%2e", "0" * 32, "0" * 31 + "/"])
def test_an_upload_that_never_was(house, name):
    assert house.client.get(f"/v1/uploads/{name}", headers=house.key()).status_code in (404, 405)


def test_an_upload_is_kept_as_long_as_tasks_are_from_its_last_use_on(build):
    house = build(retention_days=1)
    headers = house.key()
    upload = house.client.post("/v1/uploads", content=b"x", headers=headers).json()["id"]
    shelf = Shelf(house.folder / "uploads", 10)
    came = shelf.find(upload, house.store.list_keys()[0].id, house.clock()).changed_at
    assert came is not None
    assert shelf.prune(came + timedelta(hours=23), timedelta(days=1)) == []
    assert shelf.prune(came + timedelta(hours=25), timedelta(days=1)) == [upload]
    assert left_in(house) == []
