"""The endpoints of the service's predecessor, for existing clients: one result, by the built-in engine."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from lipsync.api.auth import Reader, Writer
from lipsync.api.problems import error_responses
from lipsync.api.requests import FromUrl, TaskRequest, WebAddress, new_task
from lipsync.api.responses import TaskId
from lipsync.api.routes.tasks import owned, submit
from lipsync.api.state import StateDep
from lipsync.tasks.task import Status

router = APIRouter(tags=["legacy"])
Success = Annotated[Literal[True], Field(description="Always true; errors have another status code.")]


class LegacyTaskRequest(BaseModel):
    """The inputs of a new task."""

    model_config = ConfigDict(strict=True)
    video_url: WebAddress = Field(
        description="http, https or s3 URL of a video or photo.", examples=["https://example.org/speaker.mp4"]
    )
    audio_url: WebAddress = Field(
        description="http, https or s3 URL of an audio file, or of a video whose audio is used.",
        examples=["https://example.org/voice.wav"],
    )


class LegacyTask(BaseModel):
    """The new task."""

    success: Success = True
    task_id: TaskId


class LegacyStatus(BaseModel):
    """The state of a task."""

    success: Success = True
    task_id: TaskId
    status: Status = Field(description="The task's status.")
    created_at: datetime = Field(description="When the task was created (UTC).")
    completed_at: datetime | None = Field(description="When the task ended (UTC); null before.")
    output_s3_urls: list[str] | None = Field(
        description="Fresh links to the results; null if there are none. They point to the configured storage."
    )
    error_log: str | None = Field(description="Why the task failed; null if it did not.")


@router.post(
    "/lip_sync_task/",
    summary="Create a task (legacy)",
    description="Creates a task with default options. Equivalent to `POST /v1/tasks` with the two URLs.",
    response_description="The new task",
    responses=error_responses(409, 413),
)
def create_legacy_task(fields: LegacyTaskRequest, state: StateDep, caller: Writer) -> LegacyTask:
    task_request = TaskRequest(video=FromUrl(url=fields.video_url), audio=FromUrl(url=fields.audio_url))
    task, _ = submit(new_task(task_request, state.uploads, caller.key_id, state.now()), state, caller)
    return LegacyTask(task_id=task.id)


@router.get(
    "/lip_sync_task/status",
    summary="Get the status of a task (legacy)",
    description="Returns a subset of `GET /v1/tasks/{task_id}`.",
    response_description="The status",
    responses=error_responses(404),
)
def get_legacy_task_status(
    task_id: Annotated[
        str, Query(max_length=64, description="The task's ID.", examples=["0192f0c18a2b7c3d9e4f5a6b7c8d9e0f"])
    ],
    state: StateDep,
    caller: Reader,
) -> LegacyStatus:
    task = owned(task_id, state, caller)
    return LegacyStatus(
        task_id=task.id,
        status=task.status,
        created_at=task.created_at,
        completed_at=task.finished_at,
        output_s3_urls=[state.storage.url(output.key) for output in task.outputs] or None,
        error_log=None if task.error is None else task.error.message,
    )
