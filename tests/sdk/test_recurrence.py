from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from reconciler.errors import InvalidValue
from reconciler.schedule import Frequency, Recurrence, WeekDay
from reconciler.sdk import ScheduleRecurrence, TimeZone
from reconciler.sdk.recurrence import describe, from_declared
from reconciler.trigger.windows_zones import WINDOWS_ZONES

FREQUENCY = "Invalid value for frequency, only one of Minute, Hour, Day, Week, or Month accepted"
INTERVAL = "Interval must be an integer greater than 0."
ONLY_HOURS = "Can only specify hours if frequency is Week or Day."
ONLY_MINUTES = "Can only specify minutes if frequency is Week or Day."
ONLY_WEEK = "Can only specify week days if frequency is Week."
HOURS = "Hours must be between 0 and 23."
MINUTES = "Minutes must be between 0 and 59."
DAYS = "Week days must be a list of str, accepted values: Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday."
FORMAT = "time_of_day should be in the format hh:mm."
HOUR = "Time of day hour value must be between 0 and 23."
MINUTE = "Time of day minute value must be between 0 and 59."
BOTH = "Can not specify time_of_day and hours or minutes."
OFFSET = "Can not specify tzinfo for start_time, use time_zone instead."
ZONE = "Time zone is not a valid TimeZone enum."

