"""The port of a workspace's ledger: what was decided and what ran.

It is the runner's. Whatever a session writes about runs is fenced: once the session has been ended
by another one, it writes nothing more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from reconciler.run import Attempt, Fire, Run, RunState
    from reconciler.trigger.arrivals import Change, Rewrite
    from reconciler.workspace.records import (
        Alert,
        Arrival,
        DueTimer,
        Hold,
        LoggedChange,
        Poll,
        Pool,
        PublishedPipeline,
        RegisteredDatastore,
        RegisteredSchedule,
        Session,
        TimerMove,
        Unfinished,
        Watch,
    )


class LedgerTransaction(Protocol):
    """The runner's writes; see ``RegistryTransaction`` for how a transaction ends."""

    def due_timers(self, now: int, limit: int) -> list[DueTimer]:
        """Claim timers with ``next_due <= now``, the oldest first, until the transaction ends."""
        ...

    def arrivals(self, limit: int) -> list[Arrival]:
        """Claim active, unheld data schedules whose cursor is behind their ready watch's log.

        A hold that has come to its end holds no more; where nothing was logged it is removed.
        """
        ...

    def changes(self, watch_id: int, after: int, limit: int) -> list[LoggedChange]:
        """Read the change log from ``after`` (exclusive), in order."""
        ...

    def logged_before(self, watch_id: int, instant: int) -> int:
        """Give the last place in the change log that was written before ``instant``, else 0."""
        ...

    def schedules(self, ids: Iterable[str]) -> dict[str, RegisteredSchedule]:
        """Read schedules by id."""
        ...

    def newest_pipelines(self, names: Iterable[str]) -> dict[str, PublishedPipeline]:
        """Read the Active version of each pipeline name that is declared, else the newest."""
        ...

    def pipelines(self, ids: Iterable[str]) -> dict[str, PublishedPipeline]:
        """Read published versions by id."""
        ...

    def unfinished(self, schedule_ids: Iterable[str]) -> dict[str, Unfinished]:
        """Count runs that are not over, by schedule; a schedule without any is left out."""
        ...

    def record_fires(self, fires: Sequence[Fire], runs: Sequence[Run]) -> list[Fire]:
        """Insert decisions and their runs; a key that exists is left alone, with its run.

        Experiments are created on first use. Returns the fires that were new.
        """
        ...

    def move_timers(self, moves: Sequence[TimerMove]) -> None:
        """Set timers and clear their ``initial`` mark."""
        ...

    def move_cursors(self, cursors: Mapping[str, int]) -> None:
        """Set schedules' places in their watch's change log."""
        ...

    def lift_expired_hold(self, schedule_id: str) -> None:
        """Remove a hold whose end has been decided about."""
        ...

    def request_cancel(self, run_ids: Iterable[str], reason: str) -> list[str]:
        """Ask for runs to be stopped; returns the ids of those that were not over."""
        ...

    def record_poll(  # noqa: PLR0913  (all that one poll comes to)
        self,
        poll: Poll,
        changes: Sequence[Change] = (),
        rewrites: Iterable[Rewrite] = (),
        *,
        place: str | None = None,
        baseline: bool = False,
        was: int | None = None,
    ) -> bool:
        """Store a poll, log its changes, rewrite the snapshot and move the watch.

        False if the watch has moved: compare-and-set on ``poll_seq``, a poll that lost a race is
        void. A ``baseline`` first forgets the whole snapshot. A poll with an ``error`` touches
        neither snapshot nor log. ``place`` replaces the watch's, unless it is None. ``was`` is the
        watch's ``next_poll`` as the look began: where it is another one by now, somebody has asked
        for a look since, and that stays due.

        Where schedules asked for existing files, each that was known before (after a baseline:
        all) is logged for them first, as ``existing``.
        """
        ...

    def keep_files(self, files: Mapping[str, bytes]) -> None:
        """Store the lists of files that runs were made for, by run id; see :meth:`Ledger.files`."""
        ...

    def waiting_runs(self, now: int, each: int | None = None) -> list[Run]:
        """Claim runs NotStarted whose ``not_before`` has come, oldest first.

        With ``each``: at most so many of each schedule's own, so many of each schedule's by hand
        and of its backfills,
        and all that are to be canceled. Nobody else can start a run of their schedules before the
        transaction ends; schedules that another runner has claimed are left out.
        """
        ...

    def pools(self, names: Iterable[str]) -> dict[str, Pool]:
        """Claim pools until the transaction ends; one that is not defined is left out."""
        ...

    def start_runs(self, run_ids: Sequence[str], now: int) -> list[str]:
        """Move waiting runs to Running under this session's fence; returns those that moved."""
        ...

    def finish_runs(self, ends: Sequence[tuple[str, RunState, str]], now: int) -> list[str]:
        """Move runs to a final state, with the reason; returns those that moved.

        That is this session's Running runs, and anybody's waiting ones.
        """
        ...

    def insert_runs(self, runs: Sequence[Run]) -> None:
        """Insert runs that have no fire of their own; one whose id exists is left alone."""
        ...

    def count_failures(self, schedule_ids: Iterable[str]) -> dict[str, int]:
        """Count one more failed run in a row for each schedule; returns how many there are now."""
        ...

    def clear_failures(self, schedule_ids: Iterable[str]) -> None:
        """Begin to count failed runs in a row from none."""
        ...

    def pause(self, schedule_id: str, hold: Hold) -> bool:
        """Hold a schedule that is not held, and count its failures from none; False where it is."""
        ...

    def alert(self, alerts: Sequence[Alert]) -> list[Alert]:
        """Record alerts; returns those that were new."""
        ...

    def record_attempts(self, attempts: Sequence[Attempt]) -> set[str]:
        """Insert attempts or replace what is known of them, as far as this session has their run.

        One without a node gets this session's. Returns the ids of those that were recorded: no
        other may be submitted.
        """
        ...


