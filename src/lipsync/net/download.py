"""A file from a web server that may behave in every bad way, on a machine that was checked before it was asked.

Proxies that the environment names are not used, on purpose: they would look the name up once more, after the check.
"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path
from typing import cast
from urllib.parse import quote, urljoin

from lipsync.errors import AddressForbidden, FetchFailed, OptionInvalid
from lipsync.monitor import Monitor, Progress
from lipsync.net.connection import connect
from lipsync.net.deadline import Deadline
from lipsync.net.limits import Fetched, Limits, check_bytes
from lipsync.net.partial_file import PartialFile
from lipsync.net.resolve import resolve
from lipsync.net.response import (
    check_status,
    content_type_of,
    is_resumable,
    network_errors,
    permanent_failure,
    size_of,
    validator_of,
)
from lipsync.net.transport import Transport
from lipsync.net.url import SAFE, Address, parse, redact

PARTS = (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
BLOCK = 1 << 18
PAUSE = 0.2  # seconds between two reports
REDIRECTS = (
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
)


def fetch_http(
    address: str, target: Path, limits: Limits, monitor: Monitor, sha256: str | None, transport: Transport
) -> Fetched:
    """Bring the file at an http or https address to ``target``. Raises as ``lipsync.net.fetch`` does."""
    place = parse(address)
    return HttpDownload(redact(address), limits, monitor, transport).run(place, target, place.url, sha256)


class HttpDownload:
    """One fetch. ``source`` is what it is called in errors: the address that was given, without its secrets."""

    def __init__(self, source: str, limits: Limits, monitor: Monitor, transport: Transport) -> None:
        self._source = source
        self._limits = limits
        self._monitor = monitor
        self._means = transport
        self._patience = Deadline(limits, monitor)

    def run(self, address: Address, target: Path, identity: str, sha256: str | None) -> Fetched:
        """Bring the file, going on with what an earlier errand for the same ``identity`` brought."""
        with PartialFile(target, identity, self._monitor) as part, network_errors(self._source), ExitStack() as stack:
            answer = stack.enter_context(closing(self._reach(address, part)))
            if part.size and answer.status in PARTS and not is_resumable(answer, part):
                part.restart(None)
                answer = stack.enter_context(closing(self._reach(address, part)))
            check_status(self._source, answer)
            self._take(answer, part)
            return part.deliver(sha256, content_type_of(answer))

    def _reach(self, address: Address, part: PartialFile) -> HTTPResponse:
        """The answer to the question for the rest of the file, wherever it was sent on to."""
        for _ in range(self._limits.most_redirects + 1):
            answer = self._ask(address, part)
            location = answer.headers.get("Location")
            if answer.status not in REDIRECTS or not location:
                return answer
            with closing(answer):
                address = self._led_on(address, location)
        raise permanent_failure(
            f"{self._source}: redirected more than {self._limits.most_redirects} times (most_redirects)"
        )

    def _led_on(self, address: Address, location: str) -> Address:
        """Where the server sends us. Raises AddressForbidden, FetchFailed."""
        try:
            # http.client hands the header's bytes on as Latin-1, whatever they are.
            led = parse(urljoin(address.url, quote(location.encode("latin-1"), safe=SAFE)))
        except (OptionInvalid, ValueError):
            raise permanent_failure(f"{self._source}: redirected to what is not an http or https address") from None
        if address.scheme == "https" and led.scheme != "https":
            raise AddressForbidden(f"{self._source}: redirected from https to http, which is not followed")
        same = led.origin == address.origin
        return replace(led, authorization=address.authorization if same else None)

    def _ask(self, address: Address, part: PartialFile) -> HTTPResponse:
        with ExitStack() as stack:
            found = resolve(self._source, address, self._limits, self._means, self._patience)
            wire = stack.enter_context(closing(connect(address, found, self._means.tls, self._patience)))
            wire.send(_question(address, part))
            self._patience.begin()
            # It needs nothing of a socket but makefile().
            answer = HTTPResponse(cast(socket.socket, wire), method="GET")
            stack.enter_context(closing(answer))
            answer.begin()
            self._patience.begin()
            stack.pop_all()
            return answer

    def _take(self, answer: HTTPResponse, part: PartialFile) -> None:
        """Write the file as it comes. Raises InputTooLarge before more is written than may be."""
        if answer.status != HTTPStatus.PARTIAL_CONTENT:
            part.restart(validator_of(answer))
        elif not part.size:
            raise permanent_failure(f"{self._source}: the server sends a part of the file that nobody asked for")
        total, had = size_of(answer), part.size
        check_bytes(self._source, total or 0, self._limits)
        began, reported = time.monotonic(), 0.0
        while total is None or part.size < total:
            block = answer.read1(BLOCK)
            if not block:
                break
            check_bytes(self._source, part.size + len(block), self._limits)
            part.write(block)
            now = time.monotonic()
            if now - reported >= PAUSE:
                self._report(part, had, total, now - began)
                reported = now
        self._report(part, had, total, time.monotonic() - began)
        if total is not None and part.size < total:
            raise FetchFailed(f"{self._source}: the connection ended after {part.size} of {total} bytes")

    def _report(self, part: PartialFile, had: int, total: int | None, seconds: float) -> None:
        # As if what was here already had come at the same speed, so that the rate is the connection's.
        came = max(1, part.size - had)
        self._monitor.report(Progress("fetch", part.size, total, seconds * part.size / came))


def _question(address: Address, part: PartialFile) -> bytes:
    lines = [
        f"GET {address.target} HTTP/1.1",
        f"Host: {address.authority}",
        "User-Agent: lipsync",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
    ]
    if address.authorization is not None:
        lines.append(f"Authorization: {address.authorization}")
    if part.size and part.version is not None:
        lines += [f"Range: bytes={part.size}-", f"If-Range: {part.version.value}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii")
