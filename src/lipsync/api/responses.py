"""What is shown of a task. Credentials and signatures in addresses never are; links to results are always fresh."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from lipsync.net.url import redact
from lipsync.pipeline.job import EnhanceStatus
from lipsync.storage.base import Storage
from lipsync.tasks.task import Delivery, EnhancementRecord, LogLine, Source, Status, Task

TaskId = Annotated[str, Field(examples=["0192f0c18a2b7c3d9e4f5a6b7c8d9e0f"])]


class SourceView(BaseModel):
    """An input: of ``url`` and ``upload`` there is one."""

    url: str | None = Field(default=None, description="without credentials and query")
    upload: str | None = None
    sha256: str | None = None
    bytes: int | None = None


class OutputView(BaseModel):
    """A published result."""

    engine: str
    variant: str = Field(
        description="final; plain, the lip-sync alone where it was to be enhanced; or another offset of the sound",
        examples=["final"],
    )
    key: str
    url: str = Field(description="fresh; it may expire")
    size: int = Field(description="bytes")
    sha256: str
    width: int
    height: int
    duration: float = Field(description="seconds")


class ProgressView(BaseModel):
    """How far a stage is, in its own units."""

    stage: str
    done: int
    total: int | None = Field(description="null: nobody knows")


class ErrorView(BaseModel):
    """Why it failed, or why the attempt before did."""

    code: str
    message: str
    retryable: bool


class EnhancementView(BaseModel):
    """The step after the lip-sync. If it fails the task is completed all the same, with the plain output."""

    status: EnhanceStatus = Field(description="skipped: nobody asked for it, or there was nothing to do")
    started_at: datetime | None
    finished_at: datetime | None
    error: ErrorView | None


class ManifestView(BaseModel):
    """The published file that tells what was made of what, and how."""

    key: str
    url: str = Field(description="fresh; it may expire")
    size: int = Field(description="bytes")
    sha256: str


class PerformanceView(BaseModel):
    """What it took. Memory in bytes; video memory is null where there is no GPU."""

    wall_seconds: float
    frames: int
    rate: float = Field(description="frames/s")
    peak_memory: int
    vram_peak: int | None
    vram_mean: int | None
    vram_total: int | None


class TaskView(BaseModel):
    """A task as it is now. Times are UTC."""

    id: TaskId
    status: Status
    video: SourceView
    audio: SourceView
    engines: list[str]
    options: dict[str, Any]
    webhook: str | None
    created_at: datetime
    updated_at: datetime
    available_at: datetime = Field(description="it does not start before")
    started_at: datetime | None
    finished_at: datetime | None
    attempts: int
    max_attempts: int
    lease_owner: str | None = Field(description="the worker that has it")
    lease_until: datetime | None
    cancel_requested: bool
    progress: ProgressView | None
    timings: dict[str, float] = Field(description="seconds by stage")
    error: ErrorView | None
    outputs: list[OutputView]
    enhancement: EnhancementView
    manifest: ManifestView | None
    performance: PerformanceView | None
    revision: int = Field(description="rises with every change")


class TaskPage(BaseModel):
    """Tasks from the newest on."""

    tasks: list[TaskView]
    next_cursor: str | None = Field(description="asks for those after them; null: there are none")


class LogView(BaseModel):
    """A line of a task's log."""

    number: int = Field(description="rises within the task")
    at: datetime
    level: str
    message: str
    output: str | None = Field(description="the engine that it is about")


class LogPage(BaseModel):
    """Lines in order; ask again with ``after`` set to the last number."""

    lines: list[LogView]


class DeliveryView(BaseModel):
    """A call of the task's webhook."""

    id: str = Field(description="as its header Lipsync-Delivery tells it")
    event: str = Field(examples=["task.completed"])
    attempts: int
    created_at: datetime
    next_at: datetime | None = Field(description="when it is tried again; null: no more")
    delivered_at: datetime | None
    last_status: int | None = Field(description="the HTTP status of the last answer, if there was one")
    last_error: str | None


class DeliveryPage(BaseModel):
    """All calls of a task's webhook, in order."""

    deliveries: list[DeliveryView]


class UploadView(BaseModel):
    """A file that was uploaded; its id stands for it in a new task."""

    id: str = Field(examples=["0f8fad5bd9cb469fa16570867728950e"])
    bytes: int
    sha256: str


SHOWN_OTHERWISE = ("error", "outputs", "webhook", "enhancement", "manifest")


def shown(task: Task, storage: Storage) -> TaskView:
    """Raises SettingInvalid where the storage cannot make links."""
    told = {name: getattr(task, name) for name in TaskView.model_fields if name not in SHOWN_OTHERWISE}
    told |= {
        "video": source_view(task.video),
        "audio": source_view(task.audio),
        "engines": list(task.engines),
        "options": dict(task.options),
        "timings": dict(task.timings),
        "progress": None if task.progress is None else asdict(task.progress),
        "performance": None if task.performance is None else asdict(task.performance),
    }
    return TaskView(
        **told,
        webhook=None if task.webhook is None else redact(task.webhook),
        error=None if task.error is None else ErrorView(**asdict(task.error)),
        outputs=[OutputView(**asdict(output) | {"url": storage.url(output.key)}) for output in task.outputs],
        enhancement=enhancement_view(task.enhancement),
        manifest=None
        if task.manifest is None
        else ManifestView(**asdict(task.manifest) | {"url": storage.url(task.manifest.key)}),
    )


def enhancement_view(enhancement: EnhancementRecord) -> EnhancementView:
    """The step after the lip-sync as a client sees it."""
    return EnhancementView(
        status=enhancement.status,
        started_at=enhancement.started_at,
        finished_at=enhancement.finished_at,
        error=None if enhancement.error is None else ErrorView(**asdict(enhancement.error)),
    )


def source_view(source: Source) -> SourceView:
    """An input, without what is secret in its address."""
    if source.kind == "upload":
        return SourceView(upload=source.location.partition("/")[0], sha256=source.sha256, bytes=source.bytes)
    return SourceView(url=redact(source.location), sha256=source.sha256, bytes=source.bytes)


def delivery_view(delivery: Delivery) -> DeliveryView:
    """A call as a client sees it."""
    shown = {name: value for name, value in asdict(delivery).items() if name in DeliveryView.model_fields}
    return DeliveryView.model_validate(shown)


def line_view(line: LogLine) -> LogView:
    """A line of a log."""
    return LogView(**asdict(line))
