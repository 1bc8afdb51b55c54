"""One task from claim to end: its inputs come in, the job is done, its outputs are published, whatever happens."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from lipsync.errors import (
    Cancelled,
    FetchFailed,
    InputError,
    LeaseLost,
    LipsyncError,
    TaskMissing,
    TimedOut,
)
from lipsync.files import make_folder
from lipsync.media.probe import probe
from lipsync.models.session_cache import SessionCache
from lipsync.monitor import Monitor
from lipsync.net import Limits, Transport, check_media, fetch
from lipsync.pipeline.job import EnhanceStatus, Result
from lipsync.pipeline.run import run
from lipsync.storage.base import Storage
from lipsync.storage.keys import KeyTemplate
from lipsync.tasks.options import job_of
from lipsync.tasks.store import TaskStore
from lipsync.tasks.task import FINAL, Performance, Source, Status, Task, TaskFailure
from lipsync.worker.lease import LeaseKeeper, StopReason, TaskLog, TimeLimits
from lipsync.worker.publish import Publisher
from lipsync.worker.vram import VideoMemory, VideoMemoryWatch

FINAL_REPORT_TIMEOUT = 15.0  # seconds for the store to take down why a task was given up


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a worker has to work with.

    ``worker``: its name, new with each start; ``folder``: for work in progress; ``uploads``: where uploaded inputs lie;
    ``models``: of weights, None: the usual one; ``lease``: how long a task stays its own without a sign of life;
    ``times``: how long a task may take; ``pause``: before a second attempt, doubled each time; ``now``: aware, UTC;
    ``gpu``: whose memory is watched, None: the first.
    ``sessions``: those that stay open from one task to the next.
    """

    worker: str
    store: TaskStore
    storage: Storage
    folder: Path
    uploads: Path
    limits: Limits
    transport: Transport
    keys: KeyTemplate
    models: Path | None
    lease: timedelta
    times: TimeLimits
    pause: timedelta
    now: Callable[[], datetime]
    gpu: int | None = None
    sessions: SessionCache = field(default_factory=SessionCache)


def execute(
    task: Task,
    at: WorkerContext,
    started: Callable[[LeaseKeeper], None] = lambda hold: None,
    stuck: Callable[[], None] = lambda: None,
) -> None:
    """Bring a task that ``at.worker`` has claimed to its end, or back to the queue. Raises nothing that is its own
    fault: failures stand in the task. ``started`` is given the hold, through which the work can be stopped.

    ``stuck`` is called, in another thread, when the work goes on after it was told to stop, for longer than
    ``at.times`` allow. It has to end the process: nothing else ends native code that hangs. Until then nobody renews
    the lease.

    Raises StorageFailed where the store cannot be told; then the lease runs out and somebody else takes the task.
    """
    end = _End(task, at)
    here = threading.get_ident()

    def given_up() -> None:
        end.given_up(hold, _stack_of(here))
        stuck()

    hold = LeaseKeeper(task, at.worker, at.store, at.lease, _patient(at.times), at.now, stuck=given_up)
    with hold:
        started(hold)
        try:
            _to_the_end(task, at, hold, end)
        except (LeaseLost, TaskMissing):
            end.log.warning("it is somebody else's by now; what was done of it here is thrown away")


def _patient(times: TimeLimits) -> TimeLimits:
    """Enhancing ends by itself when its time is over, and leaves the lip-sync as it is; the hold waits for that."""
    limit = times.stages.get(Status.ENHANCING)
    later = {} if limit is None else {Status.ENHANCING: limit + times.grace}
    return replace(times, stages={**times.stages, **later})


def _to_the_end(task: Task, at: WorkerContext, hold: LeaseKeeper, end: _End) -> None:
    try:
        with _work_dir(at.folder / task.id, hold) as desk, VideoMemoryWatch(at.gpu) as video_memory:
            result = _work(task, at, hold, desk, video_memory)
        hold.tell()
        end.completed(result, video_memory.seen)
    except Cancelled:
        end.stopped(hold)
    except (LeaseLost, TaskMissing):
        raise
    except LipsyncError as error:
        problem = TaskFailure(error.code, str(error), error.retryable)
        end.failed(problem, logging.WARNING if isinstance(error, InputError) else logging.ERROR)
    except Exception as error:  # noqa: BLE001 - a task is never left hanging; its log has the whole story
        at.store.log(task.id, "error", traceback.format_exc(), at.now())
        text = f"unexpected {type(error).__name__}: {error}"
        end.failed(TaskFailure("bug", " ".join(text.split()), retryable=False), logging.ERROR)


