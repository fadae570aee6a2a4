"""The schema's revisions. Only creating a workspace and ``workspace migrate`` change a schema."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import NotFound, WorkspaceBusy, WorkspaceError
from reconciler.workspace.sql.connection import Database, driver
from reconciler.workspace.sql.lock import RunnerLock
from reconciler.workspace.sql.schema import HEAD, known_revision

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
            database = Database(str(new))
            try:
                with database.writing() as connection:
                    upgrade(connection, HEAD)
            finally:
                database.close()
            with suppress(FileExistsError):
                os.link(new, target)
    except OSError as error:
        raise WorkspaceError(f"{path} cannot be created: {error.strerror}") from error


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


def migrate(path: str) -> tuple[str, str]:
    """Bring the workspace at ``path`` to this program's schema; give the revisions before, after.

    Raises:
        NotFound: there is no workspace.
        SchemaMismatch: a newer program wrote it.
        WorkspaceBusy: a runner is at work on it.
        WorkspaceError: it is not a workspace.
    """
    if not Path(path).exists():
        raise NotFound(f"no workspace at {path}; `reconciler apply` creates it")
    if not Path(path).is_file():
        raise WorkspaceError(f"{path} is not a file")
    database = Database(path)
    lock = RunnerLock(f"{path}.runner.lock")
    try:
        with database.reading() as connection:
            # No lock is left beside something else.
            known_revision(driver(connection), path)
        if not lock.acquire(wait=False):
            raise WorkspaceBusy(f"a runner is at work on {path}; stop it, then migrate")
        with database.writing() as connection:
            before = known_revision(driver(connection), path)
            upgrade(connection, HEAD)
    finally:
        database.close()
        lock.release()
    return before, HEAD
