"""Uploads in one request: the body is the file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Header, Path, Response
from fastapi.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from lipsync.api.auth import Reader, Writer
from lipsync.api.errors import problems
from lipsync.api.responses import UploadView
from lipsync.api.state import AppState, StateDep
from lipsync.api.upload_store import Upload, UploadWriter
from lipsync.errors import FileEmpty

BLOCK = 1 << 20  # bytes that are written at once

router = APIRouter(tags=["uploads"])
UploadId = Annotated[str, Path(description="the upload's id")]
BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary", "minLength": 1}}},
    }
}


async def pour(stream: AsyncIterator[bytes], incoming: UploadWriter) -> None:
    """Write what comes, a block at a time, and see it onto the disk. Raises what ``UploadWriter.take`` raises.

    Raises ClientDisconnect too, after what came before that was written.
    """
    block = bytearray()
    try:
        async for part in stream:
            block += part
            if len(block) >= BLOCK:
                await run_in_threadpool(incoming.take, bytes(block))
                block.clear()
    except ClientDisconnect:
        await run_in_threadpool(incoming.take, bytes(block))
        raise
    await run_in_threadpool(incoming.take, bytes(block))
    await run_in_threadpool(incoming.settle)


async def new_upload(desk: AppState, owner: str | None, length: int | None, metadata: str = "") -> Upload:
    """A place for an upload; what is too old goes. Raises Refusal, DiskFull, OutputUnwritable."""
    now = desk.now()
    await run_in_threadpool(desk.shelf.prune, now, timedelta(days=desk.settings.retention_days))
    return await run_in_threadpool(desk.shelf.create, owner, length, now, metadata)


async def receive(upload: Upload, desk: AppState, request: Request) -> Upload:
    """The whole body, or nothing stays of the upload. Raises Refusal, FileEmpty, DiskFull, OutputUnwritable."""
    done = None
    try:
        with desk.shelf.writing(upload, 0, desk.now(), digest="sha256", trusted=False) as incoming:
            await pour(request.stream(), incoming)
        done = await run_in_threadpool(desk.shelf.finish, upload, incoming.digest().hex())
        if not done.length:
            done = None
            raise FileEmpty("the upload has no bytes")
        return done
    finally:
        if done is None:
            desk.shelf.discard(upload)


@router.post(
    "/v1/uploads",
    status_code=201,
    summary="Upload a file",
    openapi_extra=BODY,
    responses=problems(413, 507),
)
async def create(
    desk: StateDep,
    caller: Writer,
    request: Request,
    response: Response,
    content_length: Annotated[int | None, Header(ge=0, include_in_schema=False)] = None,
) -> UploadView:
    """The body is the file, as it is: no form. Large files are better sent with tus, which goes on after a break.

    429 with the code `uploads_exceeded`: with it the key would have more bytes of uploads than are kept for one; a body
    without Content-Length counts as the largest upload while it comes. 507: the disk has no room for it.
    """
    upload = await receive(await new_upload(desk, caller.key_id, content_length), desk, request)
    response.headers["Location"] = f"/v1/uploads/{upload.id}"
    return view(upload)


@router.get("/v1/uploads/{upload_id}", summary="Look at an upload", responses=problems(404, 409, 410, 423))
def get(upload_id: UploadId, desk: StateDep, caller: Reader) -> UploadView:
    """An upload of the same key that is whole, however it came; 409 while it is not."""
    return view(desk.shelf.whole(upload_id, caller.key_id, desk.now()))


@router.delete(
    "/v1/uploads/{upload_id}",
    status_code=204,
    summary="Delete an upload",
    response_class=Response,
    responses=problems(404, 410, 423),
)
def delete(upload_id: UploadId, desk: StateDep, caller: Writer) -> None:
    """A task that needs it and has not begun will fail."""
    desk.shelf.remove(upload_id, caller.key_id, desk.now())


def view(upload: Upload) -> UploadView:
    """An upload that is whole."""
    return UploadView(id=upload.id, bytes=upload.length or 0, sha256=upload.sha256 or "")
