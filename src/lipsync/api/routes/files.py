"""Results that lie on the service's own disk, through signed links; in parts (RFC 9110, section 14) if asked for so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from starlette.requests import Request

from lipsync.api.errors import ApiError, problems
from lipsync.api.state import AppState, StateDep
from lipsync.errors import TaskMissing
from lipsync.storage.base import CONTENT_TYPES
from lipsync.storage.signing import verify

TASK = re.compile(r"[0-9a-f]{32}")
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
BLOCK = 256 << 10  # bytes

router = APIRouter(tags=["files"])
Expires = Annotated[int, Query(ge=0, le=2**53, description="seconds since 1970")]
Signature = Annotated[str, Query(max_length=128)]
BINARY = {"schema": {"type": "string", "format": "binary"}}
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file", "content": {"video/mp4": BINARY, "application/octet-stream": BINARY}},
    206: {"description": "The part that was asked for", "content": {"video/mp4": BINARY}},
    304: {"description": "It is the one that the client has"},
    **problems(403, 404, 416, 422, keyed=False),
}


def find(key: str, expires: int, signature: str, desk: AppState) -> Path:
    """The file behind a link. Raises Refusal, OptionInvalid."""
    from lipsync.storage.local import LocalStorage

    secret = desk.services.link_secret
    if not secret or not isinstance(desk.storage, LocalStorage):
        raise ApiError("file_missing", "results are not published here")
    if not verify(key, expires, signature, secret, desk.now().timestamp()):
        raise ApiError("link_invalid", "the task has a fresh link")
    path = desk.storage.path(key)
    if not path.is_file():
        raise ApiError("file_missing", "it was deleted")
    return path


def tag(key: str, path: Path, desk: AppState) -> str:
    """An entity tag: the SHA-256, which the task knows that the key names; else one that is weak."""
    for task_id in TASK.findall(key):
        try:
            task = desk.store.get(task_id)
        except TaskMissing:
            continue
        checksums = {output.key: output.sha256 for output in task.outputs}
        if task.manifest is not None:
            checksums[task.manifest.key] = task.manifest.sha256
        if key in checksums:
            return f'"{checksums[key]}"'
    state = path.stat()
    return f'W/"{state.st_mtime_ns:x}-{state.st_size:x}"'


def part(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None: all. What is no single range of bytes is not understood: all.

    Raises Refusal for a part that the file has not.
    """
    found = RANGE.fullmatch(header.replace(" ", "")) if header else None
    if found is None or found[1] == found[2] == "":
        return None
    if found[1]:
        start, end = int(found[1]), min(int(found[2]) + 1, size) if found[2] else size
        if found[2] and int(found[2]) < int(found[1]):
            return None
    else:
        start, end = max(0, size - int(found[2])), size
    if start >= end:
        raise ApiError("range_invalid", f"the file has {size} bytes", {"Content-Range": f"bytes */{size}"})
    return start, end


def read(path: Path, start: int, end: int) -> Iterator[bytes]:
    """The file from one byte to another."""
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (block := file.read(min(BLOCK, end - start))):
            start += len(block)
            yield block


def serve(key: str, path: Path, desk: AppState, request: Request) -> Response:
    """The answer, of which HEAD gets the headers."""
    size, mark = path.stat().st_size, tag(key, path, desk)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": mark,
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{path.name}"',
        "X-Content-Type-Options": "nosniff",
    }
    if mark in [told.strip() for told in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    if_range = request.headers.get("if-range")
    fits = if_range is None or (if_range == mark and not mark.startswith("W/"))
    wanted = part(request.headers.get("range"), size) if fits else None
    start, end = wanted or (0, size)
    headers["Content-Length"] = str(end - start)
    if wanted:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status, media_type = 206 if wanted else 200, CONTENT_TYPES.get(path.suffix.lower(), "application/octet-stream")
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(read(path, start, end), status, headers, media_type)


@router.get("/v1/files/{key:path}", summary="Download a file", response_class=Response, responses=ANSWERS)
def get(key: str, expires: Expires, signature: Signature, desk: StateDep, request: Request) -> Response:
    """Needs no API key: the link is signed, and good for a time."""
    return serve(key, find(key, expires, signature, desk), desk, request)


@router.head("/v1/files/{key:path}", summary="Look at a file", response_class=Response, responses=ANSWERS)
def head(key: str, expires: Expires, signature: Signature, desk: StateDep, request: Request) -> Response:
    """As the download, without the content."""
    return serve(key, find(key, expires, signature, desk), desk, request)
