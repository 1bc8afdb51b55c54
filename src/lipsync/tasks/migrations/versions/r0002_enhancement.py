"""Enhancement, manifest, and keys reserved for publication."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns, NULL for existing tasks."""
    op.add_column("tasks", sa.Column("enhancement", sa.JSON))
    op.add_column("tasks", sa.Column("manifest", sa.JSON))
    op.add_column("tasks", sa.Column("reserved", sa.JSON))


def downgrade() -> None:
    """Drop the columns."""
    op.drop_column("tasks", "reserved")
    op.drop_column("tasks", "manifest")
    op.drop_column("tasks", "enhancement")
