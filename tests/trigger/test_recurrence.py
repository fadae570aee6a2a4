"""When recurrences are due: the rules one by one, and both changes of the clock."""

# ruff: noqa: DTZ001  (wall clock times have no zone)

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconciler.clock import HOUR, parse_instant
from reconciler.schedule import INTERVAL_LIMITS, FirstRun, Frequency, Recurrence, WeekDay
from reconciler.trigger.compile import compile_trigger
from tests.trigger.times import EARLY, at, fires, local_fires, utc, utc_fires, wall

MINUTE, HOURLY, DAY, WEEK, MONTH = Frequency
MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY = WeekDay
MICROSOFT = json.loads((Path(__file__).parent / "vectors/microsoft.json").read_text())


def rule(frequency, interval=1, **fields):
    for key in ("start_time", "end_time"):
        if isinstance(fields.get(key), str):
            fields[key] = wall(fields[key])
    return Recurrence(frequency=frequency, interval=interval, **fields)


def from_vector(case):
    fields = {key: case[key] for key in ("time_zone",) if key in case}
    fields |= {key: tuple(case[key]) for key in ("hours", "minutes") if key in case}
    if "week_days" in case:
        fields["week_days"] = tuple(WeekDay(day) for day in case["week_days"])
    if "start_time" in case:
        fields["start_time"] = wall(case["start_time"].removesuffix("Z"))
    return rule(Frequency(case["frequency"]), case["interval"], **fields)


# Microsoft's published cases


@pytest.mark.parametrize("case", MICROSOFT["dst_central_2019"], ids=lambda case: case["id"])
@pytest.mark.parametrize("zone", ["America/Chicago", "Central Standard Time"])
def test_the_published_days_around_the_changes_of_2019_are_reproduced(case, zone):
    expected = [parse_instant(text) for text in case["expected_utc"]]
    trigger = from_vector({**case, "time_zone": zone})
    assert fires(trigger, 3, after=expected[0] - HOUR) == expected


@pytest.mark.parametrize("case", MICROSOFT["start_in_past"], ids=str)
def test_a_start_in_the_past_keeps_its_phase_and_fires_next_in_the_future(case):
    expected = [parse_instant(text) for text in case["expected"]]
    assert fires(from_vector(case), len(expected), after=parse_instant(case["now"])) == expected


@pytest.mark.parametrize("case", MICROSOFT["start_in_future_with_schedule"], ids=str)
def test_a_start_in_the_future_with_days_and_hours_waits_for_the_first_match(case):
    found = local_fires(from_vector(case), 4, after=parse_instant(case["now"]))
    assert [text[:16].replace(" ", "T") for text in found] == case["expected_local"]


@pytest.mark.parametrize("case", MICROSOFT["azureml_v1"], ids=str)
def test_the_cases_of_azure_ml_v1_are_reproduced(case):
    expected = [parse_instant(text) for text in case["expected"]]
    after = parse_instant(case["now"]) if "now" in case else EARLY
    assert fires(from_vector(case), len(expected), after=after) == expected


@pytest.mark.parametrize("frequency", Frequency)
def test_the_interval_limits_are_the_published_ones(frequency):
    assert MICROSOFT["interval_limits"][frequency] == [1, INTERVAL_LIMITS[frequency]]


# Changes of the clock


