"""Results in local storage, served through signed links with range requests (RFC 9110, section 14)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from starlette.requests import Request

from lipsync.api.errors import ApiError
from lipsync.api.problems import error_responses
from lipsync.api.state import AppState, StateDep
from lipsync.errors import TaskMissing
from lipsync.storage.base import CONTENT_TYPES
from lipsync.storage.signing import verify_link

TASK_ID = re.compile(r"[0-9a-f]{32}")
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
BLOCK_BYTES = 256 << 10

router = APIRouter(tags=["files"])
Key = Annotated[
    str,
    Path(
        description="The file's key in the storage.",
        examples=["2026-11-24/0192f0c18a2b7c3d9e4f5a6b7c8d9e0f/rewrite.mp4"],
    ),
]
Expires = Annotated[
    int, Query(ge=0, le=2**53, description="Expiry of the link, in Unix seconds.", examples=[1795521600])
]
Signature = Annotated[str, Query(max_length=128, description="Signature of the link.")]
BINARY = {"schema": {"type": "string", "format": "binary"}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "The whole file", "content": {"video/mp4": BINARY, "application/octet-stream": BINARY}},
    206: {"description": "The requested range", "content": {"video/mp4": BINARY}},
    304: {"description": "The client's copy is current"},
    **error_responses(403, 404, 416, 422, keyed=False),
}


def find_file(key: str, expires: int, signature: str, state: AppState) -> FilePath:
    """Return the path of the linked file. Raises ApiError, OptionInvalid."""
    from lipsync.storage.local import LocalStorage

    secret = state.services.link_secret
    if not secret or not isinstance(state.storage, LocalStorage):
        raise ApiError("file_missing", "this service does not serve results; they are in another storage")
    if not verify_link(key, expires, signature, secret, state.now().timestamp()):
        raise ApiError("link_invalid", "the link has expired or its signature is wrong")
    path = state.storage.path(key)
    if not path.is_file():
        raise ApiError("file_missing", "the file was deleted")
    return path


def entity_tag(key: str, path: FilePath, state: AppState) -> str:
    """Return a strong tag (the SHA-256) if the key belongs to a task, else a weak one."""
    for task_id in TASK_ID.findall(key):
        try:
            task = state.store.get(task_id)
        except TaskMissing:
            continue
        checksums = {output.key: output.sha256 for output in task.outputs}
        if task.manifest is not None:
            checksums[task.manifest.key] = task.manifest.sha256
        if key in checksums:
            return f'"{checksums[key]}"'
    stat = path.stat()
    return f'W/"{stat.st_mtime_ns:x}-{stat.st_size:x}"'


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return the first byte and the one after the last; None for the whole file.

    A header that is not a single byte range is ignored. Raises ApiError if the range is outside the file.
    """
    match = RANGE.fullmatch(header.replace(" ", "")) if header else None
    if match is None or match[1] == match[2] == "":
        return None
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
        if match[2] and int(match[2]) < int(match[1]):
            return None
    else:
        start, end = max(0, size - int(match[2])), size
    if start >= end:
        raise ApiError("range_invalid", f"the file has {size} bytes", {"Content-Range": f"bytes */{size}"})
    return start, end


def read_range(path: FilePath, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes from ``start`` to ``end``, exclusive."""
    with path.open("rb") as file:
        file.seek(start)
        while start < end and (block := file.read(min(BLOCK_BYTES, end - start))):
            start += len(block)
            yield block


def serve_file(key: str, path: FilePath, state: AppState, request: Request) -> Response:
    """Build the response to GET, or to HEAD without the content."""
    size, etag = path.stat().st_size, entity_tag(key, path, state)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'attachment; filename="{path.name}"',
        "X-Content-Type-Options": "nosniff",
    }
    if etag in [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    if_range = request.headers.get("if-range")
    range_applies = if_range is None or (if_range == etag and not etag.startswith("W/"))
    byte_range = parse_range(request.headers.get("range"), size) if range_applies else None
    start, end = byte_range or (0, size)
    headers["Content-Length"] = str(end - start)
    if byte_range:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = 206 if byte_range else 200
    media_type = CONTENT_TYPES.get(path.suffix.lower(), "application/octet-stream")
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(read_range(path, start, end), status, headers, media_type)


@router.get(
    "/v1/files/{key:path}",
    summary="Download a file",
    description="Downloads a result from local storage. The link is signed and expires, so it needs no API key. Range "
    "requests are supported.",
    response_class=Response,
    responses=RESPONSES,
)
def download_file(key: Key, expires: Expires, signature: Signature, state: StateDep, request: Request) -> Response:
    return serve_file(key, find_file(key, expires, signature, state), state, request)


@router.head(
    "/v1/files/{key:path}",
    summary="Get the headers of a file",
    description="Returns the size, type and entity tag of a result, without its content.",
    response_class=Response,
    responses=RESPONSES,
)
def get_file_headers(key: Key, expires: Expires, signature: Signature, state: StateDep, request: Request) -> Response:
    return serve_file(key, find_file(key, expires, signature, state), state, request)
