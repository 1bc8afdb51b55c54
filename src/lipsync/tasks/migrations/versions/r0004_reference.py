"""The reference, an optional third input."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column, NULL for existing tasks."""
    op.add_column("tasks", sa.Column("reference", sa.JSON))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("tasks", "reference")
