"""Downloads from a local web server that misbehaves."""

from __future__ import annotations

import ast
import hashlib
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from lipsync.errors import (
    AddressForbidden,
    Cancelled,
    ChecksumMismatch,
    DiskFull,
    FetchFailed,
    InputTooLarge,
    OptionInvalid,
    OutputUnwritable,
)
from lipsync.monitor import Monitor, Progress
from lipsync.net import Limits, Transport, discard, fetch

CONTENT = bytes(range(256)) * 8_000  # 2 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TAG = '"one"'
Reply = Callable[[BaseHTTPRequestHandler], None]


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
    handler.send_response(status)
    if length != -1:
        handler.send_header("Content-Length", str(len(body) if length is None else length))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def status(code: int, **headers: str) -> Reply:
    return lambda handler: send(handler, code, b"<html>", **headers)


def to(location: str, code: int = 302) -> Reply:
    return status(code, Location=location)


def whole(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 200, CONTENT, Content_Type="Video/MP4; codecs=avc1", ETag=TAG)


def ranged(content: bytes = CONTENT, tag: str = TAG, strict: bool = True) -> Reply:
    """Support ranges, and If-Range if ``strict``."""

    def reply(handler: BaseHTTPRequestHandler) -> None:
        requested, if_range = handler.headers.get("Range"), handler.headers.get("If-Range")
        start = int(requested.removeprefix("bytes=").rstrip("-")) if requested else 0
        if requested is None or (strict and if_range != tag):
            send(handler, 200, content, ETag=tag)
        elif start >= len(content):
            send(handler, 416, b"", Content_Range=f"bytes */{len(content)}")
        else:
            span = f"bytes {start}-{len(content) - 1}/{len(content)}"
            send(handler, 206, content[start:], Content_Range=span, ETag=tag)

    return reply


def cut_after(count: int, **headers: str) -> Reply:
    """Announce the full length, send ``count`` bytes and close the connection."""
    return lambda handler: send(handler, 200, CONTENT[:count], len(CONTENT), **headers)


def chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, b"", -1, Transfer_Encoding="chunked", ETag=TAG)
        for chunk in chunks:
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        handler.wfile.write(end)

    return reply


def endless(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 200, b"", -1)
    while True:
        handler.wfile.write(bytes(65_536))


def raw(content: bytes) -> Reply:
    return lambda handler: handler.wfile.write(content) and None


@pytest.fixture
def target(tmp_path) -> Path:
    return tmp_path / "inputs" / "v.mp4"


