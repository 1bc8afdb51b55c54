"""Execute one claimed task: fetch its inputs, run the job, publish its outputs, record how it ended."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from lipsync.errors import Cancelled, FetchFailed, InputError, LeaseLost, LipsyncError, TaskMissing, unexpected
from lipsync.files import Scratch, make_folder
from lipsync.monitor import Monitor
from lipsync.net import fetch, redact
from lipsync.pipeline.job import Result
from lipsync.pipeline.probe import probe_inputs
from lipsync.pipeline.run import run
from lipsync.tasks.options import job_of
from lipsync.tasks.task import Source, Status, Task, TaskFailure
from lipsync.worker.context import WorkerContext
from lipsync.worker.lease import LeaseKeeper, StopReason, TimeLimits
from lipsync.worker.outcome import AttemptOutcome
from lipsync.worker.publish import Publisher
from lipsync.worker.vram import VideoMemoryWatch


def execute(
    task: Task,
    context: WorkerContext,
    on_start: Callable[[LeaseKeeper], None] = lambda lease: None,
    on_stuck: Callable[[], None] = lambda: None,
) -> None:
    """Bring a task that ``context.worker`` has claimed to its end, or back to the queue.

    Failures of the task are recorded in the task, not raised. ``on_start`` receives the lease, through which the work
    can be stopped. ``on_stuck`` is called in another thread when the work ignores a stop request for longer than the
    grace period. It must end the process, because nothing else ends native code that hangs; the lease is not
    renewed any more.

    Raises StorageFailed if the store does not answer; the lease then expires and another worker takes the task.
    """
    outcome = AttemptOutcome(task, context)
    work_thread = threading.get_ident()

    def give_up() -> None:
        outcome.stuck(lease, _stack_of(work_thread))
        on_stuck()

    limits = _with_enhancing_grace(context.time_limits)
    lease = LeaseKeeper(task, context.worker, context.store, context.lease_time, limits, context.now, on_stuck=give_up)
    with lease:
        on_start(lease)
        try:
            _attempt(task, context, lease, outcome)
        except (LeaseLost, TaskMissing):
            outcome.lost()


def _with_enhancing_grace(limits: TimeLimits) -> TimeLimits:
    """Extend the limit of enhancing: the pipeline enforces it itself and then keeps the result without it."""
    seconds = limits.by_status.get(Status.ENHANCING)
    if seconds is None:
        return limits
    return replace(limits, by_status={**limits.by_status, Status.ENHANCING: seconds + limits.grace})


def _attempt(task: Task, context: WorkerContext, lease: LeaseKeeper, outcome: AttemptOutcome) -> None:
    try:
        folder = context.work_root / task.id
        with _work_dir(folder, lease) as work_dir, VideoMemoryWatch(context.gpu) as video_memory:
            result = _process(task, context, lease, work_dir, video_memory)
        lease.renew()
        outcome.completed(result, video_memory.usage)
    except Cancelled:
        outcome.stopped(lease)
    except (LeaseLost, TaskMissing):
        raise
    except LipsyncError as error:
        failure = TaskFailure(error.code, _without_paths(str(error), task, context), error.retryable)
        outcome.failed(failure, logging.WARNING if isinstance(error, InputError) else logging.ERROR)
    except Exception as error:  # noqa: BLE001 - a task must never stay unfinished; its log gets the traceback
        context.store.log(task.id, "error", traceback.format_exc(), context.now())
        outcome.failed(TaskFailure("bug", unexpected(error), retryable=False), logging.ERROR)


def _process(
    task: Task, context: WorkerContext, lease: LeaseKeeper, work_dir: Path, video_memory: VideoMemoryWatch
) -> Result:
    def enter(status: Status) -> None:
        if status is not lease.status:
            context.store.advance(task.id, context.worker, status, context.now())
            lease.enter(status)

    paths, checksums = dict[str, Path](), dict[str, str | None]()
    for name, source in task.inputs.items():
        paths[name], checksums[f"{name}_sha256"] = _fetch_input(source, work_dir / name, context, lease.monitor)
    enhancing_seconds = context.time_limits.by_status.get(Status.ENHANCING)
    job = job_of(task, paths, work_dir, context.models_dir, enhancing_seconds)
    job = replace(job, limits=context.media_limits, scratch=Scratch(work_dir, context.max_scratch_bytes))
    inputs = probe_inputs(job, **checksums)
    enter(Status.PROCESSING)
    publisher = Publisher(task, context, lease.monitor, enter)
    result = run(job, lease.monitor, context.sessions, publisher, inputs)
    for line in result.adaptations:
        context.store.log(task.id, "info", line, context.now())
    for warning in result.warnings:
        context.store.log(task.id, "warning", warning, context.now())
    publisher.publish_manifest(job, result, work_dir / "manifest.json", video_memory.usage)
    return result


def _fetch_input(source: Source, target: Path, context: WorkerContext, monitor: Monitor) -> tuple[Path, str | None]:
    """The input as a local file, and its SHA-256 if that is known; an upload is used in place."""
    if source.kind == "upload":
        return context.uploads / source.location, source.sha256
    fetched = fetch(source.location, target, context.limits, monitor, sha256=source.sha256, transport=context.transport)
    return fetched.path, fetched.sha256


def _without_paths(message: str, task: Task, context: WorkerContext) -> str:
    """The message with the inputs' addresses instead of the paths of this machine."""
    folder = context.work_root / task.id
    for role, source in task.inputs.items():
        if source.kind == "upload":
            message = message.replace(str(context.uploads / source.location), f"the uploaded {role}")
        else:
            message = message.replace(str(folder / role), redact(source.location))
    return message.replace(f"{folder}{os.sep}", "")


def _stack_of(thread: int) -> str:
    """The current stack of a thread, formatted as in a traceback."""
    frame = sys._current_frames().get(thread)
    return "" if frame is None else "".join(traceback.format_stack(frame))


@contextmanager
def _work_dir(folder: Path, lease: LeaseKeeper) -> Iterator[Path]:
    """A folder for the task, removed at the end unless a retry can resume its partial downloads.

    A lost task's folder stays, because its new owner may already be using it.
    """
    make_folder(folder)
    keep = False
    try:
        yield folder
    except FetchFailed as exc:
        keep = exc.retryable
        raise
    except LeaseLost:
        keep = True
        raise
    finally:
        if not keep and lease.stop_reason is not StopReason.LOST:
            shutil.rmtree(folder, ignore_errors=True)
