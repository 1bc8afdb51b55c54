from __future__ import annotations

import io
from http.client import HTTPResponse, IncompleteRead

import pytest

from lipsync.errors import FetchFailed
from lipsync.net.response import (
    MAX_TEXT_CHARS,
    check_status,
    content_type_of,
    network_errors,
    sanitise,
    size_of,
    validator_of,
)


class Bytes(io.BytesIO):
    def makefile(self, _mode: str) -> Bytes:
        return self


def response(status: str = "200 OK", **headers: str) -> HTTPResponse:
    lines = [f"HTTP/1.1 {status}", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()), "", ""]
    parsed = HTTPResponse(Bytes("\r\n".join(lines).encode("latin-1")))  # type: ignore[arg-type]
    parsed.begin()
    return parsed


OLD, SENT = "Mon, 02 Mar 2026 10:00:00 GMT", "Mon, 02 Mar 2026 10:00:01 GMT"


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"ETag": '"a"'}, "ETag"),
        ({"ETag": 'W/"a"'}, None),
        ({"Last_Modified": OLD, "Date": SENT}, "Last-Modified"),
        ({"Last_Modified": SENT, "Date": SENT}, None),
        ({"Last_Modified": OLD}, None),
        ({"Last_Modified": "soon", "Date": SENT}, None),
        ({}, None),
    ],
)
def test_only_strong_validators_count(headers, name):
    validator = validator_of(response(**headers))
    assert (validator and validator.name) == name


def test_the_size_is_that_of_the_whole_file():
    assert size_of(response(Content_Length="7")) == 7
    assert size_of(response("206 Partial Content", Content_Range="bytes 5-9/10", Content_Length="5")) == 10
    assert size_of(response()) is None


def test_a_media_type_loses_its_parameters():
    assert content_type_of(response(Content_Type="Video/MP4; codecs=avc1")) == "video/mp4"
    assert content_type_of(response()) is None


@pytest.mark.parametrize(
    ("status", "retryable"), [("404 Not Found", False), ("429 Slow", True), ("425 Early", True), ("502 Bad", True)]
)
def test_a_status_says_whether_to_retry(status, retryable):
    with pytest.raises(FetchFailed, match=f"x: the server responded {status}") as caught:
        check_status("x", response(status))
    assert caught.value.retryable is retryable


def test_network_failures_become_one_line():
    with pytest.raises(FetchFailed, match="x: the connection failed: Connection reset") as caught, network_errors("x"):
        raise ConnectionResetError(104, "Connection reset\nby peer")
    assert "\n" not in str(caught.value)
    with pytest.raises(FetchFailed, match="IncompleteRead"), network_errors("x"):
        raise IncompleteRead(b"")


def test_server_text_is_made_safe():
    assert sanitise(" a\r\n\tb\x1b[31m\u202ec ") == "a b[31mc"
    assert len(sanitise("x" * 9999)) == MAX_TEXT_CHARS
