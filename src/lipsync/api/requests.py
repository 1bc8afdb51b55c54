"""What may be asked for: a new task's sources, engines and options, as they come over the network."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from lipsync.api.errors import ApiError
from lipsync.api.upload_store import CONTENT, UploadStore
from lipsync.engines import check_choice
from lipsync.net.s3 import bucket_and_key
from lipsync.net.url import parse
from lipsync.tasks.options import check_options
from lipsync.tasks.task import NewTask, Source

WEB = r"^([Hh][Tt][Tt][Pp][Ss]?|[Ss]3)://[^\s/]+"
Engine = Literal["rewrite", "wav2lip", "wav2lip-gan", "hybrid", "passthrough"]
Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]  # fmt: skip
Encode = Literal[
    "fast", "q17", "q20", "small", "hevc", "av1", "prores", "lossless", "nvenc", "hevc-nvenc", "av1-nvenc", "qsv",
    "hevc-qsv", "av1-qsv", "amf", "hevc-amf", "videotoolbox", "hevc-videotoolbox",
]  # fmt: skip
Named = Annotated[str, StringConstraints(min_length=1, max_length=64)]
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


class Options(BaseModel):
    """How the task is done. Everything has a default."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    original: bool = Field(
        default=False, description="wav2lip engines: step by step as the original did it, faults included"
    )
    face_select: Literal["largest", "left", "right", "centre"] = Field(
        default="largest", description="whose mouth, of several"
    )
    encode: Encode = Field(default="fast", description="a named encoding; hardware's only where the worker has it")
    crf: int | None = Field(default=None, ge=0, le=51, description="quality in its place, lower is better")
    codec: Literal["libx264", "libx265", "libsvtav1"] | None = Field(default=None, description="encoder in its place")
    preset: Preset | None = Field(default=None, description="how much time it takes to make the file small")
    detail: float = Field(
        default=1, ge=0, le=1, description="wav2lip engines: how much of the footage's texture the mouth gets"
    )
    enhance: Named | None = Field(
        default=None,
        description="NAME or NAME:STRENGTH: make the new mouth sharper; how much of it is shown, 0 to 1",
        examples=["gfpgan-1.4:0.8"],
    )
    fidelity: float = Field(default=0.7, ge=0, le=1, description="codeformer: near to the face, or beautiful")
    upscale: Named | None = Field(
        default=None, description="2 or 4, or 2:NAME: make the picture larger", examples=["2"]
    )
    offset_copies: list[Annotated[int, Field(ge=-120, le=120)]] = Field(
        default=[],
        max_length=8,
        description="copies whose mouth is so many milliseconds later than the sound, beside the exact one",
        examples=[[-80, 80]],
    )
    photo_rate: float = Field(default=25, ge=1, le=120, description="frames/s made of a photo")
    av_offset: int = Field(
        default=0, ge=-5000, le=5000, description="milliseconds by which the mouth is later than the sound"
    )
    resize_factor: int = Field(
        default=1, ge=1, le=16, description="how many times smaller the result is than the footage"
    )
    allow_clipped: bool = Field(default=False, description="use sound that is badly distorted")


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
    engines: list[Engine] = Field(default=["rewrite"], min_length=1, max_length=4, description="one result of each")
    options: Options = Field(default_factory=lambda: Options())
    webhook: WebAddress | None = Field(
        default=None,
        description="http or https; called, signed, when the task has ended",
        examples=["https://example.org/done"],
    )

    @model_validator(mode="after")
    def _once_each(self) -> TaskRequest:
        if len(set(self.engines)) < len(self.engines):
            raise ValueError("each engine can be asked for once")
        return self


class EstimateRequest(BaseModel):
    """Footage, of which somebody wants to know how long it would take."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    seconds: float = Field(gt=0, le=86_400, description="length of the sound", examples=[60])
    width: int = Field(ge=16, le=16_384, examples=[1280])
    height: int = Field(ge=16, le=16_384, examples=[720])
    engines: list[Engine] = Field(default=["rewrite"], min_length=1, max_length=4)
    options: Options = Field(default_factory=Options)


def new_task(wish: TaskRequest, shelf: UploadStore, key_id: str | None, now: datetime) -> NewTask:
    """The wish as the task store takes it. Raises OptionInvalid, AddressForbidden, Refusal for an upload."""
    from lipsync.engines.base import EngineOptions

    check_choice(wish.engines, EngineOptions(original=wish.options.original))
    check_options(wish.options.model_dump(mode="json"))
    if wish.webhook is not None:
        parse(wish.webhook)
    return NewTask(
        video=source(wish.video, shelf, key_id, now),
        audio=source(wish.audio, shelf, key_id, now),
        engines=tuple(wish.engines),
        options=wish.options.model_dump(mode="json"),
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
