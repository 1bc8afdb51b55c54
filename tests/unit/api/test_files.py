from __future__ import annotations

import hashlib
from urllib.parse import urlsplit

import pytest

CONTENT = bytes(range(256)) * 4_000  # 1 MB


@pytest.fixture
def link(house) -> str:
    task = house.complete(house.new(house.key())["id"], CONTENT)
    return house.storage.url(task.outputs[0].key)


def test_a_link_gives_the_whole_file(house, link):
    answer = house.client.get(link)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.headers["content-disposition"] == 'attachment; filename="rewrite.mp4"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    looked = house.client.head(link)
    assert (looked.status_code, looked.content) == (200, b"")
    same = ("content-length", "content-type", "etag", "accept-ranges")
    assert [looked.headers[name] for name in same] == [answer.headers[name] for name in same]


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1000-", 1000, len(CONTENT)),
        ("bytes=-5", len(CONTENT) - 5, len(CONTENT)),
        ("bytes=-99999999", 0, len(CONTENT)),
        ("bytes=1000-99999999", 1000, len(CONTENT)),
    ],
)
def test_a_part_is_given(house, link, wanted, start, end):
    for method in ("GET", "HEAD"):
        answer = house.client.request(method, link, headers={"Range": wanted})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(CONTENT)}"
        assert answer.headers["content-length"] == str(end - start)
        assert answer.content == (CONTENT[start:end] if method == "GET" else b"")


@pytest.mark.parametrize("wanted", [f"bytes={len(CONTENT)}-", "bytes=99999999-999999999", "bytes=-0"])
def test_a_part_that_is_not_there(house, link, wanted):
    answer = house.client.get(link, headers={"Range": wanted})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_invalid")
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


@pytest.mark.parametrize("wanted", ["bytes=", "bytes=-", "bytes=5-1", "lines=1-2", "bytes=a-b", "bytes=0-1,5-6", "x"])
def test_what_is_not_understood_gives_the_whole_file(house, link, wanted):
    answer = house.client.get(link, headers={"Range": wanted})
    assert (answer.status_code, len(answer.content)) == (200, len(CONTENT))


def test_a_part_of_another_file_is_not_given(house, link):
    mark = house.client.head(link).headers["etag"]
    part = {"Range": "bytes=0-9"}
    assert house.client.get(link, headers=part | {"If-Range": mark}).status_code == 206
    assert house.client.get(link, headers=part | {"If-Range": '"another"'}).status_code == 200
    assert house.client.get(link, headers=part | {"If-Range": f"W/{mark}"}).status_code == 200
    assert house.client.get(link, headers={"If-None-Match": f'"x", {mark}'}).status_code == 304


def test_a_link_is_good_for_its_file_and_its_time(house, link):
    parts = urlsplit(link)
    for wrong in (
        link[:-1] + ("0" if link[-1] != "0" else "1"),
        link.replace("rewrite", "wav2lip"),
        link.replace("expires=1", "expires=2"),
        f"{parts.path}?expires=99999999999&signature=",
    ):
        answer = house.client.get(wrong)
        assert (answer.status_code, answer.json()["code"]) == (403, "link_invalid")
    house.clock.on(days=2)
    assert house.client.get(link).status_code == 403


def test_a_file_that_was_deleted(house, link):
    key = urlsplit(link).path.removeprefix("/v1/files/")
    house.storage.delete(key)
    answer = house.client.get(link)
    assert (answer.status_code, answer.json()["code"]) == (404, "file_missing")


def test_a_file_that_no_task_knows_has_a_weak_tag(house, link):
    path = house.folder / "results" / "other.bin"
    path.write_bytes(b"other")
    answer = house.client.get(house.storage.url("other.bin"))
    assert answer.headers["etag"].startswith("W/")
    assert answer.headers["content-type"] == "application/octet-stream"
    part = {"Range": "bytes=0-1", "If-Range": answer.headers["etag"]}
    assert house.client.get(house.storage.url("other.bin"), headers=part).status_code == 200


def test_nothing_is_served_where_results_are_elsewhere(house, link):
    answer = house.over(link_secret="").get(link)
    assert (answer.status_code, answer.json()["code"]) == (404, "file_missing")
