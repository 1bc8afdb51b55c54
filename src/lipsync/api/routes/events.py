"""A task as it changes, as Server-Sent Events."""

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
from lipsync.api.errors import problems
from lipsync.api.responses import shown
from lipsync.api.routes.tasks import Readable
from lipsync.api.state import AppState, StateDep
from lipsync.errors import StorageFailed, TaskMissing
from lipsync.tasks.task import FINAL, Task

LOOK = 0.5  # seconds between two looks at the task
HEARTBEAT = 15.0  # seconds without an event after which a comment shows that the connection lives
ALIVE = b": the connection lives\n\n"
NEVER_CACHED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

EVENT = {
    "type": "object",
    "required": ["event", "id", "data"],
    "properties": {
        "event": {"const": "task"},
        "id": {"type": "string", "pattern": "^[0-9]+$"},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": "#/components/schemas/TaskView"},
        },
    },
}

router = APIRouter(tags=["tasks"])


class EventStream(StreamingResponse):
    """Server-Sent Events, in a slot. FastAPI's own class is for generators, which cannot answer 204."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[bytes], slot: AbstractContextManager[None]) -> None:
        super().__init__(events, headers=NEVER_CACHED)
        self._slot = slot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Refusal if the slot is not to be had. Taken before, it would be lost with a client that is gone."""
        with self._slot:
            await super().__call__(scope, receive, send)


async def changes(task: Task, seen: int, desk: AppState, request: Request) -> AsyncIterator[bytes]:
    """Events for revisions after ``seen``, until the task has ended, is deleted, or the client goes."""
    told = time.monotonic()
    while True:
        if task.revision > seen:
            view = await run_in_threadpool(shown, task, desk.storage)
            yield f"event: task\nid: {task.revision}\ndata: {view.model_dump_json()}\n\n".encode()
            seen, told = task.revision, time.monotonic()
        elif time.monotonic() - told >= HEARTBEAT:
            yield ALIVE
            told = time.monotonic()
        if task.status in FINAL or await request.is_disconnected():
            return
        await anyio.sleep(LOOK)
        try:
            task = await run_in_threadpool(desk.store.get, task.id)
        except (TaskMissing, StorageFailed):  # too late for a status; who comes again gets it
            return


@router.get(
    "/v1/tasks/{task_id}/events",
    summary="Watch a task",
    response_class=Response,  # that of the stream would have the document say that all of it is a string
    responses={
        200: {"description": "The changes", "content": {EventStream.media_type: {"itemSchema": EVENT}}},
        204: {"description": "The final event was received already: do not come again"},
        **problems(404),
    },
)
async def events(
    task: Readable,
    desk: StateDep,
    caller: Reader,
    request: Request,
    last_event_id: Annotated[str | None, Header(max_length=20, description="the last revision that came")] = None,
) -> Response:
    """An event `task` with the task's JSON now and whenever its revision changes; the stream ends with the final one.

    The event's id is the revision. Every 15 s without an event comes a comment. 429 with the code `streams_exceeded`:
    the key has as many streams open as are allowed.
    """
    seen = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else 0
    if task.status in FINAL and task.revision <= seen:
        return Response(status_code=204)
    return EventStream(changes(task, seen, desk, request), desk.streams.one(caller.key_id or ""))
