"""The registry: what is declared to run."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


NOW = """
CREATE FUNCTION reconciler_now() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
$$
"""


def upgrade() -> None:
    """Create the tables; where the database has a clock, let it tell the instant."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(NOW)
    op.create_table(
        "trees",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_trees"),
    )
    op.create_table(
        "blobs",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_blobs"),
    )
    op.create_table(
        "pipelines",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("code_digest", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("disabled_by", sa.Text(), nullable=True),
        sa.Column("owner_project", sa.Text(), nullable=True),
        sa.Column("owner_target", sa.Text(), nullable=True),
        sa.Column("source_file", sa.Text(), nullable=True),
        sa.Column("source_line", sa.Integer(), nullable=True),
        sa.Column("source_commit", sa.Text(), nullable=True),
        sa.Column("source_author", sa.Text(), nullable=True),
        sa.Column("source_committed_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_pipelines"),
        sa.ForeignKeyConstraint(["code_digest"], ["trees.digest"], name="fk_pipelines_code_digest"),
        sa.UniqueConstraint("name", "digest", name="uq_pipelines_name_digest"),
        sa.UniqueConstraint("name", "version", name="uq_pipelines_name_version"),
    )
    op.create_table(
        "datastores",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("owner_project", sa.Text(), nullable=True),
        sa.Column("owner_target", sa.Text(), nullable=True),
        sa.Column("source_file", sa.Text(), nullable=True),
        sa.Column("source_line", sa.Integer(), nullable=True),
        sa.Column("source_commit", sa.Text(), nullable=True),
        sa.Column("source_author", sa.Text(), nullable=True),
        sa.Column("source_committed_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_datastores"),
    )
    op.create_table(
        "schedules",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("pipeline_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("disabled_by", sa.Text(), nullable=True),
        sa.Column("owner_project", sa.Text(), nullable=True),
        sa.Column("owner_target", sa.Text(), nullable=True),
        sa.Column("source_file", sa.Text(), nullable=True),
        sa.Column("source_line", sa.Integer(), nullable=True),
        sa.Column("source_commit", sa.Text(), nullable=True),
        sa.Column("source_author", sa.Text(), nullable=True),
        sa.Column("source_committed_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
        sa.ForeignKeyConstraint(["pipeline_id"], ["pipelines.id"], name="fk_schedules_pipeline_id"),
    )
    op.create_index(
        "uq_schedules_managed_name",
        "schedules",
        ["owner_project", "owner_target", "name"],
        unique=True,
        sqlite_where=sa.text("owner_project IS NOT NULL"),
        postgresql_where=sa.text("owner_project IS NOT NULL"),
    )
    op.create_table(
        "holds",
        sa.Column("schedule_id", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("schedule_id", name="pk_holds"),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedules.id"], name="fk_holds_schedule_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "timers",
        sa.Column("schedule_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("next_due", sa.BigInteger(), nullable=True),
        sa.Column("processed_to", sa.BigInteger(), nullable=False),
        sa.Column("initial", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("schedule_id", name="pk_timers"),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedules.id"], name="fk_timers_schedule_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_timers_next_due", "timers", ["next_due"])
    op.create_table(
        "experiments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_experiments"),
        sa.UniqueConstraint("name", name="uq_experiments_name"),
    )
    op.create_table(
        "applies",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("owner_project", sa.Text(), nullable=False),
        sa.Column("owner_target", sa.Text(), nullable=False),
        sa.Column("source_commit", sa.Text(), nullable=True),
        sa.Column("source_author", sa.Text(), nullable=True),
        sa.Column("applied_at", sa.BigInteger(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_applies"),
    )
