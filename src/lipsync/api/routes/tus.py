"""Resumable uploads: tus 1.0.0 with the extensions creation, expiration, checksum and termination.

See https://tus.io/protocols/resumable-upload. The last segment of an upload's path is its ID in a new task.
"""

from __future__ import annotations

import base64
import binascii
from email.utils import format_datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lipsync.api.auth import Writer
from lipsync.api.errors import ApiError
from lipsync.api.problems import error_responses
from lipsync.api.routes.uploads import QUOTA, UploadId, new_upload, stream_to
from lipsync.api.state import StateDep
from lipsync.api.upload_store import Upload

VERSION = "1.0.0"
PATH = "/v1/tus"
CHECKSUM_ALGORITHMS = ("sha1", "sha256")
CONTENT_TYPE = "application/offset+octet-stream"
MAX_METADATA_LENGTH = 4096  # characters
BODY = {
    "requestBody": {
        "required": True,
        "description": "The next part of the file.",
        "content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}},
    },
}


class TusMiddleware:
    """Adds Tus-Resumable to every response below the path, errors included.

    POST with X-HTTP-Method-Override stands in for PATCH, DELETE and HEAD, for clients that cannot send them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def tus_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(raw=message.setdefault("headers", []))["Tus-Resumable"] = VERSION
            await send(message)

        is_tus = scope["type"] == "http" and (scope["path"] == PATH or scope["path"].startswith(PATH + "/"))
        if is_tus and scope["method"] == "POST":
            override = Headers(scope=scope).get("x-http-method-override", "POST").upper()
            scope["method"] = override if override in ("PATCH", "DELETE", "HEAD", "POST") else "POST"
        await self._app(scope, receive, tus_send if is_tus else send)


def check_version(
    tus_resumable: Annotated[str | None, Header(description="Must be `1.0.0`.", examples=[VERSION])] = None,
) -> None:
    """Raise ApiError unless the client uses this version of tus."""
    if tus_resumable != VERSION:
        raise ApiError("tus_version", f"the header Tus-Resumable must be {VERSION}", {"Tus-Version": VERSION})


router = APIRouter(tags=["uploads"])
TUS = [Depends(check_version)]
UploadLength = Annotated[str | None, Header(description="Length of the file in bytes.", examples=["1048576"])]
UploadOffset = Annotated[
    str | None, Header(description="Offset of the part in bytes; must match the upload.", examples=["0"])
]
UploadMetadata = Annotated[
    str,
    Header(
        description="Pairs of a name and a base64 value, separated by commas; at most 4096 characters.",
        examples=["filename dmlkZW8ubXA0"],
    ),
]
UploadChecksum = Annotated[
    str | None,
    Header(
        description="`sha1` or `sha256`, a space, and the part's checksum in base64.",
        examples=["sha1 0rFHFoDbFb9Wk4c+Fgt3NfbLCzI="],
    ),
]


def response_headers(**descriptions: str) -> dict[str, Any]:
    """Describe response headers for the OpenAPI document; underscores stand for hyphens."""
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
        for name, text in descriptions.items()
    }


EXPIRES = "When the upload expires, while it is incomplete."
OFFSET = "Bytes received so far."


def parse_bytes(value: str | None, name: str) -> int:
    """Parse a header that holds a number of bytes. Raises ApiError."""
    if value is None or not value.isascii() or not value.isdigit() or len(value) > 18:
        raise ApiError("tus_header", f"the header {name} must be a number of bytes")
    return int(value)


def check_metadata(metadata: str) -> str:
    """Check pairs of a name and a base64 value. Raises ApiError."""
    if not metadata.isascii() or len(metadata) > MAX_METADATA_LENGTH:
        raise ApiError("tus_header", f"Upload-Metadata must be ASCII of at most {MAX_METADATA_LENGTH} characters")
    for pair in metadata.split(",") if metadata else ():
        name, _, value = pair.strip().partition(" ")
        if not name:
            raise ApiError("tus_header", "Upload-Metadata contains a pair without a name")
        decode_base64(value, "Upload-Metadata")
    return metadata


def decode_base64(value: str, name: str) -> bytes:
    """Decode a header's value. Raises ApiError."""
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ApiError("tus_header", f"the values in {name} must be base64") from exc


def parse_checksum(header: str | None) -> tuple[str, bytes | None]:
    """Return the algorithm and the announced checksum, or None without one. Raises ApiError."""
    if header is None:
        return CHECKSUM_ALGORITHMS[0], None
    name, _, value = header.partition(" ")
    if name not in CHECKSUM_ALGORITHMS:
        expected = " or ".join(CHECKSUM_ALGORITHMS)
        raise ApiError("tus_header", f"unknown algorithm in Upload-Checksum: expected {expected}")
    return name, decode_base64(value, "Upload-Checksum")


def expiry_header(upload: Upload) -> dict[str, str]:
    """Return the Upload-Expires header of an incomplete upload."""
    return {} if upload.is_complete else {"Upload-Expires": format_datetime(upload.expires_at, usegmt=True)}


