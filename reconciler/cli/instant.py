"""Times as people type them."""

from __future__ import annotations

from datetime import datetime, time, timedelta

from reconciler.clock import to_datetime, to_instant
from reconciler.errors import ReconcilerError
from reconciler.fields import parse_duration
from reconciler.trigger.calendar import HORIZON
from reconciler.trigger.zones import first_instant, resolve


def parse_moment(text: str) -> datetime:
    """Read an ISO time, with or without an offset.

    Raises:
        ReconcilerError: it is none.
    """
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        example = "write for example 2026-03-08T02:30 or 2026-03-08T07:30:00Z"
        raise ReconcilerError(f"'{text}' is not a time; {example}") from None


def parse_past(text: str, zone: str, now: int) -> datetime:
    """Read an ISO time; a time of day alone is the last one that a clock in ``zone`` showed.

    Raises:
        ReconcilerError: it is neither.
    """
    try:
        alone = time.fromisoformat(text)
    except ValueError:
        return parse_moment(text)
    today = datetime.combine(to_datetime(now).astimezone(resolve(zone)).date(), alone)
    return today if first_instant(today, resolve(zone)) <= now else today - timedelta(days=1)


def parse_when(text: str, zone: str) -> int:
    """Read an ISO time; one without an offset is what a clock in ``zone`` shows.

    Raises:
        ReconcilerError: it is none.
    """
    moment = parse_moment(text)
    return first_instant(moment, resolve(zone)) if moment.tzinfo is None else to_instant(moment)


def parse_end(text: str, zone: str, now: int) -> int:
    """Read an ISO time, or a duration from now: ``2h``, ``1d12h``.

    Raises:
        ReconcilerError: it is neither, or beyond the year in which nothing is due any more.
    """
    try:
        end = now + parse_duration(text) // timedelta(microseconds=1)
    except ValueError:
        try:
            end = parse_when(text, zone)
        except ReconcilerError as error:
            raise ReconcilerError(f"{error}, or a duration from now: 2h, 1d12h") from None
    if end > HORIZON:
        raise ReconcilerError(f"'{text}' lies beyond the year 2200; leave it out for no end")
    return end
