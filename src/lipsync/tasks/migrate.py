"""Bringing the database's schema up to date."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, text

from lipsync.errors import SettingInvalid, StorageFailed
from lipsync.tasks.database import PATIENCE, connected, database_errors, parse, writer

LOCK = 7_246_107_352_911  # PostgreSQL's advisory locks are numbers; this one is ours


def migrate(url: str) -> None:
    """Create or change the schema, whole or not at all; of several processes that start at once, one does it.

    Raises SettingInvalid if the address is none or the schema is newer than this program, StorageFailed.
    """
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        _prepare_file(parsed)
    config = Config()
    config.set_main_option("script_location", "lipsync.tasks:migrations")
    with database_errors(), connected(url) as engine, writer(engine).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as exc:
            raise SettingInvalid(f"the task store was made by another version of lipsync: {exc}") from exc


def _prepare_file(url: URL) -> None:
    """The folder, and the write-ahead log, so that readers and the writer do not wait for each other.

    The mode stays with the file. Raises StorageFailed.
    """
    path = Path(str(url.database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    except (OSError, sqlite3.Error) as exc:
        raise StorageFailed(f"{path}: the task store cannot be there: {exc}") from exc
