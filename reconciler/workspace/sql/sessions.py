"""The sessions of runners: who may write, and who takes over from whom."""

from __future__ import annotations

import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import insert, update

from reconciler.errors import SessionLost, WorkspaceError
from reconciler.workspace.records import Session
from reconciler.workspace.sql.connection import driver
from reconciler.workspace.sql.tables import sessions

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from reconciler.workspace.sql.connection import Database

# What other sessions left: those that have not ended, and runs of theirs.
_LEFT = """
SELECT 1 FROM sessions WHERE ended_at IS NULL AND fence <> :fence
UNION ALL
SELECT 1 FROM runs WHERE state IN ('NotStarted', 'Running') AND state = 'Running'
  AND fence <> :fence
LIMIT 1
"""
# One that is gone may have left a transaction open, which its server ends after a while: until then
# it can write, and nobody waits for it.
_END_OTHERS = """
WITH others AS MATERIALIZED (
  SELECT fence FROM sessions WHERE ended_at IS NULL AND fence <> :fence
),
lost AS MATERIALIZED (SELECT fence FROM others WHERE {gone}),
idle AS MATERIALIZED ({idle})
UPDATE sessions SET ended_at = :now WHERE fence IN (SELECT fence FROM idle)
"""
_IDLE = """
SELECT fence FROM sessions WHERE ended_at IS NULL AND fence IN (SELECT fence FROM lost)
"""
_TAKE_OVER = """
UPDATE runs SET fence = :fence
WHERE state IN ('NotStarted', 'Running') AND state = 'Running' AND fence <> :fence AND fence IN (
  SELECT fence FROM sessions AS past WHERE ended_at IS NOT NULL AND (node = :node
    OR (ended_at <= :gone AND NOT EXISTS (
      SELECT 1 FROM sessions AS present
      WHERE present.node = past.node AND present.ended_at IS NULL))))
RETURNING id
"""
_DISOWNED = """
SELECT run_id, step, number FROM attempts JOIN sessions USING (fence)
WHERE attempts.node = ? AND attempts.state = 'Unknown' AND attempts.ended_at >= ?
  AND sessions.node <> attempts.node
"""


class SqlSessions:
    """The part of a :class:`~reconciler.workspace.ledger.Ledger` that is about its session."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._right = database.right()
        self._session: Session | None = None

    def now(self) -> int:
        """Give the workspace's present instant."""
        return self._database.now()

    def begin_session(
        self, *, host: str, pid: int, node: str = "", wait: bool = False
    ) -> Session | None:
        """Become a runner.

        On SQLite ``wait`` blocks until the present runner is gone, or a signal handler raises.

        Raises:
            WorkspaceError: this ledger already is the runner, or the platform has no file locks.
        """
        if self._session is not None:
            raise WorkspaceError("this ledger already is the runner")
        if not self._right.acquire(wait=wait):
            return None
        try:
            with self._database.writing() as connection:
                session_id = str(uuid.uuid4())
                fence: int = connection.execute(
                    insert(sessions)
                    .returning(sessions.c.fence)
                    .values(
                        id=session_id,
                        host=host,
                        pid=pid,
                        boot_id=_boot_id(),
                        started_at=self._database.now(connection),
                        node=node,
                    )
                ).scalar_one()
                # Others see the session no sooner than that it lives.
                self._right.mark(fence)
        except BaseException:
            self._right.release()
            raise
        self._session = Session(id=session_id, fence=fence, node=node)
        return self._session

    def take_over(self, patience: int) -> list[str]:
        """End the sessions that are gone and take the runs they left Running; returns those.

        Runs of this session's own node are taken at once: their programs can be asked. Those of
        another node are taken when its session has been gone for ``patience`` microseconds and no
        session of that node has begun since: then nobody can ask their programs any more.

        Raises:
            SessionLost: another runner has ended this session.
            WorkspaceError: no session was begun.
        """
        session = self._session
        if session is None:
            raise WorkspaceError("only a runner takes over: begin a session first")
        asked = {"fence": session.fence, "node": session.node}
        with self._database.reading() as connection:
            if driver(connection).execute(_LEFT, asked).fetchone() is None:
                return []
        now = self.now()
        with self._database.writing() as connection:
            self._must_live(connection, session)
            raw = driver(connection)
            dialect = self._database.dialect
            end = _END_OTHERS.format(gone=dialect.gone, idle=dialect.claiming(_IDLE, "sessions"))
            raw.execute(end, asked | {"now": now})
            taken = raw.execute(_TAKE_OVER, asked | {"gone": now - patience})
            return [run_id for (run_id,) in taken]

    def disowned(self, since: int) -> list[str]:
        """Name the attempts of this node that another runner gave up after ``since``."""
        if self._session is None:
            return []
        with self._database.reading() as connection:
            found = driver(connection).execute(_DISOWNED, (self._session.node, since))
            return [f"{run_id}/{step}/{number}" for run_id, step, number in found]

    def listen(self) -> int | None:
        """Give a descriptor that becomes readable when others wrote; another one each session."""
        return self._right.listen()

    def heard(self) -> None:
        """Empty that descriptor."""
        self._right.heard()

    def end_session(self) -> None:
        """Give the right back; without a session this does nothing."""
        session, self._session = self._session, None
        if session is None:
            return
        try:
            with self._database.writing() as connection:
                connection.execute(
                    update(sessions)
                    .where(sessions.c.fence == session.fence)
                    .values(ended_at=self._database.now(connection))
                )
        finally:
            self._right.release()

    def _must_live(self, connection: Connection, session: Session) -> None:
        """Refuse a session that was ended; another one cannot be before this transaction ends."""
        found = driver(connection).execute(self._database.dialect.alive, (session.fence,))
        if self._right.lost or found.fetchone() is None:
            raise SessionLost("the session has ended; this runner may not write in it any more")


def _boot_id() -> str:
    """Give what tells this boot of the machine from any other; empty where there is none."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""
