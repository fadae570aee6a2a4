"""The registry on SQL: what is declared to run."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from reconciler.workspace.sql import lease as leases
from reconciler.workspace.sql.connection import driver
from reconciler.workspace.sql.reader import SqlReader
from reconciler.workspace.sql.registry_transaction import SqlRegistryTransaction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.workspace.records import Lease, Owner
    from reconciler.workspace.sql.connection import Database
    from reconciler.workspace.sql.driver import Driver


# So many new rows are worth the tenth of a second that it takes to look at them.
_MANY = 1_000


class SqlRegistry(SqlReader):
    """A :class:`~reconciler.workspace.base.Registry` on one SQL database."""

    def __init__(self, database: Database) -> None:
        super().__init__(self._lend, database.now)
        self._database = database

    def acquire_lease(self, owner: Owner, holder: str, seconds: int) -> Lease:
        """Take the right to apply for an owner; a lease that has ended is taken over.

        Raises:
            WorkspaceBusy: somebody holds it; the message says who and until when.
        """
        with self._database.registering() as connection:
            now = self._database.now(connection)
            return leases.acquire(driver(connection), now, owner, holder, seconds)

    def renew_lease(self, lease: Lease, seconds: int) -> Lease:
        """Move the end of a lease.

        Raises:
            StalePlan: somebody else has taken it since.
        """
        with self._database.registering() as connection:
            now = self._database.now(connection)
            return leases.renew(driver(connection), now, lease, seconds)

    def release_lease(self, lease: Lease) -> None:
        """Give a lease back; one that somebody else has taken is left alone."""
        with self._database.registering() as connection:
            leases.release(driver(connection), lease)

    @contextmanager
    def transaction(self) -> Iterator[SqlRegistryTransaction]:
        """Begin writing; commits at the end of the block, rolls back on an exception."""
        with self._database.registering() as connection:
            transaction = SqlRegistryTransaction(connection, self._database.now(connection))
            yield transaction
            dialect = self._database.dialect
            if dialect.count is not None and transaction.declared > _MANY:
                driver(connection).execute(dialect.count)
            if dialect.notify is not None:
                driver(connection).execute(dialect.notify)

    @contextmanager
    def _lend(self) -> Iterator[Driver]:
        with self._database.reading() as connection:
            yield driver(connection)
