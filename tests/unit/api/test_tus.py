from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

CONTENT = bytes(range(256)) * 10_000  # 2.5 MB
TUS = {"Tus-Resumable": "1.0.0"}
PART = TUS | {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def me(service) -> dict[str, str]:
    return service.key()


def begin(service, me, length: int = len(CONTENT), **more: str) -> str:
    headers = me | TUS | {"Upload-Length": str(length)} | more
    answer = service.client.post("/v1/tus", headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def send(service, me, path: str, offset: int, body: Any, **more: str) -> Any:
    return service.client.patch(path, content=body, headers=me | PART | {"Upload-Offset": str(offset)} | more)


def offset_of(service, me, path: str) -> int:
    return int(service.client.head(path, headers=me | TUS).headers["upload-offset"])


def announced(content: bytes, name: str = "sha256") -> dict[str, str]:
    digest = base64.b64encode(hashlib.new(name, content).digest()).decode()
    return {"Upload-Checksum": f"{name} {digest}"}


def test_tus_capabilities_need_no_key(build):
    answer = build(max_upload_bytes=77).client.options("/v1/tus")
    assert answer.status_code == 204
    assert answer.headers["tus-resumable"] == answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-extension"] == "creation,expiration,checksum,termination"
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"
    assert answer.headers["tus-max-size"] == "77"


def test_an_upload_in_parts_is_used_by_a_task(service, me):
    path = begin(service, me, **{"Upload-Metadata": "filename dmlkZW8ubXA0,private"})
    first = send(service, me, path, 0, CONTENT[:1_500_000])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "1500000")
    assert parsedate_to_datetime(first.headers["upload-expires"])
    looked = service.client.head(path, headers=me | TUS)
    assert looked.status_code == 200
    assert looked.headers["upload-offset"] == "1500000"
    assert looked.headers["upload-length"] == str(len(CONTENT))
    assert looked.headers["upload-metadata"] == "filename dmlkZW8ubXA0,private"
    assert looked.headers["cache-control"] == "no-store"
    upload = path.rpartition("/")[2]
    refused = service.client.post("/v1/tasks", json=service.task_request | {"video": {"upload": upload}}, headers=me)
    assert refused.json()["code"] == "upload_unusable"
    assert service.client.get(f"/v1/uploads/{upload}", headers=me).json()["code"] == "upload_incomplete"
    last = send(service, me, path, 1_500_000, CONTENT[1_500_000:])
    assert last.headers["upload-offset"] == str(len(CONTENT))
    assert "upload-expires" not in last.headers
    body = service.client.get(f"/v1/uploads/{upload}", headers=me).json()
    assert body["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    source = service.store.get(service.create_task(me, video={"upload": upload})["id"]).video
    assert source.sha256 == body["sha256"]
    assert (service.folder / "uploads" / source.location).read_bytes() == CONTENT


def test_every_response_has_the_tus_version(service, me):
    for answer in (
        service.client.post("/v1/tus", headers=me | {"Tus-Resumable": "0.2.2"}),
        service.client.post("/v1/tus", headers=me),
        service.client.head("/v1/tus/" + "0" * 32, headers=me),
    ):
        assert answer.status_code == 412
        assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    assert "tus-resumable" in service.client.get("/v1/tus").headers
    assert "tus-resumable" not in service.client.get("/v1/tasks").headers


def test_an_upload_continues_at_its_offset_only(service, me):
    path = begin(service, me)
    send(service, me, path, 0, CONTENT[:1000])
    for offset in (0, 999, 1001):
        answer = send(service, me, path, offset, CONTENT[1000:])
        assert (answer.status_code, answer.json()["code"]) == (409, "offset_conflict")
        assert answer.headers["upload-offset"] == "1000"
    assert offset_of(service, me, path) == 1000


def test_a_part_beyond_the_announced_length_is_rejected(service, me):
    path = begin(service, me, length=1000)
    answer = send(service, me, path, 0, CONTENT[:1001])
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert offset_of(service, me, path) == 0


def test_a_checksummed_part_is_stored_completely_or_not_at_all(service, me):
    path = begin(service, me)
    wrong = send(service, me, path, 0, CONTENT[:2_000_000], **announced(b"something else"))
    assert (wrong.status_code, wrong.json()["code"]) == (460, "tus_checksum")
    assert offset_of(service, me, path) == 0
    assert send(service, me, path, 0, CONTENT[:2_000_000], **announced(CONTENT[:2_000_000], "sha1")).status_code == 204
    assert send(service, me, path, 2_000_000, CONTENT[2_000_000:], **announced(CONTENT[2_000_000:])).status_code == 204


def test_a_checksummed_part_is_discarded_after_a_crash(service, me):
    path = begin(service, me)
    send(service, me, path, 0, CONTENT[:1000])
    upload = service.folder / "uploads" / path.rpartition("/")[2]
    saved = json.loads((upload / "upload.json").read_text())
    (upload / "upload.json").write_text(json.dumps(saved | {"committed": 1000}))
    (upload / "content").write_bytes(CONTENT[:1000] + b"unchecked bytes")
    assert offset_of(service, me, path) == 1000
    assert send(service, me, path, 1000, CONTENT[1000:]).status_code == 204
    assert (upload / "content").read_bytes() == CONTENT


def test_an_upload_is_complete_after_a_crash_at_its_end(service, me):
    path = begin(service, me, length=1000)
    upload = service.folder / "uploads" / path.rpartition("/")[2]
    (upload / "content").write_bytes(CONTENT[:1000])
    body = service.client.get(f"/v1/uploads/{upload.name}", headers=me).json()
    assert body["sha256"] == hashlib.sha256(CONTENT[:1000]).hexdigest()
    assert send(service, me, path, 1000, b"").headers["upload-offset"] == "1000"


def test_a_method_can_be_overridden_by_a_header(service, me):
    path = begin(service, me)
    headers = me | PART | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert service.client.post(path, content=CONTENT[:10], headers=headers).status_code == 204
    assert offset_of(service, me, path) == 10
    assert service.client.post(path, headers=me | TUS | {"X-HTTP-Method-Override": "delete"}).status_code == 204
    assert service.client.post(path, headers=me | TUS | {"X-HTTP-Method-Override": "GET"}).status_code == 405


@pytest.mark.parametrize("header", ["md5 eA==", "sha1", "sha1 ?", "sha256 é"])
def test_an_invalid_checksum_is_rejected(service, me, header):
    path = begin(service, me)
    answer = service.client.patch(
        path, content=b"x", headers=me | PART | {"Upload-Offset": "0", "Upload-Checksum": header.encode("latin-1")}
    )
    assert answer.status_code in (400, 460)
    assert offset_of(service, me, path) == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"Upload-Length": "-1"}, 400),
        ({"Upload-Length": "many"}, 400),
        ({"Upload-Length": "9" * 30}, 400),
        ({"Upload-Defer-Length": "1"}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": "name ???"}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": "a eA==,,b"}, 400),
        ({"Upload-Length": "5", "Upload-Metadata": "a " + "eHh4" * 2000}, 400),
        ({"Upload-Length": str(1 << 40)}, 413),
    ],
)
def test_an_upload_with_invalid_headers_is_rejected(service, me, headers, status):
    answer = service.client.post("/v1/tus", headers=me | TUS | headers)
    assert answer.status_code == status
    assert not list((service.folder / "uploads").glob("*"))


