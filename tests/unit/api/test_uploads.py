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


def left_in(service) -> list[str]:
    folder = service.folder / "uploads"
    return sorted(folder.name for folder in folder.iterdir()) if folder.is_dir() else []


def test_an_upload_is_kept_and_used_by_a_task(service):
    headers = service.key()
    answer = service.client.post("/v1/uploads", content=CONTENT, headers=headers)
    upload = answer.json()
    assert answer.status_code == 201
    assert upload == {"id": upload["id"], "bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    assert service.client.get(answer.headers["location"], headers=headers).json() == upload
    task = service.create_task(headers, video={"upload": upload["id"]})
    assert task["video"] == {"url": None, "upload": upload["id"], "sha256": upload["sha256"], "bytes": len(CONTENT)}
    source = service.store.get(task["id"]).video
    assert (service.folder / "uploads" / source.location).read_bytes() == CONTENT


def test_the_same_file_uploaded_again_is_the_same_request(service):
    headers = service.key()
    again = headers | {"Idempotency-Key": "k"}
    tasks = []
    for _ in range(2):
        upload = service.client.post("/v1/uploads", content=CONTENT, headers=headers).json()["id"]
        answer = service.client.post(
            "/v1/tasks", json=service.task_request | {"audio": {"upload": upload}}, headers=again
        )
        service.clock.advance(seconds=1)
        tasks.append((answer.status_code, answer.json()["id"]))
    assert tasks == [(201, tasks[0][1]), (200, tasks[0][1])]


def test_an_upload_belongs_to_its_key(service):
    mine, yours = service.key(), service.key()
    upload = service.client.post("/v1/uploads", content=CONTENT, headers=mine).json()["id"]
    assert service.client.get(f"/v1/uploads/{upload}", headers=yours).json()["code"] == "upload_missing"
    assert service.client.delete(f"/v1/uploads/{upload}", headers=yours).status_code == 404
    request = service.task_request | {"video": {"upload": upload}}
    refused = service.client.post("/v1/tasks", json=request, headers=yours)
    assert (refused.status_code, refused.json()["code"]) == (422, "upload_unusable")
    assert service.client.delete(f"/v1/uploads/{upload}", headers=mine).status_code == 204
    assert service.client.get(f"/v1/uploads/{upload}", headers=mine).status_code == 404
    assert left_in(service) == []


@pytest.mark.parametrize("streamed", [False, True])
def test_an_upload_that_is_too_large_is_rejected_and_discarded(build, streamed):
    service = build(max_upload_bytes=2_000_000)
    body = iter([CONTENT[:700_000]] * 4) if streamed else CONTENT
    answer = service.client.post("/v1/uploads", content=body, headers=service.key())
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert left_in(service) == []
    assert service.client.post("/v1/uploads", content=CONTENT[:2_000_000], headers=service.key()).status_code == 201


def test_an_empty_upload_is_rejected(service):
    answer = service.client.post("/v1/uploads", content=b"", headers=service.key())
    assert (answer.status_code, answer.json()["code"]) == (422, "file_empty")
    assert left_in(service) == []


@pytest.mark.parametrize("name", ["x", "..", "%2e%2e", "0" * 32, "0" * 31 + "/"])
def test_an_unknown_upload_is_not_found(service, name):
    assert service.client.get(f"/v1/uploads/{name}", headers=service.key()).status_code in (404, 405)


def test_an_upload_is_kept_as_long_as_tasks_are_from_its_last_use_on(build):
    service = build(retention_days=1)
    headers = service.key()
    upload = service.client.post("/v1/uploads", content=b"x", headers=headers).json()["id"]
    uploads = UploadStore(service.folder / "uploads", 10, 10)
    received = uploads.find(upload, service.store.list_keys()[0].id, service.clock()).changed_at
    assert received is not None
    assert uploads.prune(received + timedelta(hours=23), timedelta(days=1)) == []
    assert uploads.prune(received + timedelta(hours=25), timedelta(days=1)) == [upload]
    assert left_in(service) == []


def begun(service, headers, length: int):
    return service.client.post("/v1/tus", headers=headers | TUS | {"Upload-Length": str(length)})


def test_the_uploads_of_a_key_are_limited_and_each_key_has_its_own_limit(build):
    service = build(upload_quota_bytes=5 * MIB)
    mine, yours = service.key(), service.key()
    location = service.client.post("/v1/uploads", content=CONTENT, headers=mine).headers["location"]
    assert begun(service, mine, 2 * MIB).status_code == 201
    before = left_in(service)
    for refused in (begun(service, mine, 2 * MIB), service.client.post("/v1/uploads", content=CONTENT, headers=mine)):
        assert (refused.status_code, refused.json()["code"]) == (429, "uploads_exceeded")
        assert str(5 * MIB) in refused.json()["detail"]
    assert left_in(service) == before
    assert begun(service, yours, 4 * MIB).status_code == 201
    assert service.client.delete(location, headers=mine).status_code == 204
    assert begun(service, mine, 2 * MIB).status_code == 201


def test_an_expired_upload_does_not_count_towards_the_quota(build):
    service = build(upload_quota_bytes=5 * MIB)
    headers = service.key()
    service.clock.time = datetime.now(UTC)  # that of the disk
    assert begun(service, headers, 5 * MIB).status_code == 201
    assert begun(service, headers, MIB).json()["code"] == "uploads_exceeded"
    service.clock.advance(hours=25)
    assert begun(service, headers, MIB).status_code == 201


def test_small_uploads_count_towards_the_quota(build):
    service = build(upload_quota_bytes=3 * MIB)
    headers = service.key()
    answers = [service.client.post("/v1/uploads", content=b"x", headers=headers).status_code for _ in range(4)]
    assert answers == [201, 201, 201, 429]


def test_an_upload_of_unknown_length_counts_as_the_largest_until_it_is_there(build):
    service = build(max_upload_bytes=3 * MIB, upload_quota_bytes=5 * MIB)
    headers = service.key()
    assert service.client.post("/v1/uploads", content=iter([CONTENT]), headers=headers).status_code == 201
    refused = service.client.post("/v1/uploads", content=iter([b"x"]), headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (429, "uploads_exceeded")
    assert service.client.post("/v1/uploads", content=b"x", headers=headers).status_code == 201


def test_one_upload_cannot_exceed_the_quota(build):
    service = build(upload_quota_bytes=2 * MIB)
    refused = begun(service, service.key(), 3 * MIB)
    assert (refused.status_code, refused.json()["code"]) == (413, "upload_too_large")
    assert service.client.options("/v1/tus").headers["tus-max-size"] == str(2 * MIB)


def test_concurrent_uploads_cannot_exceed_the_quota(build):
    service = build(upload_quota_bytes=3 * MIB)
    headers, barrier = service.key(), threading.Barrier(8)

    def make(_: int) -> int:
        barrier.wait()
        return int(begun(service, headers, MIB).status_code)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(make, range(8))) == [201] * 3 + [429] * 5


def test_an_upload_too_large_for_the_disk_is_rejected_at_once(build):
    service = build(max_upload_bytes=1 << 60, upload_quota_bytes=1 << 61)
    headers = service.key()
    huge = headers | {"Content-Length": str(1 << 59)}
    for refused in (begun(service, headers, 1 << 59), service.client.post("/v1/uploads", content=b"x", headers=huge)):
        assert (refused.status_code, refused.json()["code"]) == (507, "disk_full")
    assert left_in(service) == []


def test_an_upload_continues_only_if_the_disk_has_space_for_the_rest(build):
    uploads = build(max_upload_bytes=1 << 60, upload_quota_bytes=1 << 61).client.app.state.lipsync.uploads
    now = datetime.now(UTC)
    upload = uploads.create("k1", 10, now)
    about = uploads.path(upload).with_name("upload.json")
    about.write_text(about.read_text().replace('"length": 10', f'"length": {1 << 59}'))
    with pytest.raises(DiskFull), uploads.writing(upload, 0, now, digest="sha1", keep_partial=True):
        pass


def test_an_upload_of_an_earlier_version_can_be_used(service):
    headers = service.key()
    upload = service.client.post("/v1/uploads", content=CONTENT, headers=headers).json()
    metadata = service.folder / "uploads" / upload["id"] / "upload.json"
    metadata.write_text(metadata.read_text().replace('"committed"', '"sure"'))
    assert service.client.get(f"/v1/uploads/{upload['id']}", headers=headers).json() == upload
