"""Tasks: make, list, look at, stop, try again, throw away."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.responses import RedirectResponse
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from lipsync.api.auth import Caller, Reader, Writer
from lipsync.api.errors import ApiError, problems
from lipsync.api.requests import TaskRequest, new_task
from lipsync.api.responses import DeliveryPage, LogPage, TaskPage, TaskView, delivery_view, line_view, shown
from lipsync.api.state import AppState, StateDep
from lipsync.errors import LipsyncError, TaskMissing, TransitionForbidden
from lipsync.pipeline.job import FINAL_VARIANT, PLAIN_VARIANT
from lipsync.tasks.commands import Admit
from lipsync.tasks.task import FINAL, NewTask, Status, Task

router = APIRouter(tags=["tasks"])


def written(moment: object) -> object:
    """ValueError for a mere number, which would be taken for seconds."""
    if isinstance(moment, str) and moment[:10].count("-") != 2:
        raise ValueError("a date and time as in RFC 3339 is wanted")
    return moment


def sensible(moment: datetime) -> datetime:
    """ValueError for times that no database holds."""
    if not 1970 <= moment.year < 9999:
        raise ValueError("a year from 1970 to 9998 is wanted")
    return moment.astimezone(UTC)


Moment = Annotated[AwareDatetime, BeforeValidator(written), AfterValidator(sensible)]
TaskPath = Annotated[str, Path(description="the task's id", max_length=64)]


def owned(task_id: str, desk: AppState, caller: Caller) -> Task:
    """The task. Raises TaskMissing for others' too: nobody learns that they are there."""
    task = desk.store.get(task_id)
    if not caller.owns(task):
        raise TaskMissing(f"task {task_id} does not exist")
    return task


def readable(task_id: TaskPath, desk: StateDep, caller: Reader) -> Task:
    return owned(task_id, desk, caller)


def changeable(task_id: TaskPath, desk: StateDep, caller: Writer) -> Task:
    return owned(task_id, desk, caller)


LINKS: dict[int | str, dict[str, Any]] = {
    307: {"headers": {"Location": {"description": "a fresh link", "schema": {"type": "string"}}}},
    **problems(404),
}
Readable = Annotated[Task, Depends(readable)]
Changeable = Annotated[Task, Depends(changeable)]


def room(key_id: str | None, desk: AppState, caller: Caller) -> Admit | None:
    """What raises Refusal if the key has as many unfinished tasks as are allowed; nothing for an admin with another's.

    The store asks it, for only there can nobody else be first by a moment.
    """
    most = desk.settings.max_active_tasks

    def check(unfinished: int) -> None:
        if unfinished >= most:
            told = f"{unfinished} tasks are not finished; {most} are allowed at once"
            raise ApiError("tasks_exceeded", told, {"Retry-After": "30"})

    return check if key_id == caller.key_id else None


def announce(task: Task, desk: AppState) -> None:
    """Tell the workers. If that fails the task only starts later: the reaper tells them again."""
    try:
        desk.services.announce(task.id)
        desk.store.mark_announced(task.id, desk.now())
    except (LipsyncError, OSError) as exc:
        logging.getLogger("lipsync.api").warning("task %s was not announced: %s", task.id, exc)


def submit(new: NewTask, desk: AppState, caller: Caller, idempotency_key: str | None = None) -> tuple[Task, bool]:
    """The task, and whether it is a new one. Raises Refusal, TransitionForbidden, OptionInvalid."""
    now = desk.now()
    task = desk.store.create(
        new,
        idempotency_key=idempotency_key,
        now=now,
        max_attempts=desk.settings.max_attempts,
        admit=room(new.key_id, desk, caller),
    )
    if task.created_at != now:
        return task, False
    announce(task, desk)
    return task, True


@router.post(
    "/v1/tasks",
    status_code=201,
    summary="Create a task",
    responses={
        200: {"model": TaskView, "description": "The task that the same Idempotency-Key made before"},
        201: {"headers": {"Location": {"description": "the task", "schema": {"type": "string"}}}},
        **problems(409, 413),
    },
)
def create(
    wish: TaskRequest,
    desk: StateDep,
    caller: Writer,
    response: Response,
    idempotency_key: Annotated[
        str | None, Header(min_length=1, max_length=255, description="the same key and body make one task")
    ] = None,
) -> TaskView:
    """Two inputs, one result of each engine. The task waits until a worker is free."""
    new = new_task(wish, desk.shelf, caller.key_id, desk.now())
    task, is_new = submit(new, desk, caller, idempotency_key)
    response.headers["Location"] = f"/v1/tasks/{task.id}"
    if not is_new:
        response.status_code = 200
    return shown(task, desk.storage)


