"""Triggers in words, and fires that a change of the clock moved."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import DAY, HOUR, iso, parse_instant
from reconciler.data import Batch, DatastoreChange, FileChange, Initial
from reconciler.retries import Retries
from reconciler.schedule import (
    Cron,
    Deadline,
    Dst,
    Frequency,
    OnUnknown,
    Recurrence,
    Schedule,
    WallGap,
    WallOverlap,
    WeekDay,
)
from reconciler.trigger.calendar import HORIZON
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.describe import clock_change, clock_changes, describe, policies
from reconciler.trigger.zones import offsets, resolve
from tests.strategies import crons, examples, recurrences

NEW_YORK = "America/New_York"
SHIFT, SKIP, END = WallGap
FIRST, SECOND, BOTH = WallOverlap


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
        (every(Frequency.DAY, hours=(2,), dst=Dst(gap=END)), "every day at 02:00 (UTC), skipped times at the end of the gap"),
        (
            Cron(expression="30 1 * * *", dst=Dst(gap=SKIP, overlap=BOTH)),
            "cron 30 1 * * * (UTC), skipped times left out, repeated times both times",
        ),
        (Cron(expression="30 1 * * *", dst=Dst(overlap=SECOND)), "cron 30 1 * * * (UTC), repeated times at the second"),
        (DatastoreChange(datastore="landing"), "files in landing, looked at every 5m"),
        (
            DatastoreChange(datastore="landing", path_on_datastore="in", polling_interval=0.5, include=("*.csv", "*.txt")),
            "files matching *.csv or *.txt in landing/in, looked at every 30s",
        ),
        (
            DatastoreChange(datastore="landing", recursive=True, batch=Batch.PER_POLL),
            "files in landing and below, looked at every 5m, one run for all of a look",
        ),
        (
            DatastoreChange(datastore="landing", path_on_datastore="in", file="a.csv", min_size=1),
            "file landing/in/a.csv of 1 byte or more, looked at every 5m",
        ),
        (
            DatastoreChange(
                datastore="landing", done_marker="_OK", min_size=2, initial=Initial.TRIGGER,
                changes=(FileChange.ADDED, FileChange.DELETED),
            ),
            ("files in landing added or deleted of 2 bytes or more with _OK beside, and those that are "
            "there, looked at every 5m"),
        ),
    ],
)  # fmt: skip
def test_a_trigger_is_said_in_words(trigger, words):
    assert describe(trigger) == words


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, []),
        ({"jitter": timedelta(minutes=5)}, ["starts up to 5m after each due time (jitter)"]),
        ({"pool": "warehouse"}, ["takes a place in pool warehouse"]),
        ({"retries": Retries()}, []),
        ({"retries": Retries(max=1)}, ["runs a failed run anew once, after 10s"]),
        (
            {"retries": Retries(max=3, backoff=timedelta(minutes=5))},
            ["runs a failed run anew up to 3 times, after 5m and longer each time"],
        ),
        (
            {"on_unknown": OnUnknown.RELAUNCH},
            ["starts a step anew whose outcome cannot be known"],
        ),
        (
            {"on_unknown": OnUnknown.WAIT},
            ["waits for an operator where a step's outcome cannot be known"],
        ),
        ({"pause_after_failures": 1}, ["is held after a failed run"]),
        ({"pause_after_failures": 5}, ["is held after 5 failed runs in a row"]),
        (
            {"deadline": Deadline(start=timedelta(minutes=10), finish=timedelta(hours=2))},
            [
                "alerts when not started 10m after the due time",
                "alerts when not over 2h after the due time",
            ],
        ),
        (
            {"deadline": Deadline(finish=timedelta(hours=2))},
            ["alerts when not over 2h after the due time"],
        ),
    ],
)
def test_policies_are_said_where_they_are_not_the_defaults(fields, said):
    schedule = Schedule(name="s", pipeline="p", trigger=Cron(expression="* * * * *"), **fields)
    assert list(policies(schedule)) == said


def daily_at(time, **choices):
    return every(Frequency.DAY, time_of_day=time, time_zone=NEW_YORK, dst=Dst(**choices))


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
        (daily_at("02:30", gap=END), "2026-03-08T07:00:00Z", "02:30 does not exist that day"),
        (daily_at("03:00", gap=END), "2026-03-08T07:00:00Z", ""),
        (daily_at("02:30", gap=END), "2026-03-09T06:30:00Z", ""),
        (daily_at("02:30", gap=SKIP), "2026-03-08T07:30:00Z", ""),
        (daily_at("01:30", overlap=BOTH), "2026-11-01T05:30:00Z", "the first of two 01:30 that day"),
        (daily_at("01:30", overlap=BOTH), "2026-11-01T06:30:00Z", "the second of two 01:30 that day"),
        (daily_at("01:30", overlap=SECOND), "2026-11-01T06:30:00Z", "the second of two 01:30 that day"),
        (daily_at("02:30", overlap=SECOND), "2026-11-01T07:30:00Z", ""),
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


def daily(zone, *hours, minutes=(), **fields):
    return every(Frequency.DAY, time_zone=zone, hours=hours, minutes=minutes, **fields)


def cron(expression, zone=NEW_YORK, **fields):
    return Cron(expression=expression, time_zone=zone, **fields)


# New York: the clock goes from 02:00 to 03:00 on 2027-03-14, and from 02:00 to 01:00 on 2027-11-07.
SPRING, AUTUMN = "2027-03-14", "2027-11-07"
LORD_HOWE, CAIRO, APIA = "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia"


@pytest.mark.parametrize(
    ("trigger", "changes"),
    [
        (daily(NEW_YORK, 2, minutes=(30,)), [(SPRING, "07:30", "02:30 does not exist; runs at 03:30")]),
        (cron("30 2 * * *"), [(SPRING, "07:30", "02:30 does not exist; runs at 03:30")]),
        (daily(NEW_YORK, 1, minutes=(30,)), [(AUTUMN, "05:30", "01:30 comes twice; runs at the first")]),
        (daily(NEW_YORK, 0, 3, minutes=(0, 59)), []),
        (
            daily(NEW_YORK, 1, 2, minutes=(0, 30)),
            [
                (SPRING, "07:00", "02:00 and 02:30 do not exist; run at 03:00 and 03:30"),
                (AUTUMN, "05:00", "01:00 and 01:30 come twice; run at the first"),
            ],
        ),
        (
            daily(NEW_YORK, 2, 3, minutes=(30,)),
            [(SPRING, "07:30", "02:30 does not exist; one run at 03:30 stands for both")],
        ),
        (
            daily(NEW_YORK, 2, 3, minutes=(0, 20, 40)),
            [(SPRING, "07:00", "02:00 to 02:40 (3 times) do not exist; one run each at 03:00 to 03:40 (3 times) stands for both")],
        ),
        (cron("0 2 14 3 *"), [(SPRING, "07:00", "02:00 does not exist; runs at 03:00")]),
        (cron("0 2 * * 1"), []),
        (cron("*/15 * * * *"), []),
        (cron("7 */1 * * *"), []),
        (cron("0 * * * 0"), []),
        (cron("0 */2 * * *"), [(SPRING, "07:00", "02:00 does not exist; no run then")]),
        (
            cron("*/15 1,2 * * *"),
            [
                (SPRING, "07:00", "02:00 to 02:45 (4 times) do not exist; no run then"),
                (AUTUMN, "05:00", "01:00 to 01:45 (4 times) come twice; run both times"),
            ],
        ),
        # Other choices.
        (daily(NEW_YORK, 2, minutes=(30,), dst=Dst(gap=SKIP)), [(SPRING, "07:30", "02:30 does not exist; no run then")]),
        (daily(NEW_YORK, 2, minutes=(30,), dst=Dst(gap=END)), [(SPRING, "07:00", "02:30 does not exist; runs at 03:00")]),
        (daily(NEW_YORK, 2, 3, dst=Dst(gap=END)), [(SPRING, "07:00", "02:00 does not exist; one run at 03:00 stands for both")]),
        (
            cron("0,20,40 2 * * *", dst=Dst(gap=END)),
            [(SPRING, "07:00", "02:00 to 02:40 (3 times) do not exist; one run at 03:00 stands for all")],
        ),
        (daily(NEW_YORK, 1, minutes=(30,), dst=Dst(overlap=SECOND)), [(AUTUMN, "06:30", "01:30 comes twice; runs at the second")]),
        (
            cron("0,30 1 * * *", dst=Dst(overlap=BOTH)),
            [(AUTUMN, "05:00", "01:00 and 01:30 come twice; run both times")],
        ),
        (
            daily(NEW_YORK, *range(24), dst=Dst(gap=SKIP, overlap=BOTH)),
            [(SPRING, "07:00", "02:00 does not exist; no run then"), (AUTUMN, "05:00", "01:00 comes twice; runs both times")],
        ),
        (daily(NEW_YORK, 2, dst=Dst(gap=END), start_time=datetime(2027, 3, 15)), []),  # noqa: DTZ001  (wall clock)
        # Half an hour: from 02:00 to 02:30 in October, from 02:00 to 01:30 in April.
        (cron("15 2 * * *", LORD_HOWE), [("2027-10-03", "2027-10-02 15:45", "02:15 does not exist; runs at 02:45")]),
        (daily(LORD_HOWE, 1, minutes=(15, 45)), [("2027-04-04", "2027-04-03 14:45", "01:45 comes twice; runs at the first")]),
        (
            daily(LORD_HOWE, 2, minutes=(0, 20, 30)),
            [("2027-10-03", "2027-10-02 15:30", "02:00 and 02:20 do not exist; run at 02:30 and 02:50, 1 of them as one with the run due then")],
        ),
        (cron("*/30 * * * *", LORD_HOWE), []),
        (cron("0 * * * *", LORD_HOWE), [("2027-10-03", "2027-10-02 15:30", "02:00 does not exist; no run then")]),
        (cron("30 * * * *", LORD_HOWE), [("2027-04-04", "2027-04-03 14:30", "01:30 comes twice; runs both times")]),
        # At midnight: from 00:00 to 01:00 on a Friday, from 24:00 to 23:00 on a Thursday.
        (daily(CAIRO, 0), [("2027-04-30", "2027-04-29 22:00", "00:00 does not exist; runs at 01:00")]),
        (cron("15 23 * * *", CAIRO), [("2027-10-28", "2027-10-28 20:15", "23:15 comes twice; runs at the first")]),
        (daily("Asia/Kolkata", 2), []),
        (daily("UTC", 2), []),
        (daily(APIA, 2), []),
        (every(Frequency.HOUR, time_zone=NEW_YORK), []),
        (daily(NEW_YORK, 2, start_time=datetime(2027, 3, 15)), []),  # noqa: DTZ001  (wall clock)
        (cron("0 */2 * * *", start_time=datetime(2027, 3, 15)), []),  # noqa: DTZ001  (wall clock)
        (daily(NEW_YORK, 2, start_time=datetime(2026, 1, 1), end_time=datetime(2027, 3, 14)), []),  # noqa: DTZ001  (wall clock)
        (cron("0 */2 * * *", end_time=datetime(2027, 3, 14)), []),  # noqa: DTZ001  (wall clock)
    ],
)  # fmt: skip
def test_what_the_clocks_of_400_days_do_to_a_trigger_is_said(trigger, changes):
    now = parse_instant("2026-11-22T12:00:00Z")
    found = clock_changes(trigger, compile_trigger(trigger, now), now, now + 400 * DAY)
    expected = [(day, due if " " in due else f"{day} {due}", text) for day, due, text in changes]
    assert [(one.day, iso(one.due)[:16].replace("T", " "), one.text) for one in found] == expected


@pytest.mark.parametrize(
    ("trigger", "text"),
    [
        (daily(APIA, 2), "02:00 does not exist; one run at 02:00 the next day stands for both"),
        (daily(APIA, 2, dst=Dst(gap=END)), "02:00 does not exist; runs at 00:00 the next day"),
        (cron("0 9 * * 5", APIA), "09:00 does not exist; runs at 09:00 the next day"),
        (cron("0 * * * *", APIA), "00:00 to 23:00 (24 times) do not exist; no run then"),
    ],
)
def test_a_day_that_a_zone_skipped_is_said(trigger, text):
    now = parse_instant("2011-12-01T00:00:00Z")
    (found,) = clock_changes(trigger, compile_trigger(trigger, now), now, now + 60 * DAY)
    assert (found.day, found.text) == ("2011-12-30", text)


def test_of_a_change_that_has_begun_only_what_is_still_due_is_said():
    trigger = daily(NEW_YORK, 1, 2, minutes=(0, 30))
    calendar = compile_trigger(trigger, 0)

    def texts(after, until):
        span = (parse_instant(f"2027-{one}:00Z") for one in (after, until))
        return [one.text for one in clock_changes(trigger, calendar, *span)]

    assert texts("03-14T07:10", "03-15T00:00") == ["02:30 does not exist; runs at 03:30"]
    assert texts("03-14T07:30", "03-15T00:00") == []
    assert texts("11-07T05:00", "11-08T00:00") == ["01:30 comes twice; runs at the first"]
    calendar = compile_trigger(replace(trigger, dst=Dst(gap=END, overlap=SECOND)), 0)
    assert texts("03-14T07:00", "03-15T00:00") == []
    assert texts("11-07T06:00", "11-08T00:00") == ["01:30 comes twice; runs at the second"]
    calendar = compile_trigger(trigger, 0)
    assert texts("11-01T00:00", "11-07T04:59") == []


@given(recurrences() | crons(), st.integers(0, HORIZON // 2))
@examples(200)
def test_the_changes_of_the_clock_are_those_that_single_fires_tell_of(trigger, after):
    calendar = compile_trigger(trigger, 0)
    until = after + 400 * DAY
    found = clock_changes(trigger, calendar, after, until)
    assert [one.due for one in found] == sorted(one.due for one in found)
    for one in found:
        assert after < one.due <= until
        if "no run" in one.text:
            continue
        assert calendar.next_after(one.due - 1) == one.due
        if " one " not in one.text and "both" not in one.text:
            assert clock_change(trigger, 0, one.due)
    for change in offsets(resolve(trigger.time_zone)).changes(after + DAY, until - DAY):
        for due in islice(calendar.between(change[0] - DAY, change[0] + DAY), 200):
            if clock_change(trigger, 0, due):
                assert any(0 <= due - one.due < DAY for one in found)
