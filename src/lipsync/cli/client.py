"""A running service, as a client reaches it: over HTTP, with the standard library alone."""

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

HOME = "http://127.0.0.1:8000"
KEY = "LIPSYNC_API_KEY"
PATIENCE = 60.0  # seconds without a byte, after which an answer is given up
BLOCK = 1 << 18  # bytes
LONGEST_ANSWER = 16 << 20  # bytes of JSON


class Service:
    """A running service, over HTTP with time-outs. The key goes to its address alone, not where that may lead.

    Raises OptionInvalid for an address that is none, SettingInvalid for a key that cannot be one; neither is repeated.
    """

    def __init__(self, url: str, key: str) -> None:
        self.url = _address(url)
        if not key.isascii() or not key.isprintable() or " " in key:
            raise SettingInvalid(f"{KEY}: that is no API key")
        self._key = key

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The answer's JSON. Raises FetchFailed, and what the service refuses by its code."""
        content = None if body is None else json.dumps(body).encode()
        return self._send(method, path, content, {"Content-Type": "application/json", **(headers or {})})

    def upload(self, path: Path) -> dict[str, Any]:
        """The upload that the service made of the file. Raises as ``ask``."""
        kind = {"Content-Type": "application/octet-stream", "Content-Length": str(path.stat().st_size)}
        with path.open("rb") as file:
            return self._send("POST", "/v1/uploads", file, kind)

    def _send(self, method: str, path: str, content: Any, headers: Mapping[str, str]) -> dict[str, Any]:
        request = urllib.request.Request(self.url + path, content, dict(headers), method=method)
        if self._key:
            request.add_unredirected_header("Authorization", f"Bearer {self._key}")
        with asked(self.url), urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            told = _object(answer.read(LONGEST_ANSWER))
        if told is None:
            raise FetchFailed(f"{self.url}: what answers there is not the service")
        return told


def _address(url: str) -> str:
    wrong = OptionInvalid(f"--url: an address such as {HOME} is wanted, without a name and a password in it")
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            raise wrong
    except ValueError as exc:
        raise wrong from exc
    if parts.username is not None or parts.query or parts.fragment or not url.isascii() or not url.isprintable():
        raise wrong
    return url.rstrip("/")


@contextmanager
def asked(where: str) -> Iterator[None]:
    """Around a request. Raises FetchFailed where no answer comes, and a refusal as the error that its code names."""
    try:
        yield
    except urllib.error.HTTPError as exc:
        with exc:
            told = _object(exc.read(LONGEST_ANSWER)) or {}
        raise _refused(exc.code, told, where) from exc
    except (OSError, http.client.HTTPException) as exc:
        reason = getattr(exc, "reason", None) or exc
        raise FetchFailed(f"{where}: no answer ({type(reason).__name__}: {reason})") from exc


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(content)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _refused(status: int, told: Mapping[str, Any], where: str) -> LipsyncError:
    """A refusal of the service as the error of the package that comes nearest."""
    code, detail = str(told.get("code", status)), str(told.get("detail", "no reason given"))
    if status in (401, 403) and code != "link_invalid":
        return SettingInvalid(f"{KEY}: {where} does not let it in: {detail} [{code}]")
    if kind := kinds().get(code):
        return kind(f"{where}: {detail}")
    passing = status >= 500 or status in (408, 429)
    return (FetchFailed if passing else OptionInvalid)(f"{where}: {status}, {detail} [{code}]")


def kinds() -> dict[str, type[LipsyncError]]:
    """Every error of the package, by its code."""
    found, left = {}, list(LipsyncError.__subclasses__())
    while left:
        kind = left.pop()
        found[kind.code] = kind
        left += kind.__subclasses__()
    return found


def downloaded(told: Mapping[str, Any], target: Path, monitor: Monitor) -> tuple[int, str]:
    """How many bytes came and their SHA-256, without our key: the link is enough. Raises FetchFailed, DiskFull."""
    from lipsync.files import write_errors
    from lipsync.net import redact

    address, digest, done, began = str(told["url"]), hashlib.sha256(), 0, time.monotonic()
    shown = redact(address)
    if urlsplit(address).scheme not in ("http", "https"):
        raise FetchFailed(f"{shown}: the link to the result leads nowhere")
    with asked(shown), urllib.request.urlopen(address, timeout=PATIENCE) as answer, target.open("wb") as file:
        while done <= told["size"] and (block := answer.read(BLOCK)):
            monitor.check()
            with write_errors(target):
                file.write(block)
            digest.update(block)
            done += len(block)
            monitor.report(Progress("download", done, told["size"], time.monotonic() - began))
    return done, digest.hexdigest()
