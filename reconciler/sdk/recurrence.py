"""How often a schedule runs."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reconciler.errors import InvalidValue
from reconciler.schedule import Frequency, Recurrence, WeekDay
from reconciler.sdk.time_zone import TimeZone
from reconciler.trigger.compile import problems
from reconciler.trigger.zones import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TIME_OF_DAY = re.compile(r"([0-9]{1,2}):([0-9]{2})")
_FREQUENCIES = tuple(frequency.value for frequency in Frequency)
_WEEK_DAYS = tuple(day.value for day in WeekDay)
_WINDOWS = frozenset(zone.value for zone in TimeZone)


class ScheduleRecurrence:
    """Every so many minutes, hours, days, weeks or months; the arguments are Azure ML's.

    ``frequency`` is ``"Minute"``, ``"Hour"``, ``"Day"``, ``"Week"`` or ``"Month"``, ``interval`` a
    whole number from 1. ``start_time`` is a naive ``datetime`` or ``"YYYY-MM-DDThh:mm:ss"`` on the
    wall clock of ``time_zone``; without it the schedule runs once on creation and then counts from
    there, and one in the past means the next time in step with it. ``hours`` (0 to 23) and
    ``minutes`` (0 to 59) are lists for Day and Week, and every hour is combined with every minute;
    ``time_of_day`` is ``"hh:mm"`` instead of both. ``week_days`` are ``"Monday"`` to ``"Sunday"``,
    for Week. With hours, minutes or days given, a fire on ``start_time`` itself is left out.

    ``time_zone`` is a :class:`TimeZone`, UTC by default; beyond Azure ML the text of an IANA zone
    such as ``"Europe/Paris"`` is taken too.

    Raises:
        InvalidValue: ``time_of_day`` is wrong or stands beside hours or minutes, or ``start_time``
            carries an offset. All else is found by :meth:`validate`, as in Azure ML.
    """

    def __init__(  # noqa: PLR0913, PLR0917  (Azure ML's)
        self,
        frequency: str,
        interval: int,
        start_time: datetime | str | None = None,
        time_zone: TimeZone | str | None = None,
        hours: Sequence[int] | None = None,
        minutes: Sequence[int] | None = None,
        week_days: Sequence[str] | None = None,
        time_of_day: str | None = None,
    ) -> None:
        self.frequency = frequency
        self.interval = interval
        if isinstance(start_time, datetime):
            _refuse_offset(start_time)
            start_time = start_time.isoformat(timespec="seconds")
        self.start_time = start_time
        self.time_zone = time_zone
        if start_time is not None and time_zone is None:
            self.time_zone = TimeZone.UTC
        self.hours = hours
        self.minutes = minutes
        if time_of_day is not None:
            if hours is not None or minutes is not None:
                raise _wrong("time_of_day", "Can not specify time_of_day and hours or minutes.")
            hour, minute = _time_of_day(time_of_day)
            self.hours, self.minutes = [hour], [minute]
        self.week_days = week_days

    def validate(self) -> None:
        """Check that the recurrence can be scheduled.

        Raises:
            InvalidValue: with Azure ML's message where that SDK has the rule; also an interval
                beyond the engine's limits, a start time that is none, or one never reached.
        """
        self.declared()

    def declared(self) -> Recurrence:
        """Give the recurrence as a manifest declares it.

        Raises:
            InvalidValue: as :meth:`validate`.
        """
        fault = next(self._faults(), None)
        if fault is not None:
            raise _wrong(*fault)
        zone = self.time_zone
        recurrence = Recurrence(
            frequency=Frequency(self.frequency),
            interval=self.interval,
            start_time=_moment(self.start_time),
            time_zone=zone.value if isinstance(zone, TimeZone) else zone or "UTC",
            hours=tuple(set(self.hours or ())),
            minutes=tuple(set(self.minutes or ())),
            week_days=tuple(WeekDay(day) for day in self.week_days or ()),
        )
        faults = problems(recurrence)
        if faults:
            raise InvalidValue(faults)
        return recurrence

    def _faults(self) -> Iterator[tuple[str, str]]:
        """Check as Azure ML's SDK does, in its order; arguments may be anything here."""
        by_time = self.frequency in ("Day", "Week")
        if self.frequency not in _FREQUENCIES:
            accepted = "only one of Minute, Hour, Day, Week, or Month accepted"
            yield "frequency", f"Invalid value for frequency, {accepted}"
        if not _whole(self.interval) or self.interval < 1:
            yield "interval", "Interval must be an integer greater than 0."
        if self.hours is not None and not by_time:
            yield "hours", "Can only specify hours if frequency is Week or Day."
        if self.minutes is not None and not by_time:
            yield "minutes", "Can only specify minutes if frequency is Week or Day."
        if self.week_days is not None and self.frequency != "Week":
            yield "week_days", "Can only specify week days if frequency is Week."
        if not _whole_numbers(self.hours, 23):
            yield "hours", "Hours must be between 0 and 23."
        if not _whole_numbers(self.minutes, 59):
            yield "minutes", "Minutes must be between 0 and 59."
        if not _listed(self.week_days) or any(d not in _WEEK_DAYS for d in self.week_days or ()):
            accepted = ", ".join(_WEEK_DAYS)
            yield "week_days", f"Week days must be a list of str, accepted values: {accepted}."
        if not _known(self.time_zone):
            yield "time_zone", "Time zone is not a valid TimeZone enum."


