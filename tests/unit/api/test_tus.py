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
SPEAKS = {"Tus-Resumable": "1.0.0"}
PART = SPEAKS | {"Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def me(house) -> dict[str, str]:
    return house.key()


def begin(house, me, length: int = len(CONTENT), **more: str) -> str:
    headers = me | SPEAKS | {"Upload-Length": str(length)} | more
    answer = house.client.post("/v1/tus", headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def send(house, me, path: str, offset: int, body: Any, **more: str) -> Any:
    return house.client.patch(path, content=body, headers=me | PART | {"Upload-Offset": str(offset)} | more)


def offset_of(house, me, path: str) -> int:
    return int(house.client.head(path, headers=me | SPEAKS).headers["upload-offset"])


def announced(content: bytes, name: str = "sha256") -> dict[str, str]:
    digest = base64.b64encode(hashlib.new(name, content).digest()).decode()
    return {"Upload-Checksum": f"{name} {digest}"}


def test_what_is_spoken_is_told_to_everybody(build):
    answer = build(max_upload_bytes=77).client.options("/v1/tus")
    assert answer.status_code == 204
    assert answer.headers["tus-resumable"] == answer.headers["tus-version"] == "1.0.0"
    assert answer.headers["tus-extension"] == "creation,expiration,checksum,termination"
    assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"
    assert answer.headers["tus-max-size"] == "77"


def test_an_upload_in_parts_is_used_by_a_task(house, me):
    path = begin(house, me, **{"Upload-Metadata": "filename dmlkZW8ubXA0,private"})
    first = send(house, me, path, 0, CONTENT[:1_500_000])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "1500000")
    assert parsedate_to_datetime(first.headers["upload-expires"])
    looked = house.client.head(path, headers=me | SPEAKS)
    assert looked.status_code == 200
    assert looked.headers["upload-offset"] == "1500000"
    assert looked.headers["upload-length"] == str(len(CONTENT))
    assert looked.headers["upload-metadata"] == "filename dmlkZW8ubXA0,private"
    assert looked.headers["cache-control"] == "no-store"
    upload = path.rpartition("/")[2]
    refused = house.client.post("/v1/tasks", json=house.wish | {"video": {"upload": upload}}, headers=me)
    assert refused.json()["code"] == "upload_unusable"
    assert house.client.get(f"/v1/uploads/{upload}", headers=me).json()["code"] == "upload_incomplete"
    last = send(house, me, path, 1_500_000, CONTENT[1_500_000:])
    assert last.headers["upload-offset"] == str(len(CONTENT))
    assert "upload-expires" not in last.headers
    told = house.client.get(f"/v1/uploads/{upload}", headers=me).json()
    assert told["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    source = house.store.get(house.new(me, video={"upload": upload})["id"]).video
    assert source.sha256 == told["sha256"]
    assert (house.folder / "uploads" / source.location).read_bytes() == CONTENT


def test_every_answer_says_which_version_is_spoken(house, me):
    for answer in (
        house.client.post("/v1/tus", headers=me | {"Tus-Resumable": "0.2.2"}),
        house.client.post("/v1/tus", headers=me),
        house.client.head("/v1/tus/" + "0" * 32, headers=me),
    ):
        assert answer.status_code == 412
        assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    assert "tus-resumable" in house.client.get("/v1/tus").headers
    assert "tus-resumable" not in house.client.get("/v1/tasks").headers


def test_an_upload_goes_on_where_it_is_and_nowhere_else(house, me):
    path = begin(house, me)
    send(house, me, path, 0, CONTENT[:1000])
    for offset in (0, 999, 1001):
        answer = send(house, me, path, offset, CONTENT[1000:])
        assert (answer.status_code, answer.json()["code"]) == (409, "offset_conflict")
        assert answer.headers["upload-offset"] == "1000"
    assert offset_of(house, me, path) == 1000


def test_more_than_was_announced_is_refused(house, me):
    path = begin(house, me, length=1000)
    answer = send(house, me, path, 0, CONTENT[:1001])
    assert (answer.status_code, answer.json()["code"]) == (413, "upload_too_large")
    assert offset_of(house, me, path) == 0


def test_a_part_with_a_checksum_is_taken_whole_or_not_at_all(house, me):
    path = begin(house, me)
    wrong = send(house, me, path, 0, CONTENT[:2_000_000], **announced(b"something else"))
    assert (wrong.status_code, wrong.json()["code"]) == (460, "tus_checksum")
    assert offset_of(house, me, path) == 0
    assert send(house, me, path, 0, CONTENT[:2_000_000], **announced(CONTENT[:2_000_000], "sha1")).status_code == 204
    assert send(house, me, path, 2_000_000, CONTENT[2_000_000:], **announced(CONTENT[2_000_000:])).status_code == 204


def test_a_part_with_a_checksum_whose_service_died_is_none(house, me):
    path = begin(house, me)
    send(house, me, path, 0, CONTENT[:1000])
    upload = house.folder / "uploads" / path.rpartition("/")[2]
    told = json.loads((upload / "upload.json").read_text())
    (upload / "upload.json").write_text(json.dumps(told | {"sure": 1000}))
    (upload / "content").write_bytes(CONTENT[:1000] + b"what nobody checked")
    assert offset_of(house, me, path) == 1000
    assert send(house, me, path, 1000, CONTENT[1000:]).status_code == 204
    assert (upload / "content").read_bytes() == CONTENT


def test_an_upload_whose_service_died_at_the_end_is_whole(house, me):
    path = begin(house, me, length=1000)
    upload = house.folder / "uploads" / path.rpartition("/")[2]
    (upload / "content").write_bytes(CONTENT[:1000])
    told = house.client.get(f"/v1/uploads/{upload.name}", headers=me).json()
    assert told["sha256"] == hashlib.sha256(CONTENT[:1000]).hexdigest()
    assert send(house, me, path, 1000, b"").headers["upload-offset"] == "1000"


def test_a_method_that_is_not_to_be_had_stands_in_a_header(house, me):
    path = begin(house, me)
    headers = me | PART | {"Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert house.client.post(path, content=CONTENT[:10], headers=headers).status_code == 204
    assert offset_of(house, me, path) == 10
    assert house.client.post(path, headers=me | SPEAKS | {"X-HTTP-Method-Override": "delete"}).status_code == 204
    assert house.client.post(path, headers=me | SPEAKS | {"X-HTTP-Method-Override": "GET"}).status_code == 405


@pytest.mark.parametrize("told", ["md5 eA==", "sha1", "sha1 ?", "sha256 é"])
def test_a_checksum_that_is_none(house, me, told):
    path = begin(house, me)
    answer = house.client.patch(
        path, content=b"x", headers=me | PART | {"Upload-Offset": "0", "Upload-Checksum": told.encode("latin-1")}
    )
    assert answer.status_code in (400, 460)
    assert offset_of(house, me, path) == 0


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
def test_an_upload_that_cannot_begin(house, me, headers, status):
    answer = house.client.post("/v1/tus", headers=me | SPEAKS | headers)
    assert answer.status_code == status
    assert not list((house.folder / "uploads").glob("*"))


def test_a_part_of_another_type_or_without_an_offset(house, me):
    path = begin(house, me)
    other = house.client.patch(path, content=b"x", headers=me | SPEAKS | {"Upload-Offset": "0"})
    assert (other.status_code, other.json()["code"]) == (415, "tus_content_type")
    nowhere = house.client.patch(path, content=b"x", headers=me | PART)
    assert (nowhere.status_code, nowhere.json()["code"]) == (400, "tus_header")


def test_an_upload_of_no_bytes_is_whole_at_once(house, me):
    path = begin(house, me, length=0)
    assert house.client.get(f"/v1/uploads/{path.rpartition('/')[2]}", headers=me).json()["bytes"] == 0


def test_giving_up(house, me):
    path = begin(house, me)
    send(house, me, path, 0, CONTENT[:1000])
    assert house.client.delete(path, headers=house.key() | SPEAKS).status_code == 404
    assert house.client.delete(path, headers=me | SPEAKS).status_code == 204
    assert house.client.head(path, headers=me | SPEAKS).status_code == 404
    assert not list((house.folder / "uploads").glob("*"))


def test_of_two_writers_one_is_refused(house, me):
    path = begin(house, me)
    writing, go_on = threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        yield CONTENT[:1_200_000]
        writing.set()
        assert go_on.wait(10)
        yield CONTENT[1_200_000:]

    answers = []
    first = threading.Thread(target=lambda: answers.append(send(house, me, path, 0, slowly()).status_code))
    with house.over() as other:
        first.start()
        assert writing.wait(10)
        second = other.patch(path, content=b"x", headers=me | PART | {"Upload-Offset": "0"})
        ended = other.delete(path, headers=me | SPEAKS)
        go_on.set()
        first.join()
    assert (second.status_code, second.json()["code"]) == (423, "upload_locked")
    assert ended.status_code == 423
    assert answers == [204]
    assert offset_of(house, me, path) == len(CONTENT)


def test_an_upload_that_nobody_goes_on_with_expires(house, me):
    path = begin(house, me)
    house.clock.on(days=3650)
    answer = send(house, me, path, 0, CONTENT)
    assert (answer.status_code, answer.json()["code"]) == (410, "upload_expired")
    other = begin(house, me)
    assert house.client.head(path, headers=me | SPEAKS).status_code == 404
    assert other != path
