"""One PostgreSQL database through the driver alone: connections, statements, and what errors mean.

Nothing here imports SQLAlchemy, so that a plan may read without waiting for it. What libpq takes
from elsewhere (``PGPASSWORD``, ``~/.pgpass``, ``PGSERVICE``) works as it does everywhere.
"""

from __future__ import annotations

import os
import re
import weakref
from contextlib import contextmanager, suppress
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from reconciler.errors import (
    NotFound,
    WorkspaceBusy,
    WorkspaceError,
    WorkspaceFull,
    WorkspaceUnreachable,
)
from reconciler.workspace.address import shown
from reconciler.workspace.sql.at_once import at_once, copied, encoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from psycopg import Connection, Cursor

# Waiting for a lock ends as it does on SQLite; whoever stops within a transaction, say a machine
# that sleeps, must not keep its locks; and a commit that was answered is on the disk.
_DEFAULTS: dict[str, Any] = {"fallback_application_name": "reconciler", "connect_timeout": 10}
_SESSION = """
SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '60s';
SET client_min_messages = warning;
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'
"""
_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*') | (?P<cast>::) | (?P<mark>\?) | :(?P<name>\w+) | (?P<percent>%)
    | json_each\( (?P<list>[^()]+) \) (?:\ AS\ (?P<alias>\w+))?""",
    re.VERBOSE,
)
NOW = "SELECT reconciler_now()"
# SQLSTATE, by its first characters.
_BUSY = ("40", "55P03", "57014", "53300")
_FULL = ("53100", "53400")
_UNREACHABLE = ("08", "57P", "25P03")


_open: weakref.WeakSet[Connection] = weakref.WeakSet()


def _let_go_in_child() -> None:
    """Close a forked child's copies: the server must see a killed runner's connections end.

    Nothing may be said to the server, which would end the parent's connection too.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for connection in list(_open):
        if not connection.closed:
            os.dup2(nothing, connection.fileno(), inheritable=False)
    os.close(nothing)


os.register_at_fork(after_in_child=_let_go_in_child)


class PostgresDriver:
    """A :class:`~reconciler.workspace.sql.driver.Driver` on one connection of psycopg."""

    def __init__(
        self, connection: Connection, trace: Callable[[str], object] | None = None
    ) -> None:
        self.connection = connection
        self._trace = trace

    def execute(self, statement: str, parameters: Any = (), /) -> Cursor:  # noqa: ANN401  (as in the port)
        """Run a statement once."""
        if self._trace is not None:
            self._trace(statement)
        # Bytes that come as text take four times as long.
        return self.connection.execute(translated(statement), parameters, binary=True)

    def executemany(self, statement: str, parameters: Iterable[Any], /) -> Cursor:
        """Run a statement for each set of parameters: for all at once where that can be."""
        if whole := copied(statement):
            cursor = self.connection.cursor()
            with cursor.copy(whole.encode()) as copy:
                for row in parameters:
                    copy.write_row(row)
            return cursor
        rows = list(parameters)
        if rows and (one := at_once(statement)):
            together, names = one
            with suppress(TypeError):  # bytes are not for JSON
                given = encoded(names, rows)
                return self.execute(together, (given,))
        cursor = self.connection.cursor()
        cursor.executemany(translated(statement), rows)
        return cursor


class ReadOnlyConnection:
    """One connection that can only read; safe to use from several threads.

    ``trace`` is told the text of each statement.
    """

    def __init__(self, url: str, trace: Callable[[str], object] | None = None) -> None:
        self.name = shown(url)
        self._lock = Lock()
        with meaning(self.name):
            connection = connect(url)
            connection.execute("SET default_transaction_read_only = on")
        self._driver = PostgresDriver(connection, trace)
        # Whoever opened a workspace for one command need not close it.
        weakref.finalize(self, connection.close)

    @contextmanager
    def reading(self) -> Iterator[PostgresDriver]:
        """Lend the connection; each statement sees one consistent moment of its own."""
        with self._lock, meaning(self.name):
            yield self._driver

    def revision(self) -> str:
        """Give the schema's revision."""
        with self.reading() as driver:
            return revision(driver, self.name)

    def now(self) -> int:
        """Give the database's present instant."""
        with self.reading() as driver:
            return instant(driver.execute(NOW))

    def close(self) -> None:
        """Close the connection."""
        self._driver.connection.close()


def connect(url: str) -> Connection:
    """Connect; transactions begin and end as they are told to.

    Raises:
        WorkspaceError: the URL is none.
    """
    try:
        asked = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # The driver's own message may hold the password.
        raise WorkspaceError(f"{shown(url)} is not a URL as PostgreSQL knows it") from None
    connection = psycopg.connect(**(_DEFAULTS | asked), autocommit=True)
    connection.execute(_SESSION)
    _open.add(connection)
    return connection


@lru_cache(maxsize=256)
def translated(statement: str) -> bytes:
    """Write a statement as psycopg and PostgreSQL want it."""
    return _TOKEN.sub(_translate, statement).encode()


def _translate(token: re.Match[str]) -> str:
    match token.lastgroup:
        case "text" | "percent":
            return token[0].replace("%", "%%")
        case "mark":
            return "%s"
        case "name":
            return f"%({token['name']})s"
        case "list" | "alias":
            texts = _TOKEN.sub(_translate, token["list"])
            return f"json_array_elements_text(({texts})::json) AS {token['alias'] or 'each'}(value)"
        case _:
            return token[0]


def revision(connection: Connection | PostgresDriver, name: str) -> str:
    """Give the schema's revision in one statement.

    Raises:
        NotFound: there is no workspace.
    """
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except errors.UndefinedTable:
        raise NotFound(f"no workspace at {name}; `reconciler apply` creates it") from None
    return str(row and row[0])


def instant(answer: Cursor) -> int:
    """Read the answer to ``NOW``."""
    row = answer.fetchone()
    return int(row[0]) if row else 0


@contextmanager
def meaning(name: str) -> Iterator[None]:
    """Turn the driver's errors into the program's own."""
    try:
        yield
    except psycopg.Error as error:
        raise meaning_of(error, name) from error


def meaning_of(error: BaseException | None, name: str) -> WorkspaceError:
    """Say what an error of the driver means to whoever uses the workspace ``name``."""
    state = getattr(error, "sqlstate", None) or ""
    said = _one_line(error)
    if state.startswith(_FULL):
        return WorkspaceFull(f"the disk under {name} is full: {said}")
    if state.startswith(_BUSY):
        return WorkspaceBusy(f"{name} is being used by too many at once; try again: {said}")
    if state.startswith(_UNREACHABLE) or (not state and isinstance(error, errors.OperationalError)):
        return WorkspaceUnreachable(f"{name} cannot be reached: {said}")
    return WorkspaceError(f"{name}: {said}")


def _one_line(error: BaseException | None) -> str:
    """Give the message's first line without the names of connection attempts before it."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
