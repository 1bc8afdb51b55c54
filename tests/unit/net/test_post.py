from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest

from lipsync.errors import AddressForbidden, FetchFailed, OptionInvalid
from lipsync.monitor import Monitor
from lipsync.net import Limits, Transport
from lipsync.net.post import MAX_EXCERPT_BYTES, post


@pytest.fixture
def received(web) -> list[bytes]:
    """Bodies that the server received; it responds 503 with a long body."""
    bodies: list[bytes] = []

    def reply(handler: BaseHTTPRequestHandler) -> None:
        bodies.append(handler.rfile.read(int(handler.headers["Content-Length"])))
        handler.send_response(503, "Busy")
        handler.send_header("Retry-After", "7")
        handler.end_headers()
        handler.wfile.write(b"try\n later " + b"x" * 2 * MAX_EXCERPT_BYTES)

    web.give(reply)
    return bodies


def test_any_status_is_an_answer(web, limits, received):
    answer = post(web.url(), b"{}", {"X-Event": "done"}, limits, Monitor(), Transport())
    assert received == [b"{}"]
    assert web.heard("X-Event") == ["done"]
    assert (answer.status, answer.retry_after) == (503, "7")
    assert answer.text.startswith("Busy try later xxx")


def test_an_address_is_checked(web, received):
    with pytest.raises(AddressForbidden):
        post(web.url(), b"{}", {}, Limits(), Monitor(), Transport())
    assert received == []


def test_a_header_cannot_carry_a_second_one(web, limits, received):
    with pytest.raises(OptionInvalid, match="header"):
        post(web.url(), b"{}", {"X-Event": "done\r\nX-Other: 1"}, limits, Monitor(), Transport())
    assert received == []


def test_no_answer_is_an_error(web, limits):
    web.give(lambda handler: None)
    with pytest.raises(FetchFailed, match="the connection failed"):
        post(web.url(), b"{}", {}, limits, Monitor(), Transport())
