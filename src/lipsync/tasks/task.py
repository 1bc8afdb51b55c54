"""Tasks as immutable snapshots, and the table of allowed status transitions."""

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
    """Status of a task."""

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
_STOPPED = frozenset({Status.QUEUED, Status.FAILED, Status.CANCELLED})  # reachable from every running status

# A task of several engines passes through processing, enhancing and uploading once for each output.
TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        Status.QUEUED: frozenset({Status.DOWNLOADING, Status.CANCELLED}),
        Status.DOWNLOADING: _STOPPED | {Status.PROCESSING, Status.UPLOADING},
        Status.PROCESSING: _STOPPED | {Status.ENHANCING, Status.UPLOADING},
        Status.ENHANCING: _STOPPED | {Status.PROCESSING, Status.UPLOADING},
        Status.UPLOADING: _STOPPED | {Status.PROCESSING, Status.ENHANCING, Status.COMPLETED},
        Status.COMPLETED: frozenset(),
        Status.FAILED: frozenset({Status.QUEUED}),
        Status.CANCELLED: frozenset({Status.QUEUED}),
    }
)


def check_transition(before: Status, after: Status) -> None:
    """Raise TransitionForbidden unless ``after`` may follow ``before``."""
    if after not in TRANSITIONS[before]:
        raise TransitionForbidden(f"a task that is {before} cannot become {after}")


@dataclass(frozen=True, slots=True)
class Source:
    """Origin of an input: a URL, or the path of an upload; SHA-256 (hex) and size in bytes where they are known."""

    kind: Literal["url", "upload"]
    location: str
    sha256: str | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class NewTask:
    """A request for a task: one output per engine. ``key_id``: the API key that it came with.

    ``reference``: another video of the person, to learn from.
    """

    video: Source
    audio: Source
    engines: tuple[str, ...]
    options: Mapping[str, JSON]
    key_id: str | None = None
    webhook: str | None = None
    reference: Source | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """A published file: ``size`` in bytes, width and height in pixels, duration in seconds.

    ``variant``: final; plain, the result before enhancement; or the name of a copy with another audio offset.
    ``adapted``: the fields of ``models.session.Adapted``; None if the engine learned nothing about the person.
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
    adapted: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """Reason of a failure: the code of an error class and a one-line message."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class EnhancementRecord:
    """Status of the enhancement that follows the lip-sync; skipped if the task does not ask for one."""

    status: EnhanceStatus = EnhanceStatus.SKIPPED
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: TaskFailure | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """The published provenance file; ``size`` in bytes."""

    key: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """Progress of a pipeline stage in its own units (frames, bytes); ``total`` is None while unknown."""

    stage: str
    done: int
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Performance:
    """Cost of a run: seconds, frames, frames/s, bytes of memory; video memory is None without a GPU."""

    wall_seconds: float
    frames: int
    rate: float
    peak_memory: int
    vram_peak: int | None = None
    vram_mean: int | None = None
    vram_total: int | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A task at one moment. Times are timezone-aware, in UTC; ``timings`` are seconds by pipeline stage.

    ``id`` is a version 7 UUID (RFC 9562) as 32 hexadecimal digits, which sorts by creation time. ``started_at`` is the
    first claim since a client queued the task. ``revision`` increases with every change. The lease fields are set
    exactly while the task runs. The ``error`` of a queued task is that of the previous attempt. ``reserved``: keys of
    all files whose publication began.
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
    progress: TaskProgress | None
    timings: Mapping[str, float]
    error: TaskFailure | None
    outputs: tuple[Output, ...]
    performance: Performance | None
    revision: int
    enhancement: EnhancementRecord = EnhancementRecord()
    manifest: Manifest | None = None
    reserved: tuple[str, ...] = ()
    reference: Source | None = None

    @property
    def inputs(self) -> dict[str, Source]:
        """The inputs by name: video, audio and, if there is one, reference."""
        inputs = {"video": self.video, "audio": self.audio}
        return inputs if self.reference is None else inputs | {"reference": self.reference}

    @property
    def files(self) -> tuple[str, ...]:
        """Keys of all files that were, or may have been, published."""
        keys = [output.key for output in self.outputs] + ([] if self.manifest is None else [self.manifest.key])
        return tuple(dict.fromkeys((*keys, *self.reserved)))


@dataclass(frozen=True, slots=True)
class Page:
    """Tasks, newest first; ``next_cursor`` selects the next page, None: this is the last one."""

    tasks: tuple[Task, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of a task's log. ``number`` increases within the task; ``output``: the output it concerns."""

    number: int
    at: datetime
    level: str
    message: str
    output: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook call, pending or made. ``next_at`` None: no further attempt."""

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
    """An API key without its secret; ``prefix``: the beginning of the secret."""

    id: str
    name: str
    prefix: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None
