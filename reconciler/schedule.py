"""What a schedule is: frozen values that are consistent by themselves and do nothing else.

The names, defaults and messages of a recurrence are those of Azure ML's SDK v1 (``Schedule`` and
``ScheduleRecurrence`` of azureml-pipeline-core 1.62); what that SDK lets through by mistake is
refused here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from reconciler.data import Batch, DatastoreChange
from reconciler.errors import InvalidValue
from reconciler.fields import NAME_PATTERN, Scalar, field
from reconciler.retries import Retries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.fields import Fault


class Status(StrEnum):
    """Whether a schedule fires, or a pipeline may be run."""

    ACTIVE = "Active"
    DISABLED = "Disabled"


class Frequency(StrEnum):
    """The unit that a recurrence counts in."""

    MINUTE = "Minute"
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"
    MONTH = "Month"


class WeekDay(StrEnum):
    """A day of the week, Monday first."""

    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"


class FirstRun(StrEnum):
    """What a recurrence without a start time does when it is created."""

    IMMEDIATE = "immediate"
    ALIGNED = "aligned"


class Overlap(StrEnum):
    """What a fire does while earlier runs of the schedule are not over."""

    SKIP = "skip"
    QUEUE = "queue"
    QUEUE_ONE = "queue_one"
    CANCEL_RUNNING = "cancel_running"
    ALLOW = "allow"


class Missed(StrEnum):
    """Which of the fires that came due while no runner ran are made up for."""

    LAST = "last"
    ALL = "all"
    SKIP = "skip"


class WallGap(StrEnum):
    """What becomes of a wall clock time that a clock change skips."""

    SHIFT = "shift"
    SKIP = "skip"
    END = "end"


class WallOverlap(StrEnum):
    """What becomes of a wall clock time that a clock change shows twice."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class OnUnknown(StrEnum):
    """What a run does about a step that was started and whose outcome cannot be known."""

    FAIL = "fail"
    RELAUNCH = "relaunch"
    WAIT = "wait"


