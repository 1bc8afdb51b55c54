"""HTTP client of a running service, on the standard library alone."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lipsync.errors import FetchFailed, LipsyncError, OptionInvalid, SettingInvalid
from lipsync.monitor import Monitor, Progress

DEFAULT_URL = "http://127.0.0.1:8000"
API_KEY_VARIABLE = "LIPSYNC_API_KEY"
READ_TIMEOUT = 60.0  # seconds without a byte
BLOCK_BYTES = 1 << 18
MAX_RESPONSE_BYTES = 16 << 20  # of JSON


class ServiceClient:
    """Client of one service. The API key is sent to the service's address only, never to a redirect's target.

    Raises OptionInvalid for an invalid URL and SettingInvalid for a malformed key; neither message repeats the value.
    """

    def __init__(self, url: str, key: str) -> None:
        self.url = _base_url(url)
        if not key.isascii() or not key.isprintable() or " " in key:
            raise SettingInvalid(f"{API_KEY_VARIABLE}: malformed API key")
        self._key = key

    def request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Send JSON and return the response's JSON. Raises FetchFailed, or the error class of the service's code."""
        content = None if body is None else json.dumps(body).encode()
        return self._send(method, path, content, {"Content-Type": "application/json", **(headers or {})})

    def upload(self, path: Path) -> dict[str, Any]:
        """Upload a file and return the upload's record. Raises as ``request``."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
        with path.open("rb") as file:
            return self._send("POST", "/v1/uploads", file, headers)

    def _send(self, method: str, path: str, content: Any, headers: Mapping[str, str]) -> dict[str, Any]:
        request = urllib.request.Request(self.url + path, content, dict(headers), method=method)
        if self._key:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        with request_errors(self.url), urllib.request.urlopen(request, timeout=READ_TIMEOUT) as response:
            fields = _json_object(response.read(MAX_RESPONSE_BYTES))
        if fields is None:
            raise FetchFailed(f"{self.url}: the server is not a lipsync service")
        return fields


def _base_url(url: str) -> str:
    invalid = OptionInvalid(f"--url: invalid address; expected for example {DEFAULT_URL}, without credentials")
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise invalid
    except ValueError as exc:
        raise invalid from exc
    if parts.username is not None or parts.query or parts.fragment or not url.isascii() or not url.isprintable():
        raise invalid
    return url.rstrip("/")


@contextmanager
def request_errors(source: str) -> Iterator[None]:
    """Map failures within the block: FetchFailed without a response, else the error class of the service's code."""
    try:
        yield
    except urllib.error.HTTPError as exc:
        with exc:
            problem = _json_object(exc.read(MAX_RESPONSE_BYTES)) or {}
        raise _service_error(exc.code, problem, source) from exc
    except (OSError, http.client.HTTPException) as exc:
        reason = getattr(exc, "reason", None) or exc
        raise FetchFailed(f"{source}: no response ({type(reason).__name__}: {reason})") from exc


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _service_error(status: int, problem: Mapping[str, Any], source: str) -> LipsyncError:
    """Return the package's error for problem details of the service."""
    code, detail = str(problem.get("code", status)), str(problem.get("detail", "no reason given"))
    if status in (401, 403) and code != "link_invalid":
        return SettingInvalid(f"{API_KEY_VARIABLE}: {source} denied access: {detail} [{code}]")
    if error_class := error_classes().get(code):
        return error_class(f"{source}: {detail}")
    retryable = status >= 500 or status in (408, 429)
    return (FetchFailed if retryable else OptionInvalid)(f"{source}: HTTP {status}: {detail} [{code}]")


def error_classes() -> dict[str, type[LipsyncError]]:
    """All error classes of the package by code."""
    classes, pending = {}, list(LipsyncError.__subclasses__())
    while pending:
        kind = pending.pop()
        classes[kind.code] = kind
        pending += kind.__subclasses__()
    return classes


def download_output(output: Mapping[str, Any], target: Path, monitor: Monitor) -> tuple[int, str]:
    """Download a result through its signed link, without the API key; return bytes received and their SHA-256.

    Raises FetchFailed, DiskFull, OutputUnwritable, Cancelled.
    """
    from lipsync.files import write_errors
    from lipsync.net import redact

    address, digest, done, start = str(output["url"]), hashlib.sha256(), 0, time.monotonic()
    source = redact(address)
    if urlsplit(address).scheme not in ("http", "https"):
        raise FetchFailed(f"{source}: the link to the result is not an http or https address")
    with (
        request_errors(source),
        urllib.request.urlopen(address, timeout=READ_TIMEOUT) as response,
        target.open("wb") as file,
    ):
        while done <= output["size"] and (block := response.read(BLOCK_BYTES)):
            monitor.check()
            with write_errors(target):
                file.write(block)
            digest.update(block)
            done += len(block)
            monitor.report(Progress("download", done, output["size"], time.monotonic() - start))
    return done, digest.hexdigest()
