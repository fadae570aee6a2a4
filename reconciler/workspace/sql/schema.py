"""Which schema a workspace has, asked with one statement and without Alembic."""

from __future__ import annotations

import sqlite3

from reconciler.errors import SchemaMismatch, WorkspaceError

# Oldest first. A test holds this list and the files in migrations/versions together, so that
# opening a workspace need not load Alembic.
REVISIONS = ("0001", "0002", "0003")
HEAD = REVISIONS[-1]


def known_revision(raw: sqlite3.Connection, path: str) -> str:
    """Give the schema's revision.

    Raises:
        SchemaMismatch: a newer program wrote it.
        WorkspaceError: it is not a workspace.
    """
    try:
        row = raw.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.OperationalError as error:
        if raw.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            raise
        raise WorkspaceError(f"{path} is a database but not a workspace") from error
    revision = row and row[0]
    if revision not in REVISIONS:
        raise SchemaMismatch(
            f"{path} has schema {revision}, which was written by a newer version of reconciler: "
            "install that version"
        )
    return str(revision)


def check(raw: sqlite3.Connection, path: str) -> None:
    """Refuse a workspace that another version of this program wrote.

    Raises:
        SchemaMismatch: it is older and must be migrated, or newer.
        WorkspaceError: it is not a workspace.
    """
    revision = known_revision(raw, path)
    if revision != HEAD:
        raise SchemaMismatch(
            f"{path} has schema {revision} and this program needs {HEAD}: "
            "run `reconciler workspace migrate`"
        )
