"""One file from any of several homes, whole or not at all, going on where an earlier attempt stopped."""

from __future__ import annotations

import http.client
import os
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

from lipsync.errors import DownloadFailed
from lipsync.files import sha256_of, write_errors
from lipsync.models.catalogue import ModelInfo
from lipsync.monitor import Monitor, Progress

BLOCK = 1 << 20
PATIENCE = 30.0  # seconds without a byte
TRIES = 3  # of one home in a row without a byte more than before
NETWORK = (urllib.error.URLError, http.client.HTTPException, OSError)


class _Unusable(Exception):
    """This home does not give the file."""


def download(weights: ModelInfo, target: Path, monitor: Monitor) -> None:
    """Bring the file to ``target``; what came so far is kept beside it in ``.part`` and gone on with next time.

    Raises DownloadFailed with what each home said, DiskFull, OutputUnwritable, Cancelled.
    """
    with write_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    said = []
    for home in weights.mirrors:
        try:
            _from_home(home, weights, part, monitor)
        except _Unusable as exc:
            said.append(f"{home}: {exc}")
            continue
        with write_errors(target):
            os.replace(part, target)
        return
    raise DownloadFailed(f"{weights.file} could not be downloaded; " + "; ".join(said))


def _from_home(home: str, weights: ModelInfo, part: Path, monitor: Monitor) -> None:
    failures = 0
    while (had := _size(part)) < weights.size:
        problem = _go_on(home, weights, part, had, monitor)
        failures = 0 if _size(part) > had else failures + 1
        if failures == TRIES:
            raise _Unusable(f"the connection failed{problem}")
    if sha256_of(part, monitor) != weights.sha256:
        part.unlink()
        raise _Unusable("what came has another checksum")


def _go_on(home: str, weights: ModelInfo, part: Path, had: int, monitor: Monitor) -> str:
    """Ask for what is missing and add it; the whole again if the server does not know ranges. Gives what went wrong."""
    request = urllib.request.Request(home, headers={"Range": f"bytes={had}-"} if had else {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            _store(answer, part, _start(answer, weights, had), weights, monitor)
    except urllib.error.HTTPError as exc:
        if exc.code != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _Unusable(f"{exc.code} {exc.reason}") from exc
        part.unlink()
    except NETWORK as exc:
        return f" ({' '.join(str(exc).split())})"
    return ""


def _start(answer: http.client.HTTPResponse, weights: ModelInfo, had: int) -> int:
    """The place in the file of the answer's first byte, if the answer can be the file."""
    partial = answer.status == HTTPStatus.PARTIAL_CONTENT
    if partial and not answer.headers.get("Content-Range", "").startswith(f"bytes {had}-"):
        raise _Unusable("it sent another part of the file than it was asked for")
    if "html" in answer.headers.get("Content-Type", ""):
        raise _Unusable("it sent a web page")
    start = had if partial else 0
    promised = answer.headers.get("Content-Length")
    if promised is not None and start + int(promised) != weights.size:
        raise _Unusable(f"it promised {start + int(promised)} bytes instead of {weights.size}")
    return start


def _store(answer: http.client.HTTPResponse, part: Path, start: int, weights: ModelInfo, monitor: Monitor) -> None:
    began, done = time.monotonic(), start
    with write_errors(part):
        file = part.open("ab" if start else "wb")
    with file:
        while block := answer.read(BLOCK):
            monitor.check()
            done += len(block)
            if done > weights.size:
                raise _Unusable("it sent more than the file")
            with write_errors(part):
                file.write(block)
            # As if what was here already had come at the same speed, so that the rate is the connection's.
            seconds = (time.monotonic() - began) * done / (done - start)
            monitor.report(Progress("download", done, weights.size, seconds))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
