"""Migrate the database's schema to the current version."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, text

from lipsync.errors import SettingInvalid, StorageFailed
from lipsync.tasks.database import CONNECT_TIMEOUT, database_errors, open_database, parse_url, writing_engine

MIGRATION_LOCK = 7_246_107_352_911  # number of an advisory lock in PostgreSQL


def migrate(url: str) -> None:
    """Create or upgrade the schema in one transaction; concurrent processes wait for the first one.

    Raises SettingInvalid if the URL is invalid or the schema is newer than this program, StorageFailed.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        _prepare_file(parsed)
    config = Config()
    config.set_main_option("script_location", "lipsync.tasks:migrations")
    with database_errors(), open_database(url) as engine, writing_engine(engine).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as exc:
            raise SettingInvalid(f"the task store was created by another version of lipsync: {exc}") from exc


def _prepare_file(url: URL) -> None:
    """Create the folder, and enable write-ahead logging, so that readers and the writer do not block each other.

    The journal mode is stored in the file. Raises StorageFailed.
    """
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=CONNECT_TIMEOUT)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    except (OSError, sqlite3.Error) as exc:
        raise StorageFailed(f"{path}: cannot create the task store: {exc}") from exc
