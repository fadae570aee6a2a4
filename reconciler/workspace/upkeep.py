"""The port for whoever looks after a workspace: what there is, what may go, and a new beginning.

All instants are microseconds since the epoch. What guards against deciding twice (timers' marks,
cursors, the snapshots of watches that a schedule is on) and the history of applies is never pruned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from reconciler.run import Fire
from reconciler.workspace.records import TimerMove

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from contextlib import AbstractContextManager

    from reconciler.live import RegisteredSchedule
    from reconciler.workspace.records import Arrival, DueTimer


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """What is older than these instants may go, but for the newest ``keep`` of each schedule."""

    fires: int
    runs: int
    polls: int
    keep: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is under way at the instant ``at``.

    ``unfinished`` counts runs by state, ``steps`` the attempts that are not over. ``next_due`` is
    the first due instant of all schedules that are not held, ``held`` counts those that are.
    """

    at: int
    unfinished: Mapping[str, int]
    steps: int
    held: int
    next_due: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerSeen:
    """A runner's session; ``ended_at`` None where nobody has seen its end yet."""

    host: str
    pid: int
    started_at: int
    ended_at: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anew:
    """What a restored ledger is told before a runner may use it.

    ``taken`` is the instant of the backup, ``at`` the present one. ``adopted`` are the Running
    runs whose programs left evidence here, so that a runner can ask about them; the others fail.
    """

    taken: int
    at: int
    fires: Sequence[Fire]
    moves: Sequence[TimerMove]
    adopted: Sequence[str]


class Restoring(Protocol):
    """A restored ledger within the one transaction that makes it usable."""

    def armed(self) -> list[tuple[RegisteredSchedule, DueTimer]]:
        """List schedules that wait for the clock, each with its timer."""
        ...

    def behind(self) -> list[tuple[Arrival, int]]:
        """List data schedules that lag behind, each with the last place in the change log."""
        ...

    def running(self) -> list[str]:
        """Name the runs that were Running."""
        ...

    def begin_anew(self, anew: Anew) -> Mapping[str, int]:
        """Write it down; returns how many runs were ``canceled``, ``failed`` and ``adopted``.

        The epoch is raised and sessions are over. Runs that waited are Canceled, for they may have
        run since; data schedules go on from the end of the change log, and watches from their next
        listing.
        """
        ...


class Upkeep(Protocol):
    """A workspace for whoever looks after it. ``name`` is without any password."""

    @property
    def name(self) -> str: ...  # noqa: D102  (told above)

    def now(self) -> int:
        """Give the workspace's present instant."""
        ...

    def revision(self) -> str:
        """Give the schema's revision."""
        ...

    def check(self) -> None:
        """Refuse a schema that is not this program's.

        Raises:
            SchemaMismatch: it must be migrated, or a newer program wrote it.
        """
        ...

    def standing(self) -> Standing:
        """Count what is under way."""
        ...

    def runners(self, limit: int = 10) -> list[RunnerSeen]:
        """List the newest sessions first."""
        ...

    def zones(self) -> dict[str, int]:
        """Count schedules by the ``time_zone`` that they declare; "" where they declare none."""
        ...

    def damage(self) -> list[str]:
        """Check that the database is whole: every line says what is not."""
        ...

    def careless(self) -> list[str]:
        """Name the settings of the database that let it lose what it has committed."""
        ...

    def latest(self) -> int:
        """Give the newest instant at which something was recorded; 0 for none."""
        ...

    def note_backup(self, at: int) -> None:
        """Record that a backup is taken, so that the backup tells from when it is."""
        ...

    def taken(self) -> int:
        """Give the instant from which a backup is, as far as it tells."""
        ...

    def epoch(self) -> int:
        """Give the number that each restore raises; 0 until the first."""
        ...

    def prune(self, cuts: Cuts, *, dry_run: bool = False) -> Generator[tuple[str, int]]:
        """Delete what is old; yields a kind and how many of it, after each small transaction.

        Kinds: runs, attempts, fires, polls, changes, pages, watches, alerts, sessions. With
        ``dry_run`` nothing is deleted.
        """
        ...

    def over(self, run_ids: Iterable[str], before: int) -> set[str]:
        """Tell which of these runs were over before an instant, or are not known."""
        ...

    def code_in_use(self) -> set[str]:
        """Give the digests of the code that Active versions and unfinished runs need."""
        ...

    def restoring(self) -> AbstractContextManager[Restoring]:
        """Begin the transaction that makes a restored ledger usable.

        Raises:
            WorkspaceBusy: a runner is at work.
        """
        ...

    def close(self) -> None:
        """Close all connections."""
        ...