# The interval limits of the Logic Apps recurrence engine, which Azure ML's wording follows.
INTERVAL_LIMITS = {
    Frequency.MINUTE: 72_000,
    Frequency.HOUR: 12_000,
    Frequency.DAY: 500,
    Frequency.WEEK: 71,
    Frequency.MONTH: 16,
}
_TIME_OF_DAY = re.compile(r"([0-9]{1,2}):([0-9]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dst:
    """What a rule on the wall clock does on the days when the clock changes.

    The defaults are those of Azure ML: what is skipped is due later by the gap, what is shown
    twice is due once.
    """

    gap: WallGap = field(
        "A time that does not exist that day: shift fires later by the gap (02:30 at 03:30), end "
        "fires at the end of the gap (03:00), skip leaves it out.",
        default=WallGap.SHIFT,
    )
    overlap: WallOverlap = field(
        "A time that exists twice that day: fire the first time, the second, or both.",
        default=WallOverlap.FIRST,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence:
    """Every so many minutes, hours, days, weeks or months.

    Raises:
        InvalidValue: the fields contradict each other, with Azure ML's own messages.
    """

    TAG: ClassVar[str] = "recurrence"

    frequency: Frequency = field(
        "The unit of time the schedule recurs in. Minute and Hour are elapsed time; Day, Week and "
        "Month follow the wall clock of time_zone.",
        examples=("Week",),
    )
    interval: int = field("Fire every so many units.", default=1, minimum=1, examples=(2,))
    start_time: datetime | None = field(
        "The first fire and the anchor of all later ones, as wall clock in time_zone, without an "
        "offset. Without it the schedule runs once on creation and counts from there.",
        default=None,
        examples=("2026-01-31T09:00:00",),
    )
    end_time: datetime | None = field(
        "The last moment a fire may be due, inclusive, as wall clock in time_zone.",
        default=None,
        examples=("2026-12-31T23:59:59",),
    )
    time_zone: str = field(
        "An IANA zone, or one of the 131 Windows names of Azure ML.",
        default="UTC",
        examples=("Europe/Paris", "Romance Standard Time"),
        non_empty=True,
    )
    hours: tuple[int, ...] = field(
        "Hours of the day, 0 to 23; every hour is combined with every minute.",
        default=(),
        minimum=0,
        maximum=23,
        unique=True,
        examples=([6, 18],),
    )
    minutes: tuple[int, ...] = field(
        "Minutes of the hour, 0 to 59.",
        default=(),
        minimum=0,
        maximum=59,
        unique=True,
        examples=([0, 30],),
    )
    week_days: tuple[WeekDay, ...] = field(
        "Days of the week, for frequency Week.",
        default=(),
        unique=True,
        examples=(["Monday", "Thursday"],),
    )
    month_days: tuple[int, ...] = field(
        "Days of the month, for frequency Month; a month without the day is skipped, -1 is the "
        "last day.",
        default=(),
        minimum=-1,
        maximum=31,
        unique=True,
        examples=([1, 15], [-1]),
    )
    time_of_day: str | None = field(
        "hh:mm, instead of one hour and one minute.",
        default=None,
        pattern=r"^[0-9]{1,2}:[0-9]{2}$",
        hint="time_of_day should be in the format hh:mm.",
        examples=("06:30",),
    )
    include_start: bool = field(
        "Fire at start_time itself also where hours, minutes or days are given and match it.",
        default=False,
    )
    first_run: FirstRun = field(
        "Without a start_time: run once at once on creation, or wait for the first slot.",
        default=FirstRun.IMMEDIATE,
    )
    dst: Dst = field(
        "What it does on the days when the clock changes.",
        default=Dst(),
        examples=({"gap": "skip", "overlap": "first"},),
    )

    def __post_init__(self) -> None:
        """Bring lists into their one order and refuse what contradicts itself."""
        object.__setattr__(self, "hours", tuple(sorted(self.hours)))
        object.__setattr__(self, "minutes", tuple(sorted(self.minutes)))
        week_days = self.week_days and tuple(day for day in WeekDay if day in self.week_days)
        object.__setattr__(self, "week_days", week_days)
        object.__setattr__(self, "month_days", tuple(sorted(self.month_days, key=_last_is_32)))
        faults = tuple(self._faults())
        if faults:
            raise InvalidValue(faults)

    def _faults(self) -> Iterator[Fault]:
        limit = INTERVAL_LIMITS[self.frequency]
        if self.interval < 1:
            yield ("interval",), "Interval must be an integer greater than 0."
        elif self.interval > limit:
            yield ("interval",), f"Interval must be at most {limit} for frequency {self.frequency}."
        yield from self._misplaced()
        if not all(0 <= hour <= 23 for hour in self.hours):
            yield ("hours",), "Hours must be between 0 and 23."
        if not all(0 <= minute <= 59 for minute in self.minutes):
            yield ("minutes",), "Minutes must be between 0 and 59."
        if not all(day == -1 or 1 <= day <= 31 for day in self.month_days):
            yield ("month_days",), "Month days must be between 1 and 31, or -1 for the last day."
        if self.time_of_day is not None:
            yield from _time_of_day_faults(self.time_of_day)
        yield from _window_faults(self.start_time, self.end_time)
        if self.include_start and self.start_time is None:
            yield ("include_start",), "include_start needs a start_time."
        if self.dst != Dst() and self.frequency in {Frequency.MINUTE, Frequency.HOUR}:
            text = f"frequency {self.frequency} is elapsed time: no clock change moves it."
            yield ("dst",), f"{text} Remove dst."

    def _misplaced(self) -> Iterator[Fault]:
        by_time = self.frequency in {Frequency.DAY, Frequency.WEEK} or bool(self.month_days)
        timed = self.time_of_day is not None
        way_out = " For Month, give month_days too." if self.frequency is Frequency.MONTH else ""
        if timed and (self.hours or self.minutes):
            yield ("time_of_day",), "Can not specify time_of_day and hours or minutes."
        if (self.hours or timed) and not by_time:
            key = "time_of_day" if timed else "hours"
            yield (key,), f"Can only specify hours if frequency is Week or Day.{way_out}"
        if self.minutes and not by_time:
            yield ("minutes",), f"Can only specify minutes if frequency is Week or Day.{way_out}"
        if self.week_days and self.frequency is not Frequency.WEEK:
            yield ("week_days",), "Can only specify week days if frequency is Week."
        if self.month_days and self.frequency is not Frequency.MONTH:
            yield ("month_days",), "Can only specify month days if frequency is Month."


def _last_is_32(day: int) -> int:
    return 32 if day == -1 else day


def _time_of_day_faults(text: str) -> Iterator[Fault]:
    match = _TIME_OF_DAY.fullmatch(text)
    if match is None:
        yield ("time_of_day",), "time_of_day should be in the format hh:mm."
        return
    hour, minute = int(match[1]), int(match[2])
    if hour > 23:
        yield ("time_of_day",), "Time of day hour value must be between 0 and 23."
    if minute > 59:
        yield ("time_of_day",), "Time of day minute value must be between 0 and 59."


def _window_faults(start: datetime | None, end: datetime | None) -> Iterator[Fault]:
    for key, moment in (("start_time", start), ("end_time", end)):
        if moment is not None and moment.tzinfo is not None:
            yield (key,), f"Can not specify tzinfo for {key}, use time_zone instead."
            return
    if start is not None and end is not None and end < start:
        yield ("end_time",), "end_time must not be before start_time."


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """Five cron fields: minute, hour, day of month, month, day of week.

    Raises:
        InvalidValue: start and end contradict each other.
    """

    TAG: ClassVar[str] = "cron"

    expression: str = field(
        "Minute, hour, day of month, month, day of week, as in Vixie cron; quote it in YAML.",
        examples=("*/15 * * * *", "30 6 * * mon-fri"),
        non_empty=True,
    )
    time_zone: str = field(
        "An IANA zone, or one of the 131 Windows names of Azure ML.",
        default="UTC",
        examples=("Europe/Paris",),
        non_empty=True,
    )
    start_time: datetime | None = field(
        "No fire is due before this wall clock time in time_zone.",
        default=None,
        examples=("2026-01-31T09:00:00",),
    )
    end_time: datetime | None = field(
        "The last moment a fire may be due, inclusive, as wall clock in time_zone.",
        default=None,
        examples=("2026-12-31T23:59:59",),
    )
    dst: Dst = field(
        "What it does on the days when the clock changes.",
        default=Dst(),
        examples=({"gap": "skip", "overlap": "first"},),
    )

    def __post_init__(self) -> None:
        """Refuse a window that ends before it starts, and collapse spaces in the expression."""
        object.__setattr__(self, "expression", " ".join(self.expression.split()))
        faults = tuple(_window_faults(self.start_time, self.end_time))
        if faults:
            raise InvalidValue(faults)


Trigger = Recurrence | Cron | DatastoreChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """How long after it was due a run should have started or finished; later, an alert says so.

    Raises:
        InvalidValue: it would be over before it began.
    """

    start: timedelta | None = field(
        "Alert when the run has not started so long after it was due.",
        default=None,
        examples=("10m",),
    )
    finish: timedelta | None = field(
        "Alert when the run is not over so long after it was due.", default=None, examples=("2h",)
    )

    def __post_init__(self) -> None:
        """Refuse a deadline of no length, and an end before the start."""
        for name in ("start", "finish"):
            span = getattr(self, name)
            if span is not None and not span:
                raise InvalidValue([((name,), f"{name} must be longer than 0s")])
        if self.start is not None and self.finish is not None and self.finish < self.start:
            raise InvalidValue([(("finish",), "finish must not be before start")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a pipeline runs, with which parameters, under which experiment.

    ``pipeline`` is a name, ``name@3``, ``name@latest`` or a published pipeline's id.
    ``experiment_name`` defaults to the schedule's name, ``overlap`` to ``skip`` for clock triggers
    and ``allow`` for data triggers.

    Raises:
        InvalidValue: a policy contradicts the trigger.
    """

    KIND: ClassVar[str] = "Schedule"

    name: str = field(
        "Unique among the project's schedules.",
        pattern=NAME_PATTERN,
        hint="start with a letter or digit, then letters, digits, - and _",
        examples=("nightly-scoring",),
    )
    description: str = field("What it is for, for people.", default="")
    renamed_from: str | None = field(
        "The name it had before: the schedule keeps its history and its place in time. Take the "
        "key out once the rename is applied everywhere.",
        default=None,
        pattern=NAME_PATTERN,
        hint="start with a letter or digit, then letters, digits, - and _",
        examples=("nightly",),
    )
    pipeline: str = field(
        "The pipeline to run: its name, name@3, name@latest (bound at each fire to the declared "
        "version, else to the newest Active one), or a published pipeline's id.",
        non_empty=True,
        examples=("batch-scoring", "batch-scoring@3"),
    )
    experiment_name: str = field(
        "The experiment that groups the runs; the schedule's name by default.",
        default="",
        examples=("scoring",),
    )
    status: Status = field("Active, or Disabled to keep it without firing.", default=Status.ACTIVE)
    trigger: Trigger = field("What makes it fire: exactly one kind of trigger.")
    pipeline_parameters: Mapping[str, Scalar] = field(
        "Values for the pipeline's parameters.",
        default_factory=dict,
        examples=({"batch_size": 512},),
    )
    continue_on_step_failure: bool | None = field(
        "Whether steps that do not depend on a failed step still run; the pipeline's own setting "
        "by default.",
        default=None,
    )
    overlap: Overlap | None = field(
        "What a fire does while earlier runs are not over: skip by default, allow for data.",
        default=None,
    )
    missed: Missed = field(
        "Which fires missed while no runner ran are made up for.", default=Missed.LAST
    )
    catchup_window: timedelta | None = field(
        "How far back a missed fire is made up for: 1h by default, and with missed: last the "
        "period where that is shorter.",
        default=None,
        examples=("6h",),
    )
    max_catchup: int = field(
        "How many missed fires are made up for at most.", default=100, minimum=1, maximum=10_000
    )
    max_active_runs: int = field(
        "How many runs may be unfinished at once where overlap is allow; the rest wait.",
        default=16,
        minimum=1,
        maximum=10_000,
    )
    jitter: timedelta | None = field(
        "Spread the starts over so long after each due time, by a hash of the schedule and that "
        "time; the nominal time stays the fire's name, and the next one is never passed.",
        default=None,
        examples=("5m",),
    )
    retries: Retries | None = field(
        "How often a failed run is run anew, whole; not at all by default.",
        default=None,
        examples=({"max": 2, "backoff": "5m"},),
    )
    on_unknown: OnUnknown = field(
        "What a run does about a step whose outcome cannot be known: fail, relaunch the step, or "
        "wait for an operator to cancel the run.",
        default=OnUnknown.FAIL,
    )
    pause_after_failures: int | None = field(
        "After so many failed runs in a row the schedule is held until somebody releases it.",
        default=None,
        minimum=1,
        maximum=1_000,
        examples=(5,),
    )
    pool: str | None = field(
        "Runs take a place in this pool of the workspace; `reconciler pool` says how many it has.",
        default=None,
        pattern=NAME_PATTERN,
        hint="start with a letter or digit, then letters, digits, - and _",
        examples=("warehouse",),
    )
    deadline: Deadline | None = field(
        "When somebody is to be told that a run is late.",
        default=None,
        examples=({"start": "10m", "finish": "2h"},),
    )
    tags: Mapping[str, str] = field("Labels for people and tools.", default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in defaults that depend on other fields, and refuse a policy that loses files."""
        if not self.experiment_name:
            object.__setattr__(self, "experiment_name", self.name)
        data = isinstance(self.trigger, DatastoreChange)
        if self.overlap is None:
            object.__setattr__(self, "overlap", Overlap.ALLOW if data else Overlap.SKIP)
        if self.renamed_from == self.name:
            raise InvalidValue([(("renamed_from",), "renamed_from is its own name; remove it")])
        if data and self.jitter is not None:
            text = "jitter spreads the clock's fires; remove it from datastore_change"
            raise InvalidValue([(("jitter",), text)])
        per_file = (
            isinstance(self.trigger, DatastoreChange) and self.trigger.batch is Batch.PER_FILE
        )
        if per_file and self.overlap in {Overlap.SKIP, Overlap.QUEUE_ONE}:
            text = (
                f"overlap: {self.overlap} would drop changed files; "
                "use allow, queue or cancel_running, or batch: per_poll"
            )
            raise InvalidValue([(("overlap",), text)])
