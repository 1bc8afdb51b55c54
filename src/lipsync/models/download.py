"""Download one model file, resume after interruptions, and fall back to mirrors.

``lipsync.net`` downloads from untrusted addresses: it refuses private hosts, ignores proxies, and needs an ETag or a
date to resume. The mirrors, size and checksum of a model are known in advance: here proxies are used, and a download
can resume on any server, even on another mirror.
"""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

from lipsync.errors import DownloadFailed, one_line
from lipsync.files import sha256_of, write_errors
from lipsync.models.catalogue import ModelInfo
from lipsync.monitor import Monitor, Progress

BLOCK_BYTES = 1 << 20
READ_TIMEOUT = 30.0  # seconds without a byte
MAX_ATTEMPTS = 3  # in a row on one mirror without progress
NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, OSError)


class _MirrorFailed(Exception):
    """The mirror does not deliver the file."""


def download(model: ModelInfo, target: Path, monitor: Monitor) -> None:
    """Download a model to ``target``; keep partial data in ``target``.part and resume from it.

    Raises DownloadFailed with the reason for each mirror, DiskFull, OutputUnwritable, Cancelled.
    """
    with write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.part")
    reasons = []
    for mirror in model.mirrors:
        try:
            _fetch_from(mirror, model, partial, monitor)
        except _MirrorFailed as exc:
            reasons.append(f"{mirror}: {exc}")
            continue
        with write_errors(target):
            os.replace(partial, target)
        return
    raise DownloadFailed(f"{model.file}: download failed. {'; '.join(reasons)}")


def _fetch_from(mirror: str, model: ModelInfo, partial: Path, monitor: Monitor) -> None:
    failures = 0
    while (size := _size(partial)) < model.size:
        problem = _resume(mirror, model, partial, size, monitor)
        failures = 0 if _size(partial) > size else failures + 1
        if failures == MAX_ATTEMPTS:
            raise _MirrorFailed(f"the connection failed{problem}")
    if sha256_of(partial, monitor) != model.sha256:
        partial.unlink()
        raise _MirrorFailed("wrong checksum")


def _resume(mirror: str, model: ModelInfo, partial: Path, size: int, monitor: Monitor) -> str:
    """Request the missing bytes and append them; start over if the server ignores ranges. Return the network error."""
    request = urllib.request.Request(mirror, headers={"Range": f"bytes={size}-"} if size else {})
    try:
        with urllib.request.urlopen(request, timeout=READ_TIMEOUT) as response:
            _write(response, partial, _start_of(response, model, size), model, monitor)
    except urllib.error.HTTPError as exc:
        if exc.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _MirrorFailed(f"{exc.code} {exc.reason}") from exc
        partial.unlink()
    except NETWORK_ERRORS as exc:
        return f" ({one_line(exc)})"
    return ""


def _start_of(response: http.client.HTTPResponse, model: ModelInfo, size: int) -> int:
    """Return the offset of the response's first byte in the file. Raises _MirrorFailed for an unsuitable response."""
    is_partial = response.status == HTTPStatus.PARTIAL_CONTENT
    if is_partial and not response.headers.get("Content-Range", "").startswith(f"bytes {size}-"):
        raise _MirrorFailed("the server sent another range than requested")
    if "html" in response.headers.get("Content-Type", ""):
        raise _MirrorFailed("the server sent a web page")
    start = size if is_partial else 0
    length = response.headers.get("Content-Length")
    if length is not None and start + int(length) != model.size:
        raise _MirrorFailed(f"the file has {start + int(length)} bytes instead of {model.size}")
    return start


def _write(response: http.client.HTTPResponse, partial: Path, start: int, model: ModelInfo, monitor: Monitor) -> None:
    began, done = time.monotonic(), start
    with write_errors(partial):
        file = partial.open("ab" if start else "wb")
    with file:
        while block := response.read(BLOCK_BYTES):
            monitor.check()
            done += len(block)
            if done > model.size:
                raise _MirrorFailed("the server sent more than the file")
            with write_errors(partial):
                file.write(block)
            # Scale the time as if the resumed bytes had arrived at the same speed: the rate is the connection's.
            seconds = (time.monotonic() - began) * done / (done - start)
            monitor.report(Progress("download", done, model.size, seconds))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
