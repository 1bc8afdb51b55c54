from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

import pytest

CONTENT = bytes(range(256)) * 4_000  # 1 MB


@pytest.fixture
def link(service) -> str:
    task = service.complete(service.create_task(service.key())["id"], CONTENT)
    return service.storage.url(task.outputs[0].key)


def test_a_link_gives_the_whole_file(service, link):
    answer = service.client.get(link)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["content-disposition"] == 'attachment; filename="rewrite.mp4"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    looked = service.client.head(link)
    assert (looked.status_code, looked.content) == (200, b"")
    same = ("content-length", "content-type", "etag", "accept-ranges")
    assert [looked.headers[name] for name in same] == [answer.headers[name] for name in same]


@pytest.mark.parametrize(
    ("byte_range", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1000-", 1000, len(CONTENT)),
        ("bytes=-5", len(CONTENT) - 5, len(CONTENT)),
        ("bytes=-99999999", 0, len(CONTENT)),
        ("bytes=1000-99999999", 1000, len(CONTENT)),
    ],
)
def test_a_range_is_served(service, link, byte_range, start, end):
    for method in ("GET", "HEAD"):
        answer = service.client.request(method, link, headers={"Range": byte_range})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
        assert answer.headers["content-length"] == str(end - start)
        assert answer.content == (CONTENT[start:end] if method == "GET" else b"")


@pytest.mark.parametrize("byte_range", [f"bytes={len(CONTENT)}-", "bytes=99999999-999999999", "bytes=-0"])
def test_a_range_outside_the_file_is_rejected(service, link, byte_range):
    answer = service.client.get(link, headers={"Range": byte_range})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_invalid")
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize(
    "byte_range", ["bytes=", "bytes=-", "bytes=5-1", "lines=1-2", "bytes=a-b", "bytes=0-1,5-6", "x"]
)
def test_a_malformed_range_gives_the_whole_file(service, link, byte_range):
    answer = service.client.get(link, headers={"Range": byte_range})
    assert (answer.status_code, len(answer.content)) == (200, len(CONTENT))


def test_a_range_of_another_version_is_not_served(service, link):
    mark = service.client.head(link).headers["etag"]
    part = {"Range": "bytes=0-9"}
    assert service.client.get(link, headers=part | {"If-Range": mark}).status_code == 206
    assert service.client.get(link, headers=part | {"If-Range": '"another"'}).status_code == 200
    assert service.client.get(link, headers=part | {"If-Range": f"W/{mark}"}).status_code == 200
    assert service.client.get(link, headers={"If-None-Match": f'"x", {mark}'}).status_code == 304


def test_a_link_is_valid_for_its_file_and_its_lifetime(service, link):
    parts = urlsplit(link)
    for wrong in (
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link.replace("rewrite", "wav2lip"),
        link.replace("expires=1", "expires=2"),
        f"{parts.path}?expires=99999999999&signature=",
    ):
        answer = service.client.get(wrong)
        assert (answer.status_code, answer.json()["code"]) == (403, "link_invalid")
    service.clock.advance(days=2)
    assert service.client.get(link).status_code == 403


def test_a_deleted_file_is_not_found(service, link):
    key = urlsplit(link).path.removeprefix("/v1/files/")
    service.storage.delete(key)
    answer = service.client.get(link)
    assert (answer.status_code, answer.json()["code"]) == (404, "file_missing")


def test_a_file_without_a_task_has_a_weak_tag(service, link):
    path = service.folder / "results" / "other.bin"
    path.write_bytes(b"other")
    answer = service.client.get(service.storage.url("other.bin"))
    assert answer.headers["etag"].startswith("W/")
    assert answer.headers["content-type"] == "application/octet-stream"
    part = {"Range": "bytes=0-1", "If-Range": answer.headers["etag"]}
    assert service.client.get(service.storage.url("other.bin"), headers=part).status_code == 200


def test_no_file_is_served_if_results_are_in_another_storage(service, link):
    answer = service.client_with(link_secret="").get(link)
    assert (answer.status_code, answer.json()["code"]) == (404, "file_missing")
