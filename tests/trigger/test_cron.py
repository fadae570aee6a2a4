"""Cron expressions: what is read, what is refused with which words, and when they are due."""

import pytest

from reconciler.errors import InvalidValue
from reconciler.schedule import Cron
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.cron import parse
from tests.trigger.times import at, local_fires, utc_fires, wall

NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("* * * *", "'* * * *' has 4 fields instead of five"),
        ("", "'' has 0 fields instead of five"),
        ("0 0 12 * * ?", "seconds and years are not known here"),
        ("0 0 1 1 * 2026", "seconds and years are not known here"),
        ("@daily", "write '0 0 * * *' instead of @daily"),
        ("@Weekly", "write '0 0 * * 0' instead of @weekly"),
        ("@hourly", "write '0 * * * *' instead of @hourly"),
        ("@reboot", "'@reboot' is no time; give minute, hour, day of month, month, day of week"),
        ("60 * * * *", "minute: 60 is not between 0 and 59"),
        ("* 24 * * *", "hour: 24 is not between 0 and 23"),
        ("* * 0 * *", "day of month: 0 is not between 1 and 31"),
        ("* * 32 * *", "day of month: 32 is not between 1 and 31"),
        ("* * * 13 *", "month: 13 is not between 1 and 12"),
        ("* * * * 8", "day of week: 8 is not between 0 and 7"),
        ("30-10 * * * *", "minute: '30-10' runs backwards"),
        ("* * * * fri-sun", "day of week: 'fri-sun' runs backwards (Sunday at the end of a range is 7)"),
        ("5/15 * * * *", "minute: '5/15' has a step without a range; write '5-59/15' or '*/15'"),
        ("*/0 * * * *", "minute: the step of '*/0' must be 1 to 59"),
        ("*/90 * * * *", "minute: the step of '*/90' must be 1 to 59"),
        ("*/ * * * *", "minute: the step of '*/' must be 1 to 59"),
        ("*/x * * * *", "minute: the step of '*/x' must be 1 to 59"),
        ("*/5/5 * * * *", "minute: the step of '*/5/5' must be 1 to 59"),
        ("1,,2 * * * *", "minute: an item is empty"),
        (", * * * *", "minute: an item is empty"),
        ("5- * * * *", "minute: '5-' is not complete"),
        ("-5 * * * *", "minute: '-5' is not complete"),
        ("1-2-3 * * * *", "minute: '2-3' is not understood; give 0 to 59"),
        ("*-5 * * * *", "minute: '*' is not understood; give 0 to 59"),
        ("** * * * *", "minute: '**' is not understood; give 0 to 59"),
        ("+5 * * * *", "minute: '+5' is not understood"),
        ("1_0 * * * *", "minute: '1_0' is not understood"),
        ("\u0663 * * * *", "is not understood; give 0 to 59"),
        ("9" * 5000 + " * * * *", "is not understood; give 0 to 59"),
        ("* * L * *", "day of month: 'L' is not understood; give 1 to 31"),
        ("* * 15W * *", "day of month: '15W' is not understood"),
        ("* * * * mon#1", "day of week: 'mon#1' is not understood; give 0 to 7 or sun to sat"),
        ("* * * january *", "month: 'january' is not understood; give 1 to 12 or jan to dec"),
        ("0 0 ? * *", "day of month: '?' is not understood"),
        ("0 0 30 2 *", "'0 0 30 2 *' never fires: no such month has a day 30"),
        ("0 0 31 4,6 *", "'0 0 31 4,6 *' never fires: no such month has a day 31"),
        ("0 0 31 feb */2", "never fires: no such month has a day 31"),
    ],
)  # fmt: skip
def test_a_wrong_expression_is_refused_in_plain_words(expression, message):
    with pytest.raises(InvalidValue) as caught:
        parse(expression)
    assert message in str(caught.value)
    assert {path for path, _ in caught.value.faults} == {("expression",)}