@pytest.mark.parametrize(
    ("zone", "time", "after", "expected"),
    [
        ("America/New_York", "02:30", "2026-03-07 12:00",
         ["2026-03-08 03:30-04:00", "2026-03-09 02:30-04:00"]),
        ("America/New_York", "02:00", "2026-03-07 12:00",
         ["2026-03-08 03:00-04:00", "2026-03-09 02:00-04:00"]),
        ("America/New_York", "01:59", "2026-03-07 12:00",
         ["2026-03-08 01:59-05:00", "2026-03-09 01:59-04:00"]),
        ("America/New_York", "03:00", "2026-03-07 12:00",
         ["2026-03-08 03:00-04:00", "2026-03-09 03:00-04:00"]),
        ("America/New_York", "01:30", "2026-11-01 00:00",
         ["2026-11-01 01:30-04:00", "2026-11-02 01:30-05:00"]),
        ("America/New_York", "01:00", "2026-11-01 00:00",
         ["2026-11-01 01:00-04:00", "2026-11-02 01:00-05:00"]),
        ("America/New_York", "02:00", "2026-11-01 00:00",
         ["2026-11-01 02:00-05:00", "2026-11-02 02:00-05:00"]),
        ("America/Chicago", "02:30", "2026-03-07 12:00",
         ["2026-03-08 03:30-05:00", "2026-03-09 02:30-05:00"]),
        ("America/Chicago", "01:30", "2026-11-01 00:00",
         ["2026-11-01 01:30-05:00", "2026-11-02 01:30-06:00"]),
        # Half an hour: from 02:00 to 02:30 on the first Sunday of October, back in April.
        ("Australia/Lord_Howe", "02:15", "2026-10-02 12:00",
         ["2026-10-03 02:15+10:30", "2026-10-04 02:45+11:00", "2026-10-05 02:15+11:00"]),
        ("Australia/Lord_Howe", "02:30", "2026-10-03 12:00",
         ["2026-10-04 02:30+11:00", "2026-10-05 02:30+11:00"]),
        ("Australia/Lord_Howe", "01:45", "2026-04-04 12:00",
         ["2026-04-05 01:45+11:00", "2026-04-06 01:45+10:30"]),
        ("Australia/Lord_Howe", "01:15", "2026-04-04 12:00",
         ["2026-04-05 01:15+11:00", "2026-04-06 01:15+10:30"]),
        # At midnight, so that a day begins at 01:00; and back, so that midnight comes twice.
        ("America/Havana", "00:30", "2026-03-07 12:00",
         ["2026-03-08 01:30-04:00", "2026-03-09 00:30-04:00"]),
        ("America/Havana", "00:30", "2026-10-31 12:00",
         ["2026-11-01 00:30-04:00", "2026-11-02 00:30-05:00"]),
        # Two hours.
        ("Antarctica/Troll", "01:30", "2026-03-28 12:00",
         ["2026-03-29 03:30+02:00", "2026-03-30 01:30+02:00"]),
        ("Antarctica/Troll", "01:30", "2026-10-24 12:00",
         ["2026-10-25 01:30+02:00", "2026-10-26 01:30+00:00"]),
        # Winter time is the exception in Dublin.
        ("Europe/Dublin", "01:30", "2026-03-28 12:00",
         ["2026-03-29 02:30+01:00", "2026-03-30 01:30+01:00"]),
        # Summer time is left for Ramadan: 03:00 becomes 02:00.
        ("Africa/Casablanca", "02:30", "2026-02-14 12:00",
         ["2026-02-15 02:30+01:00", "2026-02-16 02:30+00:00"]),
        # Samoa skipped 30 December 2011: its noon comes with that of the 31st, once.
        ("Pacific/Apia", "12:00", "2011-12-29 20:00",
         ["2011-12-29 12:00-10:00", "2011-12-31 12:00+14:00", "2012-01-01 12:00+14:00"]),
    ],
)  # fmt: skip
def test_a_daily_time_is_shifted_out_of_a_gap_and_fires_once_in_an_overlap(
    zone, time, after, expected
):
    trigger = rule(DAY, time_of_day=time, time_zone=zone)
    assert local_fires(trigger, len(expected), after=at(after)) == expected


def test_two_times_that_a_gap_brings_together_fire_once():
    trigger = rule(DAY, hours=(2, 3), minutes=(30,), time_zone="America/New_York")
    assert local_fires(trigger, 3, after=at("2026-03-08 06:00")) == [
        "2026-03-08 03:30-04:00",
        "2026-03-09 02:30-04:00",
        "2026-03-09 03:30-04:00",
    ]


def test_times_that_a_gap_shifts_behind_others_stay_in_order():
    trigger = rule(DAY, hours=(2, 3), minutes=(0, 20, 40), time_zone="America/New_York")
    assert local_fires(trigger, 4, after=at("2026-03-08 06:00")) == [
        "2026-03-08 03:00-04:00",
        "2026-03-08 03:20-04:00",
        "2026-03-08 03:40-04:00",
        "2026-03-09 02:00-04:00",
    ]
    trigger = rule(DAY, hours=(2,), minutes=(30,), start_time="2026-03-01T00:00:00",
                   time_zone="America/New_York")  # fmt: skip
    spring = local_fires(trigger, 3, after=at("2026-03-08 07:29"))
    assert spring[0] == "2026-03-08 03:30-04:00"
    assert spring[1] == "2026-03-09 02:30-04:00"


