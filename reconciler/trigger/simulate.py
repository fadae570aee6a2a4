"""What a runner would decide in a window of time, by the very rules that it decides by.

The replay goes from event to event as a runner does: something is due, a run is over, a wait ends.
It begins with no run under way; every run takes as long as it is told and succeeds. Pools, the
runner's own limits and what fails are left out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from reconciler.clock import iso
from reconciler.live import Hold
from reconciler.run import Decision, Gate
from reconciler.schedule import Cron, Recurrence, Schedule
from reconciler.trigger.calendar import Calendar
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.decide import GRACE, Policy, Timer, decide, due_key, gap_key, initial_key
from reconciler.trigger.jitter import delay
from reconciler.trigger.overlap import startable

# Stretches in which no runner ran, as half-open intervals of instants [from, to).
Downtimes = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A schedule by the clock as it is replayed.

    ``duration`` is how long a run takes, in microseconds. ``initial`` tells that its creation lies
    in the window, and so its one immediate run where it has one.
    """

    id: str
    schedule: Schedule
    created_at: int
    hold: Hold | None = None
    duration: int = 0
    initial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """One decision of a replay; all times are instants.

    ``count`` is above 1 only for a gap. ``starts_at`` and ``ends_at`` are those of its run, None
    where it has none or does not come to it within the window; ``canceled`` tells that a newer
    fire replaced it.
    """

    schedule_id: str
    name: str
    key: str
    due: int
    decided_at: int
    decision: Decision
    gate: Gate
    reason: str
    count: int = 1
    starts_at: int | None = None
    ends_at: int | None = None
    canceled: bool = False


@dataclass(slots=True)
class _Row:
    """A decision whose run may be on its way; ``done`` once nothing more happens to it."""

    value: Simulated
    not_before: int
    done: bool = False

    @property
    def label(self) -> str:
        return f"due {iso(self.value.due)}"

    def end(self, at: int, *, canceled: bool = False) -> None:
        started = self.value.starts_at is not None
        ends_at = at if started else None
        self.value = replace(self.value, ends_at=ends_at, canceled=canceled)
        self.done = True


