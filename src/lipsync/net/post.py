"""One message to a web server that may behave in every bad way, on a machine that was checked before it was asked."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import cast

from lipsync.errors import Cancelled, OptionInvalid
from lipsync.monitor import Monitor
from lipsync.net.connection import connect
from lipsync.net.deadline import Deadline
from lipsync.net.limits import Limits
from lipsync.net.resolve import resolve
from lipsync.net.response import network_errors, words
from lipsync.net.transport import Transport
from lipsync.net.url import Address, parse, redact

MOST = 4096  # bytes of an answer that are read


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said: the HTTP status, and on one line its words for it and how its answer begins.

    ``retry_after``: its header of that name, empty if there is none.
    """

    status: int
    text: str
    retry_after: str = ""


def post(
    address: str, content: bytes, headers: Mapping[str, str], limits: Limits, monitor: Monitor, transport: Transport
) -> Answer:
    """Send ``content`` to an http or https address, once; redirects are not followed. Any answer is an answer.

    Of the limits count ``deadline``, ``most_seconds_in_all`` and ``allowed_hosts``. Raises OptionInvalid,
    AddressForbidden, FetchFailed where no answer came, Cancelled.
    """
    place = parse(address)
    message = _message(place, content, headers)
    source, deadline = redact(address), Deadline(limits, monitor)
    with network_errors(source), ExitStack() as stack:
        found = resolve(source, place, limits, transport, deadline)
        wire = stack.enter_context(closing(connect(place, found, transport.tls, deadline)))
        wire.send(message)
        deadline.begin()
        # It needs nothing of a socket but makefile().
        answer = stack.enter_context(closing(HTTPResponse(cast(socket.socket, wire), method="POST")))
        answer.begin()
        retry_after = words(answer.headers.get("Retry-After", ""))
        return Answer(answer.status, words(f"{answer.reason} {_beginning(answer)}"), retry_after)


def _message(place: Address, content: bytes, headers: Mapping[str, str]) -> bytes:
    told = {
        "Host": place.authority,
        "User-Agent": "lipsync",
        "Accept": "*/*",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Content-Length": str(len(content)),
        **headers,
    }
    if place.authorization is not None:
        told["Authorization"] = place.authorization
    lines = [f"{name}: {value}" for name, value in told.items()]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise OptionInvalid("a header of the message has signs in it that no header has")
    return "\r\n".join([f"POST {place.target} HTTP/1.1", *lines, "", ""]).encode("ascii") + content


def _beginning(answer: HTTPResponse) -> str:
    """Whatever comes of the answer's content; its status is what counts, and that has come."""
    came = bytearray()
    with suppress(OSError, HTTPException, Cancelled):
        while len(came) < MOST and (block := answer.read1(MOST - len(came))):
            came += block
    return came.decode("utf-8", "replace")