def left(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


def test_a_file_is_downloaded_completely_and_reported(web, limits, target):
    reports: list[Progress] = []
    fetched = fetch(web.give(whole), target, limits, Monitor(reports.append), sha256=SHA256.upper())
    assert (fetched.path, fetched.bytes, fetched.sha256) == (target, len(CONTENT), SHA256)
    assert fetched.content_type == "video/mp4"
    assert target.read_bytes() == CONTENT
    assert left(target) == ["v.mp4"]
    assert reports[-1].stage == "fetch"
    assert (reports[-1].done, reports[-1].total) == (len(CONTENT), len(CONTENT))
    assert web.heard("Accept-Encoding") == ["identity"]
    assert web.heard("Host") == [f"127.0.0.1:{web.port}"]


def test_the_query_is_sent_and_never_shown(web, limits, target):
    web.give(status(404))
    with pytest.raises(FetchFailed) as caught:
        fetch(web.url("/v.mp4?signature=hidden#there"), target, limits, Monitor())
    assert [path for path, _ in web.asked] == ["/v.mp4?signature=hidden"]
    assert "hidden" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("reply", [chunked(CONTENT[:5], CONTENT[5:]), lambda h: send(h, 200, CONTENT, -1)])
def test_a_file_of_unknown_length_is_downloaded_completely(web, limits, target, reply):
    reports: list[Progress] = []
    assert fetch(web.give(reply), target, limits, Monitor(reports.append)).sha256 == SHA256
    assert reports[-1].total is None


def test_an_empty_file_is_a_file(web, limits, target):
    assert fetch(web.give(lambda h: send(h, 200, b"")), target, limits, Monitor()).bytes == 0
    assert target.read_bytes() == b""


def test_a_file_replaces_the_one_before(web, limits, target):
    target.parent.mkdir()
    target.write_bytes(b"old")
    fetch(web.give(whole), target, limits, Monitor())
    assert target.read_bytes() == CONTENT


def test_the_next_call_resumes_a_cut_connection(web, limits, target):
    url = web.give(cut_after(700_000, ETag=TAG))
    with pytest.raises(FetchFailed, match="ended after 700000 of 2048000 bytes") as caught:
        fetch(url, target, limits, Monitor())
    assert caught.value.retryable
    assert left(target) == ["v.mp4.part", "v.mp4.part.json"]
    web.give(ranged())
    assert fetch(url, target, limits, Monitor(), sha256=SHA256).bytes == len(CONTENT)
    assert target.read_bytes() == CONTENT
    assert web.heard("Range") == [None, "bytes=700000-"]
    assert web.heard("If-Range") == [None, TAG]
    assert left(target) == ["v.mp4"]


OLD, SOON = "Mon, 02 Mar 2026 10:00:00 GMT", "Mon, 02 Mar 2026 10:00:01 GMT"


@pytest.mark.parametrize(
    ("headers", "asked"),
    [
        ({"Last_Modified": OLD}, OLD),
        ({"Last_Modified": "yesterday"}, None),
        ({"Last_Modified": "Mon, 02 Mar 2199 10:00:00 GMT"}, None),
        ({"ETag": 'W/"weak"', "Last_Modified": OLD}, None),
        ({"ETag": "bare"}, None),
        ({"ETag": TAG, "Last_Modified": OLD}, TAG),
        ({}, None),
    ],
)
def test_only_a_strong_validator_allows_resuming(web, limits, target, headers, asked):
    url = web.give(cut_after(700_000, **headers))
    with pytest.raises(FetchFailed):
        fetch(url, target, limits, Monitor())
    assert bool(left(target)) == (asked is not None)
    web.give(whole)
    fetch(url, target, limits, Monitor(), sha256=SHA256)
    assert web.heard("If-Range") == [None, asked]


@pytest.mark.parametrize(
    "reply",
    [
        whole,
        ranged(CONTENT[::-1], '"two"'),
        ranged(CONTENT[::-1], '"two"', strict=False),
        ranged(CONTENT[:1000], strict=False),
        lambda h: status(416)(h) if h.headers.get("Range") else whole(h),
        lambda h: send(h, 206, b"x", Content_Range="bytes 7-7/8") if h.headers.get("Range") else whole(h),
        lambda h: send(h, 206, b"x", Content_Range="rubbish") if h.headers.get("Range") else whole(h),
        lambda h: send(h, 206, b"x") if h.headers.get("Range") else whole(h),
    ],
)
def test_a_changed_file_or_a_server_without_ranges_starts_over(web, limits, target, reply):
    url = web.give(cut_after(700_000, ETag=TAG))
    with pytest.raises(FetchFailed):
        fetch(url, target, limits, Monitor())
    web.give(reply)
    fetch(url, target, limits, Monitor())
    assert target.read_bytes() in (CONTENT, CONTENT[::-1], CONTENT[:1000])
    assert left(target) == ["v.mp4"]


def test_a_part_is_resumed_more_than_once(web, limits, target):
    url = web.give(cut_after(700_000, ETag=TAG))
    span = f"bytes 700000-{len(CONTENT) - 1}/{len(CONTENT)}"
    with pytest.raises(FetchFailed):
        fetch(url, target, limits, Monitor())
    web.give(lambda h: send(h, 206, CONTENT[700_000:900_000], len(CONTENT) - 700_000, ETag=TAG, Content_Range=span))
    with pytest.raises(FetchFailed, match="ended after 900000"):
        fetch(url, target, limits, Monitor())
    web.give(ranged())
    assert fetch(url, target, limits, Monitor()).sha256 == SHA256
    assert web.heard("Range")[2] == "bytes=900000-"


def test_the_part_of_another_address_is_not_resumed(web, limits, target):
    with pytest.raises(FetchFailed):
        fetch(web.give(cut_after(700_000, ETag=TAG)), target, limits, Monitor())
    fetch(web.give(ranged(CONTENT[::-1]), "/w.mp4"), target, limits, Monitor())
    assert web.heard("Range") == [None, None]
    assert target.read_bytes() == CONTENT[::-1]


@pytest.mark.parametrize("note", ["", "[]", "{}", "rubbish", '{"identity": 1}'])
def test_a_damaged_note_is_ignored(web, limits, target, note):
    target.parent.mkdir()
    target.with_name("v.mp4.part").write_bytes(b"rubbish")
    target.with_name("v.mp4.part.json").write_text(note)
    assert fetch(web.give(ranged()), target, limits, Monitor()).sha256 == SHA256


def test_a_part_can_be_discarded(web, limits, target):
    with pytest.raises(FetchFailed):
        fetch(web.give(cut_after(700_000, ETag=TAG)), target, limits, Monitor())
    discard(target)
    discard(target)
    assert left(target) == []


def test_neither_note_nor_part_holds_a_secret(web, limits, target):
    web.give(cut_after(700_000, ETag=TAG))
    with pytest.raises(FetchFailed):
        fetch(web.url("/v.mp4?sig=hidden", userinfo="me:hidden@"), target, limits, Monitor())
    assert "hidden" not in target.with_name("v.mp4.part.json").read_text()


@pytest.mark.parametrize(
    ("reply", "message", "retryable"),
    [
        (status(400), "400 Bad Request", False),
        (status(401), "401", False),
        (status(403), "403 Forbidden", False),
        (status(404), "404 Not Found", False),
        (status(410), "410", False),
        (status(416), "416", False),
        (status(204), "204", False),
        (status(300), "300", False),
        (status(301), "301", False),
        (status(408), "408", True),
        (status(429, Retry_After="120"), "429 .*Retry-After: 120", True),
        (status(500), "500", True),
        (status(503, Retry_After="7"), "503 .*Retry-After: 7", True),
        (lambda h: send(h, 206, b"x", Content_Range="bytes 0-0/1"), "partial response to a full request", False),
        (lambda h: send(h, 200, b"x", Content_Encoding="gzip"), "compresses", False),
        (lambda h: send(h, 200, b"x", Content_Encoding="identity, br"), "compresses", False),
        (cut_after(0), "ended after 0 of", True),
        (raw(b""), "the connection failed", True),
        (raw(b"rubbish\r\n\r\n"), "the connection failed: rubbish", True),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500), "more than 100 headers", True),
        (raw(b"HTTP/1.1 200 OK\r\nA: " + b"b" * 100_000), "line", True),
        (chunked(CONTENT[:99], end=b""), "the connection failed", True),
        (chunked(CONTENT[:99], end=b"zz\r\n"), "the connection failed", True),
    ],
)
def test_a_server_that_does_not_deliver_the_file(web, limits, target, reply, message, retryable):
    with pytest.raises(FetchFailed, match=message) as caught:
        fetch(web.give(reply), target, limits, Monitor())
    assert caught.value.retryable is retryable
    assert str(caught.value).isprintable()
    assert "v.mp4" not in left(target)


