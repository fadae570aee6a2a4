"""What a schedule chose for the days when the clock changes is what happens, in every zone."""

from functools import lru_cache
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import DAY, HOUR, MINUTE, to_datetime
from reconciler.schedule import Cron, Dst, Frequency, Recurrence, WallGap, WallOverlap
from reconciler.trigger import zones
from reconciler.trigger.calendar import HORIZON
from reconciler.trigger.compile import compile_trigger, problems
from reconciler.trigger.decide import Policy, Timer, decide, due_key
from reconciler.trigger.zones import iana_names, offsets, resolve, to_wall
from tests.strategies import dsts, examples
from tests.trigger.times import at, local, local_fires, wall

SHIFT, SKIP, END = WallGap
FIRST, SECOND, BOTH = WallOverlap
# The first whose changes are whole minutes in every zone.
SINCE = at("1973-01-01 00:00")
YEARS = 75 * 366 * DAY


def chosen(gap=SHIFT, overlap=FIRST):
    return Dst(gap=gap, overlap=overlap)


def daily(times, zone, dst, **fields):
    """Every day at each of ``times``, which share their minute: ``01:30 02:30``."""
    hours, minutes = zip(*(map(int, time.split(":")) for time in times.split()), strict=True)
    return Recurrence(
        frequency=Frequency.DAY, hours=hours, minutes=minutes[:1], time_zone=zone, dst=dst, **fields
    )


def on(day, trigger, count=9):
    """The local times of the fires of one day of the trigger's zone, with their offsets."""
    found = local_fires(trigger, count, after=at(f"{day} 00:00") - DAY)
    return [text[11:] for text in found if text.startswith(day)]


@lru_cache(1)
def readings(zone, start, stop):
    """What the zone's clock shows every minute, as pairs of an instant and a wall."""
    return [
        (instant, to_wall(to_datetime(instant).astimezone(zone).replace(tzinfo=None)))
        for instant in range(start, stop, MINUTE)
    ]


def by_looking(times, zone, dst, span):
    """Find the dues of a span by reading the zone's clock every minute, and nothing else.

    ``times`` are the hours and the minutes of the rule.
    """
    after, until = span
    hours, minutes = times
    clock = readings(zone, after - 26 * HOUR, until + 26 * HOUR)
    shown, dues = {}, set()
    for instant, here in clock:
        shown.setdefault(here, []).append(instant)

    def asked(here):
        return here % DAY // HOUR in hours and here % HOUR // MINUTE in minutes

    choose = {FIRST: slice(0, 1), SECOND: slice(-1, None), BOTH: slice(None)}[dst.overlap]
    for here, instants in shown.items():
        if asked(here):
            dues.update(instants[choose])
    for (_, last), (instant, here) in pairwise(clock):
        for skipped in range(last + MINUTE, here, MINUTE):
            if asked(skipped) and dst.gap is not SKIP:
                later = skipped - last - MINUTE
                dues.add(instant + later if dst.gap is SHIFT else instant)
    return sorted(due for due in dues if after < due <= until)


def three_ways(hours, minutes, name, dst):
    """The same rule three times: by days, by months and as a cron expression."""
    times = {"hours": tuple(hours), "minutes": tuple(minutes)}
    where = {"time_zone": name, "dst": dst}
    lists = [",".join(map(str, sorted(numbers))) for numbers in (minutes, hours)]
    return (
        Recurrence(frequency=Frequency.DAY, **times, **where),
        Recurrence(frequency=Frequency.MONTH, month_days=tuple(range(1, 32)), **times, **where),
        Cron(expression=f"{lists[0]} {lists[1]} * * *", **where),
    )


@st.composite
def places(draw):
    """A zone and a span of some days around one of its changes, or anywhere if it has none."""
    name = draw(st.sampled_from(sorted(iana_names())))
    change = max(SINCE, offsets(resolve(name)).at(draw(st.integers(SINCE, SINCE + YEARS)))[0])
    after = change // DAY * DAY + draw(st.integers(-24 * 60, 24 * 60)) * MINUTE
    return name, (after, after + 3 * DAY)


@examples(120)
@given(
    places(),
    st.tuples(
        st.sets(st.integers(0, 23), min_size=1, max_size=24),
        st.sets(st.integers(0, 59), min_size=1, max_size=3),
    ),
    dsts,
    st.integers(0, 3 * DAY),
)
def test_every_choice_agrees_with_looking_at_the_clock_every_minute(place, times, dst, cut):
    name, (after, until) = place
    expected = by_looking(times, resolve(name), dst, (after, until))
    cut += after
    for trigger in three_ways(*times, name, dst):
        calendar = compile_trigger(trigger, 0)
        assert list(calendar.between(after, until)) == expected
        assert calendar.count(after, until) == len(expected)
        assert calendar.count(cut, until) == sum(due > cut for due in expected)
        later = next((due for due in expected if due > cut), calendar.next_after(until))
        assert compile_trigger(trigger, 0).next_after(cut) == later


