from datetime import UTC, datetime, timedelta

import pytest

from reconciler.data import DatastoreChange
from reconciler.errors import InvalidValue
from reconciler.schedule import (
    INTERVAL_LIMITS,
    Cron,
    Deadline,
    Dst,
    Frequency,
    Overlap,
    Recurrence,
    Schedule,
    WallGap,
    WeekDay,
)

NOON = datetime(2026, 1, 31, 12)  # noqa: DTZ001
LATER = datetime(2026, 2, 1)  # noqa: DTZ001


def faults_of(make, **fields):
    with pytest.raises(InvalidValue) as caught:
        make(**fields)
    return caught.value.faults


RULES = [
    ({"interval": 0}, ("interval",), "Interval must be an integer greater than 0."),
    ({"interval": 501}, ("interval",), "Interval must be at most 500 for frequency Day."),
    ({"hours": (24,)}, ("hours",), "Hours must be between 0 and 23."),
    ({"hours": (-1,)}, ("hours",), "Hours must be between 0 and 23."),
    ({"minutes": (60,)}, ("minutes",), "Minutes must be between 0 and 59."),
    (
        {"week_days": (WeekDay.MONDAY,)},
        ("week_days",),
        "Can only specify week days if frequency is Week.",
    ),
    ({"month_days": (1,)}, ("month_days",), "Can only specify month days if frequency is Month."),
    ({"time_of_day": "6.30"}, ("time_of_day",), "time_of_day should be in the format hh:mm."),
    (
        {"time_of_day": "24:00"},
        ("time_of_day",),
        "Time of day hour value must be between 0 and 23.",
    ),
    (
        {"time_of_day": "12:60"},
        ("time_of_day",),
        "Time of day minute value must be between 0 and 59.",
    ),
    (
        {"time_of_day": "06:30", "hours": (6,)},
        ("time_of_day",),
        "Can not specify time_of_day and hours or minutes.",
    ),
    (
        {"start_time": NOON.replace(tzinfo=UTC)},
        ("start_time",),
        "Can not specify tzinfo for start_time, use time_zone instead.",
    ),
    (
        {"end_time": NOON.replace(tzinfo=UTC)},
        ("end_time",),
        "Can not specify tzinfo for end_time, use time_zone instead.",
    ),
    (
        {"start_time": LATER, "end_time": NOON},
        ("end_time",),
        "end_time must not be before start_time.",
    ),
    ({"include_start": True}, ("include_start",), "include_start needs a start_time."),
]


@pytest.mark.parametrize(("fields", "path", "message"), RULES)
def test_a_daily_recurrence_that_contradicts_itself_is_refused(fields, path, message):
    assert faults_of(Recurrence, frequency=Frequency.DAY, **fields) == ((path, message),)


@pytest.mark.parametrize("frequency", [Frequency.MINUTE, Frequency.HOUR])
@pytest.mark.parametrize("fields", [{"hours": (1,)}, {"time_of_day": "06:30"}])
def test_hours_belong_to_days_and_weeks(frequency, fields):
    ((path, message),) = faults_of(Recurrence, frequency=frequency, **fields)
    assert path == tuple(fields)
    assert message == "Can only specify hours if frequency is Week or Day."


def test_minutes_belong_to_days_and_weeks():
    ((path, message),) = faults_of(Recurrence, frequency=Frequency.HOUR, minutes=(5,))
    assert path == ("minutes",)
    assert message == "Can only specify minutes if frequency is Week or Day."


def test_a_month_takes_hours_only_together_with_month_days():
    ((_, message),) = faults_of(Recurrence, frequency=Frequency.MONTH, hours=(6,))
    assert message.endswith("For Month, give month_days too.")
    assert Recurrence(frequency=Frequency.MONTH, hours=(6,), month_days=(1,)).hours == (6,)


@pytest.mark.parametrize("day", [0, 32, -2])
def test_a_day_of_the_month_exists(day):
    ((_, message),) = faults_of(Recurrence, frequency=Frequency.MONTH, month_days=(day,))
    assert message == "Month days must be between 1 and 31, or -1 for the last day."


def test_every_fault_is_told_at_once():
    faults = faults_of(Recurrence, frequency=Frequency.DAY, interval=0, hours=(25,), minutes=(99,))
    assert [path for path, _ in faults] == [("interval",), ("hours",), ("minutes",)]