def test_a_permanent_failure_leaves_nothing_and_a_retryable_one_the_part(web, limits, target):
    url = web.give(cut_after(700_000, ETag=TAG))
    with pytest.raises(FetchFailed):
        fetch(url, target, limits, Monitor())
    web.give(status(503))
    with pytest.raises(FetchFailed):
        fetch(url, target, limits, Monitor())
    assert left(target) == ["v.mp4.part", "v.mp4.part.json"]
    web.give(status(404))
    with pytest.raises(FetchFailed):
        fetch(url, target, limits, Monitor())
    assert left(target) == []


def test_a_refused_connection(limits, target):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(FetchFailed, match="refused") as caught:
        fetch(f"http://127.0.0.1:{port}/v.mp4", target, limits, Monitor())
    assert caught.value.retryable


def test_a_wrong_checksum(web, limits, target):
    with pytest.raises(ChecksumMismatch, match=r"expected SHA-256 0+, got"):
        fetch(web.give(whole), target, limits, Monitor(), sha256="0" * 64)
    assert left(target) == []
    with pytest.raises(OptionInvalid, match="sha256"):
        fetch(web.give(whole), target, limits, Monitor(), sha256="abc")


@pytest.mark.parametrize("address", ["", "v.mp4", "file:///etc/passwd", "ftp://films.test/v", "http://", "http:///v"])
def test_an_invalid_address(address, limits, target):
    with pytest.raises(OptionInvalid):
        fetch(address, target, limits, Monitor())


