"""What a change of a schedule means in time."""

# ruff: noqa: DTZ001  (wall clock times have no zone)

from datetime import datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import DAY, HOUR, MINUTE, iso, parse_instant, to_instant
from reconciler.data import DatastoreChange, FileChange
from reconciler.errors import InvalidValue
from reconciler.plan.impact import Impact, Side, impact, matching, runs_text
from reconciler.schedule import (
    Cron,
    Dst,
    FirstRun,
    Frequency,
    Recurrence,
    Schedule,
    WallGap,
    WallOverlap,
    WeekDay,
)
from reconciler.trigger.calendar import HORIZON
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.cron import parse
from reconciler.trigger.snapshot import Files
from reconciler.trigger.zones import resolve
from tests.strategies import crons, examples, recurrences, walls

NOW = parse_instant("2026-11-22T12:00:00Z")
NEW_YORK = "America/New_York"
PARIS = "Europe/Paris"
FILES = DatastoreChange(datastore="landing")


def every(frequency, **fields):
    return Recurrence(frequency=Frequency(frequency), **fields)


def cron(expression, zone="UTC", **fields):
    return Cron(expression=expression, time_zone=zone, **fields)


def side(trigger, *, active=True, created_at=NOW, **fields):
    schedule = Schedule(name="nightly", pipeline="scoring", trigger=trigger)
    return Side(schedule=schedule, active=active, created_at=created_at, **fields)


def created(trigger, now=NOW):
    return impact(None, side(trigger, created_at=now), now)


def edited(before, after, **fields):
    """The trigger of a schedule created four days ago is edited."""
    born = NOW - 4 * DAY - HOUR
    return impact(side(before, created_at=born, **fields), side(after, created_at=born), NOW)


def isos(timing):
    return [iso(due) for due in timing.next_fires]


DAILY = every("Day", time_of_day="02:00")


@pytest.mark.parametrize(
    ("trigger", "runs", "days", "text"),
    [
        (every("Minute"), 40_320, 28, "1440 a day"),
        (every("Minute", interval=7), 5_760, 28, "1440 a week"),
        (every("Minute", interval=61), 1_440, 61, "1440 every 61 days"),
        (every("Minute", interval=1_439), 364, 364, "1 a day"),
        (every("Hour"), 672, 28, "24 a day"),
        (every("Hour", interval=5), 144, 30, "4.8 a day"),
        (every("Hour", interval=36), 20, 30, "2 every 3 days"),
        (DAILY, 28, 28, "1 a day"),
        (every("Day", interval=2, hours=(1, 2, 3, 4, 5, 6, 7)), 98, 28, "3.5 a day"),
        (every("Day", interval=3), 10, 30, "1 every 3 days"),
        (every("Day", interval=500), 1, 500, "1 every 500 days"),
        (every("Week"), 4, 28, "1 a week"),
        (every("Week", interval=2), 2, 28, "1 every 2 weeks"),
        (every("Week", interval=2, week_days=(WeekDay.MONDAY, WeekDay.FRIDAY)), 4, 28, "1 a week"),
        (every("Week", interval=71), 1, 497, "1 every 71 weeks"),
        (every("Month"), 12, 365, "1 a month"),
        (every("Month", month_days=(-1, 15)), 24, 365, "2 a month"),
        (every("Month", interval=3), 4, 365, "4 a year"),
        (cron("*/5 * * * *"), 8_064, 28, "288 a day"),
        (cron("*/5 8-18 * * *"), 3_696, 28, "132 a day"),
        (cron("0 2 * * 1-5"), 20, 28, "5 a week"),
        (cron("0 2 1 * *"), 12, 365, "1 a month"),
        (cron("0 2 1-12 1 *"), 12, 365, "12 a year"),
        (cron("0 2 1-10 * *"), 120, 365, "120 a year"),
        # 24 dates and 53 Mondays, less the Mondays on the 1st and 15th of February, March, November.
        (cron("0 2 1,15 * 1"), 71, 365, "71 a year"),
        (cron("0 2 29 2 *"), 0, 365, "none in 365 days"),
    ],
)  # fmt: skip
def test_runs_are_counted_over_whole_periods_and_said_exactly(trigger, runs, days, text):
    timing = created(trigger).after
    assert (timing.runs, timing.days, timing.whole) == (runs, days, True)
    assert runs_text(timing) == text
    assert timing.per_day == runs / days