def test_all_wrong_fields_are_named_at_once():
    with pytest.raises(InvalidValue) as caught:
        parse("60 24 * * 9")
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("*/20 * * * *", ["2026-01-01 00:00", "2026-01-01 00:20", "2026-01-01 00:40"]),
        ("30 6 * * mon-FRI", ["2026-01-01 06:30", "2026-01-02 06:30", "2026-01-05 06:30"]),
        ("0 0 * * 0", ["2026-01-04 00:00", "2026-01-11 00:00"]),
        ("0 0 * * 7", ["2026-01-04 00:00", "2026-01-11 00:00"]),
        ("0 0 * * 5-7", ["2026-01-02 00:00", "2026-01-03 00:00", "2026-01-04 00:00"]),
        ("0 0 1 * *", ["2026-01-01 00:00", "2026-02-01 00:00"]),
        ("0 0 31 * *", ["2026-01-31 00:00", "2026-03-31 00:00"]),
        ("0 12 29 Feb *", ["2028-02-29 12:00", "2032-02-29 12:00"]),
        ("5 4 10-20/5 2,Dec *", ["2026-02-10 04:05", "2026-02-15 04:05", "2026-02-20 04:05", "2026-12-10 04:05"]),
        # Either day, when neither field begins with a star: the 13th, or any Friday.
        ("0 0 13 * 5", ["2026-01-02 00:00", "2026-01-09 00:00", "2026-01-13 00:00"]),
        ("0 0 31 2 1", ["2026-02-02 00:00", "2026-02-09 00:00"]),
        ("0 0 1-31 * 5", ["2026-01-01 00:00", "2026-01-02 00:00"]),
        # Both, when one of them does.
        ("0 0 */2 * 5", ["2026-01-09 00:00", "2026-01-23 00:00"]),
        ("0 0 13 * *", ["2026-01-13 00:00"]),
        ("0 0 29 2 */6", ["2032-02-29 00:00", "2048-02-29 00:00"]),
    ],
)  # fmt: skip
def test_days_and_times_are_those_of_crontab(expression, expected):
    trigger = Cron(expression=expression)
    found = utc_fires(trigger, len(expected), created_at=at("2026-01-01 00:00") - 1)
    assert found == expected


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        # Fixed times are wall clock times: shifted out of the gap, once in the overlap.
        ("30 2 * * *", NEW_YORK, "2026-03-08 05:00",
         ["2026-03-08 03:30-04:00", "2026-03-09 02:30-04:00"]),
        ("30 1 * * *", NEW_YORK, "2026-11-01 04:00",
         ["2026-11-01 01:30-04:00", "2026-11-02 01:30-05:00"]),
        ("30 1-3 * * *", NEW_YORK, "2026-03-08 05:00",
         ["2026-03-08 01:30-05:00", "2026-03-08 03:30-04:00", "2026-03-09 01:30-04:00"]),
        # A star or a step follows elapsed time: nothing is invented, nothing is left out.
        ("*/30 * * * *", NEW_YORK, "2026-03-08 06:00",
         ["2026-03-08 01:30-05:00", "2026-03-08 03:00-04:00", "2026-03-08 03:30-04:00"]),
        ("*/30 * * * *", NEW_YORK, "2026-11-01 05:00",
         ["2026-11-01 01:30-04:00", "2026-11-01 01:00-05:00", "2026-11-01 01:30-05:00",
          "2026-11-01 02:00-05:00"]),
        ("*/30 2 * * *", NEW_YORK, "2026-03-08 05:00",
         ["2026-03-09 02:00-04:00", "2026-03-09 02:30-04:00"]),
        ("15 * * * *", NEW_YORK, "2026-11-01 05:00",
         ["2026-11-01 01:15-04:00", "2026-11-01 01:15-05:00", "2026-11-01 02:15-05:00"]),
        ("0-59/30 1 * * *", NEW_YORK, "2026-11-01 04:00",
         ["2026-11-01 01:00-04:00", "2026-11-01 01:30-04:00", "2026-11-01 01:00-05:00",
          "2026-11-01 01:30-05:00", "2026-11-02 01:00-05:00"]),
        # Both passes also where the next match is a year away.
        ("*/30 1 1 11 *", NEW_YORK, "2026-11-01 05:00",
         ["2026-11-01 01:30-04:00", "2026-11-01 01:00-05:00", "2026-11-01 01:30-05:00",
          "2027-11-01 01:00-04:00"]),
        # Half an hour, on Lord Howe.
        ("10 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00",
         ["2026-10-04 02:40+11:00", "2026-10-05 02:10+11:00"]),
        ("*/20 * * * *", "Australia/Lord_Howe", "2026-10-03 15:15",
         ["2026-10-04 02:40+11:00", "2026-10-04 03:00+11:00"]),
        ("*/20 * * * *", "Australia/Lord_Howe", "2026-04-04 14:30",
         ["2026-04-05 01:40+11:00", "2026-04-05 01:40+10:30", "2026-04-05 02:00+10:30"]),
    ],
)  # fmt: skip
def test_changes_of_the_clock(expression, zone, after, expected):
    trigger = Cron(expression=expression, time_zone=zone)
    assert local_fires(trigger, len(expected), after=at(after)) == expected


def test_start_and_end_are_inclusive_wall_times():
    trigger = Cron(
        expression="0 9 * * *",
        time_zone=NEW_YORK,
        start_time=wall("2026-07-01 09:00"),
        end_time=wall("2026-07-02 09:00"),
    )
    assert utc_fires(trigger, 9) == ["2026-07-01 13:00", "2026-07-02 13:00"]


def test_without_a_start_it_is_due_after_its_creation_and_never_at_once():
    trigger = Cron(expression="0 9 * * *")
    assert utc_fires(trigger, 1, created_at=at("2026-01-01 09:00")) == ["2026-01-02 09:00"]
    assert not compile_trigger(trigger, 0).initial