REFUSED = [
    ({"frequency": "minute"}, FREQUENCY),
    ({"frequency": "Year"}, FREQUENCY),
    ({"frequency": None}, FREQUENCY),
    ({"frequency": ["Day"]}, FREQUENCY),
    ({"interval": 0}, INTERVAL),
    ({"interval": -5}, INTERVAL),
    ({"interval": 1.5}, INTERVAL),
    ({"interval": True}, INTERVAL),
    ({"interval": "2"}, INTERVAL),
    ({"interval": None}, INTERVAL),
    ({"frequency": "Hour", "hours": [1]}, ONLY_HOURS),
    ({"frequency": "Month", "hours": []}, ONLY_HOURS),
    ({"frequency": "Minute", "minutes": [1]}, ONLY_MINUTES),
    ({"frequency": "Day", "week_days": ["Monday"]}, ONLY_WEEK),
    ({"hours": [24]}, HOURS),
    ({"hours": [-1]}, HOURS),
    ({"hours": 6}, HOURS),
    ({"hours": ["6"]}, HOURS),
    ({"minutes": [60]}, MINUTES),
    ({"minutes": [True]}, MINUTES),
    ({"minutes": "30"}, MINUTES),
    ({"week_days": ["monday"]}, DAYS),
    ({"week_days": "Monday"}, DAYS),
    ({"week_days": [1]}, DAYS),
    ({"week_days": 1}, DAYS),
    ({"time_of_day": "9"}, FORMAT),
    ({"time_of_day": "9:5"}, FORMAT),
    ({"time_of_day": "09:05:00"}, FORMAT),
    ({"time_of_day": "18:30\n"}, FORMAT),
    ({"time_of_day": 1830}, FORMAT),
    ({"time_of_day": "24:00"}, HOUR),
    ({"time_of_day": "23:60"}, MINUTE),
    ({"frequency": "Month", "time_of_day": "9:05"}, ONLY_HOURS),
    ({"frequency": "Hour", "time_of_day": "9:05"}, ONLY_HOURS),
    ({"time_of_day": "9:05", "hours": [9]}, BOTH),
    ({"time_of_day": "9:05", "minutes": [5]}, BOTH),
    ({"start_time": datetime(2026, 1, 1, tzinfo=UTC)}, OFFSET),
    ({"start_time": "2026-01-01T09:00:00Z"}, OFFSET),
    ({"start_time": "2026-01-01T09:00:00-04:00"}, OFFSET),
    (
        {"start_time": "tomorrow"},
        "start_time should be in the format YYYY-MM-DDThh:mm:ss, not 'tomorrow'.",
    ),
    ({"start_time": 5}, "start_time should be in the format YYYY-MM-DDThh:mm:ss, not 5."),
    ({"time_zone": "Pacific Standard Time"}, ZONE),
    ({"time_zone": "UTC"}, ZONE),
    ({"time_zone": "Mars Standard Time"}, ZONE),
    ({"time_zone": 5}, ZONE),
    ({"interval": 72}, "Interval must be at most 71 for frequency Week."),
    (
        {"start_time": "2300-01-01T00:00:00"},
        "never fires: start_time must lie before the year 2200",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_is_wrong_is_refused_with_azures_own_message(arguments, message):
    given = {"frequency": "Week", "interval": 1} | arguments
    with pytest.raises(InvalidValue) as caught:
        ScheduleRecurrence(**given).validate()
    assert str(caught.value) == message
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("key", ["time_of_day", "start_time"])
def test_what_azure_finds_on_construction_is_found_there(key):
    wrong = {"time_of_day": "24:00", "start_time": datetime(2026, 1, 1, tzinfo=UTC)}[key]
    with pytest.raises(InvalidValue):
        ScheduleRecurrence("Day", 1, **{key: wrong})


def test_other_faults_wait_for_validate_as_in_azure():
    assert ScheduleRecurrence("Fortnight", 0, hours=[99]).interval == 0


def test_attributes_are_those_of_azure():
    start = datetime(2026, 1, 31, 9, 0, 30, 5)  # noqa: DTZ001  (wall clock)
    recurrence = ScheduleRecurrence("Week", 2, start, week_days=["Monday"], time_of_day="9:05")
    assert recurrence.start_time == "2026-01-31T09:00:30"
    assert recurrence.time_zone is TimeZone.UTC
    assert (recurrence.hours, recurrence.minutes) == ([9], [5])
    assert ScheduleRecurrence("Day", 1).time_zone is None


@pytest.mark.parametrize(
    ("recurrence", "declared"),
    [
        (ScheduleRecurrence("Minute", 15), Recurrence(frequency=Frequency.MINUTE, interval=15)),
        (
            ScheduleRecurrence("Day", 1, hours=(18, 6, 6), minutes={30}),
            Recurrence(frequency=Frequency.DAY, hours=(6, 18), minutes=(30,)),
        ),
        (
            ScheduleRecurrence("Week", 2, week_days=["Wednesday", "Monday"], time_of_day="18:30"),
            Recurrence(
                frequency=Frequency.WEEK,
                interval=2,
                week_days=(WeekDay.MONDAY, WeekDay.WEDNESDAY),
                hours=(18,),
                minutes=(30,),
            ),
        ),
        (
            ScheduleRecurrence("Month", 1, "2021-07-06", TimeZone.TaipeiStandardTime),
            Recurrence(
                frequency=Frequency.MONTH,
                start_time=datetime(2021, 7, 6),  # noqa: DTZ001  (wall clock)
                time_zone="Taipei Standard Time",
            ),
        ),
        (
            ScheduleRecurrence("Hour", 1, time_zone="Europe/Paris"),
            Recurrence(frequency=Frequency.HOUR, time_zone="Europe/Paris"),
        ),
    ],
)
def test_a_recurrence_means_what_a_manifest_with_the_same_keys_means(recurrence, declared):
    recurrence.validate()
    assert recurrence.declared() == declared
    assert from_declared(declared).declared() == declared


@pytest.mark.parametrize(
    ("recurrence", "text"),
    [
        (
            ScheduleRecurrence("Week", 2, week_days=["Monday", "Wednesday"], time_of_day="18:30"),
            "Runs at 18:30 on Monday, Wednesday every 2 Weeks",
        ),
        (ScheduleRecurrence("Day", 1, time_of_day="9:05"), "Runs at 9:05 every Day"),
        (
            ScheduleRecurrence("Day", 1, hours=[0, 12], minutes=[0, 7]),
            "Runs at 0:00, 0:07, 12:00, 12:07 every Day",
        ),
        (ScheduleRecurrence("Day", 1, hours=[6]), "Runs at 6:00 every Day"),
        (ScheduleRecurrence("Day", 1, "2026-01-01T04:50:00", hours=[6]), "Runs at 6:50 every Day"),
        (ScheduleRecurrence("Day", 3, minutes=[15]), "Runs at *:15 every 3 Days"),
        (ScheduleRecurrence("Minute", 15), "Runs every 15 Minutes"),
    ],
)
def test_a_recurrence_is_described_in_azures_words(recurrence, text):
    assert describe(recurrence) == text


def test_the_time_zones_are_the_131_windows_names_under_azures_member_names():
    assert [zone.value for zone in TimeZone] == list(WINDOWS_ZONES)
    assert len(TimeZone) == 131
    for zone in TimeZone:
        assert zone.name == re.sub("[^A-Za-z0-9]", "", zone.value)
    assert TimeZone("Pacific Standard Time (Mexico)") is TimeZone.PacificStandardTimeMexico
