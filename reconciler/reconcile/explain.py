"""Why did it, or did it not, run? Every gate that a fire passes, and which of them decided.

What was decided is read from the ledger: there is no second opinion about the past. Only where
there is no row is the calendar asked, and the answer says so.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from reconciler.clock import MINUTE, SECOND, to_datetime
from reconciler.data import DatastoreChange
from reconciler.errors import InvalidValue
from reconciler.fields import duration_text
from reconciler.live import DisabledBy
from reconciler.plan.spec import spec_value
from reconciler.reconcile.answer import Explanation, Passage, Passed, Waiting
from reconciler.reconcile.line import Line
from reconciler.reconcile.looks import standing, unable
from reconciler.run import Decision, Gate, RunState
from reconciler.schedule import Schedule, Status, WallGap
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.decide import held_by
from reconciler.trigger.describe import clock_change, describe
from reconciler.trigger.zones import resolve

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from reconciler.live import Live, RegisteredSchedule
    from reconciler.reconcile.answer import Asked
    from reconciler.run import Fire, Run
    from reconciler.trigger.calendar import Calendar
    from reconciler.workspace.ledger import Ledger
    from reconciler.workspace.records import Poll, Watch

# Runs that wait, attempts, alerts and looks at a directory: as many as a person reads.
FEW = 10
# The gates that the ledger does not name: is it due at all, what a clock change made of that, and
# what its run waits for.
WINDOW, CLOCK, START = "window", "dst", "start"
ORDER = (Gate.STATUS, Gate.HOLD, WINDOW, CLOCK, Gate.MISSED, Gate.OVERLAP, Gate.LIMIT, START)

_BY = {
    None: " in its manifest",
    DisabledBy.GIT: " in its manifest",
    DisabledBy.MISSING: ": its manifest is gone",
    DisabledBy.OPERATOR: " by an operator",
}
_GONE = (
    "It was due at {}, and what was decided about it is not in the ledger any more: whether it ran "
    "is not known"
)
_LATER = (
    "There is no decision about {}: the schedule was edited or enabled later, at {}; "
    "`reconciler history` tells its edits"
)
_EDITED = "by its present spec: it was edited or enabled later, at {}; see `reconciler history`"


def explain(
    live: Live, ledger: Ledger, here: RegisteredSchedule, asked: Asked | None, now: int
) -> Explanation:
    """Explain what a schedule did at a time, or without one, what stands in the way of the next.

    Raises:
        WorkspaceError: the workspace cannot be read.
    """
    teller = _Teller(live, ledger, here, now)
    if asked is None:
        return teller.present()
    return teller.at(asked)


class _Teller:
    """Knows one schedule, at one instant."""

    def __init__(self, live: Live, ledger: Ledger, here: RegisteredSchedule, now: int) -> None:
        self.live = live
        self.ledger, self.here, self.now = ledger, here, now
        self.schedule = spec_value(Schedule, here.spec)
        self.trigger = self.schedule.trigger
        self.line = Line(ledger, here, self.schedule, now)
        self.by_data = isinstance(self.trigger, DatastoreChange)
        self.zone = "UTC" if isinstance(self.trigger, DatastoreChange) else self.trigger.time_zone
        self.broken = ""
        self.info: ZoneInfo = resolve("UTC")
        self.calendar: Calendar | None = None
        if not isinstance(self.trigger, DatastoreChange):
            try:
                self.info = resolve(self.zone)
                self.calendar = compile_trigger(self.trigger, here.created_at)
            except InvalidValue as error:
                self.broken = str(error)

    # A time ----------------------------------------------------------------------------------

    def at(self, asked: Asked) -> Explanation:
        """Explain what happened, or will, at a time."""
        for instant in asked.instants:
            fires = self._rows(instant)
            if fires:
                return self._decided(asked, instant, fires)
        for instant in asked.instants:
            if self._occurs(instant):
                return self._without_row(asked, instant, due=True)
        return self._without_row(asked, asked.instants[0], due=False)

    def _rows(self, instant: int) -> list[Fire]:
        """Find the decisions about an instant, or within the minute that begins with it.

        The nearest first, and a gap that spans it last.
        """
        wide = MINUTE - 1 if instant % MINUTE == 0 else 0
        found = self.ledger.fires_between(self.here.id, instant - 1, instant + wide)
        if self.calendar is not None and self.calendar.count(instant - 1, instant + wide) == 0:
            # Between two dues that a gap stands for, nothing was passed over.
            now = self.here.revision
            found = [f for f in found if f.decision is not Decision.GAP or f.revision != now]
        order = ("ri", "dp", "b", "m")

        def rank(fire: Fire) -> tuple[int, int, int]:
            kind = fire.occurrence_key[0]
            place = next((i for i, kinds in enumerate(order) if kind in kinds), len(order))
            return fire.decision is Decision.GAP, abs(fire.due_at - instant), place

        return sorted(found, key=rank)

    def _occurs(self, instant: int) -> bool:
        return self.calendar is not None and self.calendar.next_after(instant - 1) == instant

    def _decided(self, asked: Asked, instant: int, fires: list[Fire]) -> Explanation:
        fire = fires[0]
        runs = self.line.runs(fire)
        attempts = self.ledger.attempts([run.id for run in runs])
        ids = {run.id for run in runs}
        alerts = [a for a in self.ledger.alerts(self.here.id, FEW * FEW) if a.run_id in ids]
        gap = fire.decision is Decision.GAP
        due = instant if gap else fire.due_at
        if gap:
            many = "the one fire" if fire.count == 1 else f"one of {fire.count} fires"
            begin = (
                "It did not run at"
                if fire.gate is not Gate.RESTORE
                else "Nobody knows whether it ran at"
            )
            said = f"{begin} {self._clock(due)}: {many} passed over, {fire.reason}."
        elif runs:
            said = f"{self._outcome(fire, runs)}"
        else:
            said = f"It did not run at {self._clock(due)}: {fire.reason}."
        notes = [f"also: {f.occurrence_key}, {f.decision}, {f.reason}" for f in fires[1:FEW]]
        if fire.revision != self.here.revision:
            notes.append(
                f"decided by revision {fire.revision} of the schedule, which is at "
                f"{self.here.revision} now; `reconciler history` tells its edits"
            )
        return self._explanation(
            asked,
            due,
            self._moved(asked, said, due),
            gates=self._gates(fire, runs, due),
            notes=tuple(notes),
            fires=tuple(fires),
            runs=tuple(runs),
            attempts=attempts,
            alerts=tuple(alerts[:FEW]),
        )

    def _moved(self, asked: Asked, said: str, due: int) -> str:
        """Put what a clock change did to the time before the answer."""
        if not asked.note:
            return said
        if asked.twice:
            return f"{asked.note}; this is about {self._clock(due)}. {said}"
        verb = "will" if asked.instants[0] > self.now else "did"
        left_out = ""
        if not isinstance(self.trigger, DatastoreChange) and self.trigger.dst.gap is WallGap.SKIP:
            left_out = ", and dst.gap: skip leaves such times out"
        return f"It {verb} not run at {asked.text} because {asked.note}{left_out}. {said}"

    def _outcome(self, fire: Fire, runs: list[Run]) -> str:
        """Say what became of a fire that has a run."""
        last = runs[-1]
        what = f"the fire of {self._clock(fire.due_at)}"
        if fire.decision is Decision.QUEUE and fire.gate is not Gate.ASKED:
            what += f" was {fire.reason}, and"
        elif fire.gate is not Gate.DUE:
            what += f" ({fire.reason})"
        tries = "" if len(runs) == 1 else f", at try {len(runs)}"
        if last.state is RunState.NOT_STARTED:
            return f"It has not started yet: {what}{tries}, {self.line.waits(last)}."
        over = f"{last.state} at {self._clock(last.ended_at or self.now)}"
        why = f", {last.reason}" if last.reason else ""
        if last.started_at is None:
            return f"It did not start: {what} was {over}{why}."
        started = f"{what} started at {self._clock(last.started_at)}{tries}"
        if last.state is RunState.RUNNING:
            return f"It is running: {started}."
        verb = {
            RunState.FINISHED: "It ran",
            RunState.FAILED: "It ran and failed",
            RunState.CANCELED: "It ran until it was stopped",
        }[last.state]
        return f"{verb}: {started}, {over}{why}."

    def _gates(self, fire: Fire, runs: list[Run], due: int) -> tuple[Passed, ...]:
        """Walk the gates by the row: those before the one that decided were passed."""
        if fire.gate in {Gate.ASKED, Gate.RESTORE}:
            first = Passed(fire.gate.value, Passage.DECIDED, fire.reason)
            return (first, self._start(runs))
        decider = WINDOW if fire.gate is Gate.FIRST else fire.gate
        same = fire.revision == self.here.revision
        texts = {
            WINDOW: describe(self.trigger) if same else "",
            CLOCK: self._change(due) if same else "",
        }
        lines = []
        stopped = False
        for gate in ORDER[:-1]:
            if gate == decider:
                lines.append(Passed(gate, Passage.DECIDED, fire.reason))
                stopped = not runs
            elif stopped:
                lines.append(Passed(gate, Passage.NOT_REACHED))
            else:
                text = texts.get(gate, "")
                moved = gate == CLOCK and bool(text)
                lines.append(Passed(gate, Passage.DECIDED if moved else Passage.PASSED, text))
        return (*lines, self._start(runs))

    def _start(self, runs: list[Run]) -> Passed:
        """Say what the run waited for: jitter, its schedule's other runs, pool, resources."""
        if not runs:
            return Passed(START, Passage.NOT_REACHED)
        run = runs[-1]
        if run.started_at is None:
            text = self.line.waits(run) if not run.state.over else run.reason
            return Passed(START, Passage.DECIDED, text)
        late = duration_text(timedelta(seconds=max(0, run.started_at - run.due_at) // SECOND))
        return Passed(START, Passage.PASSED, f"started {late} after it was due")

    def _change(self, due: int) -> str:
        if self.calendar is None or isinstance(self.trigger, DatastoreChange):
            return ""
        return clock_change(self.trigger, self.here.created_at, due)

    # No row ----------------------------------------------------------------------------------

    def _without_row(self, asked: Asked, instant: int, *, due: bool) -> Explanation:
        """Explain a time about which nothing was decided."""
        here, when = self.here, self._clock(instant)
        mark = here.processed_to
        if self.by_data:
            return self._no_file(asked, instant)
        if instant > self.now:
            return self._future(asked, instant, due=due)
        begin = f"It did not run at {when}: "
        if instant < here.created_at:
            born = f"the schedule was created later, at {self._clock(here.created_at)}"
            return self._no_row(asked, instant, f"{begin}{born}.")
        if mark is not None and instant <= mark and due:
            text = _GONE.format(when)
            if here.updated_at > instant:
                text = _LATER.format(when, self._clock(here.updated_at))
            return self._no_row(asked, instant, f"{text}.")
        if not due and not self.broken:
            edited = here.updated_at > instant
            notes = [_EDITED.format(self._clock(here.updated_at))] if edited else []
            return self._no_row(asked, instant, f"{begin}it was not due then.", notes)
        gates, stopped = self._now(instant)
        since = "at all" if mark is None else f"since {self._clock(mark)}"
        why = stopped or f"no runner has looked at it {since}"
        text = f"It is not decided yet: it was due at {when}, and {why}."
        return self._no_row(asked, instant, text, gates=gates)

    def _future(self, asked: Asked, instant: int, *, due: bool) -> Explanation:
        when = self._clock(instant)
        if not due:
            return self._no_row(asked, instant, f"It will not run at {when}: it is not due then.")
        gates, stopped = self._now(instant)
        text = f"It will be due at {when}; "
        if stopped:
            text += f"but {stopped}."
        else:
            text += (
                f"as it is now, {self._ahead}." if self._ahead else "nothing stands in its way now."
            )
        return self._no_row(asked, instant, text, gates=gates)

    def _no_row(
        self,
        asked: Asked,
        instant: int,
        answer: str,
        notes: list[str] | None = None,
        gates: tuple[Passed, ...] = (),
    ) -> Explanation:
        return self._explanation(
            asked, None, self._moved(asked, answer, instant), gates=gates, notes=tuple(notes or ())
        )

    def _no_file(self, asked: Asked, instant: int) -> Explanation:
        """Explain a time at which a schedule by files fired nothing."""
        when = self._clock(instant)
        if instant > self.now:
            text = f"Whether it fires at {when} depends on the files that come."
            return self._explanation(asked, None, text)
        polls = self._polls
        last = next((poll for poll in polls if poll.polled_at <= instant), None)
        if instant < self.here.created_at:
            text = f"the schedule was created later, at {self._clock(self.here.created_at)}"
        elif not polls:
            text = "no runner has looked at its directory yet"
        elif last is None:
            text = (
                f"the looks at its directory before {self._clock(polls[-1].polled_at)} are not kept"
            )
        else:
            found = last.error and f"failed: {last.error}"
            found = found or f"found {last.changed} changed of {last.listed} files"
            text = f"the last look at its directory, at {self._clock(last.polled_at)}, {found}"
        begin = "It did not fire"
        if polls and last is None and instant >= self.here.created_at:
            begin = "Nobody knows whether it fired"
        return self._explanation(asked, None, f"{begin} at {when}: {text}.")

    # Now -------------------------------------------------------------------------------------

    def present(self) -> Explanation:
        """Say what stands in the way of the next fire, and what its runs wait for."""
        due = self.here.next_due
        if due is None and self.calendar is not None and self.here.status is Status.DISABLED:
            due = self.calendar.next_after(self.now)
        gates, stopped = self._now(due)
        waiting = [run for run in self.line.unfinished if run.state is RunState.NOT_STARTED]
        running = [run for run in self.line.unfinished if run.state is RunState.RUNNING]
        begin = "It" if self._ahead else "Nothing stands in its way: it"
        but = f"; as it is now, {self._ahead}" if self._ahead else ""
        if stopped:
            answer = f"It does not fire now: {stopped}."
        elif self.by_data:
            answer = f"{begin} fires when the next file comes{but}."
        elif due is None:
            answer = "It is completed: it will never be due again."
        elif due <= self.now:
            answer = f"It has been due since {self._clock(due)}, for a runner to decide."
        else:
            answer = f"{begin} is due next at {self._clock(due)}{but}."
        if waiting:
            many = "1 run waits" if len(waiting) == 1 else f"{len(waiting)} runs wait"
            answer += f" {many}; the first {self.line.waits(waiting[0])}."
        return self._explanation(
            None,
            due,
            answer,
            gates=gates,
            alerts=tuple(self.ledger.alerts(self.here.id, FEW)),
            waiting=tuple(Waiting(run, self.line.waits(run)) for run in waiting[:FEW]),
            running=tuple(running[:FEW]),
        )

    def _now(self, due: int | None) -> tuple[tuple[Passed, ...], str]:
        """Walk the gates as they stand now; tells, too, what would stop a fire, or nothing."""
        found = self._stops(due)
        texts = {
            WINDOW: describe(self.trigger),
            CLOCK: "" if due is None else self._change(due),
            Gate.OVERLAP: self.line.ahead_of_next(),
        }
        lines = []
        for gate in ORDER[:-1]:
            if gate in found:
                lines.append(Passed(gate, Passage.DECIDED, found[gate]))
            elif any(line.passage is Passage.DECIDED for line in lines if line.gate != CLOCK):
                lines.append(Passed(gate, Passage.NOT_REACHED))
            else:
                moved = gate == CLOCK and bool(texts[CLOCK])
                passage = Passage.DECIDED if moved else Passage.PASSED
                lines.append(Passed(gate, passage, texts.get(gate, "")))
        if not found and self.line.no_place():
            lines.append(Passed(START, Passage.DECIDED, self.line.no_place()))
        return tuple(lines), next(iter(found.values()), "")

    def _stops(self, due: int | None) -> dict[str, str]:
        """Say at which gates a fire would be stopped now, and why."""
        here = self.here
        found: dict[str, str] = {}
        if here.status is Status.DISABLED:
            found[Gate.STATUS] = f"the schedule is Disabled{_BY[here.disabled_by]}"
        elif not self._runnable():
            found[Gate.STATUS] = f"pipeline {self.schedule.pipeline} has no Active version"
        if here.hold is not None and here.hold.active(max(self.now, due or self.now)):
            found[Gate.HOLD] = f"it is {held_by(here.hold)}"
        if self.broken:
            found[WINDOW] = f"it is degraded: {self.broken}"
        elif not self.by_data and due is None:
            found[WINDOW] = "it is completed: it will never be due again"
        elif self._unable:
            found[WINDOW] = self._unable
        return found

    @cached_property
    def _ahead(self) -> str:
        """What a fire would meet that does not stop it for good: its other runs, its pool."""
        ahead, full = self.line.ahead_of_next(), self.line.no_place()
        return ahead or (f"its run would not start: {full}" if full else "")

    def _runnable(self) -> bool:
        """Tell whether there is an Active version of the pipeline that a fire would run."""
        bound, name = self.here.pipeline_id, self.schedule.pipeline.removesuffix("@latest")
        return any(
            version.status is Status.ACTIVE
            and (version.id == bound if bound is not None else version.name == name)
            for version in self.live.pipelines
        )

    # All -------------------------------------------------------------------------------------

    def _explanation(
        self,
        asked: Asked | None,
        due: int | None,
        answer: str,
        **rest: Any,  # noqa: ANN401  (the further fields of an explanation)
    ) -> Explanation:
        instant = asked.instants[0] if asked is not None else None
        around = due if due is not None else instant if instant is not None else self.now
        explanation = Explanation(
            schedule=self.here,
            zone=self.zone,
            asked=instant,
            due=due,
            answer=answer,
            before=self._before(around),
            after=None if self.calendar is None else self.calendar.next_after(around),
            watch=self._watch,
            polls=tuple(self._polls),
        )
        return replace(explanation, **rest)

    def _before(self, instant: int) -> int | None:
        """Find the last due instant before one, looking further and further back."""
        calendar, span = self.calendar, MINUTE
        if calendar is None:
            return None
        while True:
            found = list(calendar.between(instant - span, instant - 1))
            if found:
                return found[-1]
            if instant - span <= calendar.floor:
                return None
            span *= 2

    @cached_property
    def _watch(self) -> Watch | None:
        return self.ledger.watch_of(self.here.id) if self.by_data else None

    @cached_property
    def _polls(self) -> list[Poll]:
        return [] if self._watch is None else self.ledger.polls(self._watch.id, FEW)

    @cached_property
    def _unable(self) -> str:
        """Say why no file can make it fire now; empty where one can."""
        if self._watch is None:
            return "nothing is watched for it" if self.by_data else ""
        return unable(standing(self._watch, self._polls))

    def _clock(self, instant: int) -> str:
        """Write an instant as the schedule's clock shows it."""
        shown = to_datetime(instant).astimezone(self.info).replace(microsecond=0)
        return shown.strftime(f"%Y-%m-%d %H:%M{':%S' if shown.second else ''} %Z")
