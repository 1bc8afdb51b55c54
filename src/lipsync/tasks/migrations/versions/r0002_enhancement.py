"""What became of the step after the lip-sync, where the manifest is, and what may have been published."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns; tasks of before have none of them."""
    op.add_column("tasks", sa.Column("enhancement", sa.JSON))
    op.add_column("tasks", sa.Column("manifest", sa.JSON))
    op.add_column("tasks", sa.Column("reserved", sa.JSON))


def downgrade() -> None:
    """Take the columns away."""
    op.drop_column("tasks", "reserved")
    op.drop_column("tasks", "manifest")
    op.drop_column("tasks", "enhancement")