@pytest.mark.parametrize(
    ("trigger", "runs", "text"),
    [
        (every("Day", start_time=datetime(2026, 12, 1), end_time=datetime(2026, 12, 5)), 5, "5 in 28 days"),
        (every("Day", start_time=datetime(2026, 12, 18)), 3, "3 in 28 days"),
        (every("Day", start_time=datetime(2027, 12, 1)), 0, "none in 28 days"),
        (cron("0 2 * * *", end_time=datetime(2026, 11, 25)), 2, "2 in 28 days"),
        (cron("0 2 * * *", end_time=datetime(2026, 11, 20)), 0, "none"),
    ],
)  # fmt: skip
def test_a_start_or_end_within_the_days_is_no_rate(trigger, runs, text):
    timing = created(trigger).after
    assert (timing.runs, timing.whole, runs_text(timing)) == (runs, False, text)


def test_what_does_not_fire_by_the_clock_runs_none():
    assert runs_text(None) == "none"


@pytest.mark.parametrize(
    ("now", "days"),
    [("2026-11-22", 365), ("2027-11-22", 366), ("2028-02-29", 365), ("2028-03-01", 365)],
)
def test_a_year_ends_on_the_same_date_so_that_each_month_counts_once(now, days):
    timing = created(cron("0 9 1 * *", NEW_YORK), parse_instant(f"{now}T12:00:00Z")).after
    assert (timing.runs, timing.days) == (12, days)


@pytest.mark.parametrize("zone", ["UTC", NEW_YORK, PARIS, "Australia/Lord_Howe", "Asia/Kolkata"])
@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_a_daily_run_is_one_a_day_also_over_a_change_of_the_clock(zone, hour):
    for month in ("2026-03-05", "2026-03-20", "2026-09-20", "2026-10-20"):
        now = parse_instant(f"{month}T{hour:02}:20:00Z")
        assert (
            runs_text(created(every("Day", time_of_day="02:30", time_zone=zone), now).after)
            == "1 a day"
        )


def follows_elapsed_time(trigger):
    if isinstance(trigger, Recurrence):
        return trigger.frequency in {Frequency.MINUTE, Frequency.HOUR}
    fields = parse(trigger.expression)
    sizes = [
        len(values) for values in (fields.hours, fields.month_days, fields.months, fields.week_days)
    ]
    return fields.every_pass and sizes == [24, 31, 12, 7]


@examples(60)
@given(recurrences() | crons(), walls)
def test_fires_and_runs_are_those_that_the_runner_would_find_one_by_one(trigger, moment):
    zone = resolve(trigger.time_zone)
    now = to_instant(moment.replace(tzinfo=zone))
    timing = created(trigger, now).after
    calendar = compile_trigger(trigger, now)
    assert timing.next_fires == tuple(islice(calendar.between(now, HORIZON), 3))
    end = now + timing.days * DAY
    if not follows_elapsed_time(trigger):
        end = to_instant((moment + timedelta(days=timing.days)).replace(tzinfo=zone))
    assert timing.runs == sum(1 for _ in calendar.between(now, end))
    assert runs_text(timing)


@examples(100)
@given(recurrences() | crons(), st.integers(0, 400 * DAY))
def test_the_same_trigger_has_the_same_fires(trigger, age):
    one = side(trigger, created_at=NOW - age)
    same = impact(one, one, NOW)
    assert same.before == same.after
    assert (same.fires_on_apply, same.same_fires_until, same.first_difference) == (0, None, None)


@examples(60)
@given(recurrences() | crons(), recurrences() | crons())
def test_two_triggers_fire_alike_up_to_their_first_difference(before, after):
    found = edited(before, after)
    born = NOW - 4 * DAY - HOUR
    end = found.first_difference or found.same_fires_until or NOW
    one, other = (list(compile_trigger(t, born).between(NOW, end)) for t in (before, after))
    if found.first_difference is None:
        assert one == other
    else:
        assert end in set(one) ^ set(other)
        assert [due for due in one if due < end] == [due for due in other if due < end]


