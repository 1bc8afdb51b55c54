"""Database tables, identical in SQLite and PostgreSQL."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Enum, ForeignKey, Index, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from lipsync.tasks.task import Status

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class SafeText(TypeDecorator[str]):
    """Text in which U+FFFD replaces NUL and lone surrogates: databases reject them, and file names may hold them."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else UNSTORABLE.sub("\ufffd", value)


class UtcDateTime(TypeDecorator[datetime]):
    """A timezone-aware time in UTC. SQLite stores no time zone: it is removed on writing and restored on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("datetime: missing time zone")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: SafeText(),
        int: BigInteger(),
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        Status: Enum(
            Status, native_enum=False, length=16, values_callable=lambda statuses: [status.value for status in statuses]
        ),
    }


class TaskRow(Base):
    """A task. ``idempotency`` and ``request`` are SHA-256 digests of the idempotency key and of the request."""

    __tablename__ = "tasks"

    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[Status]
    video: Mapped[dict[str, Any]]
    audio: Mapped[dict[str, Any]]
    reference: Mapped[dict[str, Any] | None]
    engines: Mapped[list[Any]]
    options: Mapped[dict[str, Any]]
    key_id: Mapped[str | None]
    webhook: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    available_at: Mapped[datetime]
    announced_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    attempts: Mapped[int]
    max_attempts: Mapped[int]
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    cancel_requested: Mapped[bool]
    progress: Mapped[dict[str, Any] | None]
    timings: Mapped[dict[str, Any]]
    error: Mapped[dict[str, Any] | None] = mapped_column("problem")
    outputs: Mapped[list[Any]]
    performance: Mapped[dict[str, Any] | None]
    enhancement: Mapped[dict[str, Any] | None]
    manifest: Mapped[dict[str, Any] | None]
    reserved: Mapped[list[Any] | None]
    revision: Mapped[int]
    idempotency: Mapped[str | None] = mapped_column(unique=True)
    request: Mapped[str]

    __table_args__ = (
        Index(None, "status", "available_at"),
        Index(None, "status", "finished_at"),
        Index(None, "key_id", "id"),
    )


class LogRow(Base):
    """A line of a task's log, numbered within the task."""

    __tablename__ = "log_lines"

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    level: Mapped[str]
    message: Mapped[str]
    output: Mapped[str | None]


class DeliveryRow(Base):
    """A webhook call, deleted with its task."""

    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    url: Mapped[str]
    event: Mapped[str]
    body: Mapped[str]
    attempts: Mapped[int]
    created_at: Mapped[datetime]
    next_at: Mapped[datetime | None] = mapped_column(index=True)
    delivered_at: Mapped[datetime | None]
    last_status: Mapped[int | None]
    last_error: Mapped[str | None]


class KeyRow(Base):
    """An API key with the SHA-256 of its secret; 256 random bits need no salt."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str]
    digest: Mapped[str]
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
