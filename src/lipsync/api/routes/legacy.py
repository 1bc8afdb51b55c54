"""The endpoints of the older service, whose clients go on as they are: one result, of the built-in engine."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from lipsync.api.auth import Reader, Writer
from lipsync.api.errors import problems
from lipsync.api.requests import FromUrl, TaskRequest, WebAddress, new_task
from lipsync.api.responses import TaskId
from lipsync.api.routes.tasks import owned, submit
from lipsync.api.state import StateDep
from lipsync.tasks.task import Status

router = APIRouter(tags=["older service"])


class LegacyTaskRequest(BaseModel):
    """Two addresses."""

    model_config = ConfigDict(strict=True)
    video_url: WebAddress
    audio_url: WebAddress


class LegacyTask(BaseModel):
    """The task that was made."""

    success: Literal[True] = True
    task_id: TaskId


class LegacyStatus(BaseModel):
    """How the task stands."""

    success: Literal[True] = True
    task_id: TaskId
    status: Status
    created_at: datetime
    completed_at: datetime | None
    output_s3_urls: list[str] | None
    error_log: str | None


@router.post("/lip_sync_task/", summary="Create a task (older service)", responses=problems(409, 413))
def create(wish: LegacyTaskRequest, desk: StateDep, caller: Writer) -> LegacyTask:
    """As `POST /v1/tasks` with two addresses and nothing else."""
    whole = TaskRequest(video=FromUrl(url=wish.video_url), audio=FromUrl(url=wish.audio_url))
    task, _ = submit(new_task(whole, desk.shelf, caller.key_id, desk.now()), desk, caller)
    return LegacyTask(task_id=task.id)


@router.get("/lip_sync_task/status", summary="Look at a task (older service)", responses=problems(404))
def status(task_id: Annotated[str, Query(max_length=64)], desk: StateDep, caller: Reader) -> LegacyStatus:
    """As `GET /v1/tasks/{task_id}`, in fewer words."""
    task = owned(task_id, desk, caller)
    return LegacyStatus(
        task_id=task.id,
        status=task.status,
        created_at=task.created_at,
        completed_at=task.finished_at,
        output_s3_urls=[desk.storage.url(output.key) for output in task.outputs] or None,
        error_log=None if task.error is None else task.error.message,
    )