def test_every_hour_counts_23_and_25_a_day_around_the_changes():
    trigger = rule(HOURLY, time_zone="America/New_York", start_time="2026-01-01T00:00:00")
    calendar = compile_trigger(trigger, 0)
    assert calendar.count(at("2026-03-08 04:59"), at("2026-03-09 03:59")) == 23
    assert calendar.count(at("2026-11-01 03:59"), at("2026-11-02 04:59")) == 25


def test_minutes_and_hours_are_elapsed_time_from_the_anchor():
    trigger = rule(HOURLY, 5, time_zone="America/New_York", start_time="2026-03-07T22:00:00")
    assert local_fires(trigger, 3) == [
        "2026-03-07 22:00-05:00",
        "2026-03-08 04:00-04:00",
        "2026-03-08 09:00-04:00",
    ]
    assert utc_fires(rule(MINUTE, 90, start_time="2026-01-01T00:00:30"), 3) == [
        "2026-01-01 00:00:30",
        "2026-01-01 01:30:30",
        "2026-01-01 03:00:30",
    ]


def test_a_start_time_in_a_gap_is_shifted_and_one_in_an_overlap_is_the_first():
    gap = rule(HOURLY, time_zone="America/New_York", start_time="2026-03-08T02:30:00")
    assert local_fires(gap, 2) == ["2026-03-08 03:30-04:00", "2026-03-08 04:30-04:00"]
    daily = rule(DAY, time_zone="America/New_York", start_time="2026-03-08T02:30:00")
    assert local_fires(daily, 2) == ["2026-03-08 03:30-04:00", "2026-03-09 02:30-04:00"]
    overlap = rule(HOURLY, time_zone="America/New_York", start_time="2026-11-01T01:30:00")
    assert local_fires(overlap, 3) == [
        "2026-11-01 01:30-04:00",
        "2026-11-01 01:30-05:00",
        "2026-11-01 02:30-05:00",
    ]


# The anchor


def test_a_start_time_alone_is_the_first_fire():
    for frequency in Frequency:
        trigger = rule(frequency, start_time="2026-01-31T09:00:00")
        assert utc_fires(trigger, 1) == ["2026-01-31 09:00"]


def test_a_start_time_that_matches_the_given_times_is_passed_over_unless_included():
    fields = {"hours": (9,), "start_time": "2026-01-05T09:00:00"}
    assert utc_fires(rule(DAY, **fields), 1) == ["2026-01-06 09:00"]
    assert utc_fires(rule(DAY, **fields, include_start=True), 1) == ["2026-01-05 09:00"]
    days = {"week_days": (MONDAY,), "start_time": "2026-01-05T09:00:00"}
    assert utc_fires(rule(WEEK, **days), 1) == ["2026-01-12 09:00"]
    assert utc_fires(rule(WEEK, **days, include_start=True), 1) == ["2026-01-05 09:00"]
    days = {"month_days": (5,), "start_time": "2026-01-05T09:00:00"}
    assert utc_fires(rule(MONTH, **days), 1) == ["2026-02-05 09:00"]


def test_including_the_start_does_not_invent_a_fire_that_does_not_match():
    trigger = rule(DAY, hours=(9,), start_time="2026-01-05T08:10:00", include_start=True)
    assert utc_fires(trigger, 1) == ["2026-01-05 09:10"]


def test_without_a_start_time_the_creation_is_the_anchor_in_whole_seconds():
    created = at("2026-01-05 09:30:15") + 123_456
    assert utc_fires(rule(MINUTE, 10), 2, created_at=created) == [
        "2026-01-05 09:40:15",
        "2026-01-05 09:50:15",
    ]
    assert utc_fires(rule(DAY, 2), 2, created_at=created) == [
        "2026-01-07 09:30:15",
        "2026-01-09 09:30:15",
    ]
    assert utc_fires(rule(DAY, hours=(9, 10)), 2, created_at=created) == [
        "2026-01-05 10:00",
        "2026-01-06 09:00",
    ]


