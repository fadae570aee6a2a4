"""Opening a workspace on SQLite."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import NotFound, WorkspaceError
from reconciler.workspace.sql.reader import SqlReader
from reconciler.workspace.sql.schema import check
from reconciler.workspace.sql.sqlite import ReadOnlyFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.clock import Clock
    from reconciler.workspace.base import Ledger, Registry
    from reconciler.workspace.sql.connection import Database


class SqlWorkspace:
    """Registry and ledger on one database; close it when done."""

    def __init__(self, database: Database, clock: Clock) -> None:
        from reconciler.workspace.sql.ledger import SqlLedger  # noqa: PLC0415  (SQLAlchemy)
        from reconciler.workspace.sql.registry import SqlRegistry  # noqa: PLC0415  (the same)

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
    from reconciler.workspace.sql.connection import Database, driver  # noqa: PLC0415  (SQLAlchemy)

    if create and not Path(path).exists():
        from reconciler.workspace.sql.migrate import create_file  # noqa: PLC0415  (seldom needed)

        create_file(path)
    _must_be_file(path)
    database = Database(path, read_only=read_only)
    try:
        with database.reading() as connection:
            check(driver(connection), path)
    except BaseException:
        database.close()
        raise
    return SqlWorkspace(database, clock)


def open_reader(path: str, clock: Clock, trace: Callable[[str], object] | None = None) -> SqlReader:
    """Open the registry in the SQLite file ``path`` without any way to write, and at once.

    ``trace`` is told the text of each statement.

    Raises:
        NotFound: there is none.
        SchemaMismatch: another version of this program wrote it.
        WorkspaceError: it cannot be opened, or is something else.
    """
    _must_be_file(path)
    file = ReadOnlyFile(path, trace)
    try:
        with file.reading() as raw:
            check(raw, path)
    except BaseException:
        file.close()
        raise
    return SqlReader(file.reading, clock)


def _must_be_file(path: str) -> None:
    if Path(path).is_file():
        return
    if Path(path).exists():
        raise WorkspaceError(f"{path} is not a file")
    raise NotFound(f"no workspace at {path}; `reconciler apply` creates it")
