"""What is wrong with a trigger, told without knowing the present."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import DAY
from reconciler.data import DatastoreChange
from reconciler.errors import InvalidValue
from reconciler.schedule import Cron, FirstRun, Frequency, Recurrence
from reconciler.trigger.compile import compile_trigger, problems
from reconciler.trigger.zones import to_wall
from tests.strategies import crons, examples, recurrences
from tests.trigger.times import wall

YEAR = 366 * DAY


def recurrence(**fields):
    return Recurrence(**{"frequency": Frequency.DAY, "interval": 1} | fields)


@pytest.mark.parametrize(
    "trigger",
    [
        recurrence(),
        recurrence(start_time=wall("2199-12-30 00:00")),
        recurrence(start_time=wall("2026-01-01 00:00"), end_time=wall("2026-01-01 00:00")),
        # One run on creation is a run.
        recurrence(end_time=wall("1960-01-01 00:00")),
        Cron(expression="0 0 29 2 *"),
        Cron(expression="0 0 29 2 mon"),
        DatastoreChange(datastore="landing"),
    ],
)
def test_a_trigger_that_fires_has_no_problems(trigger):
    assert problems(trigger) == ()


@pytest.mark.parametrize(
    ("trigger", "path", "message"),
    [
        (recurrence(time_zone="Europe/Pariss"), "time_zone", "did you mean 'Europe/Paris'?"),
        (Cron(expression="* * * * *", time_zone="x"), "time_zone", "not a valid TimeZone enum"),
        (Cron(expression="61 * * * *"), "expression", "61 is not between"),
        (
            recurrence(start_time=wall("2026-01-01 00:01"), end_time=wall("2026-01-01 23:00"), hours=(0,)),
            "end_time",
            "nothing is due up to end_time",
        ),
        (
            recurrence(end_time=wall("1960-01-01 00:00"), first_run=FirstRun.ALIGNED),
            "end_time",
            "nothing is due up to end_time",
        ),
        (
            Cron(expression="0 0 1 1 *", start_time=wall("2026-01-02 00:00"), end_time=wall("2026-12-31 00:00")),
            "end_time",
            "nothing is due up to end_time",
        ),
        (
            recurrence(
                frequency=Frequency.MONTH, interval=12, month_days=(30, 31), start_time=wall("2026-02-01 00:00")
            ),
            "month_days",
            "no month that start_time and interval select has such a day",
        ),
        (recurrence(start_time=wall("2200-01-01 00:00")), "start_time", "before the year 2200"),
        (
            Cron(expression="0 0 * * *", start_time=wall("2200-01-01 00:00")),
            "start_time",
            "before the year 2200",
        ),
    ],
)  # fmt: skip
def test_a_problem_names_its_field(trigger, path, message):
    (fault,) = problems(trigger)
    assert fault[0] == (path,)
    assert message in fault[1]


def test_zone_and_expression_are_both_reported():
    faults = problems(Cron(expression="0 0 30 2 *", time_zone="Nowhere"))
    assert [path for path, _ in faults] == [("time_zone",), ("expression",)]


@pytest.mark.parametrize(
    "trigger", [recurrence(time_zone="Nowhere"), Cron(expression="* * * * *", time_zone="Nowhere")]
)
def test_an_unknown_zone_is_never_taken_for_utc(trigger):
    with pytest.raises(InvalidValue, match="Nowhere"):
        compile_trigger(trigger, 0)


@examples(200)
@given(recurrences() | crons())
def test_whatever_has_no_problem_fires_or_runs_at_once(trigger):
    calendar = compile_trigger(trigger, 0)
    fires = calendar.initial or calendar.next_after(-1) is not None
    assert bool(problems(trigger)) is not fires


@examples(200)
@given(recurrences() | crons(), st.integers(0, YEAR), st.integers(0, YEAR), st.integers(0, YEAR))
def test_looking_further_back_changes_nothing_of_what_is_due_later(trigger, since, age, later):
    created = since + age
    asked, usual = compile_trigger(trigger, created, since), compile_trigger(trigger, created)
    assert asked.next_after(created + later) == usual.next_after(created + later)
    before = asked.next_after(since)
    assert before is None or since < before


@pytest.mark.parametrize(
    ("trigger", "times"),
    [
        (recurrence(interval=2, time_of_day="06:30"), ["2026-03-05 06:30", "2026-03-07 06:30"]),
        (recurrence(frequency=Frequency.HOUR, interval=48), ["2026-03-05 12:00", "2026-03-07 12:00"]),
        (recurrence(frequency=Frequency.MONTH), ["2026-03-10 12:00", "2026-04-10 12:00"]),
        (Cron(expression="30 6 * * *"), ["2026-03-04 06:30", "2026-03-05 06:30"]),
    ],
)  # fmt: skip
def test_what_would_have_been_due_is_in_step_with_what_is(trigger, times):
    created = to_wall(wall("2026-05-10 12:00"))
    since = to_wall(wall("2026-03-04 00:00"))
    found = compile_trigger(trigger, created, since).between(since, created)
    assert list(islice(found, 2)) == [to_wall(wall(time)) for time in times]
