"""The JSON forms of tasks and uploads. Credentials and signatures in URLs are removed; links to results are fresh."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field

from lipsync.net.url import redact
from lipsync.pipeline.job import EnhanceStatus
from lipsync.storage.base import Storage
from lipsync.tasks.task import Delivery, EnhancementRecord, LogLine, Manifest, Source, Status, Task

TaskId = Annotated[str, Field(description="The task's ID.", examples=["0192f0c18a2b7c3d9e4f5a6b7c8d9e0f"])]
Bytes = Annotated[int, Field(description="Size in bytes.")]
Sha256 = Annotated[str, Field(description="SHA-256 in hexadecimal.")]
FreshLink = Annotated[str, Field(description="A fresh link to the file. It may expire.")]


class SourceView(BaseModel):
    """An input. Either `url` or `upload` is set."""

    url: str | None = Field(default=None, description="URL without credentials and query.")
    upload: str | None = Field(default=None, description="ID of the upload.")
    sha256: str | None = Field(default=None, description="SHA-256 in hexadecimal, once known.")
    bytes: int | None = Field(default=None, description="Size in bytes, once known.")


class AdaptedView(BaseModel):
    """The adaptation to the person: its footage, and how much closer the motion came to the person's own motion."""

    seconds: float = Field(description="Seconds of speech that it learned from.")
    opening_gain: float = Field(description="Gain in Pearson's r of the lip opening, on footage left out.")
    width_gain: float = Field(description="Gain in Pearson's r of the mouth's width, on footage left out.")


class OutputView(BaseModel):
    """A published result."""

    engine: str = Field(description="The engine that made it.", examples=["rewrite"])
    variant: str = Field(
        description="`final`; `plain`, the result before enhancement; or the name of an offset copy.",
        examples=["final"],
    )
    key: str = Field(description="Key of the file in the storage.")
    url: FreshLink
    size: Bytes
    sha256: Sha256
    width: int = Field(description="Width in pixels.")
    height: int = Field(description="Height in pixels.")
    duration: float = Field(description="Duration in seconds.")
    adapted: AdaptedView | None = Field(
        default=None, description="What the engine learned about the person; null if nothing."
    )


class ProgressView(BaseModel):
    """The progress of the current stage."""

    stage: str = Field(description="The current stage.", examples=["synthesise"])
    done: int = Field(description="Completed units: frames, or bytes of a transfer.")
    total: int | None = Field(description="Total units; null if unknown.")


class ErrorView(BaseModel):
    """Why the task, or its previous attempt, failed."""

    code: str = Field(description="Stable code of the error.", examples=["no_face_found"])
    message: str = Field(description="What went wrong, for people.")
    retryable: bool = Field(description="Whether another attempt may succeed.")


class EnhancementView(BaseModel):
    """The enhancement of the result. If it fails, the task still completes, with the `plain` output."""

    status: EnhanceStatus = Field(description="The enhancement's status; `skipped` if none was requested or needed.")
    started_at: datetime | None = Field(description="When the enhancement started (UTC).")
    finished_at: datetime | None = Field(description="When the enhancement ended (UTC).")
    error: ErrorView | None = Field(description="Why the enhancement failed.")


class ManifestView(BaseModel):
    """The published manifest: a JSON file with the inputs, options, results and versions."""

    key: str = Field(description="Key of the file in the storage.")
    url: FreshLink
    size: Bytes
    sha256: Sha256


class PerformanceView(BaseModel):
    """Time and memory used. GPU memory is null without a GPU."""

    wall_seconds: float = Field(description="Elapsed time in seconds.")
    frames: int = Field(description="Number of frames.")
    rate: float = Field(description="Frames per second.")
    peak_memory: int = Field(description="Peak memory of the process in bytes.")
    vram_peak: int | None = Field(description="Peak GPU memory in bytes.")
    vram_mean: int | None = Field(description="Mean GPU memory in bytes.")
    vram_total: int | None = Field(description="Total GPU memory in bytes.")


class TaskView(BaseModel):
    """A task at the time of the response. Times are UTC."""

    id: TaskId
    status: Status = Field(description="The task's status.")
    video: SourceView = Field(description="The video or photo.")
    audio: SourceView = Field(description="The audio.")
    reference: SourceView | None = Field(description="Another video of the person; null if there is none.")
    engines: list[str] = Field(description="The requested engines.", examples=[["rewrite"]])
    options: dict[str, Any] = Field(description="The options, with defaults filled in.")
    webhook: str | None = Field(description="Webhook URL, without credentials and query.")
    created_at: datetime = Field(description="When the task was created.")
    updated_at: datetime = Field(description="When the task last changed.")
    available_at: datetime = Field(description="Earliest start of the next attempt.")
    started_at: datetime | None = Field(description="When a worker first started the task.")
    finished_at: datetime | None = Field(description="When the task ended.")
    attempts: int = Field(description="Number of attempts so far.")
    max_attempts: int = Field(description="Maximum number of attempts.")
    lease_owner: str | None = Field(description="The worker that runs the task.")
    lease_until: datetime | None = Field(description="When the worker's lease expires unless renewed.")
    cancel_requested: bool = Field(description="Whether cancellation was requested.")
    progress: ProgressView | None = Field(description="Progress of the current stage.")
    timings: dict[str, float] = Field(description="Seconds per stage.")
    error: ErrorView | None = Field(description="Why the task, or its previous attempt, failed.")
    outputs: list[OutputView] = Field(description="The results published so far.")
    enhancement: EnhancementView = Field(description="The enhancement of the result.")
    manifest: ManifestView | None = Field(description="The manifest, once the task has completed.")
    performance: PerformanceView | None = Field(description="Time and memory used, once the task has completed.")
    revision: int = Field(description="Increases with every change.")