def test_a_file_announced_as_too_large_is_not_started(web, limits, target):
    small = replace(limits, max_bytes=len(CONTENT) - 1)
    with pytest.raises(InputTooLarge, match="MAX_INPUT_BYTES"):
        fetch(web.give(cut_after(10)), target, small, Monitor())
    assert left(target) == []
    fetch(web.give(whole), target, replace(limits, max_bytes=len(CONTENT)), Monitor())


@pytest.mark.parametrize("reply", [endless, chunked(*[CONTENT] * 3), raw(b"HTTP/1.0 200 OK\r\n\r\n" + CONTENT)])
def test_a_file_of_unknown_size_is_stopped_at_the_limit(web, limits, target, reply):
    with pytest.raises(InputTooLarge, match="MAX_INPUT_BYTES"):
        fetch(web.give(reply), target, replace(limits, max_bytes=len(CONTENT) - 1), Monitor())
    assert left(target) == []


def test_bytes_beyond_the_announced_length_are_ignored(web, limits, target):
    fetched = fetch(web.give(lambda h: send(h, 200, CONTENT, 1000)), target, limits, Monitor())
    assert fetched.bytes == 1000


def stalls(web, before: bytes) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(before)
        web.over.wait(20)

    return reply


def trickles(web, before: bytes) -> Reply:
    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(before)
        while not web.over.wait(0.1):
            handler.wfile.write(b"x")

    return reply


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\nETag: " + TAG.encode() + b"\r\n\r\n"


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nA: ", HEAD, HEAD + b"x" * 5000])
@pytest.mark.parametrize("way", [stalls, trickles])
def test_a_stalling_server_times_out(web, limits, target, way, before):
    began = time.monotonic()
    with pytest.raises(FetchFailed, match="received") as caught:
        fetch(web.give(way(web, before)), target, replace(limits, idle_timeout=0.5), Monitor())
    assert caught.value.retryable
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("before", [b"", HEAD, HEAD + b"x" * 5000])
@pytest.mark.parametrize("way", [stalls, trickles])
def test_a_download_is_cancelled_while_the_server_is_silent(web, limits, target, way, before):
    monitor = Monitor()
    timer = threading.Timer(0.3, monitor.cancel)
    timer.start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        fetch(web.give(way(web, before)), target, replace(limits, idle_timeout=15), monitor)
    assert time.monotonic() - began < 1.5
    timer.join()
    assert bool(left(target)) == (len(before) > len(HEAD) or (way is trickles and before == HEAD))


def test_an_unresponsive_host_times_out_and_can_be_cancelled(limits, target):
    with socket.socket() as full:  # its queue is full, so that it does not answer to connections
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            with pytest.raises(FetchFailed, match=r"timed out|received"):
                fetch(f"http://127.0.0.1:{port}/", target, replace(limits, idle_timeout=0.5), Monitor())
            monitor = Monitor()
            timer = threading.Timer(0.2, monitor.cancel)
            timer.start()
            began = time.monotonic()
            with pytest.raises(Cancelled):
                fetch(f"http://127.0.0.1:{port}/", target, replace(limits, idle_timeout=15), monitor)
            assert time.monotonic() - began < 1.5
            timer.join()


def test_the_total_timeout(web, limits, target):
    def slow(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, b"", len(CONTENT), ETag=TAG)
        while not web.over.wait(0.05):
            handler.wfile.write(bytes(2000))

    with pytest.raises(FetchFailed, match=r"not finished within 0\.7 s") as caught:
        fetch(web.give(slow), target, replace(limits, total_timeout=0.7), Monitor())
    assert caught.value.retryable
    assert left(target) == ["v.mp4.part", "v.mp4.part.json"]


