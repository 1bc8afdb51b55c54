from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from lipsync.api.upload_store import UploadStore
from lipsync.errors import DiskFull

CONTENT = bytes(range(256)) * 10_000  # 2.5 MB
MIB = 1 << 20
TUS = {"Tus-Resumable": "1.0.0"}


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
    house = build(max_upload_bytes=2_000_000)
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
    shelf = UploadStore(house.folder / "uploads", 10, 10)
    came = shelf.find(upload, house.store.list_keys()[0].id, house.clock()).changed_at
    assert came is not None
    assert shelf.prune(came + timedelta(hours=23), timedelta(days=1)) == []
    assert shelf.prune(came + timedelta(hours=25), timedelta(days=1)) == [upload]
    assert left_in(house) == []


def begun(house, headers, length: int):
    return house.client.post("/v1/tus", headers=headers | TUS | {"Upload-Length": str(length)})


def test_the_uploads_of_a_key_are_limited_and_each_key_has_its_own_limit(build):
    house = build(upload_quota_bytes=5 * MIB)
    mine, yours = house.key(), house.key()
    whole = house.client.post("/v1/uploads", content=CONTENT, headers=mine).headers["location"]
    assert begun(house, mine, 2 * MIB).status_code == 201
    before = left_in(house)
    for refused in (begun(house, mine, 2 * MIB), house.client.post("/v1/uploads", content=CONTENT, headers=mine)):
        assert (refused.status_code, refused.json()["code"]) == (429, "uploads_exceeded")
        assert str(5 * MIB) in refused.json()["detail"]
    assert left_in(house) == before
    assert begun(house, yours, 4 * MIB).status_code == 201
    assert house.client.delete(whole, headers=mine).status_code == 204
    assert begun(house, mine, 2 * MIB).status_code == 201


def test_an_upload_that_is_given_up_does_not_count_any_more(build):
    house = build(upload_quota_bytes=5 * MIB)
    headers = house.key()
    house.clock.time = datetime.now(UTC)  # that of the disk
    assert begun(house, headers, 5 * MIB).status_code == 201
    assert begun(house, headers, MIB).json()["code"] == "uploads_exceeded"
    house.clock.on(hours=25)
    assert begun(house, headers, MIB).status_code == 201


def test_small_uploads_are_not_free(build):
    house = build(upload_quota_bytes=3 * MIB)
    headers = house.key()
    answers = [house.client.post("/v1/uploads", content=b"x", headers=headers).status_code for _ in range(4)]
    assert answers == [201, 201, 201, 429]


def test_an_upload_of_unknown_length_counts_as_the_largest_until_it_is_there(build):
    house = build(max_upload_bytes=3 * MIB, upload_quota_bytes=5 * MIB)
    headers = house.key()
    assert house.client.post("/v1/uploads", content=iter([CONTENT]), headers=headers).status_code == 201
    refused = house.client.post("/v1/uploads", content=iter([b"x"]), headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (429, "uploads_exceeded")
    assert house.client.post("/v1/uploads", content=b"x", headers=headers).status_code == 201


def test_no_upload_is_larger_than_all_may_be(build):
    house = build(upload_quota_bytes=2 * MIB)
    refused = begun(house, house.key(), 3 * MIB)
    assert (refused.status_code, refused.json()["code"]) == (413, "upload_too_large")
    assert house.client.options("/v1/tus").headers["tus-max-size"] == str(2 * MIB)


def test_racing_uploads_are_no_more_than_the_key_may_have(build):
    house = build(upload_quota_bytes=3 * MIB)
    headers, barrier = house.key(), threading.Barrier(8)

    def make(_: int) -> int:
        barrier.wait()
        return int(begun(house, headers, MIB).status_code)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(make, range(8))) == [201] * 3 + [429] * 5


def test_an_upload_that_the_disk_has_no_room_for_is_refused_before_it_comes(build):
    house = build(max_upload_bytes=1 << 60, upload_quota_bytes=1 << 61)
    headers = house.key()
    told = headers | {"Content-Length": str(1 << 59)}
    for refused in (begun(house, headers, 1 << 59), house.client.post("/v1/uploads", content=b"x", headers=told)):
        assert (refused.status_code, refused.json()["code"]) == (507, "disk_full")
    assert left_in(house) == []


def test_an_upload_goes_on_only_while_the_disk_has_room_for_the_rest_of_it(build):
    shelf = build(max_upload_bytes=1 << 60, upload_quota_bytes=1 << 61).client.app.state.desk.shelf
    now = datetime.now(UTC)
    upload = shelf.create("k1", 10, now)
    about = shelf.path(upload).with_name("upload.json")
    about.write_text(about.read_text().replace('"length": 10', f'"length": {1 << 59}'))
    with pytest.raises(DiskFull), shelf.writing(upload, 0, now, digest="sha1", trusted=True):
        pass