class TaskPage(BaseModel):
    """A page of tasks, newest first."""

    tasks: list[TaskView] = Field(description="The tasks.")
    next_cursor: str | None = Field(description="Cursor of the next page; null on the last page.")


class LogView(BaseModel):
    """A line of a task's log."""

    number: int = Field(description="Number of the line; increases within the task.")
    at: datetime = Field(description="When the line was written (UTC).")
    level: str = Field(description="Log level.", examples=["INFO"])
    message: str = Field(description="Text of the line.")
    output: str | None = Field(description="The engine that the line is about.")


class LogPage(BaseModel):
    """Log lines in order. For the next lines, pass the last number as `after`."""

    lines: list[LogView] = Field(description="The lines.")


class DeliveryView(BaseModel):
    """A call to the task's webhook."""

    id: str = Field(description="ID of the call, also sent in its header `Lipsync-Delivery`.")
    event: str = Field(description="The event that the call reports.", examples=["task.completed"])
    attempts: int = Field(description="Number of attempts so far.")
    created_at: datetime = Field(description="When the call was queued (UTC).")
    next_at: datetime | None = Field(description="When the next attempt is due; null if there is none.")
    delivered_at: datetime | None = Field(description="When the call succeeded.")
    last_status: int | None = Field(description="HTTP status of the last response.")
    last_error: str | None = Field(description="Why the last attempt failed.")


class DeliveryPage(BaseModel):
    """All calls to a task's webhook, in order."""

    deliveries: list[DeliveryView] = Field(description="The calls.")


class UploadView(BaseModel):
    """A complete upload. Use its ID as `upload` in a new task."""

    id: str = Field(description="The upload's ID.", examples=["0f8fad5bd9cb469fa16570867728950e"])
    bytes: Bytes
    sha256: Sha256


CONVERTED = ("error", "outputs", "webhook", "enhancement", "manifest")  # fields that are not copied from the task


def to_view(task: Task, storage: Storage) -> TaskView:
    """Convert a task to its JSON form. Raises SettingInvalid if the storage cannot create links."""
    fields = {name: getattr(task, name) for name in TaskView.model_fields if name not in CONVERTED}
    fields |= {
        "video": source_view(task.video),
        "audio": source_view(task.audio),
        "reference": None if task.reference is None else source_view(task.reference),
        "engines": list(task.engines),
        "options": dict(task.options),
        "timings": dict(task.timings),
        "progress": None if task.progress is None else asdict(task.progress),
        "performance": None if task.performance is None else asdict(task.performance),
    }
    return TaskView(
        **fields,
        webhook=None if task.webhook is None else redact(task.webhook),
        error=None if task.error is None else ErrorView(**asdict(task.error)),
        outputs=[OutputView(**asdict(output) | {"url": storage.url(output.key)}) for output in task.outputs],
        enhancement=enhancement_view(task.enhancement),
        manifest=manifest_view(task.manifest, storage),
    )


def manifest_view(manifest: Manifest | None, storage: Storage) -> ManifestView | None:
    """Convert a manifest to its JSON form, with a fresh link."""
    return None if manifest is None else ManifestView(**asdict(manifest) | {"url": storage.url(manifest.key)})


def enhancement_view(enhancement: EnhancementRecord) -> EnhancementView:
    """Convert an enhancement to its JSON form."""
    return EnhancementView(
        status=enhancement.status,
        started_at=enhancement.started_at,
        finished_at=enhancement.finished_at,
        error=None if enhancement.error is None else ErrorView(**asdict(enhancement.error)),
    )


def source_view(source: Source) -> SourceView:
    """Convert an input to its JSON form, without the secrets in its URL."""
    if source.kind == "upload":
        return SourceView(upload=source.location.partition("/")[0], sha256=source.sha256, bytes=source.bytes)
    return SourceView(url=redact(source.location), sha256=source.sha256, bytes=source.bytes)


def delivery_view(delivery: Delivery) -> DeliveryView:
    """Convert a webhook call to its JSON form."""
    fields = {name: value for name, value in asdict(delivery).items() if name in DeliveryView.model_fields}
    return DeliveryView.model_validate(fields)


def log_view(line: LogLine) -> LogView:
    """Convert a log line to its JSON form."""
    return LogView(**asdict(line))
