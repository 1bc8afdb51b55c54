"""Changes of a task as Server-Sent Events."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Annotated

import anyio
from fastapi import APIRouter, Header
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lipsync.api.auth import Reader
from lipsync.api.problems import error_responses
from lipsync.api.responses import to_view
from lipsync.api.routes.tasks import Readable
from lipsync.api.state import AppState, StateDep
from lipsync.errors import StorageFailed, TaskMissing
from lipsync.tasks.task import FINAL, Task

POLL_INTERVAL = 0.5  # seconds
HEARTBEAT_INTERVAL = 15.0  # seconds without an event
HEARTBEAT = b": heartbeat\n\n"
NO_CACHE = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

EVENT_SCHEMA = {
    "type": "object",
    "required": ["event", "id", "data"],
    "properties": {
        "event": {"const": "task"},
        "id": {"type": "string", "pattern": "^[0-9]+$", "description": "The task's revision."},
        "data": {
            "type": "string",
            "description": "The task as JSON.",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/TaskView"},
        },
    },
}
DESCRIPTION = """\
Sends an event named `task` with the task as JSON at once, and again on every change. The event's ID is the task's \
`revision`. The stream ends with the event of the final status; a comment is sent every 15 s without an event.

A client that reconnects with `Last-Event-ID` receives only newer revisions, or 204 if there will be none. 429 with \
the code `streams_exceeded` means that this API key has too many streams open.\
"""

router = APIRouter(tags=["tasks"])


class EventStream(StreamingResponse):
    """A stream that occupies a slot. FastAPI's own class needs a generator handler, which cannot answer 204."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], slot: AbstractContextManager[None]) -> None:
        super().__init__(events, headers=NO_CACHE)
        self._slot = slot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raise ApiError if no slot is free. A slot taken earlier would leak if the client had disconnected."""
        with self._slot:
            await super().__call__(scope, receive, send)


async def changes(task: Task, revision: int, state: AppState, request: Request) -> AsyncIterator[bytes]:
    """Yield events after ``revision`` until the task ends, is deleted, or the client disconnects."""
    last_sent = time.monotonic()
    while True:
        if task.revision > revision:
            view = await run_in_threadpool(to_view, task, state.storage)
            yield f"event: task\nid: {task.revision}\ndata: {view.model_dump_json()}\n\n".encode()
            revision, last_sent = task.revision, time.monotonic()
        elif time.monotonic() - last_sent >= HEARTBEAT_INTERVAL:
            yield HEARTBEAT
            last_sent = time.monotonic()
        if task.status in FINAL or await request.is_disconnected():
            return
        await anyio.sleep(POLL_INTERVAL)
        try:
            task = await run_in_threadpool(state.store.get, task.id)
        except (
            TaskMissing,
            StorageFailed,
        ):  # the status line is sent already; the client sees the error if it reconnects
            return


@router.get(
    "/v1/tasks/{task_id}/events",
    summary="Watch a task",
    description=DESCRIPTION,
    response_class=Response,  # StreamingResponse would describe the whole stream as one string
    responses={
        200: {"description": "The stream of events", "content": {EventStream.media_type: {"itemSchema": EVENT_SCHEMA}}},
        204: {"description": "The client has received the final event; it should not reconnect"},
        **error_responses(404),
    },
)
async def watch_task(
    task: Readable,
    state: StateDep,
    caller: Reader,
    request: Request,
    last_event_id: Annotated[
        str | None, Header(max_length=20, description="ID of the last event received.", examples=["3"])
    ] = None,
) -> Response:
    is_number = last_event_id is not None and last_event_id.isascii() and last_event_id.isdigit()
    revision = int(last_event_id or 0) if is_number else 0
    if task.status in FINAL and task.revision <= revision:
        return Response(status_code=204)
    return EventStream(changes(task, revision, state, request), state.event_streams.slot(caller.key_id or ""))
