"""One SQLite file: connections, how transactions begin, and what its errors mean.

WAL lets readers see one consistent moment while one writer writes; ``synchronous=FULL`` makes a
commit outlive a power cut. A writer begins with ``BEGIN IMMEDIATE``, so whatever it reads still
holds when it commits.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy import QueuePool, create_engine
from sqlalchemy.exc import DBAPIError

from reconciler.errors import WorkspaceBusy, WorkspaceError, WorkspaceFull

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

_BUSY_SECONDS = 10
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
            yield
        except DBAPIError as error:
            raise _meaning_of(error.orig, self.path) from error
        except sqlite3.Error as error:
            raise _meaning_of(error, self.path) from error


def _connect(path: str, *, read_only: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(Path(path).absolute()))}?{_mode(path) if read_only else 'mode=rw'}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _mode(path: str) -> str:
    # A reader of a WAL database makes the files beside it, where it may. Where it may not and
    # there are none, nobody writes either.
    writable = os.access(Path(path).absolute().parent, os.W_OK)
    alone = not Path(f"{path}-wal").exists()
    return "immutable=1" if alone and not writable else "mode=ro"


def driver(connection: Connection) -> sqlite3.Connection:
    """Give the driver's own connection, inside the same transaction, for the hot statements."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101  (for the type checker)
    return raw


def _meaning_of(error: BaseException | None, path: str) -> WorkspaceError:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR"):
        return WorkspaceFull(f"the disk under {path} is full or failing: {error}")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return WorkspaceBusy(f"{path} is being written by somebody else; try again")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return WorkspaceError(f"{path} is damaged or not a workspace: {error}")
    return WorkspaceError(f"{path}: {error}")