@pytest.mark.parametrize("frequency", Frequency)
def test_the_longest_interval_is_accepted(frequency):
    assert Recurrence(frequency=frequency, interval=INTERVAL_LIMITS[frequency])


def test_lists_have_one_order_so_that_equal_schedules_are_equal():
    one = Recurrence(
        frequency=Frequency.WEEK,
        hours=(18, 6),
        minutes=(30, 0),
        week_days=(WeekDay.SUNDAY, WeekDay.MONDAY),
    )
    assert one.hours == (6, 18)
    assert one.minutes == (0, 30)
    assert one.week_days == (WeekDay.MONDAY, WeekDay.SUNDAY)
    assert Recurrence(frequency=Frequency.MONTH, month_days=(-1, 15)).month_days == (15, -1)


def test_cron_spaces_do_not_count():
    assert Cron(expression=" 0  6 * * * ") == Cron(expression="0 6 * * *")


def test_a_cron_window_must_not_end_before_it_starts():
    assert faults_of(Cron, expression="0 6 * * *", start_time=LATER, end_time=NOON)


def test_a_watched_path_has_one_spelling():
    assert (
        DatastoreChange(datastore="d", path_on_datastore="/a//b/./c/").path_on_datastore == "a/b/c"
    )


def test_a_watched_path_stays_in_its_datastore():
    ((path, _),) = faults_of(DatastoreChange, datastore="d", path_on_datastore="a/../../b")
    assert path == ("path_on_datastore",)


def schedule(**fields):
    clock = Recurrence(frequency=Frequency.DAY)
    return Schedule(**{"name": "s", "pipeline": "p", "trigger": clock, **fields})


def test_the_experiment_is_named_after_the_schedule():
    assert schedule().experiment_name == "s"
    assert schedule(experiment_name="e").experiment_name == "e"


def test_clock_triggers_skip_and_data_triggers_allow_overlap():
    assert schedule().overlap is Overlap.SKIP
    assert schedule(trigger=DatastoreChange(datastore="d")).overlap is Overlap.ALLOW
    assert schedule(overlap=Overlap.QUEUE).overlap is Overlap.QUEUE


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.QUEUE_ONE])
def test_a_policy_that_would_drop_files_is_refused(overlap):
    ((path, message),) = faults_of(
        schedule, trigger=DatastoreChange(datastore="d"), overlap=overlap
    )
    assert path == ("overlap",)
    assert "would drop changed files" in message


def test_a_schedule_is_not_renamed_from_its_own_name():
    trigger = Recurrence(frequency=Frequency.DAY)
    with pytest.raises(InvalidValue, match="renamed_from is its own name; remove it"):
        Schedule(name="a", pipeline="p", trigger=trigger, renamed_from="a")
    assert Schedule(name="a", pipeline="p", trigger=trigger, renamed_from="b").name == "a"


@pytest.mark.parametrize("frequency", [Frequency.MINUTE, Frequency.HOUR])
def test_elapsed_time_knows_no_clock_change(frequency):
    assert Recurrence(frequency=frequency, dst=Dst())
    assert faults_of(Recurrence, frequency=frequency, dst=Dst(gap=WallGap.SKIP)) == (
        (
            ("dst",),
            f"frequency {frequency} is elapsed time: no clock change moves it. Remove dst.",
        ),
    )


def test_a_deadline_has_a_length_and_its_end_is_not_before_its_start():
    hour, nothing = timedelta(hours=1), timedelta()
    assert faults_of(Deadline, start=nothing) == ((("start",), "start must be longer than 0s"),)
    assert faults_of(Deadline, finish=nothing) == ((("finish",), "finish must be longer than 0s"),)
    assert faults_of(Deadline, start=2 * hour, finish=hour) == (
        (("finish",), "finish must not be before start"),
    )
    assert Deadline(start=hour, finish=hour).finish == hour


def test_jitter_is_for_the_clock():
    assert schedule(jitter=timedelta(minutes=5)).jitter == timedelta(minutes=5)
    ((path, message),) = faults_of(
        schedule, trigger=DatastoreChange(datastore="d"), jitter=timedelta(minutes=5)
    )
    assert path == ("jitter",)
    assert message == "jitter spreads the clock's fires; remove it from datastore_change"
