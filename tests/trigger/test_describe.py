"""Triggers in words, and fires that a change of the clock moved."""

from datetime import datetime

import pytest
from hypothesis import given

from reconciler.clock import DAY, HOUR, parse_instant
from reconciler.schedule import Cron, DatastoreChange, Frequency, Recurrence, WeekDay
from reconciler.trigger.calendar import HORIZON
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.describe import clock_change, describe
from reconciler.trigger.zones import offsets, resolve
from tests.strategies import crons, examples, recurrences

NEW_YORK = "America/New_York"


def every(frequency, **fields):
    return Recurrence(frequency=frequency, **fields)


@pytest.mark.parametrize(
    ("trigger", "words"),
    [
        (every(Frequency.MINUTE), "every minute (UTC)"),
        (every(Frequency.HOUR, interval=6, time_zone=NEW_YORK), "every 6 hours (America/New_York)"),
        (every(Frequency.DAY, time_of_day="6:30"), "every day at 06:30 (UTC)"),
        (every(Frequency.DAY, hours=(6, 18), minutes=(0, 30)), "every day at 06:00, 06:30, 18:00, 18:30 (UTC)"),
        (every(Frequency.DAY, hours=(6,)), "every day at 06:00 (UTC)"),
        (every(Frequency.DAY, minutes=(5, 35)), "every day at minutes 5, 35 of every hour (UTC)"),
        (
            every(Frequency.WEEK, interval=2, week_days=(WeekDay.THURSDAY, WeekDay.MONDAY), time_of_day="06:30"),
            "every 2 weeks on Monday, Thursday at 06:30 (UTC)",
        ),
        (every(Frequency.MONTH, month_days=(-1, 15), hours=(1,)), "every month on day 15, the last day at 01:00 (UTC)"),
        (
            every(Frequency.DAY, hours=(4,), start_time=datetime(2026, 1, 2, 3, 45), end_time=datetime(2027, 1, 1)),  # noqa: DTZ001  (wall clock)
            "every day at 04:45 (UTC), from 2026-01-02 03:45, until 2027-01-01 00:00",
        ),
        (Cron(expression="*/5 * * * *"), "cron */5 * * * * (UTC)"),
        (DatastoreChange(datastore="landing"), "files in landing, looked at every 5m"),
        (
            DatastoreChange(datastore="landing", path_on_datastore="in", polling_interval=0.5, include=("*.csv", "*.txt")),
            "files matching *.csv or *.txt in landing/in, looked at every 30s",
        ),
    ],
)  # fmt: skip
def test_a_trigger_is_said_in_words(trigger, words):
    assert describe(trigger) == words


DAILY = every(Frequency.DAY, time_of_day="02:30", time_zone=NEW_YORK)


@pytest.mark.parametrize(
    ("trigger", "due", "note"),
    [
        (DAILY, "2026-03-08T07:30:00Z", "02:30 does not exist that day"),
        (DAILY, "2026-03-09T06:30:00Z", ""),
        (every(Frequency.DAY, time_of_day="03:30", time_zone=NEW_YORK), "2026-03-08T07:30:00Z", ""),
        (every(Frequency.DAY, time_of_day="01:30", time_zone=NEW_YORK), "2026-11-01T05:30:00Z", "the first of two 01:30 that day"),
        (every(Frequency.DAY, time_of_day="02:30", time_zone=NEW_YORK), "2026-11-01T07:30:00Z", ""),
        (every(Frequency.HOUR, time_zone=NEW_YORK), "2026-11-01T05:30:00Z", ""),
        (Cron(expression="30 2 * * *", time_zone=NEW_YORK), "2026-03-08T07:30:00Z", "02:30 does not exist that day"),
        (Cron(expression="*/30 * * * *", time_zone=NEW_YORK), "2026-03-08T07:30:00Z", ""),
        (Cron(expression="*/30 * * * *", time_zone=NEW_YORK), "2026-11-01T05:30:00Z", ""),
    ],
)  # fmt: skip
def test_what_a_clock_does_to_a_fire_is_said(trigger, due, note):
    created = parse_instant("2026-01-01T00:00:00Z")
    assert clock_change(trigger, created, parse_instant(due)) == note


@given(trigger=recurrences() | crons())
@examples(100)
def test_a_fire_far_from_any_change_of_the_clock_has_no_note(trigger):
    due = compile_trigger(trigger, 0).next_after(0)
    if due is None or due > HORIZON - DAY:
        return
    zone = offsets(resolve(trigger.time_zone))
    around = {zone.at(max(due + hours * HOUR, 0))[2] for hours in range(-48, 49)}
    assert clock_change(trigger, 0, due) == "" or len(around) > 1
