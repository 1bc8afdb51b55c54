"""Request bodies: a new task's inputs, engines and options."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from lipsync.api.errors import ApiError
from lipsync.api.option_model import Engines, Options, default_engines
from lipsync.api.upload_store import CONTENT, UploadStore
from lipsync.net.s3 import bucket_and_key
from lipsync.net.url import parse
from lipsync.tasks.options import check_options
from lipsync.tasks.task import NewTask, Source

WEB_OR_S3 = r"^([Hh][Tt][Tt][Pp][Ss]?|[Ss]3)://[^\s/]+"
WebAddress = Annotated[str, StringConstraints(max_length=8192, pattern=WEB_OR_S3)]
Checksum = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class FromUrl(BaseModel):
    """A file on the web or in S3."""

    model_config = ConfigDict(extra="forbid", strict=True)
    url: WebAddress = Field(
        description="Address of the file: http, https or s3.", examples=["https://example.org/speaker.mp4"]
    )
    sha256: Checksum | None = Field(default=None, description="Checksum that the file must have.")


class FromUpload(BaseModel):
    """A complete upload made with the same API key."""

    model_config = ConfigDict(extra="forbid", strict=True)
    upload: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] = Field(
        description="ID of the upload.", examples=["0f8fad5bd9cb469fa16570867728950e"]
    )


class TaskRequest(BaseModel):
    """A new task."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [
                {
                    "video": {"url": "https://example.org/speaker.mp4"},
                    "audio": {"url": "https://example.org/voice.wav"},
                    "engines": ["rewrite"],
                    "options": {"crf": 20},
                }
            ]
        },
    )
    video: FromUrl | FromUpload = Field(description="Video or photo of a face.")
    audio: FromUrl | FromUpload = Field(description="Audio file, or video with audio.")
    reference: FromUrl | FromUpload | None = Field(
        default=None,
        description="Another video in which the same person talks, for the engine `rewrite` to learn from.",
    )
    engines: Engines = Field(default_factory=default_engines, description="Engines; the task has one result of each.")
    options: Options = Field(default_factory=Options, description="Options of the task.")
    webhook: WebAddress | None = Field(
        default=None,
        description="Address for a signed call when the task ends: http or https.",
        examples=["https://example.org/done"],
    )


class EstimateRequest(BaseModel):
    """The size of a task whose duration is to be estimated."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    seconds: float = Field(gt=0, le=86_400, description="Duration of the audio in seconds.", examples=[60])
    width: int = Field(ge=16, le=16_384, description="Width of the video in pixels.", examples=[1280])
    height: int = Field(ge=16, le=16_384, description="Height of the video in pixels.", examples=[720])
    engines: Engines = Field(default_factory=default_engines, description="Engines of the task.")
    options: Options = Field(default_factory=Options, description="Options of the task.")


def new_task(request: TaskRequest, uploads: UploadStore, key_id: str | None, now: datetime) -> NewTask:
    """Check a request and return the task to store. Raises OptionInvalid, AddressForbidden, ApiError for an upload."""
    options = request.options.model_dump(mode="json")
    check_options(options, request.engines)
    if request.webhook is not None:
        parse(request.webhook)
    return NewTask(
        video=source(request.video, uploads, key_id, now),
        audio=source(request.audio, uploads, key_id, now),
        engines=tuple(request.engines),
        options=options,
        key_id=key_id,
        webhook=request.webhook,
        reference=None if request.reference is None else source(request.reference, uploads, key_id, now),
    )


def source(given: FromUrl | FromUpload, uploads: UploadStore, key_id: str | None, now: datetime) -> Source:
    """The source of an input; an upload's location is relative to the folder of uploads: ``<id>/content``."""
    if isinstance(given, FromUrl):
        check_address(given.url)
        return Source("url", given.url, given.sha256)
    try:
        upload = uploads.get_complete(given.upload, key_id, now)
    except ApiError as exc:
        raise ApiError("upload_unusable", f"upload {given.upload} cannot be used: {exc.detail}") from exc
    uploads.touch(upload)
    return Source("upload", f"{upload.id}/{CONTENT}", upload.sha256, upload.length)


def check_address(url: str) -> None:
    """Raise OptionInvalid or AddressForbidden for a bad address. Host names are resolved when the file is fetched."""
    if url[:5].lower() == "s3://":
        bucket_and_key(url)
    else:
        parse(url)