def test_a_part_needs_its_content_type_and_an_offset(service, me):
    path = begin(service, me)
    other = service.client.patch(path, content=b"x", headers=me | TUS | {"Upload-Offset": "0"})
    assert (other.status_code, other.json()["code"]) == (415, "tus_content_type")
    nowhere = service.client.patch(path, content=b"x", headers=me | PART)
    assert (nowhere.status_code, nowhere.json()["code"]) == (400, "tus_header")


def test_an_empty_resumable_upload_is_complete_at_once(service, me):
    path = begin(service, me, length=0)
    assert service.client.get(f"/v1/uploads/{path.rpartition('/')[2]}", headers=me).json()["bytes"] == 0


def test_deleting_a_resumable_upload(service, me):
    path = begin(service, me)
    send(service, me, path, 0, CONTENT[:1000])
    assert service.client.delete(path, headers=service.key() | TUS).status_code == 404
    assert service.client.delete(path, headers=me | TUS).status_code == 204
    assert service.client.head(path, headers=me | TUS).status_code == 404
    assert not list((service.folder / "uploads").glob("*"))


def test_the_second_of_two_writers_is_rejected(service, me):
    path = begin(service, me)
    writing, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield CONTENT[:1_200_000]
        writing.set()
        assert go_on.wait(10)
        yield CONTENT[1_200_000:]

    answers = []
    first = threading.Thread(target=lambda: answers.append(send(service, me, path, 0, slowly()).status_code))
    with service.client_with() as other:
        first.start()
        assert writing.wait(10)
        second = other.patch(path, content=b"x", headers=me | PART | {"Upload-Offset": "0"})
        ended = other.delete(path, headers=me | TUS)
        go_on.set()
        first.join()
    assert (second.status_code, second.json()["code"]) == (423, "upload_locked")
    assert ended.status_code == 423
    assert answers == [204]
    assert offset_of(service, me, path) == len(CONTENT)


def test_an_idle_upload_expires(service, me):
    path = begin(service, me)
    service.clock.advance(days=3650)
    answer = send(service, me, path, 0, CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (410, "upload_expired")
    other = begin(service, me)
    assert service.client.head(path, headers=me | TUS).status_code == 404
    assert other != path
