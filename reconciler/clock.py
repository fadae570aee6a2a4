"""The only reader of the wall clock.

An instant is an ``int``: microseconds since 1970-01-01T00:00:00Z. Integers compare, store and
step without surprises; they become text or ``datetime`` only at the edge. A clock is a parameter
everywhere else and is read once a pass.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Something that tells the present instant."""

    def now(self) -> int:
        """Microseconds since the epoch."""
        ...


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> int:
        """Microseconds since the epoch, as the operating system tells them."""
        return time.time_ns() // 1_000  # noqa: TID251  (this is the one place)


class FixedClock:
    """A clock that stands still until it is moved: for plans with ``--now`` and for tests."""

    def __init__(self, instant: int) -> None:
        self.instant = instant

    def now(self) -> int:
        """Return the instant it was set to."""
        return self.instant


def to_instant(moment: datetime) -> int:
    """Turn an aware datetime into microseconds since the epoch.

    Raises:
        ValueError: the datetime is naive.
    """
    if moment.tzinfo is None:
        raise ValueError("a naive datetime is not an instant")
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_datetime(instant: int) -> datetime:
    """Turn microseconds since the epoch into an aware datetime in UTC."""
    return EPOCH + timedelta(microseconds=instant)


def iso(instant: int) -> str:
    """Write an instant as ``2026-03-08T07:30:00Z``, with a fraction only where there is one."""
    return to_datetime(instant).isoformat().replace("+00:00", "Z")


def parse_instant(text: str) -> int:
    """Read ``2026-03-08T07:30:00Z`` or any ISO 8601 time that carries an offset.

    Raises:
        ValueError: not ISO 8601, or without an offset.
    """
    return to_instant(datetime.fromisoformat(text))