def test_another_spelling_of_the_same_times_is_no_change_in_fires():
    found = edited(cron("0 2 * * *"), DAILY)
    assert found.before == found.after
    assert found.first_difference is None
    assert iso(found.same_fires_until) == "2030-11-22T12:00:00Z"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (cron("30 6 * * 1,4", PARIS), every("Week", week_days=(WeekDay.THURSDAY, WeekDay.MONDAY), time_of_day="6:30", time_zone=PARIS)),
        (every("Day", time_of_day="02:30", time_zone=PARIS), every("Day", hours=(2,), minutes=(30,), time_zone="Romance Standard Time")),
        (every("Hour", interval=6, start_time=datetime(2026, 1, 1, 5)), every("Hour", interval=6, start_time=datetime(2026, 2, 3, 23))),
        (every("Hour", interval=6, start_time=datetime(2026, 1, 1)), cron("0 */6 * * *")),
        (cron("0 2 1 * *"), every("Month", month_days=(1,), time_of_day="02:00")),
        (cron("0,30 2 * * *"), cron("*/30 2 * * *")),
        (cron("*/30 2 * * *"), cron("*/30 2,2 * * *")),
        (cron("0 2 * * *", "UTC"), cron("0 2 * * *", "Africa/Abidjan")),
        (cron("0 2 * * *"), cron("0 2 * * *", start_time=datetime(2026, 11, 22, 13))),
        (cron("0 2,14 * * *"), every("Hour", interval=12, start_time=datetime(2026, 1, 1, 2))),
    ],
)  # fmt: skip
def test_every_way_to_write_the_same_times_is_seen_through(before, after):
    for one, other in ((before, after), (after, before)):
        found = edited(one, other)
        assert found.first_difference is None
        assert iso(found.same_fires_until) == "2030-11-22T12:00:00Z"
        assert found.before.next_fires == found.after.next_fires


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (every("Hour", interval=6, start_time=datetime(2026, 1, 1)), every("Hour", interval=6, start_time=datetime(2026, 1, 1, 1))),
        (every("Hour", interval=6), every("Hour", interval=5)),
        (every("Day", interval=2, time_of_day="02:00"), every("Day", interval=2, time_of_day="02:00", start_time=datetime(2026, 11, 21))),
        (every("Day", interval=3, time_of_day="02:00"), every("Day", time_of_day="02:00")),
        (every("Day", time_of_day="02:00"), every("Day", time_of_day="02:01")),
        (cron("0 2 1 * *"), cron("0 2 * * *")),
        (cron("0 2 * * *"), cron("0 2 1 * *")),
        (cron("0 2 * * *", "Asia/Kolkata"), cron("0 2 * * *", "Asia/Tokyo")),
        (DAILY, every("Day", time_of_day="02:00", start_time=datetime(2026, 11, 25, 3))),
    ],
)  # fmt: skip
def test_what_is_nearly_the_same_is_told_apart(before, after):
    found = edited(before, after)
    assert found.same_fires_until is None
    assert NOW < found.first_difference < NOW + 9 * DAY


def test_a_wall_clock_cron_and_a_recurrence_are_the_same_over_every_change_of_the_clock():
    found = edited(cron("30 2 * * *", PARIS), every("Day", time_of_day="02:30", time_zone=PARIS))
    assert iso(found.same_fires_until) == "2030-11-22T12:00:00Z"


def test_a_cron_in_steps_differs_from_a_recurrence_where_the_clock_changes():
    halves = every("Day", hours=(2,), minutes=(0, 30), time_zone=PARIS)
    found = edited(cron("*/30 2 * * *", PARIS), halves)
    assert found.same_fires_until is None
    # The clock skips 02:00 to 03:00: the cron is silent, the recurrence runs at 03:00 in Paris.
    assert iso(found.first_difference) == "2027-03-28T01:00:00Z"


# What a schedule chose for the days when the clock changes

AT_HALF = {"hours": (1, 2), "minutes": (30,), "time_zone": NEW_YORK}


@pytest.mark.parametrize(
    ("dst", "texts"),
    [
        (Dst(), ["02:30 does not exist; runs at 03:30", "01:30 comes twice; runs at the first"]),
        (
            Dst(gap=WallGap.SKIP, overlap=WallOverlap.BOTH),
            ["02:30 does not exist; no run then", "01:30 comes twice; runs both times"],
        ),
        (
            Dst(gap=WallGap.END, overlap=WallOverlap.SECOND),
            ["02:30 does not exist; runs at 03:00", "01:30 comes twice; runs at the second"],
        ),
    ],
)
def test_the_days_when_the_clock_changes_are_told_with_the_choice_of_the_schedule(dst, texts):
    for trigger in (every("Day", **AT_HALF, dst=dst), cron("30 1,2 * * *", NEW_YORK, dst=dst)):
        assert [one.text for one in created(trigger).clock_changes] == texts


