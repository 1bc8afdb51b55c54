"""Current names of the options."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

NEW_NAMES = {"faithful": "original", "select": "face_select"}
OLD_NAMES = {new: old for old, new in NEW_NAMES.items()}
tasks = sa.table("tasks", sa.column("id", sa.Text), sa.column("options", sa.JSON))


def upgrade() -> None:
    """Rename the options of stored tasks, so that queued ones still run and failed ones can be retried."""
    _rename(NEW_NAMES)


def downgrade() -> None:
    """Restore the old names."""
    _rename(OLD_NAMES)


def _rename(names: Mapping[str, str]) -> None:
    connection = op.get_bind()
    for row in connection.execute(sa.select(tasks)).all():
        options = {names.get(name, name): value for name, value in row.options.items()}
        if options != row.options:
            connection.execute(tasks.update().where(tasks.c.id == row.id).values(options=options))
