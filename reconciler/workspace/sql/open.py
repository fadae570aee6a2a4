"""Opening a workspace, wherever it is: a path is an SQLite file, a URL a PostgreSQL database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import NotFound, WorkspaceError
from reconciler.workspace.address import is_postgres
from reconciler.workspace.sql import schema
from reconciler.workspace.sql.reader import SqlReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from reconciler.clock import Clock
    from reconciler.workspace.base import Registry
    from reconciler.workspace.ledger import Ledger
    from reconciler.workspace.sql.connection import Database


class SqlWorkspace:
    """Registry and ledger on one database; close it when done."""

    def __init__(self, database: Database) -> None:
        from reconciler.workspace.sql.ledger import SqlLedger  # noqa: PLC0415  (SQLAlchemy)
        from reconciler.workspace.sql.registry import SqlRegistry  # noqa: PLC0415  (the same)

        self._database = database
        self._ledger = SqlLedger(database)
        self.registry: Registry = SqlRegistry(database)
        self.ledger: Ledger = self._ledger

    def close(self) -> None:
        """End the session, if one is under way, and close all connections."""
        try:
            self._ledger.end_session()
        finally:
            self._database.close()


def open_workspace(
    place: str, clock: Clock, *, create: bool, read_only: bool = False
) -> SqlWorkspace:
    """Open the workspace at ``place``; with ``create`` make it if there is none.

    A PostgreSQL database has its own clock; its URL may name a schema (``options=-csearch_path``).

    Raises:
        NotFound: there is none.
        SchemaMismatch: another version of this program wrote it.
        WorkspaceError: it cannot be opened, or is something else.
    """
    if create:
        _create(place)
    database = open_database(place, clock, read_only=read_only)
    try:
        schema.check(database.revision(), database.name)
    except BaseException:
        database.close()
        raise
    return SqlWorkspace(database)


def open_reader(
    place: str, clock: Clock, trace: Callable[[str], object] | None = None
) -> SqlReader:
    """Open the registry at ``place`` without any way to write, and at once.

    ``trace`` is told the text of each statement.

    Raises:
        as :func:`open_workspace` does.
    """
    if is_postgres(place):
        connection = postgres_driver().ReadOnlyConnection(place, trace)
        reader = SqlReader(connection.reading, connection.now)
    else:
        from reconciler.workspace.sql.sqlite import ReadOnlyFile  # noqa: PLC0415  (as above)

        must_be_file(place)
        connection = ReadOnlyFile(place, trace)
        reader = SqlReader(connection.reading, clock.now)
    try:
        schema.check(connection.revision(), connection.name)
    except BaseException:
        connection.close()
        raise
    return reader


def must_be_file(path: str) -> None:
    """Refuse a path where there is no workspace.

    Raises:
        NotFound: nothing is there.
        WorkspaceError: a folder is there.
    """
    if Path(path).is_file():
        return
    if Path(path).exists():
        raise WorkspaceError(f"{path} is not a file")
    raise NotFound(f"no workspace at {path}; `reconciler apply` creates it")


def postgres_driver() -> ModuleType:
    """Load what talks to PostgreSQL.

    Raises:
        WorkspaceError: its driver is not installed.
    """
    try:
        from reconciler.workspace.sql import postgres  # noqa: PLC0415  (may not be there)
    except ImportError as error:
        raise WorkspaceError(
            f"PostgreSQL needs a driver ({error}): pip install 'reconciler[postgres]'"
        ) from None
    return postgres


def postgres_session() -> ModuleType:
    """Load what knows about runners on PostgreSQL.

    Raises:
        WorkspaceError: its driver is not installed.
    """
    postgres_driver()
    from reconciler.workspace.sql import postgres_session as module  # noqa: PLC0415  (as above)

    return module


def open_database(place: str, clock: Clock, *, read_only: bool = False) -> Database:
    """Open the database at ``place``, whatever is in it.

    Raises:
        NotFound: there is no such file.
        WorkspaceError: it is not a file, or there is no driver for it.
    """
    if is_postgres(place):
        postgres_driver()
        from reconciler.workspace.sql.postgres_database import (  # noqa: PLC0415  (SQLAlchemy)
            PostgresDatabase,
        )

        return PostgresDatabase(place, read_only=read_only)
    from reconciler.workspace.sql import sqlite  # noqa: PLC0415  (as above)
    from reconciler.workspace.sql.sqlite_database import SqliteDatabase  # noqa: PLC0415  (the same)

    must_be_file(place)
    if not read_only:
        sqlite.must_be_local(place)
    return SqliteDatabase(place, clock, read_only=read_only)


def _create(place: str) -> None:
    if is_postgres(place):
        from reconciler.workspace.sql.migrate import create_schema  # noqa: PLC0415  (as above)

        create_schema(place)
    elif not Path(place).exists():
        from reconciler.workspace.sql.migrate import create_file  # noqa: PLC0415  (seldom needed)
        from reconciler.workspace.sql.sqlite import must_be_local  # noqa: PLC0415  (as above)

        must_be_local(place)
        create_file(place)
