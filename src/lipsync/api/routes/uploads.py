"""Uploads in a single request: the body is the file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Path, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from lipsync.api.auth import Reader, Writer
from lipsync.api.problems import error_responses
from lipsync.api.responses import UploadView
from lipsync.api.state import AppState, StateDep
from lipsync.api.upload_store import Upload, UploadWriter
from lipsync.errors import FileEmpty

BUFFER_BYTES = 1 << 20

router = APIRouter(tags=["uploads"])
UploadId = Annotated[str, Path(description="The upload's ID.", examples=["0f8fad5bd9cb469fa16570867728950e"])]
BODY = {
    "requestBody": {
        "required": True,
        "description": "The file.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}},
    }
}
QUOTA = """\
429 with the code `uploads_exceeded` means that the upload would exceed this key's quota, and 507 that the disk is \
full.\
"""
CREATE = f"""\
Uploads a file in one request. The body is the file itself, not a form. For large files use tus, which can resume \
after a lost connection.

{QUOTA} A body without `Content-Length` counts as an upload of the maximum size until it is complete.\
"""


async def stream_to(writer: UploadWriter, stream: AsyncIterator[bytes]) -> None:
    """Write the stream in blocks and flush it to the disk. Raises the errors of ``UploadWriter.write``.

    On ClientDisconnect, the bytes received so far are written before the exception is raised.
    """
    block = bytearray()
    try:
        async for chunk in stream:
            block += chunk
            if len(block) >= BUFFER_BYTES:
                await run_in_threadpool(writer.write, bytes(block))
                block.clear()
    except ClientDisconnect:
        await run_in_threadpool(writer.write, bytes(block))
        raise
    await run_in_threadpool(writer.write, bytes(block))
    await run_in_threadpool(writer.fsync)


async def new_upload(state: AppState, owner: str | None, length: int | None, metadata: str = "") -> Upload:
    """Start an upload, and prune expired ones. Raises ApiError, DiskFull, OutputUnwritable."""
    now = state.now()
    await run_in_threadpool(state.uploads.prune, now, timedelta(days=state.settings.retention_days))
    return await run_in_threadpool(state.uploads.create, owner, length, now, metadata)


async def receive(upload: Upload, state: AppState, request: Request) -> Upload:
    """Store the whole body, or discard the upload. Raises ApiError, FileEmpty, DiskFull, OutputUnwritable."""
    complete = None
    try:
        with state.uploads.writing(upload, 0, state.now(), digest="sha256", keep_partial=False) as writer:
            await stream_to(writer, request.stream())
        finished = await run_in_threadpool(state.uploads.finish, upload, writer.digest().hex())
        if not finished.length:
            raise FileEmpty("the upload is empty")
        complete = finished
        return complete
    finally:
        if complete is None:
            state.uploads.discard(upload)


@router.post(
    "/v1/uploads",
    status_code=201,
    summary="Upload a file",
    description=CREATE,
    response_description="The upload",
    openapi_extra=BODY,
    responses=error_responses(413, 507),
)
async def create_upload(
    state: StateDep,
    caller: Writer,
    request: Request,
    response: Response,
    content_length: Annotated[int | None, Header(ge=0, include_in_schema=False)] = None,
) -> UploadView:
    upload = await receive(await new_upload(state, caller.key_id, content_length), state, request)
    response.headers["Location"] = f"/v1/uploads/{upload.id}"
    return upload_view(upload)


@router.get(
    "/v1/uploads/{upload_id}",
    summary="Get an upload",
    description="Returns a complete upload of this API key, whether it was sent in one request or with tus. 409 means "
    "that the upload is incomplete.",
    response_description="The upload",
    responses=error_responses(404, 409, 410, 423),
)
def get_upload(upload_id: UploadId, state: StateDep, caller: Reader) -> UploadView:
    return upload_view(state.uploads.get_complete(upload_id, caller.key_id, state.now()))


@router.delete(
    "/v1/uploads/{upload_id}",
    status_code=204,
    summary="Delete an upload",
    description="Deletes an upload. Queued tasks that use it will fail.",
    response_description="The upload was deleted",
    response_class=Response,
    responses=error_responses(404, 410, 423),
)
def delete_upload(upload_id: UploadId, state: StateDep, caller: Writer) -> None:
    state.uploads.remove(upload_id, caller.key_id, state.now())


def upload_view(upload: Upload) -> UploadView:
    """Convert a complete upload to its JSON form."""
    return UploadView(id=upload.id, bytes=upload.length or 0, sha256=upload.sha256 or "")
