"""Alembic's environment, run within the connection and the transaction of ``migrate``."""

from __future__ import annotations

from alembic import context

from lipsync.tasks.tables import Base

connection = context.config.attributes["connection"]
# SQLite cannot alter most things in place; batch mode rebuilds the table.
context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
