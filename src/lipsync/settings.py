"""The service's settings: from LIPSYNC_* in the environment, else from a file .env, else what is written here.

Built once by a door and handed down as plain values; nothing else reads the environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from lipsync.errors import SettingInvalid

PREFIX = "LIPSYNC_"
GIB = 1 << 30


class Settings(BaseSettings):
    """Every setting with what it is without being set; the names in the environment begin with LIPSYNC_."""

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
        description="folder for the database, uploads, work in progress and local results",
    )
    models_dir: Path | None = Field(
        None, validation_alias=AliasChoices("LIPSYNC_MODELS", "models_dir"), description="folder of weights"
    )
    database_url: str = Field(
        "", repr=False, description="sqlite:///… or postgresql+psycopg://…; empty: SQLite in the data folder"
    )
    broker_url: str = Field(
        "",
        repr=False,
        description="redis://… or amqp://…; empty: one machine, through the data folder, with a worker of its own",
    )

    host: str = Field("127.0.0.1", description="address that the service listens on")
    port: int = Field(8000, ge=0, le=65_535, description="port that the service listens on")
    public_url: str = Field("", description="how clients reach the service, for links; empty: host and port")
    keys_required: bool = Field(True, description="API keys are wanted; false is allowed on a loopback address only")
    requests_per_minute: int = Field(600, ge=1, description="for each key")
    running_tasks: int = Field(100, ge=1, description="tasks of one key that may wait or run at once")
    event_streams: int = Field(20, ge=1, description="event streams of one key that may be open at once")

    upload_bytes: int = Field(10 * GIB, ge=1, description="the largest upload")
    uploads_bytes: int = Field(50 * GIB, ge=1, description="uploads of one key that are kept at once, in all")
    input_bytes: int = Field(10 * GIB, ge=1, description="the largest input that is fetched")
    input_seconds: int = Field(4 * 3600, ge=1, description="the longest input")
    input_pixels: int = Field(8192 * 4320, ge=1024, description="the largest picture")
    input_redirects: int = Field(5, ge=0, description="how often an address may point to another one")
    input_allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="hosts and networks, with commas between, that inputs may come from although they are private"
    )

    input_buckets: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="buckets, with commas between, that s3:// inputs may come from; empty: none"
    )

    task_seconds: int = Field(7200, ge=1, description="the longest that a task may take")
    downloading_seconds: int | None = Field(3600, ge=1, description="the longest that fetching its inputs may take")
    processing_seconds: int | None = Field(None, ge=1, description="the longest for the lip-sync; unset: as the task")
    enhancing_seconds: int | None = Field(None, ge=1, description="the longest for enhancing; unset: as the task")
    uploading_seconds: int | None = Field(3600, ge=1, description="the longest that publishing may take")
    grace_seconds: float = Field(30, ge=1, description="work that goes on so long after a limit is killed")
    lease_seconds: int = Field(60, ge=5, description="a worker that was not heard of for so long has lost its task")
    attempts: int = Field(3, ge=1, description="how often a task is tried, if what stopped it may pass")
    retry_seconds: int = Field(10, ge=0, description="pause before the second attempt, doubled each time")
    retention_days: float = Field(30, gt=0, description="how long finished tasks and their results are kept")
    keep_networks_seconds: int = Field(600, ge=0, description="a network that is unused for so long is unloaded")
    gpu: int | None = Field(None, ge=0, description="the one GPU that a worker uses; unset: all")

    storage: Literal["local", "s3"] = Field("local", description="where results are published")
    storage_folder: Path | None = Field(None, description="for local storage; unset: in the data folder")
    key_template: str = Field("{date}/{task}/{engine}{suffix}", description="where a result lies there")
    secret: SecretStr = Field(
        SecretStr(""), description="what signs links and webhooks is made of it; empty: made once, in the data folder"
    )
    url_lifetime: int = Field(7 * 86_400, ge=60, le=7 * 86_400, description="how long links to results are good")
    s3_bucket: str = Field("", description="bucket of results")
    s3_region: str = Field("", description="its region")
    s3_endpoint: str = Field("", description="of a service other than Amazon's, such as MinIO")
    s3_public_endpoint: str = Field("", description="the same service as clients reach it, for links")
    s3_access_key: SecretStr = Field(SecretStr(""), description="empty: where boto3 finds it")
    s3_secret_key: SecretStr = Field(SecretStr(""), description="empty: where boto3 finds it")
    s3_session_token: SecretStr = Field(SecretStr(""), description="of temporary credentials")
    s3_public: bool = Field(False, description="links without a signature, for a bucket that anybody may read")
    s3_encryption: Literal["", "AES256", "aws:kms"] = Field("", description="encryption by the server")
    s3_kms_key: str = Field("", description="key for aws:kms; empty: the bucket's own")

    log_format: Literal["text", "json"] = Field("text", description="how the service logs")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="from which weight on")

    @field_validator("input_allowed_hosts", "input_buckets", mode="before")
    @classmethod
    def _split(cls, told: object) -> object:
        return tuple(part.strip() for part in told.split(",") if part.strip()) if isinstance(told, str) else told

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, url: str) -> str:
        if url and not url.startswith(("sqlite:", "postgresql+psycopg:", "postgresql:")):
            raise ValueError("has to begin with sqlite: or postgresql:")
        return url.replace("postgresql:", "postgresql+psycopg:", 1) if url.startswith("postgresql:") else url

    @field_validator("broker_url")
    @classmethod
    def _known_broker(cls, url: str) -> str:
        if url and not url.startswith(("redis:", "rediss:", "amqp:", "amqps:")):
            raise ValueError("has to begin with redis:, rediss:, amqp: or amqps:")
        return url

    @property
    def database(self) -> str:
        """The database's address."""
        return self.database_url or f"sqlite:///{self.data_dir / 'tasks.db'}"

    @property
    def address(self) -> str:
        """How clients reach the service, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")


def load_settings(**given: Any) -> Settings:
    """The settings, ``given`` ones first. Raises SettingInvalid, which names the first that is wrong."""
    try:
        return Settings(**given)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False, include_context=False)[0]
        name = "_".join(str(part) for part in first["loc"]).upper().removeprefix(PREFIX)
        raise SettingInvalid(f"{PREFIX}{name}: {first['msg'].removeprefix('Value error, ')}") from exc


def described(settings: Settings) -> Mapping[str, tuple[str, str]]:
    """Each setting's name in the environment, its value with secrets hidden, and what it is for."""
    rows = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        told = alias.choices[0] if isinstance(alias, AliasChoices) else f"{PREFIX}{name.upper()}"
        value = getattr(settings, name)
        hidden = isinstance(value, SecretStr) or "://" in str(value)
        rows[str(told)] = (_hidden(value) if hidden else "" if value is None else str(value), field.description or "")
    return rows


def _hidden(value: Any) -> str:
    """A secret, or an address that may hold a password, fit to be shown."""
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    scheme, _, rest = str(value).partition("://")
    return f"{scheme}://{'…@' if '@' in rest else ''}{rest.rpartition('@')[2]}"
