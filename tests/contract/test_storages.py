"""Contract of every storage; S3 is a moto server over HTTP."""

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
from lipsync.storage.signing import verify_link

SECRET = "a secret of some length"
MEBIBYTE = 1 << 20
ODD_KEYS = ["plain.mp4", "a/b/c.mp4", "sp ace/ü+&=?#%41.mp4", "片/😀.mp4", "-._~!$'()*,;:@.mp4"]


@dataclass
class Backend:
    """A storage, its content by key, and the number of traces that unfinished uploads left."""

    storage: Storage
    found: Callable[[], dict[str, bytes]]
    traces: Callable[[], int]


class Files(BaseHTTPRequestHandler):
    """Minimal stand-in for the API's file route."""

    storage: Any = None

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        key, query = unquote(address.path.removeprefix("/v1/files/")), parse_qs(address.query)
        good = verify_link(key, int(query["expires"][0]), query["signature"][0], SECRET, 0)
        body = self.storage.path(key).read_bytes() if good else b""
        self.send_response(200 if good else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Do not log."""


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Backend]:
    folder = tmp_path / "published"
    handler = type("Handler", (Files,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        options = LocalOptions(folder, f"http://127.0.0.1:{server.server_port}", SECRET)
        handler.storage = STORAGES["local"](StorageOptions(local=options))
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Backend(
                handler.storage,
                lambda: {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()},
                lambda: len(list((folder / ".incoming").iterdir())),
            )
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def s3(moto_address: str) -> Iterator[Backend]:
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
            yield Backend(
                storage,
                lambda: {
                    item["Key"]: client.get_object(Bucket="results", Key=item["Key"])["Body"].read()
                    for item in client.list_objects_v2(Bucket="results").get("Contents", [])
                },
                lambda: len(client.list_multipart_uploads(Bucket="results").get("Uploads", [])),
            )


@pytest.fixture(params=list(STORAGES))
def backend(request: pytest.FixtureRequest) -> Backend:
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
def test_a_published_file_is_served_at_its_link(backend, make_file, key):
    path = make_file()
    stored = backend.storage.put(path, key, "video/mp4", Monitor())
    assert (stored.key, stored.size) == (key, 1000)
    assert stored.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert backend.found() == {key: path.read_bytes()}
    assert fetch(stored.url) == path.read_bytes()
    assert fetch(backend.storage.url(key)) == path.read_bytes()


@pytest.mark.parametrize("size", [0, 1, 8 * MEBIBYTE, 8 * MEBIBYTE + 1, 20 * MEBIBYTE + 12_345])
def test_a_file_of_any_size_arrives_complete_with_progress_in_bytes(backend, make_file, size):
    reports: list[Progress] = []
    path = make_file(size)
    stored = backend.storage.put(path, "a.mp4", "video/mp4", Monitor(reports.append))
    assert backend.found() == {"a.mp4": path.read_bytes()}
    assert stored.size == size
    assert backend.traces() == 0
    if size:
        assert {(p.stage, p.total) for p in reports} == {("upload", size)}
        assert [p.done for p in reports] == sorted({p.done for p in reports})
        assert reports[-1].done == size
        assert len(reports) > size // (9 * MEBIBYTE)


def test_repeated_content_stays_and_other_content_replaces_it(backend, make_file):
    first = backend.storage.put(make_file(), "a.mp4", "video/mp4", Monitor())
    second = backend.storage.put(make_file(), "a.mp4", "video/mp4", Monitor())
    assert (first.key, first.size, first.sha256) == (second.key, second.size, second.sha256)
    assert len(backend.found()) == 1
    other = make_file(1000, b"another")
    assert backend.storage.put(other, "a.mp4", "video/mp4", Monitor()).sha256 != first.sha256
    assert backend.found() == {"a.mp4": other.read_bytes()}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_cancelled_upload_leaves_nothing(backend, make_file, share):
    size = 30 * MEBIBYTE
    monitor = Monitor(lambda progress: monitor.cancel() if progress.done >= share * size else None)
    if share == 0:
        monitor.cancel()
    with pytest.raises(Cancelled):
        backend.storage.put(make_file(size), "a.mp4", "video/mp4", monitor)
    assert backend.found() == {}
    assert backend.traces() == 0


def test_a_cancelled_upload_keeps_the_previous_file(backend, make_file):
    before = make_file(name="before.mp4")
    backend.storage.put(before, "a.mp4", "video/mp4", Monitor())
    monitor = Monitor(lambda _: monitor.cancel())
    with pytest.raises(Cancelled):
        backend.storage.put(make_file(20 * MEBIBYTE), "a.mp4", "video/mp4", monitor)
    assert backend.found() == {"a.mp4": before.read_bytes()}


def test_a_callback_that_fails_leaves_nothing(backend, make_file):
    def fail(_: Progress) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        backend.storage.put(make_file(20 * MEBIBYTE), "a.mp4", "video/mp4", Monitor(fail))
    assert backend.found() == {}
    assert backend.traces() == 0


def test_many_at_once_are_all_published(backend, make_file):
    files = [make_file(MEBIBYTE + k, b"%d" % k, f"{k}.mp4") for k in range(8)]
    with ThreadPoolExecutor(8) as pool:
        keys = [f"{k % 4}/{k}.mp4" for k in range(8)]
        stored = list(pool.map(lambda f, k: backend.storage.put(f, k, "video/mp4", Monitor()), files, keys))
    assert backend.found() == {s.key: file.read_bytes() for s, file in zip(stored, files, strict=True)}
    assert backend.traces() == 0


def test_racing_writers_of_one_key_leave_one_complete_file(backend, make_file):
    files = [make_file(MEBIBYTE, b"%d" % k, f"{k}.mp4") for k in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda f: backend.storage.put(f, "a/b.mp4", "video/mp4", Monitor()), files))
    assert list(backend.found()) == ["a/b.mp4"]
    assert backend.found()["a/b.mp4"] in [file.read_bytes() for file in files]


def test_deleting_removes_only_that_file(backend, make_file):
    for key in ("a/b.mp4", "a/b.mp4x", "c.mp4"):
        backend.storage.put(make_file(), key, "video/mp4", Monitor())
    backend.storage.delete("a/b.mp4")
    assert sorted(backend.found()) == ["a/b.mp4x", "c.mp4"]


@pytest.mark.parametrize("key", ["never.mp4", "a/never.mp4", "a/b.mp4/c.mp4"])
def test_deleting_a_missing_file_is_not_an_error(backend, make_file, key):
    backend.storage.put(make_file(), "a/b.mp4", "video/mp4", Monitor())
    backend.storage.delete(key)
    assert list(backend.found()) == ["a/b.mp4"]


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../a", "a/../../b", "a//b", ".incoming/x", "a\0b", "a\\b", "con"])
def test_an_invalid_key_is_refused_everywhere(backend, make_file, key):
    with pytest.raises(OptionInvalid):
        backend.storage.put(make_file(), key, "video/mp4", Monitor())
    with pytest.raises(OptionInvalid):
        backend.storage.url(key)
    with pytest.raises(OptionInvalid):
        backend.storage.delete(key)
    assert backend.found() == {}


def test_a_missing_file_is_not_published(backend, tmp_path):
    with pytest.raises(FileMissing):
        backend.storage.put(tmp_path / "none.mp4", "a.mp4", "video/mp4", Monitor())
    with pytest.raises(NotAFile):
        backend.storage.put(tmp_path, "a.mp4", "video/mp4", Monitor())
    assert backend.found() == {}


def test_a_check_passes_and_leaves_nothing(backend):
    backend.storage.check()
    assert backend.found() == {}
    assert backend.traces() == 0


def test_every_link_states_its_expiry(backend):
    assert re.search(r"(?i)expires=\d+&.*signature=[0-9a-f]{64}", backend.storage.url("a.mp4"))


@pytest.mark.parametrize("name", list(STORAGES))
def test_a_storage_without_its_options_does_not_start(name):
    with pytest.raises(SettingInvalid, match=r"^LIPSYNC_[A-Z0-9_]+ is not set"):
        STORAGES[name](StorageOptions())