def test_a_cancelled_download_is_resumed(web, limits, target):
    monitor = Monitor(lambda progress: monitor.cancel())
    with pytest.raises(Cancelled):
        fetch(web.give(ranged()), target, limits, monitor)
    had = target.with_name("v.mp4.part").stat().st_size
    assert 0 < had < len(CONTENT)
    assert fetch(web.url(), target, limits, Monitor()).sha256 == SHA256
    assert web.heard("Range") == [None, f"bytes={had}-"]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/w.mp4", "w.mp4", "//127.0.0.1:{port}/w.mp4", "http://127.0.0.1:{port}/w.mp4#x"])
def test_a_redirect_is_followed(web, limits, target, code, location):
    web.give(whole, "/w.mp4")
    fetch(web.give(to(location.format(port=web.port), code)), target, limits, Monitor(), sha256=SHA256)
    assert [path for path, _ in web.asked] == ["/v.mp4", "/w.mp4"]


def test_a_redirect_with_letters_that_are_not_ascii_is_followed_byte_by_byte(web, limits, target):
    web.give(whole, "/f%C3%BC%20r.mp4")
    head = "HTTP/1.1 302 x\r\nLocation: /fü r.mp4\r\nContent-Length: 0\r\n\r\n".encode()
    fetch(web.give(raw(head)), target, limits, Monitor(), sha256=SHA256)


@pytest.mark.parametrize(
    ("location", "kind"),
    [
        ("http://127.0.0.2:{port}/", AddressForbidden),
        ("http://10.0.0.1/", AddressForbidden),
        ("http://169.254.169.254/latest/meta-data/", AddressForbidden),
        ("http://[::1]:{port}/", AddressForbidden),
        ("http://[::ffff:7f00:2]/", AddressForbidden),
        ("http://2130706433:{port}/", AddressForbidden),
        ("http://inner.test/", AddressForbidden),
        ("file:///etc/passwd", FetchFailed),
        ("ftp://127.0.0.1/", FetchFailed),
        ("s3://bucket/key", FetchFailed),
        ("gopher://127.0.0.1:{port}/_x", FetchFailed),
        ("http://me@/", FetchFailed),
        ("http://[", FetchFailed),
    ],
)
def test_a_redirect_to_a_forbidden_address_is_refused(web, limits, target, location, kind):
    transport = Transport(resolver=lambda host, port: ("192.168.1.1",))
    with pytest.raises(kind) as caught:
        fetch(web.give(to(location.format(port=web.port))), target, limits, Monitor(), transport=transport)
    assert not caught.value.retryable
    assert len(web.asked) == 1
    assert left(target) == []


def test_redirects_are_limited(web, limits, target):
    url = web.give(to("/v.mp4"))
    with pytest.raises(FetchFailed, match="redirected more than 3 times") as caught:
        fetch(url, target, replace(limits, max_redirects=3), Monitor())
    assert not caught.value.retryable
    assert len(web.asked) == 4
    with pytest.raises(FetchFailed, match="more than 0 times"):
        fetch(url, target, replace(limits, max_redirects=0), Monitor())


def test_credentials_stay_with_the_host_that_they_are_for(web, limits, target):
    transport = Transport(resolver=lambda host, port: ("127.0.0.1",))
    web.give(to(f"http://other.test:{web.port}/w.mp4"))
    web.give(to("/x.mp4"), "/w.mp4")
    web.give(whole, "/x.mp4")
    fetch(web.url("/v.mp4", "films.test", "me:hidden@"), target, limits, Monitor(), transport=transport)
    assert web.heard("Authorization") == ["Basic bWU6aGlkZGVu", None, None]
    web.give(to("/x.mp4"))
    fetch(web.url("/v.mp4", "films.test", "me:hidden@"), target, limits, Monitor(), transport=transport)
    assert web.heard("Authorization")[3:] == ["Basic bWU6aGlkZGVu"] * 2