def test_a_creation_in_the_second_pass_of_an_overlap_keeps_its_wall_time():
    created = at("2026-11-01 06:30")
    trigger = rule(DAY, time_zone="America/New_York")
    assert local_fires(trigger, 1, created_at=created) == ["2026-11-02 01:30-05:00"]


def test_only_a_recurrence_without_start_time_wants_a_run_at_once():
    assert compile_trigger(rule(DAY), 0).initial
    assert not compile_trigger(rule(DAY, first_run=FirstRun.ALIGNED), 0).initial
    assert not compile_trigger(rule(DAY, start_time="2026-01-01T00:00:00"), 0).initial


def test_the_end_is_inclusive_and_a_wall_time():
    trigger = rule(DAY, start_time="2026-07-01T09:00:00", end_time="2026-07-03T09:00:00",
                   time_zone="America/New_York")  # fmt: skip
    assert utc_fires(trigger, 9) == ["2026-07-01 13:00", "2026-07-02 13:00", "2026-07-03 13:00"]
    assert compile_trigger(trigger, 0).next_after(at("2026-07-03 13:00")) is None
    hourly = rule(HOURLY, start_time="2026-11-01T00:30:00", end_time="2026-11-01T01:30:00",
                  time_zone="America/New_York")  # fmt: skip
    assert local_fires(hourly, 9) == ["2026-11-01 00:30-04:00", "2026-11-01 01:30-04:00"]


def test_a_time_outside_the_years_of_the_engine_is_no_trouble():
    assert utc_fires(rule(DAY, 2, start_time="1901-01-01T09:00:00"), 1) == ["1970-01-01 09:00"]
    assert utc_fires(rule(HOURLY, 5, start_time="1969-12-31T20:00:00"), 1) == ["1970-01-01 01:00"]
    for frequency in Frequency:
        assert fires(rule(frequency, start_time="2200-01-01T00:00:00"), 1) == []
        assert fires(rule(frequency, start_time=datetime(9999, 12, 31, 23)), 1) == []
        assert fires(rule(frequency, start_time=datetime(1, 1, 1)), 1) != []
        late = rule(frequency, start_time="2199-12-31T23:59:00", time_zone="Etc/GMT+12")
        assert fires(late, 1) == []


# Hours and minutes


@pytest.mark.parametrize(
    ("fields", "times"),
    [
        ({"hours": (8, 16), "minutes": (30, 45)}, ["08:30", "08:45", "16:30", "16:45"]),
        # Hours alone take the minute of the start time, never its seconds.
        ({"hours": (8, 16)}, ["08:12", "16:12"]),
        # Minutes alone mean every hour, as in Data Factory.
        ({"minutes": (15,)}, [f"{hour:02}:15" for hour in range(24)]),
        ({"time_of_day": "6:05"}, ["06:05"]),
        ({}, ["05:12:34"]),
    ],
)
def test_hours_and_minutes_are_crossed(fields, times):
    trigger = rule(DAY, start_time="2026-01-01T05:12:34", **fields)
    found = utc_fires(trigger, len(times), after=at("2026-01-02 00:00") - 1)
    assert found == [f"2026-01-02 {time}" for time in times]


def test_every_quarter_of_every_hour_starts_at_the_next_mark():
    trigger = rule(DAY, hours=tuple(range(24)), minutes=(0, 15, 30, 45))
    assert utc_fires(trigger, 2, created_at=at("2026-01-01 10:07")) == [
        "2026-01-01 10:15",
        "2026-01-01 10:30",
    ]


# Weeks


def test_every_other_week_counts_from_the_monday_of_the_anchor():
    # 2026-01-07 is a Wednesday; Monday of its week has passed, Friday has not.
    trigger = rule(WEEK, 2, week_days=(MONDAY, FRIDAY), time_of_day="18:30",
                   start_time="2026-01-07T00:00:00")  # fmt: skip
    assert utc_fires(trigger, 4) == [
        "2026-01-09 18:30",
        "2026-01-19 18:30",
        "2026-01-23 18:30",
        "2026-02-02 18:30",
    ]


