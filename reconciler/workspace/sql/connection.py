"""A database: a small pool of connections, how transactions begin, and what errors mean.

One port, an adapter for each kind of database beside it.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from sqlalchemy.exc import DBAPIError

from reconciler.errors import WorkspaceBusy, WorkspaceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine

    from reconciler.workspace.sql.dialect import Dialect
    from reconciler.workspace.sql.driver import Driver


class Right(Protocol):
    """The right to be a runner, which is gone the moment its holder is."""

    @property
    def lost(self) -> bool:
        """Whether it is known that somebody took it, or may."""
        ...

    def acquire(self, *, wait: bool) -> bool:
        """Take the right; without ``wait`` return False where it is not to be had."""
        ...

    def mark(self, fence: int) -> None:
        """Tie the right to a session before others can see that."""
        ...

    def listen(self) -> int | None:
        """Give a descriptor that becomes readable when others wrote; None where there is none."""
        ...

    def heard(self) -> None:
        """Empty that descriptor, and find out whether the right is lost."""
        ...

    def release(self) -> None:
        """Give the right back; again and again does no harm."""
        ...


class Database(ABC):
    """A pool of connections to one database; safe to use from several threads.

    ``name`` is what people call it, without any password; ``dialect`` what its SQL has of its own.
    """

    dialect: ClassVar[Dialect]

    def __init__(self, name: str, engine: Engine, *, read_only: bool = False) -> None:
        self.name = name
        self._engine = engine
        self._read_only = read_only
        # Whoever opened a workspace for one command need not close it.
        weakref.finalize(self, engine.dispose)

    @abstractmethod
    def now(self, connection: Connection | None = None) -> int:
        """Give the workspace's present instant, within a transaction or outside of any."""

    @abstractmethod
    def revision(self) -> str:
        """Give the schema's revision.

        Raises:
            NotFound: there is no workspace.
            WorkspaceError: it is something else.
        """

    @abstractmethod
    def right(self) -> Right:
        """Give the right to be a runner, not yet taken."""

    @abstractmethod
    def migrating(self) -> AbstractContextManager[Connection]:
        """Begin a change of the schema; of several at once one does it, and others come after.

        Raises:
            WorkspaceBusy: a runner is at work.
        """

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Begin a transaction that sees one consistent moment and writes nothing."""
        with self._meaning(), self._reading() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Begin a write: commit at the end of the block, roll back on an exception.

        Raises:
            WorkspaceError: opened read-only.
            WorkspaceBusy: somebody else wrote for more than ten seconds.
            WorkspaceFull: no space is left; nothing was written.
            WorkspaceUnreachable: the database is gone; what became of the write is not known.
        """
        self._may_write()
        with self._meaning(), self._writing() as connection:
            yield connection

    @contextmanager
    def registering(self) -> Iterator[Connection]:
        """Begin a write of the registry: nobody else writes there before it ends.

        Raises:
            as :meth:`writing` does.
        """
        self._may_write()
        with self._meaning(), self._registering() as connection:
            yield connection

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def _writing(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def _registering(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def _driver_meaning(self) -> AbstractContextManager[None]:
        """Turn the driver's errors into the program's own."""

    @abstractmethod
    def _meaning_of(self, error: BaseException | None) -> WorkspaceError: ...

    def _runner_at_work(self) -> WorkspaceBusy:
        return WorkspaceBusy(f"a runner is at work on {self.name}; stop it first")

    def _may_write(self) -> None:
        if self._read_only:
            raise WorkspaceError(f"{self.name} was opened for reading only")

    @contextmanager
    def _meaning(self) -> Iterator[None]:
        try:
            with self._driver_meaning():
                yield
        except DBAPIError as error:
            raise self._meaning_of(error.orig) from error


def driver(connection: Connection) -> Driver:
    """Give the driver's own connection, inside the same transaction, for the hot statements."""
    lent: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        plain: Driver = lent
        return plain
    from reconciler.workspace.sql.postgres import PostgresDriver  # noqa: PLC0415  (not installed)

    return PostgresDriver(lent)
