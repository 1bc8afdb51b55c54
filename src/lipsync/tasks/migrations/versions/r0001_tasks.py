"""Tasks, their logs, webhook deliveries and API keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    _tasks()
    _log_lines()
    _deliveries()
    _api_keys()


def downgrade() -> None:
    """Drop the tables."""
    for table in ("api_keys", "deliveries", "log_lines", "tasks"):
        op.drop_table(table)


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("video", sa.JSON, nullable=False),
        sa.Column("audio", sa.JSON, nullable=False),
        sa.Column("engines", sa.JSON, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("webhook", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("available_at", MOMENT, nullable=False),
        sa.Column("announced_at", MOMENT),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("max_attempts", sa.BigInteger, nullable=False),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_until", MOMENT),
        sa.Column("cancel_requested", sa.Boolean, nullable=False),
        sa.Column("progress", sa.JSON),
        sa.Column("timings", sa.JSON, nullable=False),
        sa.Column("problem", sa.JSON),
        sa.Column("outputs", sa.JSON, nullable=False),
        sa.Column("performance", sa.JSON),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("idempotency", sa.Text),
        sa.Column("request", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.UniqueConstraint("idempotency", name="uq_tasks_idempotency"),
    )
    op.create_index("ix_tasks_status_available_at", "tasks", ["status", "available_at"])
    op.create_index("ix_tasks_status_finished_at", "tasks", ["status", "finished_at"])
    op.create_index("ix_tasks_key_id_id", "tasks", ["key_id", "id"])


def _log_lines() -> None:
    op.create_table(
        "log_lines",
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("output", sa.Text),
        sa.PrimaryKeyConstraint("task_id", "number", name="pk_log_lines"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_log_lines_task_id_tasks", ondelete="CASCADE"),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("task_id", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("next_at", MOMENT),
        sa.Column("delivered_at", MOMENT),
        sa.Column("last_status", sa.BigInteger),
        sa.Column("last_error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_deliveries_task_id_tasks", ondelete="CASCADE"),
    )
    op.create_index("ix_deliveries_task_id", "deliveries", ["task_id"])
    op.create_index("ix_deliveries_next_at", "deliveries", ["next_at"])


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
