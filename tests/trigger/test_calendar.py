"""Properties of every calendar, and independent oracles for the dues."""

# ruff: noqa: DTZ001  (wall clock times have no zone)

import re
from datetime import datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim
from dateutil.rrule import DAILY, FR, MO, MONTHLY, SA, SU, TH, TU, WE, WEEKLY, rrule
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.clock import DAY, HOUR, MINUTE, to_datetime, to_instant
from reconciler.schedule import Cron, Dst, Frequency, Recurrence, WeekDay
from reconciler.trigger.calendar import HORIZON
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.zones import first_instant, offsets, resolve, to_wall
from tests.strategies import ZONES, cron_expressions, crons, examples, recurrences, walls, zones

ON_THE_WALL = (Frequency.DAY, Frequency.WEEK, Frequency.MONTH)
RRULE_DAYS = dict(zip(WeekDay, (MO, TU, WE, TH, FR, SA, SU), strict=True))
instants = st.integers(0, HORIZON)
triggers = recurrences() | crons()


@st.composite
def places(draw, trigger):
    """An instant near a change of the trigger's zone, near its anchor, or anywhere."""
    zone = resolve(trigger.time_zone)
    near = draw(st.integers(-2 * DAY, 2 * DAY))
    anywhere = draw(instants)
    centre = draw(
        st.sampled_from(
            (
                anywhere,
                offsets(zone).at(anywhere)[0],
                to_instant((trigger.start_time or datetime(2020, 1, 1)).replace(tzinfo=zone)),
            )
        )
    )
    return max(0, centre + near)