@router.options(
    PATH,
    status_code=204,
    summary="Get the tus capabilities",
    description="Returns the supported version, extensions, checksum algorithms and maximum size, in headers.",
    response_class=Response,
    responses={
        204: {
            "description": "The capabilities, in headers",
            "headers": response_headers(
                Tus_Version="Supported versions.",
                Tus_Extension="Supported extensions.",
                Tus_Max_Size="Maximum length of an upload in bytes.",
                Tus_Checksum_Algorithm="Supported checksum algorithms.",
            ),
        },
        **error_responses(keyed=False),
    },
)
def get_tus_capabilities(state: StateDep) -> Response:
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": "creation,expiration,checksum,termination",
        "Tus-Max-Size": str(state.uploads.max_bytes),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUM_ALGORITHMS),
    }
    return Response(status_code=204, headers=headers)


@router.post(
    PATH,
    status_code=201,
    summary="Start a resumable upload",
    description=f"Starts an upload of `Upload-Length` bytes. Send its parts to the path in `Location`.\n\n{QUOTA}",
    response_class=Response,
    dependencies=TUS,
    responses={
        201: {
            "description": "The upload was started",
            "headers": response_headers(Location="Path of the upload.", Upload_Expires=EXPIRES),
        },
        **error_responses(412, 413, 507),
    },
)
async def start_tus_upload(
    state: StateDep, caller: Writer, upload_length: UploadLength = None, upload_metadata: UploadMetadata = ""
) -> Response:
    length = parse_bytes(upload_length, "Upload-Length")
    upload = await new_upload(state, caller.key_id, length, check_metadata(upload_metadata))
    if not length:
        await run_in_threadpool(state.uploads.finish, upload)
    return Response(status_code=201, headers={"Location": f"{PATH}/{upload.id}", **expiry_header(upload)})


@router.head(
    PATH + "/{upload_id}",
    summary="Get the offset of a resumable upload",
    description="Returns the length and the offset of an upload, in headers. Continue at the offset after a lost "
    "connection.",
    dependencies=TUS,
    response_class=Response,
    responses={
        200: {
            "description": "The state of the upload, in headers",
            "headers": response_headers(
                Upload_Offset=OFFSET,
                Upload_Length="Length of the file in bytes.",
                Upload_Metadata="The client's metadata.",
                Upload_Expires=EXPIRES,
            ),
        },
        **error_responses(404, 410, 412),
    },
)
def get_tus_upload_offset(upload_id: UploadId, state: StateDep, caller: Writer) -> Response:
    upload = state.uploads.find(upload_id, caller.key_id, state.now())
    headers = {"Upload-Offset": str(upload.offset), "Cache-Control": "no-store"}
    if upload.length is not None:
        headers["Upload-Length"] = str(upload.length)
    if upload.metadata:
        headers["Upload-Metadata"] = upload.metadata
    return Response(headers={**headers, **expiry_header(upload)})


@router.patch(
    PATH + "/{upload_id}",
    status_code=204,
    summary="Send a part of a resumable upload",
    description="Appends the body to the upload. With `Upload-Checksum`, a part is stored completely or not at all.",
    response_class=Response,
    dependencies=TUS,
    openapi_extra=BODY,
    responses={
        204: {
            "description": "The part was stored",
            "headers": response_headers(Upload_Offset=OFFSET, Upload_Expires=EXPIRES),
        },
        **error_responses(404, 409, 410, 412, 413, 415, 423, 460, 507),
    },
)
async def append_to_tus_upload(
    upload_id: UploadId,
    state: StateDep,
    caller: Writer,
    request: Request,
    upload_offset: UploadOffset = None,
    upload_checksum: UploadChecksum = None,
) -> Response:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != CONTENT_TYPE:
        raise ApiError("tus_content_type", f"the content type of a part must be {CONTENT_TYPE}")
    offset = parse_bytes(upload_offset, "Upload-Offset")
    digest, checksum = parse_checksum(upload_checksum)
    now = state.now()
    upload = await run_in_threadpool(state.uploads.find, upload_id, caller.key_id, now)
    with state.uploads.writing(upload, offset, now, digest=digest, keep_partial=checksum is None) as writer:
        await stream_to(writer, request.stream())
        if checksum is not None and writer.digest() != checksum:
            raise ApiError("tus_checksum", f"the part's {digest} does not match Upload-Checksum")
    get = state.uploads.find if writer.remaining else state.uploads.get_complete
    upload = await run_in_threadpool(get, upload_id, caller.key_id, now)
    return Response(status_code=204, headers={"Upload-Offset": str(upload.offset), **expiry_header(upload)})


@router.delete(
    PATH + "/{upload_id}",
    status_code=204,
    summary="Delete a resumable upload",
    description="Deletes an upload and the bytes received so far.",
    response_description="The upload was deleted",
    response_class=Response,
    dependencies=TUS,
    responses=error_responses(404, 410, 412, 423),
)
def delete_tus_upload(upload_id: UploadId, state: StateDep, caller: Writer) -> Response:
    state.uploads.remove(upload_id, caller.key_id, state.now())
    return Response(status_code=204)
