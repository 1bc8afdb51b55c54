"""Uploads in as many requests as it takes: tus 1.0.0 with creation, expiration, checksum and termination.

https://tus.io/protocols/resumable-upload. The last part of an upload's path is the id that stands for it in a task.
"""

from __future__ import annotations

import base64
import binascii
from email.utils import format_datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lipsync.api.auth import Writer
from lipsync.api.errors import ApiError, problems
from lipsync.api.routes.uploads import UploadId, new_upload, pour
from lipsync.api.state import StateDep
from lipsync.api.upload_store import Upload

VERSION = "1.0.0"
PATH = "/v1/tus"
CHECKSUMS = ("sha1", "sha256")
PART = "application/offset+octet-stream"
LONGEST = 4096  # characters of metadata
BODY = {
    "requestBody": {"required": True, "content": {PART: {"schema": {"type": "string", "format": "binary"}}}},
}


class TusMiddleware:
    """Around the application: every answer below the path, failures too, says which version is spoken.

    A client whose surroundings know no PATCH and DELETE sends POST, and the method in X-HTTP-Method-Override.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message.setdefault("headers", []))["Tus-Resumable"] = VERSION
            await send(message)

        ours = scope["type"] == "http" and (scope["path"] == PATH or scope["path"].startswith(PATH + "/"))
        if ours and scope["method"] == "POST":
            wanted = Headers(scope=scope).get("x-http-method-override", "POST").upper()
            scope["method"] = wanted if wanted in ("PATCH", "DELETE", "HEAD", "POST") else "POST"
        await self._app(scope, receive, sending if ours else send)


def check_version(
    tus_resumable: Annotated[str | None, Header(description="1.0.0", examples=[VERSION])] = None,
) -> None:
    """Raises Refusal unless the client speaks this version."""
    if tus_resumable != VERSION:
        raise ApiError("tus_version", f"Tus-Resumable has to be {VERSION}", {"Tus-Version": VERSION})


router = APIRouter(tags=["uploads"])
SPOKEN = [Depends(check_version)]
Number = Annotated[str | None, Header(description="bytes", examples=["1048576"])]


def number(value: str | None, name: str) -> int:
    """A count of bytes. Raises Refusal."""
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 18:
        raise ApiError("tus_header", f"{name} has to be a number of bytes")
    return int(value)


def check_metadata(metadata: str) -> str:
    """Pairs of a name and a value in base64. Raises Refusal."""
    try:
        for pair in metadata.split(",") if metadata else ():
            name, _, value = pair.strip().partition(" ")
            base64.b64decode(value, validate=True)
            if not name or not metadata.isascii() or len(metadata) > LONGEST:
                raise ApiError("tus_header", "Upload-Metadata has a pair without a name, or is too long")
    except (binascii.Error, ValueError) as exc:
        raise ApiError("tus_header", "the values in Upload-Metadata have to be in base64") from exc
    return metadata


def checksum_of(header: str | None) -> tuple[str, bytes | None]:
    """The algorithm, and the checksum that is announced. Raises Refusal."""
    if header is None:
        return CHECKSUMS[0], None
    name, _, value = header.partition(" ")
    if name not in CHECKSUMS:
        raise ApiError("tus_header", f"Upload-Checksum: {' and '.join(CHECKSUMS)} are known")
    try:
        return name, base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ApiError("tus_header", "the value in Upload-Checksum has to be in base64") from exc


def expiry(upload: Upload) -> dict[str, str]:
    """When it will be given up, if it is not whole."""
    return {} if upload.whole else {"Upload-Expires": format_datetime(upload.expires_at, usegmt=True)}


@router.options(
    PATH, status_code=204, summary="What of tus is spoken", response_class=Response, responses=problems(keyed=False)
)
def options(desk: StateDep) -> Response:
    """Version, extensions and limits, in headers."""
    told = {
        "Tus-Version": VERSION,
        "Tus-Extension": "creation,expiration,checksum,termination",
        "Tus-Max-Size": str(desk.shelf.most_bytes),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }
    return Response(status_code=204, headers=told)


@router.post(
    PATH,
    status_code=201,
    summary="Begin an upload",
    response_class=Response,
    dependencies=SPOKEN,
    responses=problems(412, 413, 507),
)
async def create(
    desk: StateDep, caller: Writer, upload_length: Number = None, upload_metadata: Annotated[str, Header()] = ""
) -> Response:
    """The answer's Location is the upload's own path.

    429 with the code `uploads_exceeded`: with it the key would have more bytes of uploads than are kept for one. 507:
    the disk has no room for it.
    """
    length = number(upload_length, "Upload-Length")
    upload = await new_upload(desk, caller.key_id, length, check_metadata(upload_metadata))
    if not length:
        await run_in_threadpool(desk.shelf.finish, upload)
    return Response(status_code=201, headers={"Location": f"{PATH}/{upload.id}", **expiry(upload)})


@router.head(
    PATH + "/{upload_id}",
    summary="How far an upload is",
    dependencies=SPOKEN,
    response_class=Response,
    responses=problems(404, 410, 412),
)
def head(upload_id: UploadId, desk: StateDep, caller: Writer) -> Response:
    """Length and offset, in headers."""
    upload = desk.shelf.find(upload_id, caller.key_id, desk.now())
    told = {"Upload-Offset": str(upload.offset), "Upload-Length": str(upload.length), "Cache-Control": "no-store"}
    if upload.length is None:
        del told["Upload-Length"]
    if upload.metadata:
        told["Upload-Metadata"] = upload.metadata
    return Response(headers={**told, **expiry(upload)})


@router.patch(
    PATH + "/{upload_id}",
    status_code=204,
    summary="Go on with an upload",
    response_class=Response,
    dependencies=SPOKEN,
    openapi_extra=BODY,
    responses=problems(404, 409, 410, 412, 413, 415, 423, 460, 507),
)
async def patch(
    upload_id: UploadId,
    desk: StateDep,
    caller: Writer,
    request: Request,
    upload_offset: Number = None,
    upload_checksum: Annotated[str | None, Header(description="sha1 or sha256, a space, base64")] = None,
) -> Response:
    """The body is the next part. With a checksum it is taken whole or not at all."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != PART:
        raise ApiError("tus_content_type", f"the content type of a part has to be {PART}")
    offset = number(upload_offset, "Upload-Offset")
    digest, wanted = checksum_of(upload_checksum)
    now = desk.now()
    upload = await run_in_threadpool(desk.shelf.find, upload_id, caller.key_id, now)
    with desk.shelf.writing(upload, offset, now, digest=digest, trusted=wanted is None) as incoming:
        await pour(request.stream(), incoming)
        if wanted is not None and incoming.digest() != wanted:
            raise ApiError("tus_checksum", f"the part's {digest} is another one; send it again")
    if not incoming.left:
        upload = await run_in_threadpool(desk.shelf.whole, upload_id, caller.key_id, now)
    else:
        upload = await run_in_threadpool(desk.shelf.find, upload_id, caller.key_id, now)
    return Response(status_code=204, headers={"Upload-Offset": str(upload.offset), **expiry(upload)})


@router.delete(
    PATH + "/{upload_id}",
    status_code=204,
    summary="Give up an upload",
    response_class=Response,
    dependencies=SPOKEN,
    responses=problems(404, 410, 412, 423),
)
def delete(upload_id: UploadId, desk: StateDep, caller: Writer) -> Response:
    """What came of it is thrown away."""
    desk.shelf.remove(upload_id, caller.key_id, desk.now())
    return Response(status_code=204)
