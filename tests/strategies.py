"""Hypothesis strategies for the values of the product; every drawn value is a valid one."""

# ruff: noqa: DTZ001  (wall clock times have no zone)

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from reconciler.schedule import (
    INTERVAL_LIMITS,
    Cron,
    Dst,
    FirstRun,
    Frequency,
    Recurrence,
    WallGap,
    WallOverlap,
    WeekDay,
)


def examples(count: int) -> settings:
    """Try ``count`` examples, however busy the machine is."""
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# Plain zones, and each kind of trouble: half-hour and two-hour changes, changes at midnight, a
# skipped day, Ramadan, negative summer time, a new standard time, and names of Windows.
ZONES = (
    "UTC",
    "Etc/GMT+12",
    "Asia/Kolkata",
    "America/New_York",
    "America/Chicago",
    "America/Sao_Paulo",
    "America/Havana",
    "America/St_Johns",
    "America/Caracas",
    "Europe/Paris",
    "Europe/Dublin",
    "Europe/Volgograd",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Gaza",
    "Asia/Tehran",
    "Asia/Beirut",
    "Asia/Pyongyang",
    "Antarctica/Troll",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Central Standard Time",
    "Lord Howe Standard Time",
)
zones = st.sampled_from(ZONES)
seconds = st.integers(0, 59)
hours = st.integers(0, 23)
minutes = st.integers(0, 59)
dsts = st.builds(Dst, gap=st.sampled_from(WallGap), overlap=st.sampled_from(WallOverlap))
# Years with old rules, with many changes, and beyond 2037, where a zone's file ends in a rule.
walls = st.datetimes(datetime(1995, 1, 1), datetime(2050, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0)
)


def _some(values: st.SearchStrategy[int], most: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(values, max_size=most, unique=True).map(tuple)


@st.composite
def _times(draw: st.DrawFn) -> dict[str, object]:
    kind = draw(st.sampled_from(("none", "time_of_day", "hours", "minutes", "both")))
    fields: dict[str, object] = {}
    if kind == "time_of_day":
        fields["time_of_day"] = f"{draw(hours)}:{draw(minutes):02}"
    if kind in {"hours", "both"}:
        fields["hours"] = draw(_some(hours, 6))
    if kind in {"minutes", "both"}:
        fields["minutes"] = draw(_some(minutes, 4))
    return fields


@st.composite
def recurrences(
    draw: st.DrawFn,
    frequencies: tuple[Frequency, ...] = tuple(Frequency),
    choices: st.SearchStrategy[Dst] = dsts,
) -> Recurrence:
    """Draw a recurrence of one of the frequencies, with one of the choices for clock changes."""
    frequency = draw(st.sampled_from(frequencies))
    few = min(6, INTERVAL_LIMITS[frequency])
    interval = draw(st.integers(1, few) | st.integers(1, INTERVAL_LIMITS[frequency]))
    fields: dict[str, object] = {}
    if frequency in {Frequency.DAY, Frequency.WEEK}:
        fields |= draw(_times())
    if frequency is Frequency.WEEK:
        days = st.lists(st.sampled_from(WeekDay), max_size=7, unique=True)
        fields["week_days"] = tuple(draw(days))
    if frequency is Frequency.MONTH and draw(st.booleans()):
        days = st.integers(1, 31) | st.just(-1)
        fields["month_days"] = tuple(draw(st.lists(days, min_size=1, max_size=5, unique=True)))
        fields |= draw(_times())
    start = draw(st.none() | walls)
    if start is not None:
        fields["include_start"] = draw(st.booleans())
        length = st.integers(0, 4_000_000).map(lambda minutes: timedelta(minutes=minutes))
        fields["end_time"] = draw(st.none() | length.map(lambda length: start + length))
    if frequency not in {Frequency.MINUTE, Frequency.HOUR}:
        fields["dst"] = draw(choices)
    return Recurrence(
        frequency=frequency,
        interval=interval,
        time_zone=draw(zones),
        start_time=start,
        first_run=draw(st.sampled_from(FirstRun)),
        **fields,
    )


@st.composite
def cron_fields(draw: st.DrawFn, low: int, high: int, names: tuple[str, ...] = ()) -> str:
    """Draw one field of a cron expression."""

    def value(number: int) -> str:
        index = number - low
        return names[index] if index < len(names) and draw(st.booleans()) else str(number)

    def item() -> str:
        first, last = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        step = draw(st.integers(1, high))
        forms = ("*", f"*/{step}", value(first), f"{first}-{last}", f"{first}-{last}/{step}")
        return draw(st.sampled_from(forms))

    return ",".join(item() for _ in range(draw(st.integers(1, 2))))


_MONTHS = ("Jan", "feb", "MAR", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("Sun", "mon", "TUE", "wed", "thu", "fri", "sat")


@st.composite
def cron_expressions(draw: st.DrawFn) -> str:
    """Draw five cron fields that fire at some time."""
    minute, hour = draw(cron_fields(0, 59)), draw(cron_fields(0, 23))
    month, week_day = draw(cron_fields(1, 12, _MONTHS)), draw(cron_fields(0, 7, _DAYS))
    # Up to 28, so that every month has the day.
    month_day = draw(st.just("*") | cron_fields(1, 28))
    return f"{minute} {hour} {month_day} {month} {week_day}"


@st.composite
def crons(draw: st.DrawFn) -> Cron:
    """Draw a cron trigger."""
    expression = draw(cron_expressions())
    elapsed = any(sign in field for sign in "*/" for field in expression.split()[:2])
    return Cron(
        expression=expression,
        dst=Dst() if elapsed else draw(dsts),
        time_zone=draw(zones),
        start_time=draw(st.none() | walls),
    )
