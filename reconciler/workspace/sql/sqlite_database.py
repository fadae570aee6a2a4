"""One SQLite file.

WAL lets readers see one consistent moment while one writer writes; ``synchronous=FULL`` makes a
commit outlive a power cut. A writer begins with ``BEGIN IMMEDIATE``, so whatever it reads still
holds when it commits.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import QueuePool, create_engine

from reconciler.workspace.sql import sqlite
from reconciler.workspace.sql.connection import Database
from reconciler.workspace.sql.dialect import SQLITE
from reconciler.workspace.sql.lock import RunnerLock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

    from reconciler.clock import Clock
    from reconciler.errors import WorkspaceError

_CACHE_KIB = 16_384


class SqliteDatabase(Database):
    """The file at ``path``; SQLite has no better clock than the machine's."""

    dialect = SQLITE

    def __init__(self, path: str, clock: Clock, *, read_only: bool = False) -> None:
        engine = create_engine(
            "sqlite://",
            creator=partial(_connect, path, read_only=read_only),
            poolclass=QueuePool,
            pool_size=4,
        )
        super().__init__(path, engine, read_only=read_only)
        self._clock = clock

    def now(self, connection: Connection | None = None) -> int:  # noqa: ARG002  (not needed here)
        """Give the clock's present instant."""
        return self._clock.now()

    def revision(self) -> str:
        """Give the schema's revision."""
        with self.reading() as connection:
            return sqlite.revision(raw(connection), self.name)

    def right(self) -> RunnerLock:
        """Give the lock beside the file."""
        return RunnerLock(f"{self.name}.runner.lock")

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Begin a change of the schema.

        Raises:
            WorkspaceBusy: a runner is at work.
        """
        lock = self.right()
        if not lock.acquire(wait=False):
            raise self._runner_at_work()
        try:
            with self.writing() as connection:
                yield connection
        finally:
            lock.release()

    def _reading(self) -> AbstractContextManager[Connection]:
        return self._transaction("BEGIN")

    def _writing(self) -> AbstractContextManager[Connection]:
        return self._transaction("BEGIN IMMEDIATE")

    def _registering(self) -> AbstractContextManager[Connection]:
        return self._transaction("BEGIN IMMEDIATE")

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        # The driver's own connection ends the transaction; SQLAlchemy's would double the cost of
        # a small one.
        with self._engine.connect() as connection, raw(connection) as lent:
            lent.execute(begin)
            yield connection

    def _driver_meaning(self) -> AbstractContextManager[None]:
        return sqlite.meaning(self.name)

    def _meaning_of(self, error: BaseException | None) -> WorkspaceError:
        return sqlite.meaning_of(error, self.name)


def raw(connection: Connection) -> sqlite3.Connection:
    """Give the driver's own connection."""
    lent = connection.connection.driver_connection
    assert isinstance(lent, sqlite3.Connection)  # noqa: S101  (for the type checker)
    return lent


def _connect(path: str, *, read_only: bool) -> sqlite3.Connection:
    connection = sqlite.connect(path, read_only=read_only)
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")
    return connection