@pytest.mark.parametrize("reply", [status(401), status(500), raw(b"x"), to("http://10.0.0.1/"), to("/v.mp4"), endless])
def test_no_failure_reveals_the_password(web, limits, target, reply, caplog):
    web.give(reply)
    with pytest.raises((FetchFailed, AddressForbidden, InputTooLarge)) as caught:
        fetch(web.url(userinfo="me:hidden@"), target, replace(limits, max_bytes=99), Monitor())
    error: BaseException | None = caught.value
    while error is not None:
        assert "hidden" not in f"{error} {error!r} {error.args}"
        error = error.__cause__ or error.__context__
    assert "hidden" not in caplog.text


def test_a_forbidden_address_is_not_connected_to(web, target):
    closed = Limits(idle_timeout=1.0)
    for url in (web.url(), web.url(host="localhost"), web.url(host="LOCALHOST."), web.url(host="[::ffff:127.0.0.1]")):
        with pytest.raises(AddressForbidden):
            fetch(url, target, closed, Monitor())
    assert web.asked == []
    web.give(whole)
    fetch(web.url(host="localhost"), target, replace(closed, allowed_hosts=("localhost",)), Monitor(), sha256=SHA256)


def test_one_forbidden_address_forbids_the_host(web, limits, target):
    transport = Transport(resolver=lambda host, port: ("127.0.0.1", "10.0.0.1"))
    with pytest.raises(AddressForbidden):
        fetch(web.url(host="films.test"), target, limits, Monitor(), transport=transport)
    assert web.asked == []


def test_a_name_that_changes_after_the_check_is_asked_for_only_once(web, limits, target):
    answers = iter([("127.0.0.1",), ("127.0.0.2",), ("127.0.0.2",)])
    asked = []

    def rebinding(host: str, port: int) -> tuple[str, ...]:
        asked.append((host, port))
        return next(answers)

    web.give(whole)
    fetch(web.url(host="Films.test"), target, limits, Monitor(), sha256=SHA256, transport=Transport(resolver=rebinding))
    assert asked == [("films.test", web.port)]
    assert web.heard("Host") == [f"films.test:{web.port}"]
    with pytest.raises(AddressForbidden):
        fetch(web.url(host="films.test"), target, limits, Monitor(), transport=Transport(resolver=rebinding))


def test_the_next_address_is_tried_if_the_first_fails(web, target):
    both = Limits(idle_timeout=2.0, allowed_hosts=("127.0.0.0/8",))
    transport = Transport(resolver=lambda host, port: ("127.0.0.9", "127.0.0.1"))
    web.give(whole)
    fetch(web.url(host="films.test"), target, both, Monitor(), sha256=SHA256, transport=transport)


def test_a_host_that_is_not_found(limits, target):
    def unknown(host: str, port: int) -> tuple[str, ...]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    for resolver in (unknown, lambda host, port: ()):
        with pytest.raises(FetchFailed):
            fetch("http://films.test/v.mp4", target, limits, Monitor(), transport=Transport(resolver=resolver))


def test_an_unresponsive_name_server_times_out_and_can_be_cancelled(limits, target):
    over = threading.Event()

    def silent(host: str, port: int) -> tuple[str, ...]:
        over.wait(20)
        return ()

    monitor, transport = Monitor(), Transport(resolver=silent)
    with pytest.raises(FetchFailed, match=r"cannot resolve host films\.test: nothing received"):
        fetch("http://films.test/v.mp4", target, replace(limits, idle_timeout=0.4), monitor, transport=transport)
    monitor.cancel()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        fetch("http://films.test/v.mp4", target, limits, monitor, transport=transport)
    assert time.monotonic() - began < 1.5
    over.set()


