from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import FixedClock, SystemClock, iso, parse_instant, to_datetime, to_instant


def test_an_instant_counts_microseconds_from_the_epoch():
    assert to_instant(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005


def test_an_instant_is_the_same_in_every_zone():
    east = datetime(2026, 3, 8, 9, 30, tzinfo=timezone(timedelta(hours=2)))
    assert iso(to_instant(east)) == "2026-03-08T07:30:00Z"


def test_a_naive_datetime_is_not_an_instant():
    with pytest.raises(ValueError, match="naive"):
        to_instant(datetime(2026, 1, 1))  # noqa: DTZ001


@given(st.integers(min_value=0, max_value=to_instant(datetime(2200, 1, 1, tzinfo=UTC))))
def test_text_and_datetime_give_every_instant_back(instant):
    assert parse_instant(iso(instant)) == instant
    assert to_instant(to_datetime(instant)) == instant


def test_the_system_clock_lies_between_two_readings_of_the_machines():
    before = to_instant(datetime.now(UTC))  # noqa: TID251
    now = SystemClock().now()
    assert before <= now <= to_instant(datetime.now(UTC))  # noqa: TID251


def test_a_fixed_clock_stands_still():
    clock = FixedClock(7)
    assert (clock.now(), clock.now()) == (7, 7)