@pytest.mark.parametrize(
    ("zone", "day", "times"),
    [
        ("America/New_York", "2026-03-08", "02:30"),
        ("America/New_York", "2026-11-01", "01:30"),
        ("Australia/Lord_Howe", "2026-10-04", "02:15"),
        ("Australia/Lord_Howe", "2026-04-05", "01:45"),
        ("Pacific/Apia", "2011-12-30", "09:00"),
        ("Africa/Casablanca", "2026-02-15", "02:10"),
        ("Africa/Casablanca", "2026-03-22", "02:10"),
        ("Europe/Dublin", "2026-03-29", "01:10"),
        ("Europe/Dublin", "2026-10-25", "01:10"),
        ("Africa/Cairo", "2026-04-24", "00:00"),
        ("Africa/Cairo", "2026-10-29", "23:00"),
        ("America/Havana", "2026-03-08", "00:20"),
        ("Asia/Beirut", "2026-03-29", "00:59"),
        ("Antarctica/Troll", "2026-03-29", "02:10"),
        ("America/Sao_Paulo", "2018-11-04", "00:00"),
    ],
)
def test_known_days_agree_with_looking_at_the_clock(zone, day, times):
    """Half-hour and two-hour changes, a skipped day, Ramadan, negative summer time, midnight."""
    hour, minute = map(int, times.split(":"))
    after = at(f"{day} 00:00") - DAY
    dues = set()
    for gap, overlap in product(WallGap, WallOverlap):
        dst = chosen(gap, overlap)
        expected = by_looking(({hour}, {minute}), resolve(zone), dst, (after, after + 3 * DAY))
        found = list(compile_trigger(daily(times, zone, dst), 0).between(after, after + 3 * DAY))
        assert found == expected
        dues.add(tuple(found))
    # Each of these days is one on which the choice matters.
    assert len(dues) > 1


NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("gap", "times", "fires"),
    [
        (SHIFT, "02:30", ["03:30-04:00"]),
        (SKIP, "02:30", []),
        (END, "02:30", ["03:00-04:00"]),
        (SHIFT, "02:30 03:30", ["03:30-04:00"]),
        (SKIP, "02:30 03:30", ["03:30-04:00"]),
        (END, "02:30 03:30", ["03:00-04:00", "03:30-04:00"]),
        # Two specs on one instant fire once.
        (END, "02:00 03:00", ["03:00-04:00"]),
    ],
)
def test_a_time_that_does_not_exist(gap, times, fires):
    assert on("2026-03-08", daily(times, NEW_YORK, chosen(gap))) == fires


@pytest.mark.parametrize(
    ("overlap", "fires"),
    [
        (FIRST, ["01:30-04:00"]),
        (SECOND, ["01:30-05:00"]),
        (BOTH, ["01:30-04:00", "01:30-05:00"]),
    ],
)
def test_a_time_that_exists_twice(overlap, fires):
    assert on("2026-11-01", daily("01:30", NEW_YORK, chosen(overlap=overlap))) == fires


def test_a_time_that_fires_twice_has_two_names_and_two_decisions():
    calendar = compile_trigger(daily("01:30", NEW_YORK, chosen(overlap=BOTH)), 0)
    start = at("2026-11-01 00:00")
    mark, keys = start, []
    while mark < start + DAY:
        mark += 20 * MINUTE
        outcome = decide(
            Timer(processed_to=mark - 20 * MINUTE), calendar, Policy(overlap="allow"), mark
        )
        keys += [due_key(one.due) for one in outcome.decided]
    assert keys == ["r:2026-11-01T05:30:00Z", "r:2026-11-01T06:30:00Z"]


def test_a_cut_of_the_search_anywhere_around_a_change_moves_no_second_fire(monkeypatch):
    change = at("2026-11-01 06:00")
    trigger = daily("00:20 01:20 02:20", NEW_YORK, chosen(overlap=SECOND))
    for minutes in (-3000, -90, -30, -1, 0, 1, 30, 90, 3000):
        monkeypatch.setattr(zones, "_BLOCK", change + minutes * MINUTE)
        monkeypatch.setattr("reconciler.trigger.recurrence.offsets", zones.Offsets)
        calendar = compile_trigger(trigger, 0)
        dues = list(calendar.between(change - 3 * HOUR, change + 3 * HOUR))
        assert [local(due, NEW_YORK)[11:] for due in dues] == [
            "00:20-04:00", "01:20-05:00", "02:20-05:00",
        ]  # fmt: skip
        assert calendar.count(change - 3 * HOUR, change + 3 * HOUR) == 3


