"""From five cron fields to their calendar.

The syntax and the days are those of Vixie cron, crontab(5). So are the times around a change of the
clock, in spirit: a ``*`` or a step in the minute or hour field means "all the time" and follows
elapsed time; other fields mean wall clock times, which are never lost and never doubled, unless
``dst`` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from operator import and_, or_
from typing import TYPE_CHECKING

from reconciler.clock import DAY, HOUR, MINUTE
from reconciler.errors import InvalidValue
from reconciler.trigger.calendar import (
    AS_SHOWN,
    HORIZON,
    Calendar,
    Pattern,
    bound,
    monthly,
    on_the_wall,
    periodic,
)
from reconciler.trigger.zones import offsets, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.fields import Fault
    from reconciler.schedule import Cron

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_LONGEST = {
    month: 29 if month == 2 else 30 + (month in {1, 3, 5, 7, 8, 10, 12}) for month in range(1, 13)
}
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the five fields: its name, bounds and the names its values may be given by."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    def parse(self, text: str) -> frozenset[int]:
        """Read a comma-separated list of ``*``, ``a``, ``a-b``, ``*/n`` and ``a-b/n``."""
        return frozenset(value for item in text.split(",") for value in self._item(item))

    def _item(self, item: str) -> range:
        body, slash, step_text = item.partition("/")
        low_text, dash, high_text = body.partition("-")
        if body == "*":
            low, high = self.low, self.high
        else:
            low = self._value(low_text, item)
            high = self._value(high_text, item) if dash else low
        if low > high:
            hint = (
                " (Sunday at the end of a range is 7)" if self.low == 0 and self.high == 7 else ""
            )
            raise ValueError(f"{self.name}: '{item}' runs backwards{hint}")
        if not slash:
            return range(low, high + 1)
        if body != "*" and not dash:
            raise ValueError(
                f"{self.name}: '{item}' has a step without a range; write '{body}-{self.high}/"
                f"{step_text}' or '*/{step_text}'"
            )
        if not _is_number(step_text) or not 1 <= int(step_text) <= self.high:
            raise ValueError(f"{self.name}: the step of '{item}' must be 1 to {self.high}")
        return range(low, high + 1, int(step_text))

    def _value(self, text: str, item: str) -> int:
        if not text:
            raise ValueError(
                f"{self.name}: an item is empty"
                if not item
                else f"{self.name}: '{item}' is not complete"
            )
        if text.lower() in self.names:
            return self.names.index(text.lower()) + self.low
        if not _is_number(text):
            also = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
            raise ValueError(
                f"{self.name}: '{text}' is not understood; give {self.low} to {self.high}{also}"
            )
        if not self.low <= int(text) <= self.high:
            raise ValueError(f"{self.name}: {text} is not between {self.low} and {self.high}")
        return int(text)


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, tuple(_MONTHS)),
    _Field("day of week", 0, 7, tuple(_DAYS)),
)


def _is_number(text: str) -> bool:
    # int() would also take other scripts' digits, signs and underscores.
    return text.isascii() and text.isdigit() and len(text) <= 4


@dataclass(frozen=True, slots=True)
class Fields:
    """The meaning of a cron expression.

    ``week_days`` count from Monday, 0. A day matches where its day of month and its day of week
    match, or with ``either``, where one of them does. ``every_pass`` tells that the expression
    follows elapsed time.
    """

    minutes: frozenset[int]
    hours: frozenset[int]
    month_days: frozenset[int]
    months: frozenset[int]
    week_days: frozenset[int]
    either: bool
    every_pass: bool


def parse(expression: str) -> Fields:
    """Read five cron fields.

    Raises:
        InvalidValue: the expression is malformed or never fires; all faults at once, each with
            the path ``("expression",)``.
    """
    texts = expression.split()
    if len(texts) != len(_FIELDS):
        raise _invalid(_miscounted(expression, len(texts)))
    values, faults = [], []
    for field, text in zip(_FIELDS, texts, strict=True):
        try:
            values.append(field.parse(text))
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise _invalid(*faults)
    minutes, hours, month_days, months, week_days = values
    either = not texts[2].startswith("*") and not texts[4].startswith("*")
    if not either and min(month_days) > max(_LONGEST[month] for month in months):
        raise _invalid(f"'{expression}' never fires: no such month has a day {min(month_days)}")
    return Fields(
        minutes=minutes,
        hours=hours,
        month_days=month_days,
        months=months,
        week_days=frozenset((day - 1) % 7 for day in week_days),
        either=either,
        every_pass=any(sign in text for sign in "*/" for text in texts[:2]),
    )


def _miscounted(expression: str, count: int) -> str:
    macro = expression.strip().lower()
    if macro in _MACROS:
        return f"write '{_MACROS[macro]}' instead of {macro}"
    if macro.startswith("@"):
        return f"'{macro}' is no time; give minute, hour, day of month, month, day of week"
    more = "; seconds and years are not known here" if count > len(_FIELDS) else ""
    return (
        f"'{expression}' has {count} fields instead of five: "
        f"minute, hour, day of month, month, day of week{more}"
    )


def _invalid(*messages: str) -> InvalidValue:
    faults: Iterator[Fault] = ((("expression",), message) for message in messages)
    return InvalidValue(faults)


def compile_cron(rule: Cron, created_at: int) -> Calendar:
    """Lay out when ``rule`` is due, from ``start_time``, else after the instant ``created_at``.

    Raises:
        InvalidValue: the time zone is unknown or the expression is wrong.
    """
    zone = resolve(rule.time_zone)
    fields = parse(rule.expression)
    floor, last = created_at, HORIZON - 1
    if rule.start_time is not None:
        floor = bound(rule.start_time, zone, rule.dst, last=False) - 1
    if rule.end_time is not None:
        last = min(last, bound(rule.end_time, zone, rule.dst, last=True))
    dst = AS_SHOWN if fields.every_pass else rule.dst
    return on_the_wall(_pattern(fields), offsets(zone), max(floor, -1), last, dst=dst)


def _pattern(fields: Fields) -> Pattern:
    pairs = product(fields.hours, fields.minutes)
    times = [hour * HOUR + minute * MINUTE for hour, minute in pairs]
    if len(fields.months) == 12 and len(fields.month_days) == 31:
        days = range(7) if fields.either else fields.week_days
        # The shortest period that says the same; a calendar is kept for each schedule.
        if len(days) == 7 and len(fields.hours) == 24:
            return periodic(0, HOUR, (minute * MINUTE for minute in fields.minutes))
        if len(days) == 7:
            return periodic(0, DAY, times)
        # Weeks count from Monday; 1970-01-05 was one.
        marks = (day * DAY + time for day, time in product(days, times))
        return periodic(4 * DAY, 7 * DAY, marks)

    shapes = _shapes(fields.month_days, fields.week_days, fields.either)

    def next_month(month: int) -> int:
        while month % 12 + 1 not in fields.months:
            month += 1
        return month

    def days_of(length: int, weekday: int) -> list[int]:
        return [day for day in shapes[weekday] if day <= length]

    return monthly(next_month, days_of, times)


@lru_cache(256)
def _shapes(
    month_days: frozenset[int],
    week_days: frozenset[int],
    either: bool,  # noqa: FBT001  (a key)
) -> list[list[int]]:
    """List the matching days of a month of 31 days, for each week day that it may begin on."""
    match = or_ if either else and_
    return [
        [
            day
            for day in range(1, 32)
            if match(day in month_days, (first + day - 1) % 7 in week_days)
        ]
        for first in range(7)
    ]
