"""How long the next fire takes to compute, here and in APScheduler 3, in the same run.

Run: ``.venv/bin/python benchmarks/next_after.py``. Each line walks from fire to fire, so no answer
is a repeated one; times are nanoseconds per call, the best of several rounds.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from reconciler.clock import parse_instant, to_datetime
from reconciler.schedule import Cron, Frequency, Recurrence, WeekDay
from reconciler.trigger.compile import compile_trigger

if TYPE_CHECKING:
    from collections.abc import Callable

ZONE = "America/New_York"
NOW = parse_instant("2026-06-01T00:00:00Z")
STEPS = 500
ROUNDS = 9
WORKDAYS = (WeekDay.MONDAY, WeekDay.THURSDAY)


def pairs(start: datetime) -> list[tuple[str, Recurrence | Cron, Any]]:
    """Give the same rules for both, each with its name, anchored at ``start``."""
    same: dict[str, Any] = {"time_zone": ZONE, "start_time": start}
    theirs: dict[str, Any] = {"timezone": ZoneInfo(ZONE), "start_date": start}
    hour = {"hour": 6, "minute": 30}
    return [
        (
            "daily at 06:30",
            Recurrence(frequency=Frequency.DAY, time_of_day="06:30", **same),
            CronTrigger(**hour, **theirs),
        ),
        (
            "every 24 hours",
            Recurrence(frequency=Frequency.HOUR, interval=24, **same),
            IntervalTrigger(hours=24, **theirs),
        ),
        (
            "every hour",
            Recurrence(frequency=Frequency.HOUR, **same),
            IntervalTrigger(hours=1, **theirs),
        ),
        (
            "Monday, Thursday at 06:30",
            Recurrence(frequency=Frequency.WEEK, week_days=WORKDAYS, time_of_day="06:30", **same),
            CronTrigger(day_of_week="mon,thu", **hour, **theirs),
        ),
        (
            "1st and last day at 06:30",
            Recurrence(frequency=Frequency.MONTH, month_days=(1, -1), time_of_day="06:30", **same),
            CronTrigger(day="1,last", **hour, **theirs),
        ),
        (
            "cron 30 6 * * mon-fri",
            Cron(expression="30 6 * * mon-fri", **same),
            CronTrigger.from_crontab("30 6 * * mon-fri", timezone=ZoneInfo(ZONE)),
        ),
        (
            "cron */15 * * * *",
            Cron(expression="*/15 * * * *", **same),
            CronTrigger.from_crontab("*/15 * * * *", timezone=ZoneInfo(ZONE)),
        ),
    ]


def best(step: Callable[[Any], Any], start: object) -> float:
    """Return nanoseconds per call of ``step``, fed with its own results."""
    rounds = []
    for _ in range(ROUNDS):
        value = start
        begin = perf_counter_ns()
        for _ in range(STEPS):
            value = step(value)
        rounds.append((perf_counter_ns() - begin) / STEPS)
    return min(rounds)


def following(peer: CronTrigger | IntervalTrigger) -> Callable[[datetime], datetime]:
    """Ask as APScheduler does after a fire."""
    return lambda last: peer.get_next_fire_time(last, last)


def lone(peer: CronTrigger | IntervalTrigger) -> Callable[[datetime], datetime]:
    """Ask for the first fire after an instant, without telling of an earlier one."""
    tick = timedelta(microseconds=1)
    return lambda instant: peer.get_next_fire_time(None, instant + tick)


def main() -> None:
    """Print the table."""
    then = to_datetime(NOW).astimezone(ZoneInfo(ZONE))
    print(f"{'rule':32}{'start':>10}{'ours ns':>10}{'APScheduler ns':>16}{'ratio':>8}")
    for age, days in (("1 day", 1), ("20 years", 7305)):
        start = (to_datetime(NOW) - timedelta(days=days)).replace(tzinfo=None)
        for name, rule, peer in pairs(start):
            ours = best(compile_trigger(rule, 0).next_after, NOW)
            asked = {"": best(following(peer), then)}
            if isinstance(peer, IntervalTrigger):
                # It usually adds to its last fire; ours, like this, answers for any instant.
                asked[" (any instant)"] = best(lone(peer), then)
            for note, theirs in asked.items():
                line = f"{name + note:32}{age:>10}{ours:10.0f}{theirs:16.0f}"
                print(f"{line}{theirs / ours:8.1f}")


if __name__ == "__main__":
    main()
