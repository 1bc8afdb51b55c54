"""What every storage keeps to, whichever it is; S3 is moto's server over HTTP."""

from __future__ import annotations

import hashlib
import re
import threading
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from lipsync.errors import Cancelled, FileMissing, NotAFile, OptionInvalid, SettingInvalid
from lipsync.monitor import Monitor, Progress
from lipsync.storage import STORAGES
from lipsync.storage.base import LocalOptions, S3Options, Storage, StorageOptions
from lipsync.storage.signing import verify

SECRET = "a secret of some length"
MEBIBYTE = 1 << 20
ODD_KEYS = ["plain.mp4", "a/b/c.mp4", "sp ace/ü+&=?#%41.mp4", "片/😀.mp4", "-._~!$'()*,;:@.mp4"]


@dataclass
class Place:
    """A storage, its content by key, and the number of traces that unfinished uploads left."""

    storage: Storage
    found: Callable[[], dict[str, bytes]]
    traces: Callable[[], int]


class Files(BaseHTTPRequestHandler):
    """What the API does with a link, in short."""

    storage: Any = None

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        key, query = unquote(address.path.removeprefix("/v1/files/")), parse_qs(address.query)
        good = verify(key, int(query["expires"][0]), query["signature"][0], SECRET, 0)
        body = self.storage.path(key).read_bytes() if good else b""
        self.send_response(200 if good else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "published"
    handler = type("Handler", (Files,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        options = LocalOptions(folder, f"http://127.0.0.1:{server.server_port}", SECRET)
        handler.storage = STORAGES["local"](StorageOptions(local=options))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Place(
                handler.storage,
                lambda: {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()},
                lambda: len(list((folder / ".incoming").iterdir())),
            )
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def s3(moto_address: str) -> Iterator[Place]:
    boto3 = pytest.importorskip("boto3", reason="needs the s3 extra")
    urllib.request.urlopen(urllib.request.Request(f"{moto_address}/moto-api/reset", method="POST")).close()
    with closing(
        boto3.client(
            "s3",
            endpoint_url=moto_address,
            region_name="eu-west-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
    ) as client:
        client.create_bucket(Bucket="results", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        options = S3Options("results", "eu-west-1", moto_address, access_key="key", secret_key="secret")
        with closing(STORAGES["s3"](StorageOptions(s3=options))) as storage:
            yield Place(
                storage,
                lambda: {
                    item["Key"]: client.get_object(Bucket="results", Key=item["Key"])["Body"].read()
                    for item in client.list_objects_v2(Bucket="results").get("Contents", [])
                },
                lambda: len(client.list_multipart_uploads(Bucket="results").get("Uploads", [])),
            )


@pytest.fixture(params=list(STORAGES))
def place(request: pytest.FixtureRequest) -> Place:
    return request.getfixturevalue(request.param)


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    def make(size: int = 1000, fill: bytes = b"a film", name: str = "made.mp4") -> Path:
        path = tmp_path / name
        path.write_bytes((fill * (size // len(fill) + 1))[:size])
        return path

    return make


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_file_is_published_and_its_link_gives_it(place, make_file, key):
    path = make_file()
    stored = place.storage.put(path, key, "video/mp4", Monitor())
    assert (stored.key, stored.size) == (key, 1000)
    assert stored.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert place.found() == {key: path.read_bytes()}
    assert fetch(stored.url) == path.read_bytes()
    assert fetch(place.storage.url(key)) == path.read_bytes()


@pytest.mark.parametrize("size", [0, 1, 8 * MEBIBYTE, 8 * MEBIBYTE + 1, 20 * MEBIBYTE + 12_345])
def test_a_file_of_any_size_arrives_whole_with_progress_in_bytes(place, make_file, size):
    seen: list[Progress] = []
    path = make_file(size)
    stored = place.storage.put(path, "a.mp4", "video/mp4", Monitor(seen.append))
    assert place.found() == {"a.mp4": path.read_bytes()}
    assert stored.size == size
    assert place.traces() == 0
    if size:
        assert {(p.stage, p.total) for p in seen} == {("upload", size)}
        assert [p.done for p in seen] == sorted({p.done for p in seen})
        assert seen[-1].done == size
        assert len(seen) > size // (9 * MEBIBYTE)


def test_the_same_again_stays_one_and_other_content_replaces_it_whole(place, make_file):
    first = place.storage.put(make_file(), "a.mp4", "video/mp4", Monitor())
    second = place.storage.put(make_file(), "a.mp4", "video/mp4", Monitor())
    assert (first.key, first.size, first.sha256) == (second.key, second.size, second.sha256)
    assert len(place.found()) == 1
    other = make_file(1000, b"another")
    assert place.storage.put(other, "a.mp4", "video/mp4", Monitor()).sha256 != first.sha256
    assert place.found() == {"a.mp4": other.read_bytes()}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_nothing_is_left_of_what_was_cancelled(place, make_file, share):
    size = 30 * MEBIBYTE
    monitor = Monitor(lambda progress: monitor.cancel() if progress.done >= share * size else None)
    if share == 0:
        monitor.cancel()
    with pytest.raises(Cancelled):
        place.storage.put(make_file(size), "a.mp4", "video/mp4", monitor)
    assert place.found() == {}
    assert place.traces() == 0


def test_what_was_cancelled_leaves_what_was_there_before(place, make_file):
    before = make_file(name="before.mp4")
    place.storage.put(before, "a.mp4", "video/mp4", Monitor())
    monitor = Monitor(lambda _: monitor.cancel())
    with pytest.raises(Cancelled):
        place.storage.put(make_file(20 * MEBIBYTE), "a.mp4", "video/mp4", monitor)
    assert place.found() == {"a.mp4": before.read_bytes()}


def test_a_callback_that_fails_leaves_nothing(place, make_file):
    def fail(_: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        place.storage.put(make_file(20 * MEBIBYTE), "a.mp4", "video/mp4", Monitor(fail))
    assert place.found() == {}
    assert place.traces() == 0


def test_many_at_once_are_all_published(place, make_file):
    files = [make_file(MEBIBYTE + k, b"%d" % k, f"{k}.mp4") for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        keys = [f"{k % 4}/{k}.mp4" for k in range(8)]
        stored = list(pool.map(lambda f, k: place.storage.put(f, k, "video/mp4", Monitor()), files, keys))
    assert place.found() == {s.key: file.read_bytes() for s, file in zip(stored, files, strict=True)}
    assert place.traces() == 0


def test_racing_writers_of_one_key_leave_one_whole_file(place, make_file):
    files = [make_file(MEBIBYTE, b"%d" % k, f"{k}.mp4") for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda f: place.storage.put(f, "a/b.mp4", "video/mp4", Monitor()), files))
    assert list(place.found()) == ["a/b.mp4"]
    assert place.found()["a/b.mp4"] in [file.read_bytes() for file in files]


def test_deleting_takes_the_file_away_and_nothing_else(place, make_file):
    for key in ("a/b.mp4", "a/b.mp4x", "c.mp4"):
        place.storage.put(make_file(), key, "video/mp4", Monitor())
    place.storage.delete("a/b.mp4")
    assert sorted(place.found()) == ["a/b.mp4x", "c.mp4"]


@pytest.mark.parametrize("key", ["never.mp4", "a/never.mp4", "a/b.mp4/c.mp4"])
def test_deleting_what_is_not_there_is_no_error(place, make_file, key):
    place.storage.put(make_file(), "a/b.mp4", "video/mp4", Monitor())
    place.storage.delete(key)
    assert list(place.found()) == ["a/b.mp4"]


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../a", "a/../../b", "a//b", ".incoming/x", "a\0b", "a\\b", "con"])
def test_what_is_no_key_is_refused_everywhere(place, make_file, key):
    with pytest.raises(OptionInvalid):
        place.storage.put(make_file(), key, "video/mp4", Monitor())
    with pytest.raises(OptionInvalid):
        place.storage.url(key)
    with pytest.raises(OptionInvalid):
        place.storage.delete(key)
    assert place.found() == {}


def test_a_file_that_is_not_there_is_not_published(place, tmp_path):
    with pytest.raises(FileMissing):
        place.storage.put(tmp_path / "none.mp4", "a.mp4", "video/mp4", Monitor())
    with pytest.raises(NotAFile):
        place.storage.put(tmp_path, "a.mp4", "video/mp4", Monitor())
    assert place.found() == {}


def test_a_check_passes_and_leaves_nothing(place):
    place.storage.check()
    assert place.found() == {}
    assert place.traces() == 0


def test_every_link_says_until_when_it_is_good(place):
    assert re.search(r"(?i)expires=\d+&.*signature=[0-9a-f]{64}", place.storage.url("a.mp4"))


@pytest.mark.parametrize("name", list(STORAGES))
def test_a_storage_without_its_options_does_not_start(name):
    with pytest.raises(SettingInvalid, match=r"^LIPSYNC_[A-Z0-9_]+ is not set"):
        STORAGES[name](StorageOptions())