def test_counting_may_begin_and_end_between_two_times_that_the_clock_shows_alike():
    calendar = compile_trigger(daily("01:30", NEW_YORK, chosen(overlap=SECOND)), 0)
    first, second = at("2026-11-01 05:30"), at("2026-11-01 06:30")
    assert calendar.count(first - MINUTE, second - 1) == 0
    assert calendar.count(first + MINUTE, first + 2 * MINUTE) == 0
    assert calendar.count(first + MINUTE, second) == 1
    assert calendar.count(first - DAY, second + DAY) == 2


# Starts and ends that a clock change touches


@pytest.mark.parametrize(
    ("gap", "first"),
    [
        (SHIFT, "2026-03-08 03:30-04:00"),
        (SKIP, "2026-03-09 02:30-04:00"),
        (END, "2026-03-08 03:00-04:00"),
    ],
)
def test_a_schedule_that_starts_at_a_time_that_does_not_exist(gap, first):
    start = wall("2026-03-08 02:30")
    by_day = Recurrence(
        frequency=Frequency.DAY, start_time=start, time_zone=NEW_YORK, dst=chosen(gap)
    )
    cron = Cron(expression="30 2 * * *", start_time=start, time_zone=NEW_YORK, dst=chosen(gap))
    for trigger in (by_day, cron):
        assert local_fires(trigger, 1) == [first]


@pytest.mark.parametrize(
    ("overlap", "first"),
    [
        (FIRST, "2026-11-01 01:30-04:00"),
        (SECOND, "2026-11-01 01:30-05:00"),
        (BOTH, "2026-11-01 01:30-04:00"),
    ],
)
def test_a_schedule_that_starts_at_a_time_that_exists_twice(overlap, first):
    trigger = Recurrence(
        frequency=Frequency.DAY,
        start_time=wall("2026-11-01 01:30"),
        time_zone=NEW_YORK,
        dst=chosen(overlap=overlap),
    )
    assert local_fires(trigger, 1) == [first]


@pytest.mark.parametrize(
    ("overlap", "last"),
    [
        (FIRST, "2026-11-01 01:30-04:00"),
        (SECOND, "2026-11-01 01:30-05:00"),
        (BOTH, "2026-11-01 01:30-05:00"),
    ],
)
def test_an_end_at_a_time_that_exists_twice_takes_in_its_fires(overlap, last):
    trigger = daily(
        "01:30 02:30",
        NEW_YORK,
        chosen(overlap=overlap),
        start_time=wall("2026-10-30 00:00"),
        end_time=wall("2026-11-01 01:30"),
    )
    assert local_fires(trigger, 20)[-1] == last


def test_an_end_at_a_time_that_does_not_exist():
    def last(gap, times):
        ends = {"start_time": wall("2026-03-06 00:00"), "end_time": wall("2026-03-08 02:30")}
        return local_fires(daily(times, NEW_YORK, chosen(gap), **ends), 20)[-1]

    assert last(SHIFT, "02:30") == "2026-03-08 03:30-04:00"
    assert last(END, "02:30") == "2026-03-08 03:00-04:00"
    assert last(SKIP, "02:30") == "2026-03-07 02:30-05:00"
    # What the clock shows after the gap is after the end.
    assert last(SKIP, "01:00 03:00") == "2026-03-08 01:00-05:00"


def test_a_time_beyond_the_years_of_the_engine_is_looked_for_nowhere():
    far = Recurrence(
        frequency=Frequency.DAY,
        start_time=wall("2026-01-01 00:00"),
        end_time=wall("2300-03-11 02:30"),
        time_zone=NEW_YORK,
        dst=chosen(END),
    )
    assert compile_trigger(far, 0).last == HORIZON - 1


# Where the choices would do nothing


@pytest.mark.parametrize("expression", ["* 2 * * *", "*/5 2 * * *", "0 * * * *", "0 1-9/2 * * *"])
def test_cron_that_follows_elapsed_time_has_nothing_to_choose(expression):
    (fault,) = problems(Cron(expression=expression, dst=chosen(SKIP)))
    text = f"'{expression}' has a * or a step in its minute or hour and follows elapsed time: "
    assert fault == (("dst",), f"{text}no clock change moves it. Remove dst.")
    assert problems(Cron(expression=expression, dst=Dst())) == ()
