"""One PostgreSQL database.

A reader sees one consistent moment (REPEATABLE READ). Writers work at READ COMMITTED and lock what
they rely on: those of the registry a table that only they lock, before they look at anything;
those of the ledger their rows. Connections that the server ended are replaced when a transaction
begins.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import psycopg
from sqlalchemy import QueuePool, create_engine
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from reconciler.errors import WorkspaceBusy, WorkspaceError, WorkspaceUnreachable
from reconciler.workspace.address import shown
from reconciler.workspace.sql import postgres
from reconciler.workspace.sql.connection import Database
from reconciler.workspace.sql.dialect import POSTGRES
from reconciler.workspace.sql.postgres_session import SessionLock, without_sessions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import LiteralString

    from sqlalchemy import Connection

_MIGRATE = "SELECT pg_advisory_xact_lock(hashtext('reconciler migration ' || current_schema()))"


class PostgresDatabase(Database):
    """The database and schema that a connection of ``url`` comes to."""

    dialect = POSTGRES

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        engine = create_engine(
            "postgresql+psycopg://",
            creator=partial(postgres.connect, url),
            poolclass=QueuePool,
            pool_size=4,
        )
        super().__init__(shown(url), engine, read_only=read_only)
        self.url = url

    def now(self, connection: Connection | None = None) -> int:
        """Give the database's present instant."""
        if connection is not None:
            return postgres.instant(raw(connection).execute(postgres.NOW))
        with self._meaning(), self._begun(postgres.NOW) as (_, answer):
            return postgres.instant(answer)

    def revision(self) -> str:
        """Give the schema's revision."""
        with self.reading() as connection:
            return postgres.revision(raw(connection), self.name)

    def right(self) -> SessionLock:
        """Give a lock of the database's that is held by a connection of its own."""
        return SessionLock(self.url)

    def _reading(self) -> AbstractContextManager[Connection]:
        return self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def _writing(self) -> AbstractContextManager[Connection]:
        return self._transaction("BEGIN")

    def _registering(self) -> AbstractContextManager[Connection]:
        # The lock is taken before there is a snapshot: what is read holds until the commit.
        return self._transaction("BEGIN; LOCK TABLE applies IN EXCLUSIVE MODE")

    @contextmanager
    def migrating(self) -> Iterator[Connection]:
        """Begin a change of the schema; of several at once one does it, and others come after.

        Raises:
            WorkspaceBusy: a runner is at work.
        """
        with self.writing() as connection:
            raw(connection).execute(_MIGRATE)
            if not without_sessions(raw(connection)):
                raise self._runner_at_work()
            yield connection

    @contextmanager
    def _transaction(self, begin: LiteralString) -> Iterator[Connection]:
        with self._begun(begin) as (connection, _):
            lent = raw(connection)
            try:
                yield connection
            except BaseException:
                if not lent.closed:
                    lent.execute("ROLLBACK")
                raise
            # After a statement that failed, COMMIT rolls back and says so in passing.
            if lent.execute("COMMIT").statusmessage != "COMMIT":
                raise WorkspaceError(f"{self.name}: nothing was written, for a statement failed")

    @contextmanager
    def _begun(self, begin: LiteralString) -> Iterator[tuple[Connection, psycopg.Cursor]]:
        connection, answer = self._begin(begin)
        try:
            yield connection, answer
        finally:
            if raw(connection).closed:
                connection.invalidate()
            connection.close()

    def _begin(self, begin: LiteralString) -> tuple[Connection, psycopg.Cursor]:
        """Lend a connection that has run ``begin``, a new one where the pool's are dead."""
        try:
            return self._attempt(begin)
        except psycopg.OperationalError as error:
            if not isinstance(self._meaning_of(error), WorkspaceUnreachable):
                raise
        # What ended one connection has most likely ended all of them.
        self._engine.dispose()
        return self._attempt(begin)

    def _attempt(self, begin: LiteralString) -> tuple[Connection, psycopg.Cursor]:
        try:
            connection = self._engine.connect()
        except PoolTimeoutError as error:
            raise WorkspaceBusy(f"all connections to {self.name} are in use") from error
        try:
            return connection, raw(connection).execute(begin)
        except BaseException:
            connection.invalidate()
            connection.close()
            raise

    def _driver_meaning(self) -> AbstractContextManager[None]:
        return postgres.meaning(self.name)

    def _meaning_of(self, error: BaseException | None) -> WorkspaceError:
        return postgres.meaning_of(error, self.name)


def raw(connection: Connection) -> psycopg.Connection:
    """Give the driver's own connection."""
    lent = connection.connection.driver_connection
    assert isinstance(lent, psycopg.Connection)  # noqa: S101  (for the type checker)
    return lent