@router.get("/v1/tasks", summary="List tasks", responses=problems())
def list_tasks(
    desk: StateDep,
    caller: Reader,
    status: Status | None = None,
    created_after: Annotated[Moment | None, Query(description="excluded")] = None,
    created_before: Annotated[Moment | None, Query(description="excluded")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before", max_length=64)] = None,
) -> TaskPage:
    """The key's own tasks, an admin's all, from the newest on."""
    page = desk.store.list(
        status=status,
        key_id=None if caller.is_admin else caller.key_id,
        created_after=created_after,
        created_before=created_before,
        cursor=cursor,
        limit=limit,
    )
    return TaskPage(tasks=[shown(task, desk.storage) for task in page.tasks], next_cursor=page.next_cursor)


@router.get("/v1/tasks/{task_id}", summary="Look at a task", responses=problems(404))
def get_task(task: Readable, desk: StateDep) -> TaskView:
    """The task as it is now, with fresh links to its results."""
    return shown(task, desk.storage)


@router.post("/v1/tasks/{task_id}/cancel", summary="Cancel a task", responses=problems(404, 409))
def cancel(task: Changeable, desk: StateDep) -> TaskView:
    """Cancelled at once if it waits, soon if it runs; 409 if it has ended."""
    return shown(desk.store.request_cancel(task.id, desk.now()), desk.storage)


@router.post("/v1/tasks/{task_id}/retry", summary="Try a task again", responses=problems(404, 409))
def retry(task: Changeable, desk: StateDep, caller: Writer) -> TaskView:
    """A failed or cancelled task waits again, with all its attempts; 409 for every other, 404 if an upload is gone."""
    if task.status in FINAL:
        desk.shelf.keep_inputs(task)
    again = desk.store.retry(task.id, desk.now(), room(task.key_id, desk, caller))
    announce(again, desk)
    return shown(again, desk.storage)


@router.delete(
    "/v1/tasks/{task_id}",
    status_code=204,
    summary="Delete a task",
    response_class=Response,
    responses=problems(404, 409),
)
def delete(task: Changeable, desk: StateDep) -> None:
    """Its results, its log and itself, if it has ended; 409 otherwise."""
    if task.status not in FINAL:
        raise TransitionForbidden(f"a task that is {task.status} cannot be deleted; cancel it first")
    for key in task.files:
        desk.storage.delete(key)
    desk.store.delete(task.id)


@router.get("/v1/tasks/{task_id}/logs", summary="Read a task's log", responses=problems(404))
def logs(
    task: Readable,
    desk: StateDep,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="lines with higher numbers")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> LogPage:
    """The log from a line on."""
    return LogPage(lines=[line_view(line) for line in desk.store.logs(task.id, after, limit)])


@router.get("/v1/tasks/{task_id}/deliveries", summary="Read a task's webhook calls", responses=problems(404))
def deliveries(task: Readable, desk: StateDep) -> DeliveryPage:
    """What became of each call."""
    return DeliveryPage(deliveries=[delivery_view(delivery) for delivery in desk.store.deliveries(task.id)])


@router.get(
    "/v1/tasks/{task_id}/outputs/{engine}",
    status_code=307,
    summary="Download a result",
    response_class=RedirectResponse,
    responses=LINKS,
)
def output(
    task: Readable,
    engine: Annotated[str, Path(max_length=64)],
    desk: StateDep,
    variant: Annotated[
        str | None, Query(max_length=64, description="as the task's outputs tell it; the final one if there is one")
    ] = None,
) -> RedirectResponse:
    """Leads to a fresh link to one engine's result: the final one, or the best that there is."""
    found = {found.variant: found for found in task.outputs if found.engine == engine}
    best = found.get(variant) if variant else found.get(FINAL_VARIANT, found.get(PLAIN_VARIANT))
    if best is None:
        raise ApiError("output_missing", f"the task has no {variant or 'output'} of an engine {engine}")
    return fresh(best.key, desk)


@router.get(
    "/v1/tasks/{task_id}/manifest",
    status_code=307,
    summary="Download the manifest",
    response_class=RedirectResponse,
    responses=LINKS,
)
def manifest(task: Readable, desk: StateDep) -> RedirectResponse:
    """Leads to a fresh link to the file that tells what was made of what, and how."""
    if task.manifest is None:
        raise ApiError("output_missing", "the task has no manifest; it is published when the task is completed")
    return fresh(task.manifest.key, desk)


def fresh(key: str, desk: AppState) -> RedirectResponse:
    """A way to a published file, which nobody keeps."""
    return RedirectResponse(desk.storage.url(key), headers={"Cache-Control": "no-store"})
