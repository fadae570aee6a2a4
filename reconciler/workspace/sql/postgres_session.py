"""A runner's session on PostgreSQL: locks on a connection of its own, and what others tell it.

Every session shares one lock, which keeps migrations away, and has another one to itself, which
tells that it lives. The server frees both the moment the connection ends.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from reconciler.errors import WorkspaceError
from reconciler.workspace.address import shown
from reconciler.workspace.sql.dialect import SESSION_KEY
from reconciler.workspace.sql.postgres import connect, meaning

if TYPE_CHECKING:
    from psycopg import Connection

_SHARE = f"SELECT pg_advisory_lock_shared({SESSION_KEY}, 0), 'reconciler.' || current_schema()"
_MARK = f"SELECT pg_try_advisory_lock({SESSION_KEY}, %s)"
_ALONE = f"SELECT pg_try_advisory_xact_lock({SESSION_KEY}, 0)"


class SessionLock:
    """The right of one session; any number may have theirs at once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self.lost = False

    def acquire(self, *, wait: bool) -> bool:  # noqa: ARG002  (nobody has to wait here)
        """Take the right, and begin to listen; a migration under way is waited for."""
        with meaning(shown(self._url)):
            connection = connect(self._url)
            try:
                channel = connection.execute(_SHARE).fetchone()
                assert channel is not None  # noqa: S101  (for the type checker)
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel[1])))
            except BaseException:
                connection.close()
                raise
        self._connection, self.lost = connection, False
        return True

    def mark(self, fence: int) -> None:
        """Tie the right to the session ``fence``.

        Raises:
            WorkspaceError: somebody has it, which cannot be.
        """
        assert self._connection is not None  # noqa: S101  (for the type checker)
        with meaning(shown(self._url)):
            row = self._connection.execute(_MARK, (fence,)).fetchone()
        if row != (True,):
            raise WorkspaceError(f"session {fence} of {shown(self._url)} is somebody else's")

    def listen(self) -> int | None:
        """Give the connection's descriptor; it becomes readable when the connection ends, too."""
        return None if self._connection is None or self.lost else self._connection.fileno()

    def heard(self) -> None:
        """Read what others told, and whether the connection still holds."""
        if self._connection is None:
            return
        server = self._connection.pgconn
        try:
            # What the server says last comes before the end of the connection.
            while select.select([server.socket], [], [], 0)[0]:
                server.consume_input()
                while server.notifies():
                    pass
        except psycopg.OperationalError:
            self.lost = True

    def release(self) -> None:
        """Give the right back; again and again does no harm."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def without_sessions(connection: Connection) -> bool:
    """Tell whether no runner is at work, and keep all away for the rest of the transaction."""
    return connection.execute(_ALONE).fetchone() == (True,)


def active(url: str) -> bool:
    """Tell whether a runner is at work."""
    with meaning(shown(url)):
        connection = connect(url)
        try:
            return not without_sessions(connection)
        finally:
            connection.close()
