"""POST one message to a web server, with the same address policy and timeouts as downloads."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse

from lipsync.errors import Cancelled
from lipsync.monitor import Monitor
from lipsync.net.connection import send_request
from lipsync.net.limits import Limits
from lipsync.net.response import network_errors, sanitise
from lipsync.net.transport import RequestContext, Transport
from lipsync.net.url import parse

MAX_EXCERPT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Answer:
    """HTTP status, and on one line the reason phrase and the start of the body.

    ``retry_after``: the header Retry-After, empty if missing.
    """

    status: int
    text: str
    retry_after: str = ""


def post(
    address: str, content: bytes, headers: Mapping[str, str], limits: Limits, monitor: Monitor, transport: Transport
) -> Answer:
    """Send ``content`` to an http or https address once, without following redirects. Any status is returned.

    Of the limits, ``idle_timeout``, ``total_timeout`` and ``allowed_hosts`` apply. Raises OptionInvalid,
    AddressForbidden, FetchFailed if no response was received, Cancelled.
    """
    context = RequestContext.start(address, limits, monitor, transport)
    headers = {"Content-Length": str(len(content)), **headers}
    with (
        network_errors(context.source),
        send_request(parse(address), "POST", headers, context, content) as response,
    ):
        retry_after = sanitise(response.headers.get("Retry-After", ""))
        return Answer(response.status, sanitise(f"{response.reason} {_excerpt(response)}"), retry_after)


def _excerpt(response: HTTPResponse) -> str:
    """Read the start of the body. Errors are ignored: the status is known by then."""
    content = bytearray()
    with suppress(OSError, HTTPException, Cancelled):
        while len(content) < MAX_EXCERPT_BYTES and (block := response.read1(MAX_EXCERPT_BYTES - len(content))):
            content += block
    return content.decode("utf-8", "replace")
