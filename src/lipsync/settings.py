"""Service settings: LIPSYNC_* variables from the environment, then from a file ``.env``, then the defaults here.

Each entry point loads the settings once and passes plain values on. Nothing else reads the environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lipsync.errors import SettingInvalid

PREFIX = "LIPSYNC_"
GIB = 1 << 30
WEEK = 7 * 86_400  # seconds


class Settings(BaseSettings):
    """All settings with their defaults. Environment variables carry the prefix LIPSYNC_."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    data_dir: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("lipsync", appauthor=False) / "service",
        description="folder for the database, uploads, working files and local results; default: per user",
    )
    models_dir: Path | None = Field(
        None,
        validation_alias=AliasChoices("LIPSYNC_MODELS", "models_dir"),
        description="folder of installed models; unset: per user",
    )
    database_url: str = Field(
        "",
        repr=False,
        description="task database, sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; empty: SQLite in the data "
        "folder",
    )
    broker_url: str = Field(
        "",
        repr=False,
        description="message broker, redis://, rediss://, amqp:// or amqps://; empty: one machine, without a broker, "
        "with a built-in worker",
    )

    host: str = Field("127.0.0.1", description="IP address to listen on")
    port: int = Field(8000, ge=0, le=65_535, description="TCP port to listen on; 0: any free port")
    public_url: str = Field(
        "", description="base URL under which clients reach the service, used in links; empty: http://HOST:PORT"
    )
    keys_required: bool = Field(
        True, description="require an API key for each request; false is accepted on a loopback address only"
    )
    requests_per_minute: int = Field(600, ge=1, description="maximum requests per minute for each API key")
    max_active_tasks: int = Field(100, ge=1, description="maximum queued and running tasks of each API key")
    max_event_streams: int = Field(20, ge=1, description="maximum open event streams of each API key")

    max_upload_bytes: int = Field(10 * GIB, ge=1, description="maximum size of one upload, in bytes")
    upload_quota_bytes: int = Field(
        50 * GIB, ge=1, description="maximum total size of the stored uploads of each API key, in bytes"
    )
    max_input_bytes: int = Field(10 * GIB, ge=1, description="maximum size of one downloaded input, in bytes")
    max_input_seconds: int = Field(4 * 3600, ge=1, description="maximum duration of an input, in seconds")
    max_input_pixels: int = Field(
        12_288 * 12_288, ge=1024, description="maximum size of an input's photo or video frame, in pixels"
    )
    max_decoded_bytes: int = Field(
        2 * GIB, ge=1 << 20, description="maximum memory of a decoded photo, or of 16 frames of a video, in bytes"
    )
    max_scratch_bytes: int = Field(
        20 * GIB, ge=1 << 20, description="maximum size of each temporary file of a task, in bytes"
    )
    max_output_pixels: int = Field(8192 * 4320, ge=1024, description="maximum frame size of a result, in pixels")
    max_input_redirects: int = Field(5, ge=0, description="maximum redirects followed when downloading an input")
    input_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="private hosts and networks that inputs and webhooks may use, separated by commas; empty: public "
        "addresses only",
    )
    input_buckets: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="buckets that s3:// inputs may be read from, separated by commas; empty: none"
    )

    task_timeout: int = Field(7200, ge=1, description="time limit for one attempt at a task, in seconds")
    download_timeout: int | None = Field(
        3600, ge=1, description="time limit for downloading the inputs, in seconds; unset: the task's limit"
    )
    processing_timeout: int | None = Field(
        None, ge=1, description="time limit for the lip-sync, in seconds; unset: the task's limit"
    )
    enhancing_timeout: int | None = Field(
        None, ge=1, description="time limit for enhancing and upscaling, in seconds; unset: the task's limit"
    )
    publish_timeout: int | None = Field(
        3600, ge=1, description="time limit for publishing the results, in seconds; unset: the task's limit"
    )
    kill_grace_seconds: float = Field(
        30, ge=1, description="seconds between reaching a time limit and killing the process that exceeded it"
    )
    lease_seconds: int = Field(
        60, ge=5, description="seconds without a heartbeat after which a worker loses its task to another"
    )
    max_attempts: int = Field(3, ge=1, description="maximum attempts at a task that fails with a retryable error")
    retry_delay_seconds: int = Field(
        10, ge=0, description="seconds before the second attempt; doubled for each further attempt"
    )
    retention_days: float = Field(30, gt=0, description="days after which finished tasks and their results are deleted")
    model_idle_seconds: int = Field(600, ge=0, description="seconds without use after which a model is unloaded")
    gpu: int | None = Field(
        None, ge=0, description="index of the GPU that a worker uses, as shown by nvidia-smi; unset: all GPUs"
    )

    storage: Literal["local", "s3"] = Field("local", description="where results are published")
    storage_folder: Path | None = Field(
        None, description="folder of results with local storage; unset: in the data folder"
    )
    result_key_template: str = Field(
        "{date}/{task}/{engine}{suffix}", description="key (path) of a published result within the storage"
    )
    secret: SecretStr = Field(
        SecretStr(""),
        description="root secret for signing links and webhooks, at least 16 characters; empty: generated on first "
        "start and kept in the data folder",
    )
    url_lifetime: int = Field(WEEK, ge=60, le=WEEK, description="lifetime of links to results, in seconds")
    s3_bucket: str = Field("", description="bucket for results")
    s3_region: str = Field("", description="region of the bucket")
    s3_endpoint: str = Field("", description="URL of an S3-compatible server, such as MinIO; empty: Amazon S3")
    s3_public_endpoint: str = Field(
        "", description="URL of the same server as clients reach it, used in links; empty: LIPSYNC_S3_ENDPOINT"
    )
    s3_access_key: SecretStr = Field(
        SecretStr(""), description="S3 access key ID; empty: boto3's credential chain (profiles, instance roles)"
    )
    s3_secret_key: SecretStr = Field(
        SecretStr(""), description="S3 secret access key; empty: boto3's credential chain (profiles, instance roles)"
    )
    s3_session_token: SecretStr = Field(SecretStr(""), description="session token of temporary S3 credentials")
    s3_public: bool = Field(False, description="return unsigned links, for a bucket with public read access")
    s3_encryption: Literal["", "AES256", "aws:kms"] = Field(
        "", description="server-side encryption; empty: the bucket's default"
    )
    s3_kms_key: str = Field("", description="KMS key ID for aws:kms; empty: the bucket's default key")

    s3_cache_control: str = Field("", description="Cache-Control header of published objects; empty: none")

    log_format: Literal["text", "json"] = Field("text", description="log format: lines of text or JSON objects")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="minimum log level")

    @field_validator("input_allowed_hosts", "input_buckets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(item.strip() for item in value.split(",") if item.strip()) if isinstance(value, str) else value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if url and not url.startswith(("sqlite:", "postgresql+psycopg:", "postgresql:")):
            raise ValueError("must begin with sqlite: or postgresql:")
        return url.replace("postgresql:", "postgresql+psycopg:", 1) if url.startswith("postgresql:") else url

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, url: str) -> str:
        if url and not url.startswith(("redis:", "rediss:", "amqp:", "amqps:")):
            raise ValueError("must begin with redis:, rediss:, amqp: or amqps:")
        return url

    @property
    def database(self) -> str:
        """Database URL in force."""
        return self.database_url or f"sqlite:///{self.data_dir / 'tasks.db'}"

    @property
    def address(self) -> str:
        """Base URL for clients, without a trailing slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")


def load_settings(**overrides: Any) -> Settings:
    """Load the settings; ``overrides`` take precedence. Raises SettingInvalid, which names the first wrong one."""
    try:
        return Settings(**overrides)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        name = "_".join(str(item) for item in first["loc"]).upper().removeprefix(PREFIX)
        raise SettingInvalid(f"{PREFIX}{name}: {first['msg'].removeprefix('Value error, ')}") from exc


@dataclass(frozen=True, slots=True)
class SettingInfo:
    """One setting for people: environment variable, default, accepted values and meaning. Empty text: none."""

    field: str
    variable: str
    default: str
    allowed: str
    description: str


def setting_infos() -> Iterator[SettingInfo]:
    """Describe every setting, in the order of ``Settings``."""
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variable = str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"{PREFIX}{name.upper()}"
        default = "" if field.default_factory is not None else _text(field.default)
        yield SettingInfo(name, variable, default, _allowed(field), field.description or "")


def redacted(value: Any) -> str:
    """Text of a setting's value without secrets: SecretStr and the password of a URL are hidden."""
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    scheme, separator, rest = str(value).partition("://")
    if not separator:
        return _text(value)
    return f"{scheme}://{'…@' if '@' in rest else ''}{rest.rpartition('@')[2]}"


def _allowed(field: FieldInfo) -> str:
    """Accepted values, such as ``1 or more`` or ``text, json``."""
    if choices := [choice for choice in get_args(field.annotation) if isinstance(choice, str)]:
        return ", ".join(choice for choice in choices if choice)
    names = ("ge", "gt", "le")
    bounds = {name: getattr(item, name) for item in field.metadata for name in names if hasattr(item, name)}
    if "le" in bounds:
        return f"{bounds['ge']} to {bounds['le']}"
    return f"{bounds['ge']} or more" if "ge" in bounds else f"more than {bounds['gt']}" if "gt" in bounds else ""


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