@dataclass(slots=True)
class _Replay:
    """One schedule on its way through the window."""

    subject: Subject
    calendar: Calendar
    policy: Policy
    mark: int
    next_due: int | None
    hold: Hold | None
    initial: bool
    rows: deque[_Row] = field(default_factory=deque)
    running: list[_Row] = field(default_factory=list)
    waiting: list[_Row] = field(default_factory=list)

    def tick(self, now: int) -> None:
        """Decide about what is due, as the runner's ticker does."""
        if self.next_due is None or self.next_due > now:
            return
        running = [row.label for row in self.running]
        waiting = [row.label for row in self.waiting]
        if self.initial:
            self.initial = False
            reason = "first run on creation"
            born = self.subject.created_at
            self._add(initial_key(), born, now, Decision.LAUNCH, Gate.FIRST, reason)
            running = ["of its creation"]
        hold = self.hold if self.hold is not None and self.hold.since <= now else None
        timer = Timer(processed_to=self.mark, hold=hold, running=running, waiting=waiting)
        outcome = decide(timer, self.calendar, self.policy, now)
        if outcome.cancel_running:
            for row in (*self.running, *self.waiting):
                row.end(now, canceled=True)
            self.running, self.waiting = [], []
        found: list[tuple[int, str, Decision, Gate, str, int]] = [
            (one.due, due_key(one.due), one.decision, one.gate, one.reason, 1)
            for one in outcome.decided
        ]
        found += [
            (gap.first, gap_key(gap.first, gap.last), Decision.GAP, gap.gate, gap.reason, gap.count)
            for gap in outcome.gaps
        ]
        for due, key, decision, gate, reason, count in sorted(found, key=lambda one: one[0]):
            self._add(key, due, now, decision, gate, reason, count)
        self.mark, self.next_due = outcome.processed_to, outcome.next_due
        if outcome.lift_hold:
            self.hold = None

    def _add(  # noqa: PLR0913, PLR0917  (what a decision says)
        self,
        key: str,
        due: int,
        now: int,
        decision: Decision,
        gate: Gate,
        reason: str,
        count: int = 1,
    ) -> None:
        fires = decision in {Decision.LAUNCH, Decision.QUEUE}
        value = Simulated(
            schedule_id=self.subject.id,
            name=self.subject.schedule.name,
            key=key,
            due=due,
            decided_at=now,
            decision=decision,
            gate=gate,
            reason=reason,
            count=count,
        )
        row = _Row(value, now if key == initial_key() else self._spread(due, now), done=not fires)
        self.rows.append(row)
        if fires:
            self.waiting.append(row)

    def _spread(self, due: int, now: int) -> int:
        """Tell when the run of a fire may start: only what is on time is spread by jitter."""
        jitter = self.subject.schedule.jitter
        if jitter is None or now - due > GRACE:
            return now
        span = jitter // timedelta(microseconds=1)
        return due + delay(self.subject.id, due, span, self.calendar.next_after(due))

    def end(self, now: int) -> None:
        """End what is over."""
        for row in self.running:
            if _ends(row) <= now:
                row.done = True
        self.running = [row for row in self.running if not row.done]

    def start(self, now: int) -> bool:
        """Start what may start; tells whether there was something."""
        ready = [row for row in self.waiting if row.not_before <= now]
        policy = self.policy
        places = startable(policy.overlap, policy.max_active_runs, len(self.running), len(ready))
        for row in ready[:places]:
            ends_at = now + self.subject.duration
            row.value = replace(row.value, starts_at=now, ends_at=ends_at)
        self.running += ready[:places]
        self.waiting = [row for row in self.waiting if row.value.starts_at is None]
        return places > 0

    def next_event(self, now: int) -> int | None:
        """Give the next instant at which there is something to do, None for never."""
        events = [self.next_due, *map(_ends, self.running)]
        events += [row.not_before for row in self.waiting if row.not_before > now]
        return min((event for event in events if event is not None), default=None)


def _ends(row: _Row) -> int:
    ends_at = row.value.ends_at
    assert ends_at is not None, "only what has started is running"  # noqa: S101  (move's law)
    return ends_at


def simulate(
    subject: Subject, *, after: int, until: int, down: Downtimes = ()
) -> Iterator[Simulated]:
    """Yield every decision about ``subject`` in the half-open interval (after, until], in order.

    What came due in one of the ``down`` stretches is decided at its end. A schedule is replayed as
    if it had been there from the beginning of the window, in step with its creation.

    Raises:
        InvalidValue: the time zone is unknown or the cron expression is wrong.
    """
    trigger = subject.schedule.trigger
    assert isinstance(trigger, Recurrence | Cron), "files are not foreseen"  # noqa: S101  (Subject's law)
    since = max(after, subject.created_at) if subject.initial else after
    calendar = compile_trigger(trigger, subject.created_at, since=since)
    initial = subject.initial and calendar.initial
    replay = _Replay(
        subject=subject,
        calendar=calendar,
        policy=Policy.of(subject.schedule),
        mark=after,
        next_due=subject.created_at if initial else calendar.next_after(after),
        hold=subject.hold,
        initial=initial,
    )
    stretches = sorted(down)
    now = after
    while (event := replay.next_event(now)) is not None:
        now = _up(stretches, event)
        if now > until:
            break
        # As the runner does: what is over stands in nobody's way.
        replay.end(now)
        replay.tick(now)
        while replay.start(now):
            replay.end(now)
        while replay.rows and replay.rows[0].done:
            yield replay.rows.popleft().value
    for row in replay.rows:
        yield row.value


def _up(stretches: Downtimes, instant: int) -> int:
    """Give the first instant from ``instant`` on at which a runner runs."""
    for start, end in stretches:
        if start <= instant < end:
            instant = end
    return instant
