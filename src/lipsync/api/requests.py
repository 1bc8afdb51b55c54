"""What may be asked for: a new task's sources, engines and options, as they come over the network."""

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

WEB = r"^([Hh][Tt][Tt][Pp][Ss]?|[Ss]3)://[^\s/]+"
WebAddress = Annotated[str, StringConstraints(max_length=8192, pattern=WEB)]
Checksum = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class FromUrl(BaseModel):
    """A file on the web or in S3."""

    model_config = ConfigDict(extra="forbid", strict=True)
    url: WebAddress = Field(description="http, https or s3", examples=["https://example.org/speaker.mp4"])
    sha256: Checksum | None = Field(default=None, description="what comes has to have this checksum")


class FromUpload(BaseModel):
    """A file that was uploaded before, with the same API key."""

    model_config = ConfigDict(extra="forbid", strict=True)
    upload: Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")] = Field(
        description="the upload's id", examples=["0f8fad5bd9cb469fa16570867728950e"]
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
    video: FromUrl | FromUpload = Field(description="a video or a photo with a face")
    audio: FromUrl | FromUpload = Field(description="a sound file, or a video's sound")
    engines: Engines = Field(default_factory=default_engines, description="Engines; the task has one result of each.")
    options: Options = Field(default_factory=Options)
    webhook: WebAddress | None = Field(
        default=None,
        description="http or https; called, signed, when the task has ended",
        examples=["https://example.org/done"],
    )


class EstimateRequest(BaseModel):
    """Footage, of which somebody wants to know how long it would take."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    seconds: float = Field(gt=0, le=86_400, description="length of the sound", examples=[60])
    width: int = Field(ge=16, le=16_384, examples=[1280])
    height: int = Field(ge=16, le=16_384, examples=[720])
    engines: Engines = Field(default_factory=default_engines)
    options: Options = Field(default_factory=Options)


def new_task(wish: TaskRequest, shelf: UploadStore, key_id: str | None, now: datetime) -> NewTask:
    """The wish as the task store takes it. Raises OptionInvalid, AddressForbidden, Refusal for an upload."""
    options = wish.options.model_dump(mode="json")
    check_options(options, wish.engines)
    if wish.webhook is not None:
        parse(wish.webhook)
    return NewTask(
        video=source(wish.video, shelf, key_id, now),
        audio=source(wish.audio, shelf, key_id, now),
        engines=tuple(wish.engines),
        options=options,
        key_id=key_id,
        webhook=wish.webhook,
    )


def source(wish: FromUrl | FromUpload, shelf: UploadStore, key_id: str | None, now: datetime) -> Source:
    """Where the input comes from; an upload's place is told from the folder of uploads on: ``<id>/content``."""
    if isinstance(wish, FromUrl):
        check_address(wish.url)
        return Source("url", wish.url, wish.sha256)
    try:
        upload = shelf.whole(wish.upload, key_id, now)
    except ApiError as exc:
        raise ApiError("upload_unusable", f"{wish.upload}: {exc.detail}") from exc
    shelf.keep(upload)
    return Source("upload", f"{upload.id}/{CONTENT}", upload.sha256, upload.length)


def check_address(url: str) -> None:
    """Raises OptionInvalid, AddressForbidden. Where a name leads is found out when it is fetched."""
    if url[:5].lower() == "s3://":
        bucket_and_key(url)
    else:
        parse(url)
