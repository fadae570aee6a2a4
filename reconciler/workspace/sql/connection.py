"""One SQLite file: connections, how transactions begin, and what its errors mean.

WAL lets readers see one consistent moment while one writer writes; ``synchronous=FULL`` makes a
commit outlive a power cut. A writer begins with ``BEGIN IMMEDIATE``, so whatever it reads still
holds when it commits.
"""

from __future__ import annotations

import sqlite3
import weakref
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import QueuePool, create_engine
from sqlalchemy.exc import DBAPIError

from reconciler.errors import WorkspaceError
from reconciler.workspace.sql import sqlite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_CACHE_KIB = 16_384


class Database:
    """A small pool of connections to one SQLite file; safe to use from several threads."""

    def __init__(self, path: str, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self._engine = create_engine(
            "sqlite://",
            creator=partial(_connect, path, read_only=read_only),
            poolclass=QueuePool,
            pool_size=4,
        )
        # Whoever opened a workspace for one command need not close it.
        weakref.finalize(self, self._engine.dispose)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Begin a transaction that sees one consistent moment and writes nothing."""
        with self._meaning(), self._engine.connect() as connection, driver(connection) as raw:
            raw.execute("BEGIN")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Begin a write: commit at the end of the block, roll back on an exception.

        Raises:
            WorkspaceError: opened read-only.
            WorkspaceBusy: somebody else wrote for more than ten seconds.
            WorkspaceFull: no space is left; nothing was written.
        """
        if self.read_only:
            raise WorkspaceError(f"{self.path} was opened for reading only")
        # The driver's own connection ends the transaction; SQLAlchemy's would double the cost of
        # a small one.
        with self._meaning(), self._engine.connect() as connection, driver(connection) as raw:
            raw.execute("BEGIN IMMEDIATE")
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _meaning(self) -> Iterator[None]:
        """Turn the driver's errors into the program's own."""
        try:
            with sqlite.meaning(self.path):
                yield
        except DBAPIError as error:
            raise sqlite.meaning_of(error.orig, self.path) from error


def _connect(path: str, *, read_only: bool) -> sqlite3.Connection:
    connection = sqlite.connect(path, read_only=read_only)
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def driver(connection: Connection) -> sqlite3.Connection:
    """Give the driver's own connection, inside the same transaction, for the hot statements."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101  (for the type checker)
    return raw
