"""HTTP download that survives misbehaving servers: checked addresses, redirects, resuming, limits.

Proxies from the environment are ignored on purpose: a proxy would resolve the name again, after the check.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import quote, urljoin

from lipsync.errors import AddressForbidden, FetchFailed, OptionInvalid
from lipsync.monitor import Progress
from lipsync.net.connection import send_request
from lipsync.net.limits import Fetched, check_bytes
from lipsync.net.partial_file import PartialFile
from lipsync.net.response import (
    check_status,
    content_type_of,
    is_resumable,
    network_errors,
    permanent_failure,
    size_of,
    validator_of,
)
from lipsync.net.transport import RequestContext
from lipsync.net.url import SAFE, Address, parse

RANGE_STATUSES = (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
BLOCK_BYTES = 1 << 18
REPORT_INTERVAL = 0.2  # seconds
REDIRECTS = (
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
)


def fetch_http(address: str, target: Path, sha256: str | None, context: RequestContext) -> Fetched:
    """Download an http or https address to ``target``. Raises as ``lipsync.net.fetch`` does."""
    parsed = parse(address)
    return HttpDownload(context).run(parsed, target, parsed.url, sha256)


class HttpDownload:
    """One download with its context."""

    def __init__(self, context: RequestContext) -> None:
        self._context = context
        self._source = context.source

    def run(self, address: Address, target: Path, identity: str, sha256: str | None) -> Fetched:
        """Download the file, resuming an earlier unfinished download of the same ``identity``."""
        with (
            PartialFile(target, identity, self._context.monitor) as part,
            network_errors(self._source),
            ExitStack() as stack,
        ):
            response = self._request(address, part, stack)
            if part.size and response.status in RANGE_STATUSES and not is_resumable(response, part):
                part.restart(None)
                response = self._request(address, part, stack)
            check_status(self._source, response)
            self._receive(response, part)
            return part.deliver(sha256, content_type_of(response))

    def _request(self, address: Address, part: PartialFile, stack: ExitStack) -> HTTPResponse:
        """Request the rest of the file, following redirects. The response closes with ``stack``."""
        max_redirects = self._context.limits.max_redirects
        for _ in range(max_redirects + 1):
            with ExitStack() as attempt:
                response = attempt.enter_context(send_request(address, "GET", _range_headers(part), self._context))
                location = response.headers.get("Location")
                if response.status not in REDIRECTS or not location:
                    stack.enter_context(attempt.pop_all())
                    return response
            address = self._follow_redirect(address, location)
        raise permanent_failure(
            f"{self._source}: redirected more than {max_redirects} times (LIPSYNC_MAX_INPUT_REDIRECTS)"
        )

    def _follow_redirect(self, address: Address, location: str) -> Address:
        """Return the redirect's target. Raises AddressForbidden, FetchFailed."""
        try:
            # http.client decodes the header's bytes as Latin-1, whatever their encoding.
            target = parse(urljoin(address.url, quote(location.encode("latin-1"), safe=SAFE)))
        except (OptionInvalid, ValueError):
            raise permanent_failure(f"{self._source}: redirected to an invalid http or https address") from None
        if address.scheme == "https" and target.scheme != "https":
            raise AddressForbidden(f"{self._source}: redirected from https to http, which is not allowed")
        same_origin = target.origin == address.origin
        return replace(target, authorization=address.authorization if same_origin else None)

    def _receive(self, response: HTTPResponse, part: PartialFile) -> None:
        """Write the body. Raises InputTooLarge before the file exceeds the limit."""
        if response.status != HTTPStatus.PARTIAL_CONTENT:
            part.restart(validator_of(response))
        elif not part.size:
            raise permanent_failure(f"{self._source}: the server sent a partial response to a full request")
        total, resumed_at = size_of(response), part.size
        check_bytes(self._source, total or 0, self._context.limits)
        start, reported = time.monotonic(), 0.0
        while total is None or part.size < total:
            block = response.read1(BLOCK_BYTES)
            if not block:
                break
            check_bytes(self._source, part.size + len(block), self._context.limits)
            part.write(block)
            now = time.monotonic()
            if now - reported >= REPORT_INTERVAL:
                self._report(part, resumed_at, total, now - start)
                reported = now
        self._report(part, resumed_at, total, time.monotonic() - start)
        if total is not None and part.size < total:
            raise FetchFailed(f"{self._source}: the connection ended after {part.size} of {total} bytes")

    def _report(self, part: PartialFile, resumed_at: int, total: int | None, seconds: float) -> None:
        # Scaled as if the resumed bytes had been received at the same speed, so that the rate is the connection's.
        received = max(1, part.size - resumed_at)
        self._context.monitor.report(Progress("fetch", part.size, total, seconds * part.size / received))


def _range_headers(part: PartialFile) -> dict[str, str]:
    if part.size and part.validator is not None:
        return {"Range": f"bytes={part.size}-", "If-Range": part.validator.value}
    return {}
