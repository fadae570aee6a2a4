"""What happens to everything that came due: one decision for each, and none twice."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING

from reconciler.clock import HOUR, MINUTE, SECOND, iso
from reconciler.fields import duration_text
from reconciler.live import Hold
from reconciler.run import Decision, Gate, Kind
from reconciler.schedule import Missed, Overlap
from reconciler.trigger.overlap import choose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.schedule import Schedule
    from reconciler.trigger.calendar import Calendar

# A half-open interval (after, until] of instants; empty where it ends before it begins.
Stretch = tuple[int, int]
# A due no older than this is on time: a restart at noon must not lose the noon run.
GRACE = MINUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a schedule says about missed and overlapping fires. ``catchup_window`` in microseconds.

    Without a ``catchup_window`` it is one hour; for ``missed: last`` it is the period, where that
    is shorter.
    """

    overlap: Overlap
    max_active_runs: int = 16
    missed: Missed = Missed.LAST
    catchup_window: int | None = None
    max_catchup: int = 100

    @classmethod
    def of(cls, schedule: Schedule) -> Policy:
        """Take the policy out of a schedule."""
        window = schedule.catchup_window
        return cls(
            overlap=schedule.overlap or Overlap.SKIP,
            max_active_runs=schedule.max_active_runs,
            missed=schedule.missed,
            catchup_window=None if window is None else window // timedelta(microseconds=1),
            max_catchup=schedule.max_catchup,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timer:
    """Where a schedule stands: all that was due up to ``processed_to`` has been decided.

    ``hold`` is its hold, expired or not, if it was not lifted yet; ``running`` and ``waiting`` are
    the ids of its unfinished runs, the oldest first.
    """

    processed_to: int
    hold: Hold | None = None
    running: Sequence[str] = ()
    waiting: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided about the occurrence due at the instant ``due``, why, and at which gate."""

    due: int
    decision: Decision
    reason: str
    gate: Gate


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of ``count`` occurrences, due from ``first`` to ``last``, that were passed over.

    ``gate`` is ``HOLD`` for what a hold kept from firing, else ``MISSED``.
    """

    first: int
    last: int
    count: int
    reason: str
    gate: Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What to write for one timer.

    ``next_due`` is when to look at it again, None for never. ``decided`` and ``gaps`` are sorted by
    time. With ``cancel_running`` the schedule's earlier unfinished runs are to be canceled; with
    ``lift_hold`` its hold is over and accounted for; ``completed`` means nothing will be due again.
    """

    processed_to: int
    next_due: int | None
    decided: tuple[Decided, ...] = ()
    gaps: tuple[Gap, ...] = ()
    cancel_running: bool = False
    lift_hold: bool = False
    completed: bool = False


def decide(timer: Timer, calendar: Calendar, policy: Policy, now: int) -> Outcome:
    """Decide about everything due in the half-open interval (processed_to, now], each once.

    A due no older than ``GRACE`` is on time. Every on-time due launches, as far as the overlap
    policy lets it. An older one is missed, and ``missed`` says what becomes of it:

    - ``last``: the newest missed one is made up for, if it lies in the catch-up window and nothing
      newer fires, which would do the same work;
    - ``all``: all that lie in the window are made up for;
    - ``skip``: none is.

    Missed dues that are not made up for are recorded one by one. At most ``max_catchup`` missed
    dues are made up for or recorded so, the newest; the older ones become one gap.

    While the schedule is held nothing is decided and the mark stays. Once the hold is over, what
    was due from its beginning up to, but not at, its end is decided by its ``catchup``, however
    long ago it was:

    - ``skip``: all of it becomes one gap;
    - ``last``: the newest is made up for, the older ones become one gap;
    - ``all``: the newest ``max_catchup`` are made up for, the older ones become one gap.

    What was due before or after the hold is on time or missed as if there had been none. When the
    clock went back behind the mark nothing is decided until it has caught up.
    """
    mark, hold = timer.processed_to, timer.hold
    if hold is not None and hold.active(now):
        return Outcome(processed_to=mark, next_due=hold.until)
    if now < mark:
        return _outcome(calendar, mark)
    start = end = mark
    launches: list[Decided] = []
    held = None
    if hold is not None and hold.until is not None:
        end = max(mark, hold.until - 1)
        start = min(end, max(mark, hold.since - 1))
        launches, held = _held(calendar, (start, end), hold, policy, now)
    late_to = now - GRACE - 1
    stretches = ((mark, min(start, late_to)), (end, late_to))
    late: Sequence[int] = ()
    older = None
    first = calendar.next_after(mark)
    # Nearly always all there is is on time.
    if first is not None and first <= late_to:
        late, older = _newest(calendar, stretches, policy.max_catchup, Gate.MISSED)
    on_time = chain(
        _between(calendar, max(mark, late_to), start), _between(calendar, max(end, late_to), now)
    )
    launches += [Decided(due, Decision.LAUNCH, "", Gate.DUE) for due in on_time]
    newest = max((one.due for one in launches), default=mark)
    made_up, missed = _catch_up(late, calendar, policy, now, newest)
    fired, cancel = _overlap(sorted([*launches, *made_up], key=_due), timer, policy)
    if older is not None:
        limit = f"the {policy.max_catchup} that are looked at (max_catchup)"
        older = replace(older, reason=f"missed: {older.count} fires older than {limit}")
    next_due = calendar.next_after(now)
    return Outcome(
        processed_to=now,
        next_due=next_due,
        completed=next_due is None,
        decided=tuple(sorted([*missed, *fired], key=_due)),
        gaps=tuple(sorted((g for g in (older, held) if g), key=lambda gap: gap.first)),
        cancel_running=cancel,
        lift_hold=hold is not None,
    )


def _outcome(calendar: Calendar, mark: int) -> Outcome:
    next_due = calendar.next_after(mark)
    return Outcome(processed_to=mark, next_due=next_due, completed=next_due is None)


def _between(calendar: Calendar, after: int, until: int) -> Iterable[int]:
    # Most stretches are empty, and asking a calendar costs more than this.
    return calendar.between(after, until) if after < until else ()


def _due(one: Decided) -> int:
    return one.due


def _newest(
    calendar: Calendar, stretches: Sequence[Stretch], limit: int, gate: Gate
) -> tuple[list[int], Gap | None]:
    """Split what is due in ``stretches``, in order, into the newest ``limit`` and a gap before.

    The gap has no reason yet. It is counted and not walked through: after ten years there are
    five million minutes in it.
    """
    oldest = list(islice(chain(*(_between(calendar, *one) for one in stretches)), limit + 1))
    if len(oldest) <= limit:
        return oldest, None

    def after(instant: int) -> int:
        return sum(calendar.count(max(begin, instant), end) for begin, end in stretches)

    begin, end = stretches[0][0], stretches[-1][1]
    count = after(begin) - limit
    # The first instant with no more than ``limit`` dues after it is due itself.
    last = begin + bisect_left(range(begin, end), -limit, key=lambda instant: -after(instant))
    newest = chain(*(_between(calendar, max(begin, last), end) for begin, end in stretches))
    return list(newest), Gap(oldest[0], last, count, "", gate)


def _held(
    calendar: Calendar, stretch: Stretch, hold: Hold, policy: Policy, now: int
) -> tuple[list[Decided], Gap | None]:
    """Split what came due during a hold that is over into what is made up for and a gap."""
    limit = {Missed.SKIP: 0, Missed.LAST: 1, Missed.ALL: policy.max_catchup}[hold.catchup]
    newest, older = _newest(calendar, (stretch,), limit, Gate.HOLD)
    why, rule = held_by(hold), f"(catchup: {hold.catchup})"
    made_up = [
        Decided(due, Decision.LAUNCH, f"{why}; made up {_age(due, now)} {rule}", Gate.HOLD)
        for due in newest
    ]
    if older is not None:
        many = f"{older.count} fires older than the {limit} that are made up for (max_catchup)"
        follows = {
            Missed.SKIP: "",
            Missed.LAST: f"; a newer fire stands for them {rule}",
            Missed.ALL: f"; {many}",
        }
        older = replace(older, reason=why + follows[hold.catchup])
    return made_up, older


def held_by(hold: Hold) -> str:
    """Say whose hold it was, until when and why; for the reasons of what it kept from firing."""
    until = "" if hold.until is None else f" until {iso(hold.until)}"
    return f"held by {hold.who}{until}: {hold.why}"


def _age(due: int, now: int) -> str:
    return f"{duration_text(timedelta(seconds=(now - due) // SECOND))} late"


def _catch_up(
    late: Sequence[int], calendar: Calendar, policy: Policy, now: int, newest: int
) -> tuple[list[Decided], list[Decided]]:
    """Split late dues into those made up for and those missed.

    ``newest`` is the newest due that fires whatever becomes of these.
    """
    made_up, missed = [], []
    for due in late:
        age = _age(due, now)
        last = due == late[-1] and due > newest
        window = _window(due, calendar, policy)
        rule = f"(missed: {policy.missed})"
        if policy.missed is Missed.SKIP:
            missed.append(Decided(due, Decision.MISS, f"missed: {age} {rule}", Gate.MISSED))
        elif policy.missed is Missed.LAST and not last:
            text = f"missed: {age}, and a newer fire stands for it {rule}"
            missed.append(Decided(due, Decision.MISS, text, Gate.MISSED))
        elif now - due > window:
            span = duration_text(timedelta(microseconds=window))
            text = f"missed: {age}, beyond the catch-up window of {span} {rule}"
            missed.append(Decided(due, Decision.MISS, text, Gate.MISSED))
        else:
            made_up.append(Decided(due, Decision.LAUNCH, f"made up {age} {rule}", Gate.MISSED))
    return made_up, missed


def _window(due: int, calendar: Calendar, policy: Policy) -> int:
    if policy.catchup_window is not None:
        return policy.catchup_window
    if policy.missed is Missed.ALL:
        # With the period as its limit, `all` would never make up for more than the last one.
        return HOUR
    following = calendar.next_after(due)
    return HOUR if following is None else min(HOUR, following - due)


def _overlap(
    launches: Sequence[Decided], timer: Timer, policy: Policy
) -> tuple[list[Decided], bool]:
    """Apply the overlap policy to fires in the order they were due."""
    running, waiting = list(timer.running), list(timer.waiting)
    decided = []
    cancel = False
    for fire in launches:
        if policy.overlap is Overlap.CANCEL_RUNNING and fire is not launches[-1]:
            # Nothing is started only to be canceled in the same breath.
            replaced = f"skipped: the fire due {iso(launches[-1].due)} replaces it"
            text = f"{replaced} (overlap: {policy.overlap})"
            decided.append(Decided(fire.due, Decision.SKIP, text, Gate.OVERLAP))
            continue
        verdict = choose(policy.overlap, policy.max_active_runs, running, waiting)
        cancel |= verdict.cancel
        if fire is not launches[-1] and verdict.decision is not Decision.SKIP:
            ahead = running if verdict.decision is Decision.LAUNCH else waiting
            ahead.append(f"due {iso(fire.due)}")
        reason = "; ".join(filter(None, (fire.reason, verdict.reason))) or "on time"
        gate = fire.gate if verdict.gate is Gate.DUE else verdict.gate
        decided.append(Decided(fire.due, verdict.decision, reason, gate))
    return decided, cancel


def due_key(due: int) -> str:
    """Name a fire of the clock by its nominal time."""
    return f"{Kind.RECURRENCE}:{iso(due)}"


def initial_key() -> str:
    """Name the one immediate run on creation."""
    return f"{Kind.INITIAL}:"


def data_key(watch_id: int, change_seq: int) -> str:
    """Name the fire of one line of a watch's change log."""
    return f"{Kind.DATA}:{watch_id}:{change_seq}"


def poll_key(watch_id: int, poll_seq: int, after: int = 0) -> str:
    """Name the fire of all that one poll found; of its rest with ``after``, a place in the log."""
    key = f"{Kind.POLL}:{watch_id}:{poll_seq}"
    return f"{key}:{after}" if after else key


def backfill_key(backfill: str, due: int) -> str:
    """Name the fire of a backfill by the backfill and the nominal time."""
    return f"{Kind.BACKFILL}:{backfill}:{iso(due)}"


def manual_key(token: str) -> str:
    """Name a run that somebody asked for, by the asker's token."""
    return f"{Kind.MANUAL}:{token}"


def gap_key(first: int, last: int) -> str:
    """Name a gap by the first and last due time in it."""
    return f"{Kind.GAP}:{iso(first)}/{iso(last)}"


def data_gap_key(watch_id: int, first_seq: int, last_seq: int) -> str:
    """Name a gap in a watch's change log by the first and last line in it."""
    return f"{Kind.GAP}:{watch_id}:{first_seq}/{last_seq}"
