"""One task from claim to end: its inputs come in, the job is done, its outputs are published, whatever happens."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from lipsync.errors import (
    Cancelled,
    DiskFull,
    FetchFailed,
    LeaseLost,
    LipsyncError,
    OutputUnwritable,
    TaskMissing,
    TimedOut,
)
from lipsync.intake import Limits, Means, check_media, fetch
from lipsync.jobs.hold import Hold, Stop
from lipsync.jobs.order import SUFFIX, job_of
from lipsync.jobs.store import TaskStore
from lipsync.jobs.task import FINAL, Output, Performance, Problem, Source, Status, Task
from lipsync.media.probe import probe
from lipsync.media.scratch import FULL
from lipsync.monitor import Monitor
from lipsync.pipeline.job import EngineResult, Result
from lipsync.pipeline.run import run
from lipsync.storage.base import Storage
from lipsync.storage.keys import KeyTemplate
from lipsync.storage.keys import Result as Named

CONTENT_TYPE = "video/mp4"


@dataclass(frozen=True, slots=True)
class Workplace:
    """What a worker has to work with.

    ``worker``: its name, new with each start; ``folder``: for work in progress; ``uploads``: where uploaded inputs lie;
    ``models``: of weights, None: the usual one; ``lease``: how long a task stays its own without a sign of life;
    ``seconds``: how long a task may take; ``pause``: before a second attempt, doubled each time; ``now``: aware, UTC.
    """

    worker: str
    store: TaskStore
    storage: Storage
    folder: Path
    uploads: Path
    limits: Limits
    means: Means
    keys: KeyTemplate
    models: Path | None
    lease: timedelta
    seconds: float
    pause: timedelta
    now: Callable[[], datetime]


def execute(task: Task, at: Workplace, started: Callable[[Hold], None] = lambda hold: None) -> None:
    """Bring a task that ``at.worker`` has claimed to its end, or back to the queue. Raises nothing that is its own
    fault: failures stand in the task. ``started`` is given the hold, through which the work can be stopped.

    Raises StorageFailed where the store cannot be told; then the lease runs out and somebody else takes the task.
    """
    with Hold(task, at.worker, at.store, at.lease, at.seconds, at.now) as hold:
        started(hold)
        try:
            with _desk(at.folder / task.id) as desk:
                _finish(task, at, *_work(task, at, hold.monitor, desk))
        except (LeaseLost, TaskMissing):
            return
        except Cancelled:
            _stopped(task, at, hold)
        except LipsyncError as error:
            _failed(task, at, error.code, str(error), error.retryable)
        except Exception as error:  # noqa: BLE001 - a task is never left hanging; the log has the whole story
            at.store.log(task.id, "error", traceback.format_exc(), at.now())
            text = f"unexpected {type(error).__name__}: {error}"
            _failed(task, at, "bug", " ".join(text.split()), retryable=False)


def _work(task: Task, at: Workplace, monitor: Monitor, desk: Path) -> tuple[Result, float]:
    began = time.monotonic()
    video = _brought(task.video, desk / "video", at, monitor)
    audio = _brought(task.audio, desk / "audio", at, monitor)
    for path in (video, audio):
        check_media(probe(path), at.limits)
    at.store.advance(task.id, at.worker, Status.PROCESSING, at.now())
    result = run(job_of(task, video, audio, desk / f"result{SUFFIX}", at.models), monitor)
    for warning in result.warnings:
        at.store.log(task.id, "warning", warning, at.now())
    at.store.advance(task.id, at.worker, Status.UPLOADING, at.now())
    for made in result.outputs:
        _publish(task, at, monitor, made, result)
    return result, time.monotonic() - began


def _brought(source: Source, target: Path, at: Workplace, monitor: Monitor) -> Path:
    """The input as a file: one that was uploaded lies where it lies."""
    if source.kind == "upload":
        return at.uploads / source.location
    return fetch(source.location, target, at.limits, monitor, sha256=source.sha256, means=at.means).path


def _publish(task: Task, at: Workplace, monitor: Monitor, made: EngineResult, result: Result) -> None:
    key = at.keys.render(Named(task.id, made.engine, SUFFIX, task.created_at, task.video.location.rpartition("/")[2]))
    stored = at.storage.put(made.output, key, CONTENT_TYPE, monitor)
    size = (result.width, result.height, float(result.duration))
    output = Output(made.engine, stored.key, stored.url, stored.size, stored.sha256, *size)
    at.store.add_output(task.id, at.worker, output, at.now())
    at.store.log(task.id, "info", f"published as {stored.key}", at.now(), output=made.engine)


def _finish(task: Task, at: Workplace, result: Result, seconds: float) -> None:
    rate = result.frames / seconds if seconds else 0.0
    performance = Performance(seconds, result.frames, rate, result.peak_memory)
    timings: Mapping[str, float] = dict(result.seconds)
    at.store.finish(task.id, at.worker, performance, timings, at.now())


def _stopped(task: Task, at: Workplace, hold: Hold) -> None:
    if hold.stop is Stop.TIMED_OUT:
        _failed(task, at, TimedOut.code, f"it took longer than {at.seconds:.0f} s", TimedOut.retryable)
    elif hold.stop is Stop.CANCELLED:
        at.store.cancelled(task.id, at.worker, at.now())
    elif hold.stop is Stop.RELEASED:
        at.store.release(task.id, at.worker, at.now())


def _failed(task: Task, at: Workplace, code: str, message: str, retryable: bool) -> None:
    pause = at.pause * 2 ** (task.attempts - 1) if retryable else None
    at.store.log(task.id, "error", f"{message} [{code}]", at.now())
    at.store.fail(task.id, at.worker, Problem(code, message, retryable), at.now(), pause)


@contextmanager
def _desk(folder: Path) -> Iterator[Path]:
    """A folder for the task, gone afterwards, unless what came in so far will be of use to the next attempt."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        if exc.errno in FULL:
            raise DiskFull(f"{folder}: no space is left there") from exc
        raise OutputUnwritable(f"{folder}: cannot be made ({exc.strerror})") from exc
    keep = False
    try:
        yield folder
    except FetchFailed as exc:
        keep = exc.retryable
        raise
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path, store: TaskStore) -> list[str]:
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
