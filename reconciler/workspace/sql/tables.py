"""The tables, in SQLAlchemy Core and no dialect's own types, so that PostgreSQL can hold them too.

Columns bear the names of the records' fields. Instants are whole microseconds. What the runner
touches at every fire (``timers``, ``holds``, ``fires``) is narrow and lies beside the wide
``schedules``. ``migrations`` must end in exactly these tables; a test compares the two.

``declarations`` holds what owners applied last. Live rows carry a copy of what a plan asks of all
of them: ``declared_revision``, the revision right after that apply (NULL where nothing is
declared), and ``protected``. A row is touched where ``revision <> declared_revision``.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite counts by itself only in a column of type INTEGER.
_COUNTER = BigInteger().with_variant(Integer, "sqlite")
UNFINISHED = "state IN ('NotStarted', 'Running')"
TOUCHED = "revision <> declared_revision"


def _owner() -> tuple[Column[str], Column[str]]:
    return Column("owner_project", Text), Column("owner_target", Text)


def _declared() -> tuple[Column[int], Column[bool]]:
    return (
        Column("declared_revision", Integer),
        Column("protected", Boolean, nullable=False, server_default=false()),
    )


def _index_touched(table: Table) -> None:
    Index(
        f"ix_{table.name}_touched",
        table.c.owner_project,
        table.c.owner_target,
        sqlite_where=text(TOUCHED),
        postgresql_where=text(TOUCHED),
    )


def _source() -> tuple[Column[str] | Column[int], ...]:
    return (
        Column("source_file", Text),
        Column("source_line", Integer),
        Column("source_commit", Text),
        Column("source_author", Text),
        Column("source_committed_at", BigInteger),
    )


blobs = Table(
    "blobs",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

trees = Table(
    "trees",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("entries", Text, nullable=False),
)

pipelines = Table(
    "pipelines",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("spec", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("code_digest", Text, ForeignKey("trees.digest")),
    Column("status", Text, nullable=False),
    Column("disabled_by", Text),
    *_owner(),
    *_source(),
    Column("created_at", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    *_declared(),
    UniqueConstraint("name", "version"),
    UniqueConstraint("name", "digest"),
)
_index_touched(pipelines)

datastores = Table(
    "datastores",
    metadata,
    Column("name", Text, primary_key=True),
    Column("spec", Text, nullable=False),
    *_owner(),
    *_source(),
    Column("created_at", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    *_declared(),
)
_index_touched(datastores)

schedules = Table(
    "schedules",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, index=True),
    Column("spec", Text, nullable=False),
    Column("pipeline_id", Text, ForeignKey("pipelines.id")),
    Column("status", Text, nullable=False),
    Column("disabled_by", Text),
    *_owner(),
    *_source(),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    *_declared(),
)
_index_touched(schedules)
# Counting an owner's schedules reads no row of the wide table.
Index(
    "ix_schedules_counted",
    schedules.c.owner_project,
    schedules.c.owner_target,
    schedules.c.status,
    schedules.c.declared_revision,
)
# A project's names are unique; schedules made through the SDK have no owner and may repeat names.
Index(
    "uq_schedules_managed_name",
    schedules.c.owner_project,
    schedules.c.owner_target,
    schedules.c.name,
    unique=True,
    sqlite_where=text("owner_project IS NOT NULL"),
    postgresql_where=text("owner_project IS NOT NULL"),
)

holds = Table(
    "holds",
    metadata,
    Column("schedule_id", Text, ForeignKey("schedules.id"), primary_key=True),
    Column("who", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger),
    Column("catchup", Text, nullable=False, server_default="skip"),
    sqlite_with_rowid=False,
)

timers = Table(
    "timers",
    metadata,
    Column("schedule_id", Text, ForeignKey("schedules.id"), primary_key=True),
    Column("revision", Integer, nullable=False),
    Column("next_due", BigInteger, index=True),
    Column("processed_to", BigInteger, nullable=False),
    Column("initial", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

experiments = Table(
    "experiments",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
)

applies = Table(
    "applies",
    metadata,
    Column("id", _COUNTER, primary_key=True),
    Column("owner_project", Text, nullable=False),
    Column("owner_target", Text, nullable=False),
    Column("source_commit", Text),
    Column("source_author", Text),
    Column("applied_at", BigInteger, nullable=False),
    Column("summary", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("actor", Text, nullable=False, server_default=""),
    Column("outcome", Text, nullable=False, server_default="applied"),
    Column("error", Text, nullable=False, server_default=""),
    Column("plan_digest", Text, nullable=False, server_default=""),
    Column("approval_digest", Text, nullable=False, server_default=""),
    Column("chain", Text, nullable=False, server_default=""),
)

owners = Table(
    "owners",
    metadata,
    Column("owner_project", Text, primary_key=True),
    Column("owner_target", Text, primary_key=True),
    Column("root_commit", Text),
    Column("project_path", Text, nullable=False, server_default=""),
    Column("source_commit", Text),
    Column("applied_at", BigInteger),
    Column("inputs", Text, nullable=False, server_default=""),
    Column("owned", BigInteger, nullable=False, server_default="0"),
    Column("outside", Text, nullable=False, server_default=""),
    Column("lease_holder", Text),
    Column("lease_fence", BigInteger, nullable=False, server_default="0"),
    Column("lease_until", BigInteger),
)

# By object first: whoever changes hands or is lost is looked for by kind and name.
declarations = Table(
    "declarations",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("owner_project", Text, primary_key=True),
    Column("owner_target", Text, primary_key=True),
    Column("file", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("spec", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("pipeline_id", Text),
    Column("digest", Text),
    Column("code", Text),
    Column("pipeline", Text),
    Column("datastores", Text, nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("revision", Integer, nullable=False),
    Index("ix_declarations_file", "owner_project", "owner_target", "kind", "file"),
    Index("ix_declarations_pipeline", "owner_project", "owner_target", "pipeline"),
    Index(
        "ix_declarations_datastores",
        "owner_project",
        "owner_target",
        sqlite_where=text("datastores <> '[]'"),
        postgresql_where=text("datastores <> '[]'"),
    ),
)

folders = Table(
    "folders",
    metadata,
    Column("owner_project", Text, primary_key=True),
    Column("owner_target", Text, primary_key=True),
    Column("folder", Text, primary_key=True),
    Column("key", Text, nullable=False),
    Column("entries", Text, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("fence", _COUNTER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("node", Text, nullable=False, server_default=""),
)

fires = Table(
    "fires",
    metadata,
    Column("schedule_id", Text, primary_key=True),
    Column("occurrence_key", Text, primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    Column("decided_at", BigInteger, nullable=False),
    Column("decision", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("run_id", Text),
    Column("count", BigInteger, nullable=False),
    Column("facts", Text),
    Column("gate", Text, nullable=False, server_default="due"),
    sqlite_with_rowid=False,
)

runs = Table(
    "runs",
    metadata,
    Column("seq", _COUNTER, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("schedule_id", Text),
    Column("schedule_name", Text, nullable=False),
    Column("occurrence_key", Text, nullable=False),
    Column("pipeline_id", Text, nullable=False),
    Column("experiment_name", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("continue_on_step_failure", Boolean, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("cancel_requested", Text),
    Column("facts", Text),
    Column("fence", BigInteger),
    Column("number", Integer, nullable=False, server_default="1"),
    Column("retry_of", Text),
    Column("retries", Text),
    Column("pool", Text),
    Column("on_unknown", Text, nullable=False, server_default="fail"),
    Column("not_before", BigInteger),
    Column("start_by", BigInteger),
    Column("finish_by", BigInteger),
)
Index(
    "ix_runs_retry_of",
    runs.c.retry_of,
    sqlite_where=text("retry_of IS NOT NULL"),
    postgresql_where=text("retry_of IS NOT NULL"),
)
# Millions of runs are over and a few are not: the index holds only those.
Index(
    "ix_runs_unfinished",
    runs.c.schedule_id,
    sqlite_where=text(UNFINISHED),
    postgresql_where=text(UNFINISHED),
)

attempts = Table(
    "attempts",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("step", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("exit_code", Integer),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("ended_at", BigInteger),
    Column("fence", BigInteger, nullable=False),
    Column("node", Text, nullable=False, server_default=""),
    sqlite_with_rowid=False,
)

pools = Table(
    "pools",
    metadata,
    Column("name", Text, primary_key=True),
    Column("slots", Integer, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("alarm", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("schedule_id", Text),
    Column("run_id", Text),
    Index("ix_alerts_schedule_id_at", "schedule_id", "at"),
)

# How many runs of a schedule have failed in a row.
streaks = Table(
    "streaks",
    metadata,
    Column("schedule_id", Text, primary_key=True),
    Column("failed", Integer, nullable=False),
)

# What concerns the workspace as a whole, such as its epoch.
facts = Table(
    "facts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

watches = Table(
    "watches",
    metadata,
    Column("id", _COUNTER, primary_key=True),
    Column("datastore", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("depth", Text, nullable=False),
    Column("done_marker", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("poll_seq", BigInteger, nullable=False),
    Column("change_seq", BigInteger, nullable=False),
    Column("next_poll", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("place", Text, nullable=False),
    Column("fence", BigInteger),
    UniqueConstraint("datastore", "path", "depth", "done_marker"),
)

# ``existing`` is NULL where the schedule did not ask for the files that were there, 0 until they
# are logged for it, and then the number of the poll that logged them.
cursors = Table(
    "cursors",
    metadata,
    Column("schedule_id", Text, ForeignKey("schedules.id"), primary_key=True),
    Column("watch_id", BigInteger, ForeignKey("watches.id"), nullable=False, index=True),
    Column("cursor", BigInteger, nullable=False),
    Column("existing", BigInteger),
    sqlite_with_rowid=False,
)

# What watches know, in pages as ``reconciler.trigger.snapshot`` writes them; ``first`` is a page's
# first name (see ``pages.key_of``). On SQLite a row of that size is read fastest by its number.
pages = Table(
    "pages",
    metadata,
    Column("watch_id", BigInteger, ForeignKey("watches.id"), primary_key=True),
    Column("first", LargeBinary, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

# To look for the watch of each line would take PostgreSQL as long again as to write it, and whoever
# writes lines has moved their watch in the same transaction.
changes = Table(
    "changes",
    metadata,
    Column("watch_id", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("poll_seq", BigInteger, nullable=False),
    Column("change", Text, nullable=False),
    Column("name", LargeBinary, nullable=False),
    Column("facts", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

polls = Table(
    "polls",
    metadata,
    Column("watch_id", BigInteger, ForeignKey("watches.id"), primary_key=True),
    Column("poll_seq", BigInteger, primary_key=True),
    Column("polled_at", BigInteger, nullable=False),
    Column("listed", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("next_poll", BigInteger, nullable=False),
    Column("added", BigInteger, nullable=False),
    Column("modified", BigInteger, nullable=False),
    Column("deleted", BigInteger, nullable=False),
    Column("waiting", BigInteger, nullable=False),
    Column("took", BigInteger, nullable=False),
    Column("skipped", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("error", Text, nullable=False),
    sqlite_with_rowid=False,
)

# The list of files that a run was made for, compressed.
run_files = Table(
    "run_files",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