def test_a_time_that_comes_twice_is_counted_twice_where_both_run():
    october = parse_instant("2026-10-20T12:00:00Z")
    both = every("Day", time_of_day="01:30", time_zone=NEW_YORK, dst=Dst(overlap=WallOverlap.BOTH))
    assert runs_text(created(both, october).after) == "29 every 4 weeks"
    assert runs_text(created(both).after) == "1 a day"


def test_another_choice_is_a_change_in_fires_only_where_the_clock_changes():
    for fields, first in (
        ({"gap": WallGap.SKIP}, "2027-03-14T07:30:00Z"),
        ({"gap": WallGap.END}, "2027-03-14T07:00:00Z"),
        ({"overlap": WallOverlap.SECOND}, "2027-11-07T05:30:00Z"),
        ({"overlap": WallOverlap.BOTH}, "2027-11-07T06:30:00Z"),
    ):
        found = edited(every("Day", **AT_HALF), every("Day", **AT_HALF, dst=Dst(**fields)))
        assert iso(found.first_difference) == first
        assert found.before.next_fires == found.after.next_fires
    steady = {"time_of_day": "02:30", "time_zone": "Asia/Kolkata"}
    found = edited(every("Day", **steady), every("Day", **steady, dst=Dst(gap=WallGap.SKIP)))
    assert iso(found.same_fires_until) == "2030-11-22T12:00:00Z"


def test_many_fires_are_compared_up_to_the_20_000th():
    found = edited(
        cron("*/3 * * * *"), every("Minute", interval=3, start_time=datetime(2026, 1, 1))
    )
    assert found.same_fires_until == NOW + 20_000 * 3 * MINUTE


@pytest.mark.parametrize(
    ("after", "difference"),
    [
        (every("Day", time_of_day="01:00"), "2026-11-23T01:00:00Z"),
        (every("Day", time_of_day="03:00"), "2026-11-23T02:00:00Z"),
        (every("Day", time_of_day="02:00", end_time=datetime(2026, 12, 1)), "2026-12-01T02:00:00Z"),
        (every("Day", time_of_day="02:00", time_zone="Europe/London"), "2027-03-28T01:00:00Z"),
    ],
)  # fmt: skip
def test_the_first_difference_is_the_first_fire_of_only_one_side(after, difference):
    found = edited(DAILY, after)
    assert found.same_fires_until is None
    assert iso(found.first_difference) == difference


def test_a_side_that_does_not_fire_by_the_clock_has_no_timing_and_is_not_compared():
    clock = side(DAILY)
    for other in (
        None,
        side(FILES),
        side(cron("0 3 * * *"), active=False),
        side(cron("0 3 * * *"), held=True),
    ):
        assert impact(other, clock, NOW).before is None
        gone = impact(clock, other, NOW)
        assert gone == Impact(before=gone.before)
        assert gone.before.runs == 28


def test_a_schedule_held_until_a_day_fires_from_that_very_instant_on():
    held = side(DAILY, held=True, held_until=parse_instant("2026-12-10T02:00:00Z"))
    timing = impact(held, held, NOW).after
    assert isos(timing)[0] == "2026-12-10T02:00:00Z"
    assert (runs_text(timing), timing.runs) == ("11 in 28 days", 11)


def test_a_hold_that_is_over_plays_no_part():
    over = side(DAILY, held=True, held_until=NOW)
    assert impact(over, over, NOW).after == created(DAILY).after


@pytest.mark.parametrize(
    ("trigger", "fires"),
    [
        (every("Hour"), 1),
        (DAILY, 1),
        (every("Hour", first_run=FirstRun.ALIGNED), 0),
        (every("Hour", start_time=datetime(2026, 1, 1)), 0),
        (cron("0 2 * * *"), 0),
        (FILES, 0),
    ],
)
def test_a_recurrence_without_a_start_fires_at_once_when_it_is_created(trigger, fires):
    assert created(trigger).fires_on_apply == fires
    assert impact(None, side(trigger, active=False), NOW).fires_on_apply == 0


def test_an_edit_or_an_enabling_fires_nothing_at_once():
    assert edited(DAILY, every("Hour")).fires_on_apply == 0
    off, on = side(DAILY, active=False), side(DAILY)
    assert impact(off, on, NOW).fires_on_apply == 0


def test_an_edit_before_the_immediate_run_was_decided_asks_for_it_again():
    assert edited(DAILY, every("Hour"), initial=True).fires_on_apply == 1
    assert edited(DAILY, cron("0 2 * * *"), initial=True).fires_on_apply == 0
    assert edited(DAILY, DAILY, initial=True).fires_on_apply == 0