class Ledger(Protocol):
    """What was decided and what ran."""

    def now(self) -> int:
        """Give the workspace's present instant."""
        ...

    def begin_session(
        self, *, host: str, pid: int, node: str = "", wait: bool = False
    ) -> Session | None:
        """Become a runner.

        SQLite allows one at a time: with ``wait`` this blocks until the present one is gone,
        without it returns None. PostgreSQL allows any number. The right is a lock that the
        operating system or the database takes back the moment its holder is gone.
        """
        ...

    def take_over(self, patience: int) -> list[str]:
        """End the sessions that are gone and take the runs they left Running; returns those.

        Runs of this session's own node are taken at once: their programs can be asked. Those of
        another node are taken when its session has been gone for ``patience`` microseconds and no
        session of that node has begun since: then nobody can ask their programs any more.
        """
        ...

    def disowned(self, since: int) -> list[str]:
        """Name the attempts of this node that another runner gave up after ``since``.

        Their programs may be running yet, for nobody.
        """
        ...

    def listen(self) -> int | None:
        """Give a file descriptor that becomes readable when others wrote; None where there is none.

        It is a hint: whoever polls learns the same.
        """
        ...

    def heard(self) -> None:
        """Empty that descriptor."""
        ...

    def end_session(self) -> None:
        """Give the right back."""
        ...

    def epoch(self) -> int:
        """Give the number that each restore of a backup raises; 0 until the first."""
        ...

    def use_zones(self, version: str) -> str:
        """Note which version of the time zone data decides, and give the newest there was.

        One that is newer than all before makes every timer due at once, so that what is undecided
        is due by it. What is decided stays.
        """
        ...

    def transaction(self) -> AbstractContextManager[LedgerTransaction]:
        """Begin writing as the current session.

        Raises:
            SessionLost: the session has been ended by another runner: begin a new one.
            WorkspaceBusy: somebody else writes for too long.
            WorkspaceFull: no space is left; nothing was written.
        """
        ...

    def next_wake(self, after: int = 0) -> int | None:
        """The earliest next_due, hold end, next_poll or future not_before; None without any.

        ``after``: without what was due by that instant.
        """
        ...

    def datastores(self) -> dict[str, RegisteredDatastore]:
        """Read all registered datastores by name."""
        ...

    def poll_again(self, now: int) -> None:
        """Make watches due that were polled after ``now``: the clock has gone back since.

        Their next poll is not due before the clock is where it was, which may take years.
        """
        ...

    def due_watches(self, now: int) -> list[Watch]:
        """Claim watches with at least one active schedule whose ``next_poll`` has come.

        A watch stays with the session that claimed it first, for as long as that lives.
        """
        ...

    def snapshot(self, watch_id: int) -> Iterator[bytes]:
        """Read what a watch last knew, page by page, in order."""
        ...

    def pages(self, watch_id: int, names: Iterable[bytes]) -> list[bytes]:
        """Read the pages whose stretches hold these names, in order and each once.

        A name that comes before all pages belongs to the first one.
        """
        ...

    def log(
        self, watch_id: int, *, name: bytes | None = None, polls: Sequence[int] = (), limit: int
    ) -> list[LoggedChange]:
        """Read the change log, newest first: of one name, of some polls, or all of it."""
        ...

    def files(self, run_id: str) -> bytes | None:
        """Give the list of files that a run was made for; None where it is for one or for none."""
        ...

    def waiting_runs(self) -> list[Run]:
        """Runs NotStarted, oldest first."""
        ...

    def waits(self, now: int) -> bool:
        """Tell whether some run waits that may be started now, or is to be canceled."""
        ...

    def running_runs(self) -> list[Run]:
        """Runs Running of this session, oldest first; without a session, everybody's."""
        ...

    def attempts(self, run_ids: Iterable[str]) -> dict[str, list[Attempt]]:
        """Attempts by run, in the order they were made; a run without any is left out."""
        ...

    def fire(self, schedule_id: str, occurrence_key: str) -> Fire | None:
        """Read the decision about one occurrence."""
        ...

    def fires_between(self, schedule_id: str, after: int, until: int) -> list[Fire]:
        """List decisions whose due time, or gap, touches the half-open interval, oldest first."""
        ...

    def runs(
        self,
        *,
        schedule_id: str | None = None,
        states: Sequence[RunState] = (),
        limit: int = 50,
    ) -> list[Run]:
        """List runs, newest first."""
        ...

    def run(self, prefix: str) -> Run:
        """Find a run by its id or an unambiguous beginning of it.

        Raises:
            NotFound: none, or several; the message names them.
        """
        ...

    def fires(self, schedule_id: str, limit: int = 50) -> list[Fire]:
        """List a schedule's decisions, newest due first."""
        ...

    def polls(self, watch_id: int, limit: int = 50) -> list[Poll]:
        """List a watch's polls, newest first."""
        ...

    def watches(self) -> list[Watch]:
        """List all watches that have an active schedule."""
        ...

    def watch_of(self, schedule_id: str) -> Watch | None:
        """Give the watch that a schedule is on, active or not; None where it is on none."""
        ...

    def arrival(self, schedule_id: str) -> Arrival | None:
        """Tell where a schedule stands in its watch's log; None where it is on no watch."""
        ...

    def first_poll(self, watch_id: int) -> Poll | None:
        """Give the oldest poll of a watch that is kept."""
        ...

    def overdue(self, now: int) -> list[Run]:
        """Unfinished runs past their ``start_by`` (not started) or ``finish_by``."""
        ...

    def alerts(self, schedule_id: str | None = None, limit: int = 50) -> list[Alert]:
        """List alerts, newest first."""
        ...

    def pools(self) -> list[Pool]:
        """List pools by name, with the places in use."""
        ...

    def set_pool(self, name: str, slots: int | None) -> None:
        """Define a pool or change its places; None removes it.

        Raises:
            NotFound: one that is to be removed is not there.
        """
        ...

    def submit_run(self, run: Run) -> None:
        """Record a manual run: its fire (if it belongs to a schedule) and the run, once."""
        ...
