"""Create, list, inspect, cancel, retry and delete tasks."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.responses import RedirectResponse
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from lipsync.api.auth import Caller, Reader, Writer
from lipsync.api.errors import ApiError
from lipsync.api.problems import error_responses
from lipsync.api.requests import TaskRequest, new_task
from lipsync.api.responses import DeliveryPage, LogPage, TaskPage, TaskView, delivery_view, log_view, to_view
from lipsync.api.state import AppState, StateDep
from lipsync.errors import LipsyncError, TaskMissing, TransitionForbidden
from lipsync.pipeline.job import FINAL_VARIANT, PLAIN_VARIANT
from lipsync.tasks.commands import Admit
from lipsync.tasks.events import Event, TaskLog
from lipsync.tasks.task import FINAL, NewTask, Status, Task

ADMISSION_RETRY_AFTER = 30  # seconds
router = APIRouter(tags=["tasks"])


def check_timestamp(value: object) -> object:
    """Raise ValueError for a bare number, which pydantic would read as Unix seconds."""
    if isinstance(value, str) and value[:10].count("-") != 2:
        raise ValueError("expected a date and time as in RFC 3339")
    return value


def check_year(moment: datetime) -> datetime:
    """Raise ValueError for years that databases cannot store; convert to UTC."""
    if not 1970 <= moment.year < 9999:
        raise ValueError("expected a year from 1970 to 9998")
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, BeforeValidator(check_timestamp), AfterValidator(check_year)]
TaskPath = Annotated[
    str, Path(description="The task's ID.", max_length=64, examples=["0192f0c18a2b7c3d9e4f5a6b7c8d9e0f"])
]


def owned(task_id: str, state: AppState, caller: Caller) -> Task:
    """Return the task. Raises TaskMissing for other keys' tasks too, so that their existence stays hidden."""
    task = state.store.get(task_id)
    if not caller.owns(task):
        raise TaskMissing(f"task {task_id} does not exist")
    return task


def readable(task_id: TaskPath, state: StateDep, caller: Reader) -> Task:
    return owned(task_id, state, caller)


def writable(task_id: TaskPath, state: StateDep, caller: Writer) -> Task:
    return owned(task_id, state, caller)


REDIRECT: dict[int | str, dict[str, Any]] = {
    307: {
        "description": "A redirect to a fresh link",
        "headers": {"Location": {"description": "A fresh link to the file.", "schema": {"type": "string"}}},
    },
    **error_responses(404),
}
Readable = Annotated[Task, Depends(readable)]
Writable = Annotated[Task, Depends(writable)]


def admission_check(key_id: str | None, state: AppState, caller: Caller) -> Admit | None:
    """Return a check that raises ApiError at the limit of unfinished tasks.

    None if an admin acts on another key's task, which is exempt.

    The store calls it inside its transaction, so that concurrent requests cannot exceed the limit.
    """
    limit = state.settings.max_active_tasks

    def check(unfinished: int) -> None:
        if unfinished >= limit:
            detail = f"this API key has {unfinished} unfinished tasks; at most {limit} are allowed"
            raise ApiError("tasks_exceeded", detail, {"Retry-After": str(ADMISSION_RETRY_AFTER)})

    return check if key_id == caller.key_id else None


def announce(task: Task, state: AppState) -> None:
    """Notify the workers of a queued task. If that fails, recovery announces it later."""
    try:
        state.services.announce(task.id)
        state.store.mark_announced(task.id, state.now())
    except (LipsyncError, OSError) as exc:
        code = exc.code if isinstance(exc, LipsyncError) else None
        log = TaskLog("lipsync.api", task.id)
        log.event(Event.TASK_UNANNOUNCED, logging.WARNING, "could not announce it to the workers: %s", exc, code=code)


def submit(new: NewTask, state: AppState, caller: Caller, idempotency_key: str | None = None) -> tuple[Task, bool]:
    """Create and announce a task; return it and whether it is new.

    Raises ApiError, TransitionForbidden, OptionInvalid.
    """
    now = state.now()
    task = state.store.create(
        new,
        idempotency_key=idempotency_key,
        now=now,
        max_attempts=state.settings.max_attempts,
        admit=admission_check(new.key_id, state, caller),
    )
    if task.created_at != now:
        return task, False
    TaskLog("lipsync.api", task.id).event(Event.TASK_CREATED, logging.INFO, "queued for %s", ", ".join(task.engines))
    announce(task, state)
    return task, True


@router.post(
    "/v1/tasks",
    status_code=201,
    summary="Create a task",
    description="Queues a task with a video and an audio input. It produces one result per engine. A repeated request "
    "with the same `Idempotency-Key` returns the first task; 409 means that the key was used with another body.",
    responses={
        200: {"model": TaskView, "description": "The task that was created earlier with the same Idempotency-Key"},
        201: {
            "description": "The new task",
            "headers": {"Location": {"description": "Path of the task.", "schema": {"type": "string"}}},
        },
        **error_responses(409, 413),
    },
)
def create_task(
    task_request: TaskRequest,
    state: StateDep,
    caller: Writer,
    response: Response,
    idempotency_key: Annotated[
        str | None,
        Header(min_length=1, max_length=255, description="A unique value that makes retries safe.", examples=["a1b2"]),
    ] = None,
) -> TaskView:
    new = new_task(task_request, state.uploads, caller.key_id, state.now())
    task, is_new = submit(new, state, caller, idempotency_key)
    response.headers["Location"] = f"/v1/tasks/{task.id}"
    if not is_new:
        response.status_code = 200
    return to_view(task, state.storage)