@examples(500)
@given(st.data(), triggers, st.integers(0, HORIZON // 2))
def test_the_next_due_is_later_and_the_same_from_everywhere_before_it(data, trigger, created_at):
    calendar = compile_trigger(trigger, created_at)
    instant = data.draw(places(trigger))
    due = calendar.next_after(instant)
    assume(due is not None)
    assert due > instant
    for between in {
        instant,
        (instant + due) // 2,
        due - 1,
        data.draw(st.integers(instant, due - 1)),
    }:
        assert calendar.next_after(between) == due
        # A calendar that was never asked before gives the same answer.
        assert compile_trigger(trigger, created_at).next_after(between) == due
    assert calendar.next_after(due) != due


@examples(300)
@given(st.data(), triggers)
def test_the_dues_of_an_interval_are_those_of_its_parts(data, trigger):
    calendar = compile_trigger(trigger, 0)
    start = data.draw(places(trigger))
    dues = list(islice(calendar.between(start, HORIZON), 60))
    assume(dues)
    assert dues == sorted(set(dues))
    end = dues[-1]
    middle = data.draw(st.integers(start, end))
    parts = [*calendar.between(start, middle), *calendar.between(middle, end)]
    assert parts == dues
    assert calendar.count(start, end) == len(dues)


@examples(400)
@given(st.data(), triggers, st.integers(0, HORIZON // 2))
def test_counting_finds_as_many_as_looking_for_each(data, trigger, created_at):
    calendar = compile_trigger(trigger, created_at)
    start, end = data.draw(places(trigger)), data.draw(places(trigger))
    # Not more than some thousand at a time, so near one another where they are dense.
    end = min(end, start + data.draw(st.sampled_from((DAY, 3 * DAY, 60 * DAY))))
    one_by_one = sum(1 for _ in calendar.between(start, end))
    assert calendar.count(start, end) == one_by_one
    # A cut anywhere, an hour around a change of the clock too, counts nothing twice.
    middle = data.draw(st.integers(min(start, end), max(start, end)))
    if start < end:
        assert calendar.count(start, middle) + calendar.count(middle, end) == one_by_one


def test_a_century_of_minutes_is_counted_without_looking_for_each():
    trigger = Cron(expression="* * * * *", time_zone="Europe/Paris")
    start = to_instant(datetime(2030, 1, 1).replace(tzinfo=ZoneInfo("UTC")))
    assert compile_trigger(trigger, 0).count(start, start + 36_525 * DAY) == 36_525 * 1_440


@examples(300)
@given(
    st.data(),
    zones,
    st.sets(st.integers(0, 23), min_size=1),
    st.sets(st.integers(0, 59), min_size=1, max_size=6),
)
def test_a_day_has_as_many_fires_as_hours_times_minutes_less_collisions(data, name, hours, minutes):
    zone = resolve(name)
    start, _, offset, before = offsets(zone).at(data.draw(st.integers(500 * DAY, HORIZON)))
    change = to_datetime(start).astimezone(zone).date()
    day = change + timedelta(days=data.draw(st.integers(-1, 1)))
    clock = [datetime.combine(day, time(hour, minute)) for hour in hours for minute in minutes]
    shown = {to_wall(moment) for moment in clock}
    skipped = {wall for wall in shown if start + before <= wall < start + offset}
    collisions = {wall + offset - before for wall in skipped} & shown
    due = {first_instant(moment, zone) for moment in clock}
    assert len(due) == len(hours) * len(minutes) - len(collisions)
    trigger = Recurrence(
        frequency=Frequency.DAY, time_zone=name, hours=tuple(hours), minutes=tuple(minutes)
    )
    calendar = compile_trigger(trigger, 0)
    assert due <= set(calendar.between(min(due) - 1, max(due)))


# dateutil.rrule knows the calendar but not the rules for changes of the clock, which are applied
# to its naive times here.


def rrule_walls(trigger, anchor, until):
    """The walls of a recurrence up to ``until``, by dateutil, from the beginning of the unit."""
    times = {"byhour": anchor.hour, "byminute": anchor.minute, "bysecond": anchor.second}
    if trigger.time_of_day is not None:
        hour, minute = trigger.time_of_day.split(":")
        times = {"byhour": int(hour), "byminute": int(minute), "bysecond": 0}
    elif trigger.hours or trigger.minutes:
        minute = trigger.start_time.minute if trigger.start_time else 0
        times = {
            "byhour": trigger.hours or range(24),
            "byminute": trigger.minutes or minute,
            "bysecond": 0,
        }
    midnight = anchor.replace(hour=0, minute=0, second=0)
    if trigger.frequency is Frequency.DAY:
        return rrule(DAILY, midnight, trigger.interval, until=until, **times)
    if trigger.frequency is Frequency.WEEK:
        days = [RRULE_DAYS[day] for day in trigger.week_days] or anchor.weekday()
        monday = midnight - timedelta(days=anchor.weekday())
        return rrule(
            WEEKLY, monday, trigger.interval, wkst=MO, until=until, byweekday=days, **times
        )
    days = {"bymonthday": trigger.month_days}
    if not trigger.month_days:
        # The last existing one of the days from the 28th to the anchor's.
        days = {"bymonthday": anchor.day}
        if anchor.day > 28:
            days = {"bymonthday": range(28, anchor.day + 1), "bysetpos": -1}
    first = midnight.replace(day=1)
    return rrule(MONTHLY, first, trigger.interval, until=until, **days, **times)


@examples(2000)
@given(recurrences(ON_THE_WALL, st.just(Dst())), walls, st.integers(0, 800), st.integers(1, 60))
def test_wall_clock_recurrences_agree_with_dateutil(trigger, created, skipped_days, days):
    zone = resolve(trigger.time_zone)
    created_at = to_instant(created.replace(tzinfo=ZoneInfo("UTC"))) + 250_000
    anchor = trigger.start_time or to_datetime(created_at - 250_000).astimezone(zone).replace(
        tzinfo=None, fold=0
    )
    given_fields = trigger.hours or trigger.minutes or trigger.time_of_day
    given_fields = given_fields or trigger.week_days or trigger.month_days
    from_instant = created_at + 1
    if trigger.start_time is not None:
        from_instant = first_instant(anchor, zone)
        if given_fields and not trigger.include_start:
            from_instant += 1
    after = max(from_instant, to_instant(anchor.replace(tzinfo=zone)) + skipped_days * DAY) - 1
    until = after + days * DAY
    if trigger.end_time is not None:
        until = min(until, first_instant(trigger.end_time, zone))
    naive_end = to_datetime(until).replace(tzinfo=None) + timedelta(days=3)
    naive_start = to_datetime(after).replace(tzinfo=None) - timedelta(days=3)
    naive = rrule_walls(trigger, anchor, naive_end).xafter(naive_start, inc=True)
    expected = {to_instant(moment.replace(tzinfo=zone)) for moment in naive}
    expected = sorted(due for due in expected if after < due <= until)
    assert list(compile_trigger(trigger, created_at).between(after, until)) == expected


# Cron


def matches(expression, moment):
    """Whether a minute matches, by the text of crontab(5), one value at a time."""
    minute, hour, month_day, month, week_day = expression.lower().split()
    months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
    days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    def field(text, value, low, high, names=()):
        def number(word):
            return names.index(word) + low if word in names else int(word)

        for item in text.split(","):
            body, _, step = item.partition("/")
            ends = body.split("-")
            first, last = (low, high) if body == "*" else (number(ends[0]), number(ends[-1]))
            if first <= value <= last and (value - first) % int(step or 1) == 0:
                return True
        return False

    in_month = field(month_day, moment.day, 1, 31)
    in_week = field(week_day, moment.isoweekday() % 7, 0, 7, days)
    in_week = in_week or field(week_day, moment.isoweekday(), 0, 7, days)
    starred = month_day.startswith("*") or week_day.startswith("*")
    return (
        field(minute, moment.minute, 0, 59)
        and field(hour, moment.hour, 0, 23)
        and field(month, moment.month, 1, 12, months)
        and (in_month and in_week if starred else in_month or in_week)
    )


@examples(120)
@given(st.data(), cron_expressions(), st.sampled_from(ZONES))
def test_cron_agrees_with_looking_at_the_clock_every_minute(data, expression, name):
    zone = resolve(name)
    change = offsets(zone).at(data.draw(st.integers(DAY * 365 * 25, HORIZON - DAY)))[0]
    after = (change // MINUTE - 24 * 60) * MINUTE
    until = after + 2 * DAY
    minute, hour, *_ = expression.split()
    if any(sign in minute + hour for sign in "*/"):
        # Such a cron follows elapsed time: it fires at the minutes that exist.
        expected = [
            instant
            for instant in range(after + MINUTE, until + 1, MINUTE)
            if matches(expression, to_datetime(instant).astimezone(zone))
        ]
    else:
        start = to_datetime(after).astimezone(zone).replace(tzinfo=None) - timedelta(days=2)
        start = start.replace(second=0)
        naive = (start + timedelta(minutes=k) for k in range(6 * 24 * 60))
        dues = {first_instant(moment, zone) for moment in naive if matches(expression, moment)}
        expected = sorted(due for due in dues if after < due <= until)
    calendar = compile_trigger(Cron(expression=expression, time_zone=name), 0)
    assert list(calendar.between(after, until)) == expected


# cronsim reads 5-5/2 as 5/2, from 5 to the end of the field; a range of one value has one value.
cronsim_expressions = cron_expressions().filter(lambda text: not re.search(r"\b(\d+)-\1/", text))


@examples(400)
@given(cronsim_expressions, walls)
def test_cron_agrees_with_cronsim_where_clocks_do_not_change(expression, moment):
    moment = moment.replace(tzinfo=ZoneInfo("UTC"))
    expected = [to_instant(due) for due in islice(CronSim(expression, moment), 20)]
    calendar = compile_trigger(Cron(expression=expression), 0)
    assert list(islice(calendar.between(to_instant(moment), HORIZON), 20)) == expected


@examples(250)
@given(cronsim_expressions, walls, zones)
def test_cron_agrees_with_cronsim_in_zones_on_days_without_a_change(expression, moment, name):
    """On other days they differ.

    cronsim moves a skipped 02:30 to the end of the gap, 03:00, as Debian's cron does; here it is
    shifted by the gap to 03:30, like every other wall clock time. And cronsim calls a minute or
    hour field starred only if it begins with ``*``; here a step counts as well.
    """
    zone = resolve(name)
    start = moment.replace(tzinfo=zone)
    expected = [to_instant(due) for due in islice(CronSim(expression, start), 20)]
    assume(expected)
    calendar = compile_trigger(Cron(expression=expression, time_zone=name), 0)
    found = calendar.between(to_instant(start), expected[-1])

    def plain(due):
        begin, end, *_ = offsets(zone).at(due)
        return begin + 26 * HOUR < due < end - 26 * HOUR

    assert list(filter(plain, found)) == sorted(set(filter(plain, expected)))


def test_a_wall_is_a_naive_time_in_microseconds():
    assert to_wall(datetime(1970, 1, 1, 0, 0, 0, 7)) == 7
