"""Opening a workspace on SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import NotFound, WorkspaceError
from reconciler.workspace.sql.connection import Database
from reconciler.workspace.sql.ledger import SqlLedger
from reconciler.workspace.sql.migrate import check, create_file
from reconciler.workspace.sql.registry import SqlRegistry

if TYPE_CHECKING:
    from reconciler.clock import Clock
    from reconciler.workspace.base import Ledger, Registry


class SqlWorkspace:
    """Registry and ledger on one database; close it when done."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._ledger = SqlLedger(database, clock)
        self.registry: Registry = SqlRegistry(database, clock)
        self.ledger: Ledger = self._ledger

    def close(self) -> None:
        """End the session, if one is under way, and close all connections."""
        try:
            self._ledger.end_session()
        finally:
            self._database.close()


def open_workspace(
    path: str, clock: Clock, *, create: bool, read_only: bool = False
) -> SqlWorkspace:
    """Open the workspace in the SQLite file ``path``; with ``create`` make it if there is none.

    Raises:
        NotFound: there is none.
        SchemaMismatch: another version of this program wrote it.
        WorkspaceError: it cannot be opened, or is something else.
    """
    if not Path(path).exists():
        if not create:
            raise NotFound(f"no workspace at {path}; `reconciler apply` creates it")
        create_file(path)
    if not Path(path).is_file():
        raise WorkspaceError(f"{path} is not a file")
    database = Database(path, read_only=read_only)
    try:
        check(database)
    except BaseException:
        database.close()
        raise
    return SqlWorkspace(database, clock)
