"""What owners applied last: declarations, folders, leases, and a history that shows tampering."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TOUCHED = sa.text("revision <> declared_revision")
COUNTED = ["owner_project", "owner_target", "status", "declared_revision"]

# What a plan compares, by table. Who changes it by hand need not know about revisions.
COMPARED = {
    "schedules": ("name", "spec", "pipeline_id", "status", "disabled_by"),
    "pipelines": ("name", "spec", "digest", "code_digest", "status", "disabled_by"),
    "datastores": ("name", "spec"),
}
OWNER = ("owner_project", "owner_target")


def upgrade() -> None:
    """Create the tables, widen those that are there, and see to it that no edit is overlooked."""
    for table in COMPARED:
        op.add_column(table, sa.Column("declared_revision", sa.Integer(), nullable=True))
        op.add_column(
            table,
            sa.Column("protected", sa.Boolean(), nullable=False, server_default=sa.false()),
        )
        _index(f"ix_{table}_touched", table, OWNER, TOUCHED)
    op.create_index("ix_schedules_counted", "schedules", COUNTED)
    op.create_index("ix_schedules_name", "schedules", ["name"])
    op.add_column("holds", _text("catchup", "skip"))
    # So they would have ended: time passes over a hold, files wait.
    op.execute(
        "UPDATE holds SET catchup = 'all' WHERE schedule_id IN (SELECT schedule_id FROM cursors)"
    )
    op.add_column("applies", _text("actor"))
    op.add_column("applies", _text("outcome", "applied"))
    for name in ("error", "plan_digest", "approval_digest", "chain"):
        op.add_column("applies", _text(name))
    _create_tables()
    written = {"sqlite": _sqlite_trigger, "postgresql": _postgres_trigger}
    for table, columns in COMPARED.items():
        op.execute(written[op.get_bind().dialect.name](table, (*columns, *OWNER)))


def _text(name: str, default: str = "") -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=default)


def _index(name: str, table: str, columns: tuple[str, ...], where: sa.TextClause) -> None:
    op.create_index(name, table, list(columns), sqlite_where=where, postgresql_where=where)


def _create_tables() -> None:
    op.create_table(
        "owners",
        sa.Column("owner_project", sa.Text(), nullable=False),
        sa.Column("owner_target", sa.Text(), nullable=False),
        sa.Column("root_commit", sa.Text(), nullable=True),
        _text("project_path"),
        sa.Column("source_commit", sa.Text(), nullable=True),
        sa.Column("applied_at", sa.BigInteger(), nullable=True),
        _text("inputs"),
        sa.Column("owned", sa.BigInteger(), nullable=False, server_default="0"),
        _text("outside"),
        sa.Column("lease_holder", sa.Text(), nullable=True),
        sa.Column("lease_fence", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("owner_project", "owner_target", name="pk_owners"),
    )
    op.create_table(
        "declarations",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner_project", sa.Text(), nullable=False),
        sa.Column("owner_target", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("pipeline_id", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("pipeline", sa.Text(), nullable=True),
        sa.Column("datastores", sa.Text(), nullable=False),
        sa.Column("protected", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", *OWNER, name="pk_declarations"),
    )
    op.create_index("ix_declarations_file", "declarations", [*OWNER, "kind", "file"])
    op.create_index("ix_declarations_pipeline", "declarations", [*OWNER, "pipeline"])
    _index("ix_declarations_datastores", "declarations", OWNER, sa.text("datastores <> '[]'"))
    op.create_table(
        "folders",
        sa.Column("owner_project", sa.Text(), nullable=False),
        sa.Column("owner_target", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("entries", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("owner_project", "owner_target", "folder", name="pk_folders"),
    )


def _sqlite_trigger(table: str, columns: tuple[str, ...]) -> str:
    """Give a changed row its next revision where whoever changed it did not."""
    key = "name" if table == "datastores" else "id"
    differs = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in columns)
    # The timer carries a copy of the revision.
    timer = "UPDATE timers SET revision = OLD.revision + 1 WHERE schedule_id = NEW.id;"
    return f"""
    CREATE TRIGGER {table}_revised AFTER UPDATE OF {", ".join(columns)} ON {table}
    WHEN NEW.revision = OLD.revision AND ({differs})
    BEGIN
      UPDATE {table} SET revision = OLD.revision + 1 WHERE {key} = NEW.{key};
      {timer if table == "schedules" else ""}
    END
    """  # noqa: S608  (constants)


def _postgres_trigger(table: str, columns: tuple[str, ...]) -> str:
    differs = " OR ".join(f"NEW.{column} IS DISTINCT FROM OLD.{column}" for column in columns)
    timer = "UPDATE timers SET revision = OLD.revision + 1 WHERE schedule_id = NEW.id;"
    return f"""
    CREATE FUNCTION {table}_revised() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      NEW.revision = OLD.revision + 1;
      {timer if table == "schedules" else ""}
      RETURN NEW;
    END
    $$;
    CREATE TRIGGER {table}_revised BEFORE UPDATE OF {", ".join(columns)} ON {table}
    FOR EACH ROW WHEN (NEW.revision = OLD.revision AND ({differs}))
    EXECUTE FUNCTION {table}_revised()
    """
