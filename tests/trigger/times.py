"""Short ways to write times and calendars in these tests."""

from datetime import datetime
from itertools import islice

from reconciler.clock import parse_instant, to_datetime
from reconciler.trigger.compile import compile_trigger
from reconciler.trigger.zones import resolve

EARLY = -1


def at(text):
    """The instant of ``2026-03-08 07:30`` in UTC, seconds optional."""
    return parse_instant(text.replace(" ", "T") + "Z")


def wall(text):
    return datetime.fromisoformat(text)


def utc(instant):
    return to_datetime(instant).isoformat(" ").removesuffix("+00:00").removesuffix(":00")


def local(instant, zone):
    """The local time with its offset, ``2026-03-08 03:30-04:00``."""
    moment = to_datetime(instant).astimezone(resolve(zone))
    return moment.isoformat(" ", "minutes")


def fires(trigger, count, after=EARLY, created_at=0):
    calendar = compile_trigger(trigger, created_at)
    return list(islice(calendar.between(after, at("2199-12-31 23:59")), count))


def utc_fires(trigger, count, after=EARLY, created_at=0):
    return [utc(due) for due in fires(trigger, count, after, created_at)]


def local_fires(trigger, count, after=EARLY, created_at=0):
    return [local(due, trigger.time_zone) for due in fires(trigger, count, after, created_at)]
