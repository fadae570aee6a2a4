"""What the two kinds of SQL say each in its own way; all other statements are one text for both."""

from __future__ import annotations

from dataclasses import dataclass

# An advisory lock is named by two numbers; the first one tells workspaces in one database apart.
SESSION_KEY = "hashtext('reconciler session ' || current_schema())"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One kind of SQL.

    ``shared``: several runners write at once, so they lock the rows that they rely on. Where they
    do not, a writer is alone anyway. ``alive`` finds a session that may write, and keeps it from
    being ended meanwhile; ``gone`` tells which others have lost their right, as a condition on
    ``sessions``; ``notify`` tells all listeners when the transaction ends; ``count`` lets plans of
    statements know of many new rows before the database finds out by itself.
    """

    shared: bool
    alive: str
    gone: str
    notify: str | None
    count: str | None

    def claiming(self, statement: str, table: str) -> str:
        """Let a SELECT claim the rows of ``table``, and leave out what somebody else claimed."""
        return f"{statement} FOR NO KEY UPDATE OF {table} SKIP LOCKED" if self.shared else statement


SQLITE = Dialect(
    shared=False,
    # Nobody else can begin a session before this transaction ends.
    alive="""SELECT 1 FROM sessions WHERE fence = ? AND ended_at IS NULL
    AND fence = (SELECT max(fence) FROM sessions)""",
    # Whoever may write holds the lock, and is alone.
    gone="TRUE",
    notify=None,
    count=None,
)
POSTGRES = Dialect(
    shared=True,
    alive="SELECT 1 FROM sessions WHERE fence = ? AND ended_at IS NULL FOR SHARE",
    gone=f"pg_try_advisory_xact_lock({SESSION_KEY}, fence::int)",
    notify="SELECT pg_notify('reconciler.' || current_schema(), '')",
    count="ANALYZE schedules, pipelines, datastores, declarations, folders, timers",
)
