"""Watches of more than a directory, on any store: snapshots in pages, facts that stores word."""

from itertools import groupby, islice

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
# Those that refer to another one come before it.
TABLES = ("cursors", "files", "changes", "polls", "watches")
PAGE = 128

FACTS = "size || ' ' || mtime_ns || '@' || inode"
AS_BYTES = {"sqlite": f"CAST({FACTS} AS BLOB)", "postgresql": f"convert_to({FACTS}, 'UTF8')"}


def upgrade() -> None:
    """Make the tables of watches anew, and fill them from what the old ones hold."""
    bind = op.get_bind()
    for table in TABLES:
        op.execute(f"CREATE TABLE old_{table} AS SELECT * FROM {table}")  # noqa: S608  (constants)
        op.drop_table(table)
    _create_tables()
    facts = AS_BYTES[bind.dialect.name]
    for statement in (WATCHES, CURSORS, CHANGES.format(facts=facts), POLLS):
        op.execute(statement)
    _write_pages(bind, facts)
    for table in TABLES:
        op.drop_table(f"old_{table}")
    if bind.dialect.name == "postgresql":
        op.execute("SELECT setval(pg_get_serial_sequence('watches', 'id'), max(id)) FROM watches")
        # To compress the pages takes five times as long as to write them.
        op.execute("ALTER TABLE pages ALTER COLUMN content SET STORAGE EXTERNAL")


WATCHES = """
INSERT INTO watches (id, datastore, path, depth, done_marker, state, poll_seq, change_seq,
  next_poll, failures, place, fence)
SELECT id, datastore, path, 'directory', '', state, poll_seq, change_seq, next_poll, failures, '',
  fence FROM old_watches
"""
CURSORS = """
INSERT INTO cursors (schedule_id, watch_id, cursor)
SELECT schedule_id, watch_id, cursor FROM old_cursors
"""
CHANGES = """
INSERT INTO changes (watch_id, seq, poll_seq, change, name, facts)
SELECT watch_id, seq, poll_seq, change, name, {facts} FROM old_changes
"""
# The log tells what a poll's changes were. What it has no line of any more, because it was being
# pruned, was one thing or another: it counts as modified, so that no change is lost from the sum.
POLLS = """
INSERT INTO polls (watch_id, poll_seq, polled_at, listed, state, next_poll, added, modified,
  deleted, waiting, took, skipped, note, error)
SELECT watch_id, poll_seq, polled_at, listed, state, next_poll, coalesce(added, 0),
  changed - coalesce(added, 0) - coalesce(deleted, 0), coalesce(deleted, 0), 0, 0, 0, note, error
FROM old_polls LEFT JOIN (
  SELECT watch_id AS watch, poll_seq AS poll, sum(CASE change WHEN 'added' THEN 1 ELSE 0 END)
    AS added, sum(CASE change WHEN 'deleted' THEN 1 ELSE 0 END) AS deleted
  FROM old_changes GROUP BY watch_id, poll_seq) AS logged
  ON watch = watch_id AND poll = poll_seq
"""


def _create_tables() -> None:
    op.create_table(
        "watches",
        sa.Column("id", COUNTER, nullable=False),
        sa.Column("datastore", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("depth", sa.Text(), nullable=False),
        sa.Column("done_marker", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("poll_seq", sa.BigInteger(), nullable=False),
        sa.Column("change_seq", sa.BigInteger(), nullable=False),
        sa.Column("next_poll", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_watches"),
        sa.UniqueConstraint(
            *("datastore", "path", "depth", "done_marker"),
            name="uq_watches_datastore_path_depth_done_marker",
        ),
    )
    op.create_table(
        "cursors",
        sa.Column("schedule_id", sa.Text(), nullable=False),
        sa.Column("watch_id", sa.BigInteger(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("existing", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("schedule_id", name="pk_cursors"),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedules.id"], name="fk_cursors_schedule_id"),
        _of_watch("cursors"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_cursors_watch_id", "cursors", ["watch_id"])
    op.create_table(
        "pages",
        sa.Column("watch_id", sa.BigInteger(), nullable=False),
        sa.Column("first", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("watch_id", "first", name="pk_pages"),
        _of_watch("pages"),
    )
    op.create_table(
        "changes",
        sa.Column("watch_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("poll_seq", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.Text(), nullable=False),
        sa.Column("name", sa.LargeBinary(), nullable=False),
        sa.Column("facts", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("watch_id", "seq", name="pk_changes"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "polls",
        sa.Column("watch_id", sa.BigInteger(), nullable=False),
        sa.Column("poll_seq", sa.BigInteger(), nullable=False),
        sa.Column("polled_at", sa.BigInteger(), nullable=False),
        sa.Column("listed", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("next_poll", sa.BigInteger(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("modified", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=False),
        sa.Column("waiting", sa.BigInteger(), nullable=False),
        sa.Column("took", sa.BigInteger(), nullable=False),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("watch_id", "poll_seq", name="pk_polls"),
        _of_watch("polls"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "run_files",
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_run_files"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_files_run_id"),
    )


def _of_watch(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["watch_id"], ["watches.id"], name=f"fk_{table}_watch_id")


def _write_pages(bind: sa.Connection, facts: str) -> None:
    """Write the files of each watch as pages; one page at a time is in memory."""
    files = bind.execute(
        sa.text(f"SELECT watch_id, name, {facts} FROM old_files ORDER BY watch_id, name"),  # noqa: S608  (a constant)
        execution_options={"stream_results": True},
    )
    insert = sa.text("INSERT INTO pages (watch_id, first, content) VALUES (:watch, :first, :page)")
    for watch, found in groupby(files, key=lambda file: file[0]):
        while page := [(bytes(name), bytes(told)) for _, name, told in islice(found, PAGE)]:
            content = b"\0\0".join(b"\0".join(column) for column in zip(*page, strict=True))
            bind.execute(insert, {"watch": watch, "first": page[0][0], "page": content})
