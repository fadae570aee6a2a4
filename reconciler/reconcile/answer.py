"""The answer to "why did it, or did it not, run?", and the time that is asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from reconciler.clock import to_instant
from reconciler.live import RegisteredSchedule
from reconciler.run import Attempt, Fire, Run
from reconciler.trigger.zones import offsets, resolve
from reconciler.workspace.records import Alert, Poll, Watch

if TYPE_CHECKING:
    from datetime import datetime


class Passage(StrEnum):
    """What happened at a gate."""

    PASSED = "passed"
    DECIDED = "decided"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class Passed:
    """One gate on a fire's way, in the order they are passed, and what is known about it."""

    gate: str
    passage: Passage
    text: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """The time that somebody asks about.

    ``instants`` are those that it can mean, the likeliest first; ``text`` repeats it as it was
    given, ``note`` says what a clock change makes of it, empty where that is nothing; ``twice``
    tells that it came twice.
    """

    instants: tuple[int, ...]
    text: str
    note: str = ""
    twice: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run that has not started, and what it waits for."""

    run: Run
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The answer in one sentence, and everything it rests on; all times are instants.

    ``fires`` are the rows found, the one that is explained first. ``runs`` are its run and those
    that were run anew, with their ``attempts`` by run. ``before`` and ``after`` are the nearest due
    times by the present spec. ``waiting`` and ``running`` are the schedule's unfinished runs, for
    an answer about now. ``watch`` and ``polls`` are there for a schedule by files.
    """

    schedule: RegisteredSchedule
    zone: str
    asked: int | None
    due: int | None
    answer: str
    gates: tuple[Passed, ...] = ()
    notes: tuple[str, ...] = ()
    fires: tuple[Fire, ...] = ()
    runs: tuple[Run, ...] = ()
    attempts: Mapping[str, Sequence[Attempt]] = field(default_factory=dict)
    alerts: tuple[Alert, ...] = ()
    before: int | None = None
    after: int | None = None
    waiting: tuple[Waiting, ...] = ()
    running: tuple[Run, ...] = ()
    watch: Watch | None = None
    polls: tuple[Poll, ...] = ()


def read_asked(moment: datetime, zone: str) -> Asked:
    """Tell which instants a time can mean on a clock in ``zone``; one with an offset means itself.

    A time that the clock skips means what becomes of it: later by the gap, or the end of the gap.

    Raises:
        InvalidValue: the zone is unknown.
    """
    text = moment.strftime("%H:%M:%S" if moment.second else "%H:%M") + f" on {moment:%Y-%m-%d}"
    if moment.tzinfo is not None:
        return Asked((to_instant(moment),), f"{text} {moment:%Z}".rstrip())
    info = resolve(zone)
    first, second = (to_instant(moment.replace(tzinfo=info, fold=fold)) for fold in (0, 1))
    if first == second:
        return Asked((first,), text)
    if first < second:
        return Asked((first, second), text, f"{text} came twice in {zone}", twice=True)
    start = offsets(info).at(first)[0]
    return Asked((first, start), text, f"that time did not exist in {zone} that day")
