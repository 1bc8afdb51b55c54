"""What a task is: a snapshot that never changes, and the one table of what may follow what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Literal, TypeAlias

from lipsync.errors import TransitionForbidden
from lipsync.pipeline.job import FINAL_VARIANT, EnhanceStatus

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"


class Status(StrEnum):
    """Where a task stands."""

    QUEUED = "queued"
    DOWNLOADING = "downloading"
    PROCESSING = "processing"
    ENHANCING = "enhancing"
    UPLOADING = "uploading"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
RUNNING = frozenset({Status.DOWNLOADING, Status.PROCESSING, Status.ENHANCING, Status.UPLOADING})
_STOPS = frozenset({Status.QUEUED, Status.FAILED, Status.CANCELLED})  # from anywhere while it runs

# Several engines go round processing, enhancing and uploading, once for each output.
TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        Status.QUEUED: frozenset({Status.DOWNLOADING, Status.CANCELLED}),
        Status.DOWNLOADING: _STOPS | {Status.PROCESSING, Status.UPLOADING},
        Status.PROCESSING: _STOPS | {Status.ENHANCING, Status.UPLOADING},
        Status.ENHANCING: _STOPS | {Status.PROCESSING, Status.UPLOADING},
        Status.UPLOADING: _STOPS | {Status.PROCESSING, Status.ENHANCING, Status.COMPLETED},
        Status.COMPLETED: frozenset(),
        Status.FAILED: frozenset({Status.QUEUED}),
        Status.CANCELLED: frozenset({Status.QUEUED}),
    }
)


def check_transition(before: Status, after: Status) -> None:
    """TransitionForbidden unless ``after`` may follow ``before``."""
    if after not in TRANSITIONS[before]:
        raise TransitionForbidden(f"a task that is {before} cannot become {after}")


@dataclass(frozen=True, slots=True)
class Source:
    """Where an input comes from: an address, or the place of an upload; checksum and size where they are known."""

    kind: Literal["url", "upload"]
    location: str
    sha256: str | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NewTask:
    """What somebody asks for: one output for each engine. ``key_id``: whose API key it came with."""

    video: Source
    audio: Source
    engines: tuple[str, ...]
    options: Mapping[str, JSON]
    key_id: str | None = None
    webhook: str | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A published file: ``size`` in bytes, width and height in pixels, duration in seconds.

    ``variant``: final; plain, which is the lip-sync alone where it was to be enhanced; or another offset of the sound.
    """

    engine: str
    key: str
    url: str
    size: int
    sha256: str
    width: int
    height: int
    duration: float
    variant: str = FINAL_VARIANT


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """Why a task failed: the code of an error class and one line for a person."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class EnhancementRecord:
    """How far the step after the lip-sync is; it is skipped where nobody asked for it."""

    step: EnhanceStatus = EnhanceStatus.SKIPPED
    started_at: datetime | None = None
    finished_at: datetime | None = None
    problem: TaskFailure | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The published file that tells what was made of what; ``size`` in bytes."""

    key: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a stage is, in its own units; ``total`` None: nobody knows."""

    stage: str
    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Performance:
    """What a run took: seconds, frames, frames/s, bytes of memory; video memory is None where there is no GPU."""

    wall_seconds: float
    frames: int
    rate: float
    peak_memory: int
    vram_peak: int | None = None
    vram_mean: int | None = None
    vram_total: int | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One task at one moment. Times are aware and in UTC; ``timings`` are seconds by stage.

    ``id`` is a version 7 UUID (RFC 9562) as 32 hexadecimal digits: it sorts by time of creation, the rest is chance.
    ``started_at`` is the first claim since a person queued it. ``revision`` rises with every change. The lease is
    there exactly while it runs. The ``problem`` of a queued task is that of the attempt before. ``reserved``: the keys
    of all files that anybody began to publish.
    """

    id: str
    status: Status
    video: Source
    audio: Source
    engines: tuple[str, ...]
    options: Mapping[str, JSON]
    key_id: str | None
    webhook: str | None
    created_at: datetime
    updated_at: datetime
    available_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    max_attempts: int
    lease_owner: str | None
    lease_until: datetime | None
    cancel_requested: bool
    progress: Progress | None
    timings: Mapping[str, float]
    problem: TaskFailure | None
    outputs: tuple[Output, ...]
    performance: Performance | None
    revision: int
    enhancement: EnhancementRecord = EnhancementRecord()
    manifest: Manifest | None = None
    reserved: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """The keys of everything that was, or may have been, published for it."""
        told = [output.key for output in self.outputs] + ([] if self.manifest is None else [self.manifest.key])
        return tuple(dict.fromkeys((*told, *self.reserved)))


@dataclass(frozen=True, slots=True)
class Page:
    """Tasks, newest first; ``next_cursor`` asks for those after them, None: there are none."""

    tasks: tuple[Task, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a task's log. ``number`` rises within the task; ``output``: the engine that it is about."""

    number: int
    at: datetime
    level: str
    message: str
    output: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook call that is to be made, or was. ``next_at`` None: it is not tried any more."""

    id: str
    task_id: str
    url: str
    event: str
    body: str
    attempts: int
    created_at: datetime
    next_at: datetime | None
    delivered_at: datetime | None
    last_status: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key, without its secret; ``prefix`` is how its secret begins."""

    id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None