def test_proxies_of_the_environment_are_not_used(web, limits, target, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    fetch(web.give(whole), target, limits, Monitor(), sha256=SHA256)


def trusting(certificate: Path) -> Transport:
    context = ssl.create_default_context(cafile=str(certificate))
    return Transport(resolver=lambda host, port: ("127.0.0.1",), tls=context)


def test_an_untrusted_certificate_is_refused(secure_web, limits, target):
    secure_web.give(whole)
    with pytest.raises(FetchFailed, match=r"certificate is not trusted: self.signed") as caught:
        fetch(secure_web.url(scheme="https"), target, limits, Monitor())
    assert not caught.value.retryable
    assert secure_web.asked == []


def test_a_trusted_certificate_has_to_be_that_of_the_host(secure_web, limits, target, certificate):
    secure_web.give(whole)
    transport = trusting(certificate)
    for host in ("films.test", "127.0.0.1"):
        fetch(secure_web.url(host=host, scheme="https"), target, limits, Monitor(), sha256=SHA256, transport=transport)
    with pytest.raises(FetchFailed, match="certificate is not trusted"):
        fetch(secure_web.url(host="other.test", scheme="https"), target, limits, Monitor(), transport=transport)


def test_a_redirect_from_https_to_http_is_refused(secure_web, web, limits, target, certificate):
    secure_web.give(to(web.give(whole)))
    with pytest.raises(AddressForbidden, match="from https to http"):
        fetch(secure_web.url(scheme="https"), target, limits, Monitor(), transport=trusting(certificate))
    assert web.asked == []
    web.give(to(secure_web.give(whole).replace("http:", "https:")))
    fetch(web.url(), target, limits, Monitor(), sha256=SHA256, transport=trusting(certificate))


def test_an_encrypted_file_of_unknown_length_that_is_cut_is_incomplete(secure_web, limits, target, certificate):
    secure_web.give(lambda h: send(h, 200, CONTENT, -1))
    with pytest.raises(FetchFailed, match="the connection failed"):
        fetch(secure_web.url(scheme="https"), target, limits, Monitor(), transport=trusting(certificate))


def test_a_server_without_a_tls_handshake_times_out(web, limits, target):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(FetchFailed, match="nothing received for"):
            fetch(url, target, replace(limits, idle_timeout=0.5), Monitor())
    with pytest.raises(FetchFailed, match="the connection failed"):
        fetch(web.url(scheme="https"), target, limits, Monitor())


def test_an_unwritable_target(web, limits, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    url = web.give(whole)
    with pytest.raises(OutputUnwritable):
        fetch(url, tmp_path / "file" / "v.mp4", limits, Monitor())
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputUnwritable):
        fetch(url, tmp_path / "folder", limits, Monitor())


def test_a_disk_that_is_full_keeps_what_was_written(web, limits, target):
    resource = pytest.importorskip("resource", reason="needs a limit on the size of files, which stands for the disk")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    url = web.give(ranged())
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(DiskFull) as caught:
            fetch(url, target, limits, Monitor())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.retryable
    assert fetch(url, target, limits, Monitor()).sha256 == SHA256
    assert web.heard("Range")[1] is not None


def test_the_next_process_resumes_the_part_of_a_killed_one(web, limits, target):
    def part_way(handler: BaseHTTPRequestHandler) -> None:
        send(handler, 200, CONTENT[:700_000], len(CONTENT), ETag=TAG)
        web.over.wait(20)

    code = "import sys; from pathlib import Path; from lipsync.net import *; from lipsync.monitor import Monitor; "
    code += "fetch(sys.argv[1], Path(sys.argv[2]), Limits(allowed_hosts=('127.0.0.1',)), Monitor())"
    part, began = target.with_name("v.mp4.part"), time.monotonic()
    with subprocess.Popen([sys.executable, "-c", code, web.give(part_way), str(target)]) as process:
        while not (part.exists() and part.stat().st_size > 500_000) and time.monotonic() - began < 20:
            time.sleep(0.02)
        process.kill()
    had = part.stat().st_size
    assert had > 500_000
    fetch(web.give(ranged()), target, limits, Monitor(), sha256=SHA256)
    assert web.heard("Range") == [None, f"bytes={had}-"]
    assert left(target) == ["v.mp4"]


def test_importing_it_is_cheap():
    code = "import sys; import lipsync.net; print([m for m in ('av', 'boto3', 'numpy', 'ssl') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"av", "boto3", "numpy"} & set(ast.literal_eval(result.stdout))