class _End:
    """How an attempt at a task ends: in the store, and in one line of the log."""

    def __init__(self, task: Task, at: WorkerContext) -> None:
        self._task, self._at = task, at
        self._began = time.monotonic()
        self.log = TaskLog(__name__, task.id)
        self.log.info("attempt %d of %d, for %s", task.attempts, task.max_attempts, ", ".join(task.engines))

    def completed(self, result: Result, memory: VideoMemory | None) -> None:
        task, at, seconds = self._task, self._at, self._seconds()
        rate = result.frames / seconds if seconds else 0.0
        video_memory = (None, None, None) if memory is None else (memory.peak, memory.mean, memory.total)
        performance = Performance(seconds, result.frames, rate, result.peak_memory, *video_memory)
        timings: Mapping[str, float] = dict(result.seconds)
        at.store.finish(task.id, at.worker, performance, timings, at.now())
        told = "completed after %.1f s: %d frames, %.1f frames/s"
        enhanced = result.enhanced
        if enhanced is None or enhanced.status is not EnhanceStatus.FAILED:
            self.log.info(told, seconds, result.frames, rate)
        else:
            lacking = (enhanced.message, enhanced.code)
            self.log.warning(f"{told}; not enhanced: %s [%s]", seconds, result.frames, rate, *lacking)

    def stopped(self, hold: LeaseKeeper) -> None:
        task, at, why = self._task, self._at, hold.stop
        if why is StopReason.TIMED_OUT:
            self.failed(TaskFailure(TimedOut.code, hold.overrun, TimedOut.retryable), logging.ERROR)
        elif why is StopReason.CANCELLED:
            at.store.cancelled(task.id, at.worker, at.now())
            self.log.info("cancelled after %.1f s", self._seconds())
        elif why is StopReason.RELEASED:
            at.store.release(task.id, at.worker, at.now())
            self.log.info("handed back after %.1f s", self._seconds())
        else:
            raise LeaseLost(f"the task {task.id} is no more {at.worker}'s")

    def failed(self, problem: TaskFailure, level: int) -> None:
        """``level``: of the log's line, if it is not tried again."""
        task, at = self._task, self._at
        pause = at.pause * 2 ** (task.attempts - 1) if problem.retryable else None
        at.store.log(task.id, "error", f"{problem.message} [{problem.code}]", at.now())
        after = at.store.fail(task.id, at.worker, problem, at.now(), pause)
        told = (after.status, self._seconds(), problem.message, problem.code)
        if pause is not None and after.status is Status.QUEUED:
            self.log.warning(
                "%s again after %.1f s, due in %.0f s: %s [%s]", *told[:2], pause.total_seconds(), *told[2:]
            )
        else:
            self.log.log(level, "%s after %.1f s: %s [%s]", *told)

    def given_up(self, hold: LeaseKeeper, stack: str) -> None:
        """Take down why, unless the store makes us wait; a task that is merely to be handed back is left to recovery,
        which counts the attempt, for it may hang again."""
        words = threading.Thread(target=self._final_report, args=(hold, stack), name="last words", daemon=True)
        words.start()
        words.join(FINAL_REPORT_TIMEOUT)

    def _final_report(self, hold: LeaseKeeper, stack: str) -> None:
        task, at = self._task, self._at
        try:
            at.store.log(task.id, "error", f"{hold.stop}, but it did not stop; it was at\n{stack}", at.now())
            if hold.stop in (StopReason.TIMED_OUT, StopReason.CANCELLED):
                self.stopped(hold)
        except LipsyncError as error:  # it may have ended at this very moment
            self.log.error("what became of it cannot be taken down: %s [%s]", error, error.code)

    def _seconds(self) -> float:
        return time.monotonic() - self._began


def _work(task: Task, at: WorkerContext, hold: LeaseKeeper, desk: Path, memory: VideoMemoryWatch) -> Result:
    monitor = hold.monitor

    def enter(stage: Status) -> None:
        if stage is not hold.stage:
            at.store.advance(task.id, at.worker, stage, at.now())
            hold.enter(stage)

    video = _fetch_input(task.video, desk / "video", at, monitor)
    audio = _fetch_input(task.audio, desk / "audio", at, monitor)
    for path in (video, audio):
        check_media(probe(path), at.limits)
    enter(Status.PROCESSING)
    job = job_of(task, video, audio, desk, at.models, at.times.stages.get(Status.ENHANCING))
    publisher = Publisher(task, at.worker, at.store, at.storage, at.keys, monitor, enter, at.now)
    result = run(job, monitor, at.sessions, publisher)
    for warning in result.warnings:
        at.store.log(task.id, "warning", warning, at.now())
    publisher.manifest(job, result, desk / "manifest.json", memory.seen)
    return result


def _fetch_input(source: Source, target: Path, at: WorkerContext, monitor: Monitor) -> Path:
    """The input as a file: one that was uploaded lies where it lies."""
    if source.kind == "upload":
        return at.uploads / source.location
    return fetch(source.location, target, at.limits, monitor, sha256=source.sha256, transport=at.transport).path


def _stack_of(thread: int) -> str:
    """Where a thread is, in the words of a traceback."""
    frame = sys._current_frames().get(thread)
    return "" if frame is None else "".join(traceback.format_stack(frame))


@contextmanager
def _work_dir(folder: Path, hold: LeaseKeeper) -> Iterator[Path]:
    """A folder for the task, gone afterwards, unless what came in so far will be of use to the next attempt.

    Who lost the task leaves the folder alone: whoever has the task now may be at work in it.
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
        if not keep and hold.stop is not StopReason.LOST:
            shutil.rmtree(folder, ignore_errors=True)


def remove_orphans(folder: Path, store: TaskStore) -> list[str]:
    """Remove what workers that died left of tasks that are over, or that nobody knows; gives the tasks' names."""
    swept = []
    for left in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            over = store.get(left.name).status in FINAL
        except TaskMissing:
            over = True
        if over:
            shutil.rmtree(left, ignore_errors=True)
            swept.append(left.name)
    return swept