def test_the_week_of_the_anchor_is_the_local_one():
    # Sunday in UTC is already Monday in Kiritimati.
    trigger = rule(WEEK, 2, week_days=(SUNDAY,), time_zone="Pacific/Kiritimati", hours=(9,))
    found = local_fires(trigger, 1, created_at=at("2026-01-04 12:00"))
    assert found == ["2026-01-11 09:00+14:00"]
    trigger = rule(WEEK, 2, week_days=(SUNDAY,), hours=(9,))
    assert utc_fires(trigger, 1, created_at=at("2026-01-04 12:00")) == ["2026-01-18 09:00"]


def test_a_week_without_days_recurs_on_the_day_of_the_anchor():
    trigger = rule(WEEK, 3, start_time="2017-09-09T17:00:00")
    assert utc_fires(trigger, 2) == ["2017-09-09 17:00", "2017-09-30 17:00"]


# Months


def test_a_month_from_the_anchor_is_clamped_and_does_not_drift():
    trigger = rule(MONTH, start_time="2026-01-31T09:00:05")
    assert utc_fires(trigger, 5) == [
        "2026-01-31 09:00:05",
        "2026-02-28 09:00:05",
        "2026-03-31 09:00:05",
        "2026-04-30 09:00:05",
        "2026-05-31 09:00:05",
    ]


def test_a_year_from_a_leap_day_falls_on_28_february_in_other_years():
    trigger = rule(MONTH, 12, start_time="2024-02-29T00:00:00")
    assert [text[:10] for text in utc_fires(trigger, 5)] == [
        "2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29",
    ]  # fmt: skip


def test_explicit_days_skip_months_without_them_and_minus_one_is_the_last():
    trigger = rule(MONTH, month_days=(31, 29), hours=(0,), start_time="2026-02-01T00:00:00")
    assert [text[5:10] for text in utc_fires(trigger, 5)] == [
        "03-29", "03-31", "04-29", "05-29", "05-31",
    ]  # fmt: skip
    trigger = rule(MONTH, month_days=(-1, 30), hours=(0,), start_time="2024-02-01T00:00:00")
    assert [text[5:10] for text in utc_fires(trigger, 4)] == ["02-29", "03-30", "03-31", "04-30"]


def test_a_leap_day_is_waited_for_across_a_century_that_is_no_leap_year():
    trigger = rule(MONTH, 12, month_days=(29,), start_time="2088-02-01T00:00:00")
    assert [text[:10] for text in utc_fires(trigger, 4)] == [
        "2088-02-29", "2092-02-29", "2096-02-29", "2104-02-29",
    ]  # fmt: skip


def test_months_count_from_the_month_of_the_anchor():
    trigger = rule(MONTH, 5, month_days=(1, 15), hours=(6, 7), minutes=(0,),
                   start_time="2026-01-10T00:00:00")  # fmt: skip
    assert utc_fires(trigger, 4) == [
        "2026-01-15 06:00",
        "2026-01-15 07:00",
        "2026-06-01 06:00",
        "2026-06-01 07:00",
    ]


# Calendars


def test_between_is_half_open_and_counts():
    calendar = compile_trigger(rule(HOURLY, start_time="2026-01-01T00:00:00"), 0)
    after, until = at("2026-01-01 00:00"), at("2026-01-01 03:00")
    found = [utc(due) for due in calendar.between(after, until)]
    assert found == ["2026-01-01 01:00", "2026-01-01 02:00", "2026-01-01 03:00"]
    assert calendar.count(after, until) == 3
    assert calendar.count(until, after) == 0


def test_a_calendar_does_not_care_in_which_order_it_is_asked():
    calendar = compile_trigger(rule(DAY, hours=(2,), time_zone="America/New_York"), 0)
    start = at("2026-03-01 00:00")
    instants = [start + k * timedelta(hours=7) // timedelta(microseconds=1) for k in range(400)]
    forward = [calendar.next_after(instant) for instant in instants]
    assert [calendar.next_after(instant) for instant in reversed(instants)] == forward[::-1]
