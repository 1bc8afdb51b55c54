"""The tables, the same in SQLite and PostgreSQL."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Enum, ForeignKey, Index, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from lipsync.tasks.task import Status

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Words(TypeDecorator[str]):
    """Text. NUL and halves of surrogate pairs, which no database takes, become U+FFFD: logs hold names of any file."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else UNSTORABLE.sub("\ufffd", value)


class Moment(TypeDecorator[datetime]):
    """An aware time, in UTC. SQLite keeps no time zone, so it is taken away on the way in and put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Words(),
        int: BigInteger(),
        datetime: Moment(),
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        Status: Enum(
            Status, native_enum=False, length=16, values_callable=lambda names: [name.value for name in names]
        ),
    }


class TaskRow(Base):
    """A task. ``idempotency`` and ``request`` are checksums: of the caller's key, and of what was asked for."""

    __tablename__ = "tasks"

    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[Status]
    video: Mapped[dict[str, Any]]
    audio: Mapped[dict[str, Any]]
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
    problem: Mapped[dict[str, Any] | None]
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
    """A line of a task's log; numbered within the task."""

    __tablename__ = "log_lines"

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    level: Mapped[str]
    message: Mapped[str]
    output: Mapped[str | None]


class DeliveryRow(Base):
    """A webhook call; it goes with its task."""

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
    """An API key; of its secret only the SHA-256, which 256 bits of chance need no salt for."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    prefix: Mapped[str]
    digest: Mapped[str]
    scopes: Mapped[list[Any]]
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