def test_a_held_schedule_fires_nothing_at_once():
    waiting, held = side(DAILY, initial=True), side(every("Hour"), held=True, held_until=NOW + DAY)
    assert impact(waiting, held, NOW).fires_on_apply == 0


def test_an_unchanged_recurrence_keeps_the_phase_of_its_creation():
    born = parse_instant("2026-11-20T07:13:00Z")
    timing = impact(None, side(every("Hour", interval=5), created_at=born), NOW).after
    assert isos(timing) == ["2026-11-22T14:13:00Z", "2026-11-22T19:13:00Z", "2026-11-23T00:13:00Z"]


def test_a_plan_as_of_before_the_creation_fires_only_after_it():
    born = NOW + 10 * DAY
    for trigger in (DAILY, cron("0 2 * * *")):
        timing = impact(None, side(trigger, created_at=born), NOW).after
        assert isos(timing)[0] == "2026-12-03T02:00:00Z"
        assert not timing.whole


@pytest.mark.parametrize(
    ("trigger", "changes"),
    [
        (
            every("Day", time_of_day="02:30", time_zone=NEW_YORK),
            [("2027-03-14", "2027-03-14T07:30:00Z", "02:30 does not exist; runs at 03:30")],
        ),
        (
            every("Day", time_of_day="01:30", time_zone=NEW_YORK),
            [("2027-11-07", "2027-11-07T05:30:00Z", "01:30 comes twice; runs at the first")],
        ),
        (every("Day", time_of_day="02:30", time_zone="Asia/Kolkata"), []),
        (DAILY, []),
        (every("Hour", time_zone=NEW_YORK), []),
        (FILES, []),
    ],
)
def test_the_changes_of_the_clock_are_those_of_the_side_after(trigger, changes):
    found = impact(side(cron("30 0 * * *", "Africa/Cairo")), side(trigger), NOW)
    assert [(one.day, iso(one.due), one.text) for one in found.clock_changes] == changes


def test_a_change_of_the_clock_is_announced_400_days_ahead_and_not_while_held():
    trigger = cron("30 2 * * *", NEW_YORK)
    due = parse_instant("2027-03-14T07:30:00Z")
    for now, seen in ((due - 400 * DAY, 1), (due - 400 * DAY - 1, 0), (due - 1, 1), (due, 0)):
        found = impact(None, side(trigger, created_at=now), now)
        assert [one.due for one in found.clock_changes].count(due) == seen
    held = side(trigger, held=True, held_until=due + 1)
    assert due not in [one.due for one in impact(held, held, NOW).clock_changes]


def test_a_zone_nobody_knows_is_refused():
    with pytest.raises(InvalidValue, match="Europe/Pariss"):
        created(cron("0 2 * * *", "Europe/Pariss"))


def listing(*names, size=1):
    """List the files in two pieces."""
    half = len(names) // 2
    return [
        Files(part, [b"%d 1@1" % size] * len(part)) for part in (names[:half], names[half:]) if part
    ]


def watching(**said):
    return DatastoreChange(datastore="landing", **said)


def test_the_files_that_match_are_those_that_would_count():
    names = listing(b"a.csv", b".hidden.csv", b"b.csv.part", b"c.txt", b"\xff.csv", b"D.CSV")
    assert matching(FILES, names) == 4
    assert matching(watching(include=("*.csv",)), names) == 2
    assert matching(watching(ignore=()), iter(names)) == 6
    assert matching(watching(ignore=(), min_size=2), names) == 0
    # They are there already, whatever else has to happen to a file.
    assert matching(watching(changes=(FileChange.DELETED,)), names) == 4
    assert matching(FILES, []) == 0


def test_files_that_wait_for_their_marker_do_not_match_and_markers_never_do():
    names = listing(b"a.csv", b"a.csv.done", b"b.csv", b"c.csv.done", b"d/e", b"d/e.done")
    assert matching(watching(done_marker="{name}.done", recursive=True), names) == 2
    assert matching(watching(done_marker="_SUCCESS"), names) == 0
    complete = listing(b"_SUCCESS", b"a", b"b", b"d/e")
    assert matching(watching(done_marker="_SUCCESS", recursive=True), complete) == 2


def test_one_file_that_is_watched_matches_by_whatever_name():
    assert matching(watching(file=".hidden.tmp"), listing(b".hidden.tmp")) == 1