@router.get(
    "/v1/tasks",
    summary="List tasks",
    description="Returns this API key's tasks, newest first. Keys with the scope `admin` see the tasks of all keys.",
    response_description="A page of tasks",
    responses=error_responses(),
)
def list_tasks(
    state: StateDep,
    caller: Reader,
    status: Annotated[Status | None, Query(description="Only tasks with this status.")] = None,
    created_after: Annotated[
        Moment | None, Query(description="Only tasks created after this time.", examples=["2026-11-24T12:00:00Z"])
    ] = None,
    created_before: Annotated[
        Moment | None, Query(description="Only tasks created before this time.", examples=["2026-11-25T12:00:00Z"])
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Maximum number of tasks.")] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the previous page.", max_length=64)] = None,
) -> TaskPage:
    page = state.store.list(
        status=status,
        key_id=None if caller.is_admin else caller.key_id,
        created_after=created_after,
        created_before=created_before,
        cursor=cursor,
        limit=limit,
    )
    return TaskPage(tasks=[to_view(task, state.storage) for task in page.tasks], next_cursor=page.next_cursor)


@router.get(
    "/v1/tasks/{task_id}",
    summary="Get a task",
    description="Returns the task's current state, with fresh links to its results.",
    response_description="The task",
    responses=error_responses(404),
)
def get_task(task: Readable, state: StateDep) -> TaskView:
    return to_view(task, state.storage)


@router.post(
    "/v1/tasks/{task_id}/cancel",
    summary="Cancel a task",
    description="Cancels a queued task at once and a running one within seconds. 409 means that the task has already "
    "ended.",
    response_description="The task",
    responses=error_responses(404, 409),
)
def cancel_task(task: Writable, state: StateDep) -> TaskView:
    return to_view(state.store.request_cancel(task.id, state.now()), state.storage)


@router.post(
    "/v1/tasks/{task_id}/retry",
    summary="Retry a task",
    description="Queues a failed or cancelled task again, with its full number of attempts. 409 means that the task is "
    "in another status, and 404 with the code `upload_missing` that one of its uploads was deleted.",
    response_description="The task",
    responses=error_responses(404, 409),
)
def retry_task(task: Writable, state: StateDep, caller: Writer) -> TaskView:
    if task.status in FINAL:
        state.uploads.touch_inputs(task)
    queued = state.store.retry(task.id, state.now(), admission_check(task.key_id, state, caller))
    announce(queued, state)
    return to_view(queued, state.storage)


@router.delete(
    "/v1/tasks/{task_id}",
    status_code=204,
    summary="Delete a task",
    description="Deletes a finished task with its results and its log. 409 means that the task has not ended; cancel "
    "it first.",
    response_description="The task was deleted",
    response_class=Response,
    responses=error_responses(404, 409),
)
def delete_task(task: Writable, state: StateDep) -> None:
    if task.status not in FINAL:
        raise TransitionForbidden(f"the task is {task.status}; cancel it before you delete it")
    for key in task.files:
        state.storage.delete(key)
    state.store.delete(task.id)


@router.get(
    "/v1/tasks/{task_id}/logs",
    summary="Get the log of a task",
    description="Returns log lines in order. To read new lines only, pass the last line's number as `after`.",
    response_description="Log lines",
    responses=error_responses(404),
)
def get_task_log(
    task: Readable,
    state: StateDep,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="Only lines with a higher number.")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of lines.")] = 500,
) -> LogPage:
    return LogPage(lines=[log_view(line) for line in state.store.logs(task.id, after, limit)])


@router.get(
    "/v1/tasks/{task_id}/deliveries",
    summary="List the webhook calls of a task",
    description="Returns the calls to the task's webhook, with the status of each.",
    response_description="The calls",
    responses=error_responses(404),
)
def list_task_deliveries(task: Readable, state: StateDep) -> DeliveryPage:
    return DeliveryPage(deliveries=[delivery_view(delivery) for delivery in state.store.deliveries(task.id)])


@router.get(
    "/v1/tasks/{task_id}/outputs/{engine}",
    status_code=307,
    summary="Download a result",
    description="Redirects to a fresh link to one engine's result: the variant `final`, or `plain` if the enhancement "
    "failed.",
    response_class=RedirectResponse,
    responses=REDIRECT,
)
def download_output(
    task: Readable,
    engine: Annotated[str, Path(max_length=64, description="The engine.", examples=["rewrite"])],
    state: StateDep,
    variant: Annotated[
        str | None,
        Query(max_length=64, description="A variant from the task's outputs.", examples=["final"]),
    ] = None,
) -> RedirectResponse:
    variants = {output.variant: output for output in task.outputs if output.engine == engine}
    best = variants.get(variant) if variant else variants.get(FINAL_VARIANT, variants.get(PLAIN_VARIANT))
    if best is None:
        raise ApiError("output_missing", f"the task has no {variant or 'output'} of engine '{engine}'")
    return redirect_to(best.key, state)


@router.get(
    "/v1/tasks/{task_id}/manifest",
    status_code=307,
    summary="Download the manifest",
    description="Redirects to a fresh link to the manifest, a JSON file with the inputs, options and results.",
    response_class=RedirectResponse,
    responses=REDIRECT,
)
def download_manifest(task: Readable, state: StateDep) -> RedirectResponse:
    if task.manifest is None:
        raise ApiError("output_missing", "the task has no manifest; it is published on completion")
    return redirect_to(task.manifest.key, state)


def redirect_to(key: str, state: AppState) -> RedirectResponse:
    """Redirect to a published file; the response is not cached because the link expires."""
    return RedirectResponse(state.storage.url(key), headers={"Cache-Control": "no-store"})
