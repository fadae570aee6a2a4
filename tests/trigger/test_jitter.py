"""Starts are spread the same way for ever, evenly, and never past the next due."""

from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import DAY, HOUR, MINUTE
from reconciler.trigger.jitter import delay
from tests.strategies import examples
from tests.trigger.times import at

NOON = at("2026-06-01 12:00")
VECTOR = 3086375329


def test_a_delay_is_the_same_in_every_process_and_version():
    assert delay("4f1c", NOON, HOUR, None) == VECTOR
    assert delay("4f1c", NOON, HOUR, NOON + DAY) == VECTOR
    assert delay("4f1c", NOON + DAY, HOUR, None) != VECTOR
    assert delay("4f1d", NOON, HOUR, None) != VECTOR


def test_schedules_of_one_due_time_are_spread_evenly():
    """Chi-square over 20 bins, 19 degrees of freedom: below 43.8 with a chance of 99.9 %."""
    many, bins = 20_000, [0] * 20
    for number in range(many):
        bins[delay(f"schedule-{number}", NOON, HOUR, None) * 20 // HOUR] += 1
    assert sum((n - many / 20) ** 2 / (many / 20) for n in bins) < 43.8


def test_the_due_times_of_one_schedule_are_spread_evenly():
    many, bins = 20_000, [0] * 20
    for number in range(many):
        bins[delay("4f1c", NOON + number * DAY, HOUR, None) * 20 // HOUR] += 1
    assert sum((n - many / 20) ** 2 / (many / 20) for n in bins) < 43.8


@examples(300)
@given(st.text(), st.integers(0, 2**53), st.integers(0, 90 * DAY), st.integers(1, 90 * DAY))
def test_no_start_reaches_the_next_due(name, due, jitter, period):
    assert 0 <= delay(name, due, jitter, due + period) < period
    assert delay(name, due, jitter, due + period) <= delay(name, due, jitter, None) <= jitter


def test_without_jitter_nothing_is_delayed():
    assert delay("4f1c", NOON, 0, NOON + MINUTE) == 0