def from_declared(recurrence: Recurrence) -> ScheduleRecurrence:
    """Show a declared recurrence with Azure ML's arguments.

    What that SDK has no word for (end_time, month_days, include_start, first_run) is left out.
    """
    zone = recurrence.time_zone
    start = recurrence.start_time
    return ScheduleRecurrence(
        frequency=recurrence.frequency.value,
        interval=recurrence.interval,
        start_time=start,
        time_zone=TimeZone(zone) if zone in _WINDOWS else zone,
        hours=[*recurrence.hours] or None,
        minutes=[*recurrence.minutes] or None,
        week_days=[day.value for day in recurrence.week_days] or None,
        time_of_day=recurrence.time_of_day,
    )


def describe(recurrence: ScheduleRecurrence) -> str:
    """Write ``Runs at 18:30 on Monday, Wednesday every 2 Weeks``.

    Azure ML writes 9:05 as ``9:5`` and an hour or minute that was not given as 00; here minutes
    have two digits and what was not given stands as it will run: ``*`` for every hour, the minute
    of ``start_time`` for the minute.
    """
    text = "Runs"
    if recurrence.hours or recurrence.minutes:
        start = _moment(recurrence.start_time)
        hours: Sequence[int | str] = recurrence.hours or ["*"]
        minutes = recurrence.minutes or [start.minute if start else 0]
        text += " at " + ", ".join(f"{hour}:{minute:02}" for hour in hours for minute in minutes)
    if recurrence.week_days:
        text += " on " + ", ".join(recurrence.week_days)
    if recurrence.interval == 1:
        return f"{text} every {recurrence.frequency}"
    return f"{text} every {recurrence.interval} {recurrence.frequency}s"


def _wrong(key: str, message: str) -> InvalidValue:
    return InvalidValue([((key,), message)])


def _refuse_offset(moment: datetime) -> None:
    if moment.tzinfo is not None:
        text = "Can not specify tzinfo for start_time, use time_zone instead."
        raise _wrong("start_time", text)


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        message = f"start_time should be in the format YYYY-MM-DDThh:mm:ss, not {text!r}."
        raise _wrong("start_time", message) from None
    _refuse_offset(moment)
    return moment


def _time_of_day(text: str) -> tuple[int, int]:
    match = _TIME_OF_DAY.fullmatch(str(text))
    if match is None:
        raise _wrong("time_of_day", "time_of_day should be in the format hh:mm.")
    hour, minute = int(match[1]), int(match[2])
    if hour > 23:
        raise _wrong("time_of_day", "Time of day hour value must be between 0 and 23.")
    if minute > 59:
        raise _wrong("time_of_day", "Time of day minute value must be between 0 and 59.")
    return hour, minute


def _whole(value: Any) -> bool:  # noqa: ANN401  (arguments may be anything)
    return isinstance(value, int) and not isinstance(value, bool)


def _listed(values: Any) -> bool:  # noqa: ANN401  (the same)
    return values is None or (isinstance(values, Collection) and not isinstance(values, str))


def _whole_numbers(values: Any, last: int) -> bool:  # noqa: ANN401  (the same)
    return _listed(values) and all(_whole(one) and 0 <= one <= last for one in values or ())


def _known(zone: Any) -> bool:  # noqa: ANN401  (the same)
    if zone is None or isinstance(zone, TimeZone):
        return True
    if not isinstance(zone, str) or zone in _WINDOWS:
        return False
    try:
        resolve(zone)
    except InvalidValue:
        return False
    return True
