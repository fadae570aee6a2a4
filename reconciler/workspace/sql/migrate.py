"""The schema's revisions. Only creating a workspace and ``workspace migrate`` change a schema."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.clock import SystemClock
from reconciler.errors import NotFound, WorkspaceError
from reconciler.workspace.sql.open import open_database
from reconciler.workspace.sql.schema import HEAD, known
from reconciler.workspace.sql.sqlite_database import SqliteDatabase

if TYPE_CHECKING:
    from sqlalchemy import Connection


def create_file(path: str) -> None:
    """Make a new workspace at ``path``, whole or not at all; one that appears meanwhile stays.

    Raises:
        WorkspaceError: the folder cannot be made or written.
    """
    target = Path(path).absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".workspace-", dir=target.parent) as scratch:
            new = Path(scratch, "new.db")
            with closing(sqlite3.connect(new)) as raw:
                raw.execute("PRAGMA journal_mode=WAL")
            with (
                closing(SqliteDatabase(str(new), SystemClock())) as database,
                database.migrating() as connection,
            ):
                upgrade(connection, HEAD)
            with suppress(FileExistsError):
                os.link(new, target)
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be created: {error.strerror}") from error


def create_schema(url: str) -> None:
    """Make a new workspace in a PostgreSQL database; one that appears meanwhile stays.

    Raises:
        WorkspaceError: it cannot be made there.
    """
    with closing(open_database(url, SystemClock())) as database:
        with suppress(NotFound):
            database.revision()
            return
        with database.migrating() as connection:
            with suppress(NotFound):
                database.revision()
                return
            upgrade(connection, HEAD)


def upgrade(connection: Connection, revision: str) -> None:
    """Bring the schema behind ``connection`` to ``revision``, inside its transaction."""
    from alembic import command  # noqa: PLC0415  (slow to import, and seldom needed)
    from alembic.config import Config  # noqa: PLC0415  (the same)

    config = Config()
    config.set_main_option(
        "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
    )
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def migrate(place: str) -> tuple[str, str]:
    """Bring the workspace at ``place`` to this program's schema; give the revisions before, after.

    Raises:
        NotFound: there is no workspace.
        SchemaMismatch: a newer program wrote it.
        WorkspaceBusy: a runner is at work on it.
        WorkspaceError: it is not a workspace.
    """
    with closing(open_database(place, SystemClock())) as database:
        # No lock is left beside something else.
        known(database.revision(), database.name)
        with database.migrating() as connection:
            before = known(database.revision(), database.name)
            upgrade(connection, HEAD)
    return before, HEAD
