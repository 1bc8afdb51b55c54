"""The service's client against a local server; tests/integration/test_smoke_test.py runs it against the service."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lipsync.cli.client import DEFAULT_URL, ServiceClient, download_output, error_classes
from lipsync.errors import (
    FetchFailed,
    LipsyncError,
    NoFaceFound,
    OptionInvalid,
    SettingInvalid,
    TaskMissing,
)
from lipsync.monitor import Monitor

Serve = Callable[[int, bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server that gives every request one status and body; return its address."""
    servers = []

    def start(status: int, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Do not log."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def problem(code: str) -> bytes:
    return json.dumps({"code": code, "detail": "because"}).encode()


def test_json_comes_back(serve):
    assert ServiceClient(serve(200, b'{"id": "1"}') + "/", "").request("GET", "/v1/tasks/1") == {"id": "1"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (404, problem("task_missing"), TaskMissing, "because"),
        (422, problem("no_face_found"), NoFaceFound, "because"),
        (401, problem("key_missing"), SettingInvalid, r"LIPSYNC_API_KEY: .* denied access: because \[key_missing\]"),
        (409, problem("unheard_of"), OptionInvalid, r"HTTP 409: because \[unheard_of\]"),
        (429, problem("too_many"), FetchFailed, "HTTP 429"),
        (502, b"<html>", FetchFailed, "HTTP 502: no reason given"),
        (200, b"<html>", FetchFailed, "not a lipsync service"),
        (200, b"[]", FetchFailed, "not a lipsync service"),
    ],
)
def test_a_refusal_is_the_error_of_its_code(serve, status, body, kind, message):
    with pytest.raises(kind, match=message) as caught:
        ServiceClient(serve(status, body), "key").request("GET", "/v1/tasks/1")
    assert type(caught.value) is kind


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "http://a:b@x", "http://x?y", "http://x:0", "http://x:y"])
def test_an_invalid_url(url):
    with pytest.raises(OptionInvalid, match=DEFAULT_URL):
        ServiceClient(url, "")


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_a_malformed_key_is_not_repeated(key):
    with pytest.raises(SettingInvalid) as caught:
        ServiceClient(DEFAULT_URL, key)
    assert key not in str(caught.value)


def test_every_error_has_its_class():
    classes = error_classes()
    assert classes["task_missing"] is TaskMissing
    assert all(issubclass(kind, LipsyncError) and kind.code == code for code, kind in classes.items())


def test_a_result_is_downloaded_with_its_checksum(serve, tmp_path):
    content = b"video" * 100_000
    output = {"url": serve(200, content) + "/v.mp4?signature=hidden", "size": len(content)}
    expected = (len(content), hashlib.sha256(content).hexdigest())
    assert download_output(output, tmp_path / "v.mp4", Monitor()) == expected
    assert (tmp_path / "v.mp4").read_bytes() == content


def test_a_result_that_is_too_long_is_cut_and_so_noticed(serve, tmp_path):
    content = bytes(1 << 20)
    size, _ = download_output({"url": serve(200, content), "size": 10}, tmp_path / "v.mp4", Monitor())
    assert 10 < size < len(content)
