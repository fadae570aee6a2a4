"""What runners that share a ledger need, and what the policies of runs need."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

RETRIED = sa.text("retry_of IS NOT NULL")


def upgrade() -> None:
    """Widen the ledger's tables and create those that are new."""
    op.add_column("sessions", _text("node"))
    op.add_column("watches", sa.Column("fence", sa.BigInteger(), nullable=True))
    op.add_column("fires", _text("gate", "due"))
    op.add_column("attempts", _text("node"))
    op.add_column("runs", sa.Column("number", sa.Integer(), nullable=False, server_default="1"))
    for name in ("retry_of", "retries", "pool"):
        op.add_column("runs", sa.Column(name, sa.Text(), nullable=True))
    op.add_column("runs", _text("on_unknown", "fail"))
    for name in ("not_before", "start_by", "finish_by"):
        op.add_column("runs", sa.Column(name, sa.BigInteger(), nullable=True))
    op.create_index(
        "ix_runs_retry_of", "runs", ["retry_of"], sqlite_where=RETRIED, postgresql_where=RETRIED
    )
    op.create_table(
        "pools",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_pools"),
    )
    op.create_table(
        "alerts",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("alarm", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("schedule_id", sa.Text(), nullable=True),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_alerts"),
    )
    op.create_index("ix_alerts_schedule_id_at", "alerts", ["schedule_id", "at"])
    op.create_table(
        "streaks",
        sa.Column("schedule_id", sa.Text(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("schedule_id", name="pk_streaks"),
    )
    op.create_table(
        "facts",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_facts"),
    )


def _text(name: str, default: str = "") -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=default)
