"""Watches, what their polls found, and how far each schedule has read of it."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from reconciler.trigger.arrivals import EXISTING
from reconciler.trigger.snapshot import split
from reconciler.workspace.records import Undecided
from reconciler.workspace.sql import pages, rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from reconciler.trigger.arrivals import Change, Rewrite
    from reconciler.workspace.records import Arrival, LoggedChange, Poll, Watch
    from reconciler.workspace.sql.dialect import Dialect
    from reconciler.workspace.sql.driver import Driver

# There are few watches and many schedules: an expression keeps SQLite from beginning with those.
_WATCHES = f"""
SELECT {", ".join(f"watches.{name}" for name in rows.WATCH_COLUMNS)}, schedule_id, existing
FROM watches JOIN cursors ON watch_id = watches.id
  JOIN schedules ON schedules.id = schedule_id || ''
WHERE schedules.status = 'Active' {{also}} ORDER BY watches.id, schedule_id
"""  # noqa: S608  (constants)
_ALL = _WATCHES.format(also="")
_DUE = _WATCHES.format(also="AND next_poll <= :now")
_OF_SCHEDULE = f"""
SELECT {", ".join(f"watches.{name}" for name in rows.WATCH_COLUMNS)}, schedules.id, others.existing
FROM cursors AS mine JOIN watches ON watches.id = mine.watch_id
  LEFT JOIN cursors AS others ON others.watch_id = watches.id
  LEFT JOIN schedules ON schedules.id = others.schedule_id AND schedules.status = 'Active'
WHERE mine.schedule_id = ? ORDER BY others.schedule_id
"""  # noqa: S608  (constants)
_ARRIVAL = """
SELECT cursors.schedule_id, revision, watch_id, cursor, coalesce(existing, 0)
FROM cursors JOIN schedules ON schedules.id = schedule_id WHERE schedule_id = ?
"""
_FREE = """
SELECT id FROM watches WHERE next_poll <= :now AND fence IS DISTINCT FROM :fence AND NOT EXISTS (
  SELECT 1 FROM sessions WHERE sessions.fence = watches.fence AND ended_at IS NULL)
"""
_CLAIM = "UPDATE watches SET fence = :fence WHERE id IN ({free})"
_POLL_AGAIN = """
UPDATE watches SET next_poll = :now WHERE next_poll > :now AND EXISTS (
  SELECT 1 FROM polls
  WHERE watch_id = watches.id AND polls.poll_seq = watches.poll_seq AND polled_at > :now)
"""
# Both are looked for from the end, near which they lie.
_LOGGED_BEFORE = """
SELECT coalesce((
  SELECT seq FROM changes WHERE watch_id = :watch AND poll_seq <= (
    SELECT poll_seq FROM polls WHERE watch_id = :watch AND polled_at < :instant
    ORDER BY poll_seq DESC LIMIT 1)
  ORDER BY seq DESC LIMIT 1), 0)
"""
_LINES = f"SELECT {', '.join(rows.CHANGE_FIELDS)} FROM changes WHERE watch_id = :watch"  # noqa: S608  (constants)
_AFTER = f"{_LINES} AND seq > :after ORDER BY seq LIMIT :limit"
_NEWEST = f"{_LINES} {{also}} ORDER BY seq DESC LIMIT :limit"
_POLLS = f"SELECT {', '.join(rows.POLL_FIELDS)} FROM polls WHERE watch_id = ?"  # noqa: S608  (constants)
_NEWEST_POLLS = f"{_POLLS} ORDER BY poll_seq DESC LIMIT ?"
_FIRST_POLL = f"{_POLLS} ORDER BY poll_seq LIMIT 1"

# Where somebody has asked for a look since this one began, that one is due.
_NEXT = (
    "next_poll = CASE WHEN next_poll = coalesce(:was, next_poll) THEN :next_poll ELSE next_poll END"
)
_FAILED = f"""
UPDATE watches SET poll_seq = :poll_seq, {_NEXT}, failures = failures + 1
WHERE id = :watch AND poll_seq = :before RETURNING change_seq
"""  # noqa: S608  (a constant)
_SUCCEEDED = f"""
UPDATE watches SET poll_seq = :poll_seq, {_NEXT}, failures = 0, state = :state,
  place = coalesce(:place, place)
WHERE id = :watch AND poll_seq = :before RETURNING change_seq
"""  # noqa: S608  (a constant)
_POLL = f"""
INSERT INTO polls ({", ".join(rows.POLL_FIELDS)}) VALUES ({", ".join("?" * len(rows.POLL_FIELDS))})
"""  # noqa: S608  (constants)
_CHANGE = f"""
INSERT INTO changes ({", ".join(rows.CHANGE_FIELDS)})
VALUES ({", ".join("?" * len(rows.CHANGE_FIELDS))})
"""  # noqa: S608  (constants)
_ASKING = """
SELECT schedule_id FROM cursors JOIN schedules ON schedules.id = schedule_id
WHERE watch_id = ? AND existing = 0 AND status = 'Active'
"""
_ANSWERED = "UPDATE cursors SET existing = ? WHERE schedule_id = ?"
_SKIP = """
UPDATE cursors SET cursor = :end WHERE watch_id = :watch AND cursor = :start
  AND existing IS DISTINCT FROM :poll_seq
"""
_LOGGED = "UPDATE watches SET change_seq = ? WHERE id = ?"
_BEHIND = """
SELECT schedule_id FROM cursors JOIN watches ON watches.id = watch_id
WHERE datastore = ? AND cursor < change_seq ORDER BY schedule_id
"""
# An UPDATE, so that no runner decides about them meanwhile.
_CURSOR = """
UPDATE cursors SET cursor = cursor WHERE schedule_id = ?
RETURNING watch_id, cursor, coalesce(existing, 0)
"""
_MOVE_CURSOR = "UPDATE cursors SET cursor = ? WHERE schedule_id = ?"
# Lines of the log that are in memory at once.
_AT_ONCE = 10_000


def active(raw: Driver, due: int | None = None) -> list[Watch]:
    """List watches that have an active schedule, with ``due`` those due by that instant."""
    return _grouped(raw.execute(_ALL) if due is None else raw.execute(_DUE, {"now": due}))


def of_schedule(raw: Driver, schedule_id: str) -> Watch | None:
    """Give the watch that a schedule is on, active or not; None where it is on none."""
    return next(iter(_grouped(raw.execute(_OF_SCHEDULE, (schedule_id,)))), None)


def arrival(raw: Driver, schedule_id: str) -> Arrival | None:
    """Tell where a schedule stands in its watch's log; None where it is on no watch."""
    found = raw.execute(_ARRIVAL, (schedule_id,)).fetchone()
    return None if found is None else rows.arrival(found)


def claim(raw: Driver, dialect: Dialect, now: int, fence: int) -> set[int]:
    """Make due watches a session's that no living session has; give the ids of all it has.

    Watches that somebody else claims at this moment are left out.
    """
    asked = {"now": now, "fence": fence}
    raw.execute(_CLAIM.format(free=dialect.claiming(_FREE, "watches")), asked)
    return {id_ for (id_,) in raw.execute("SELECT id FROM watches WHERE fence = :fence", asked)}


def poll_again(raw: Driver, now: int) -> None:
    """Make watches due that were polled after ``now``: the clock has gone back since."""
    raw.execute(_POLL_AGAIN, {"now": now})


def changes(raw: Driver, watch_id: int, after: int, limit: int) -> list[LoggedChange]:
    """Read the change log from ``after`` (exclusive), in order."""
    asked = {"watch": watch_id, "after": after, "limit": limit}
    return list(map(rows.change, raw.execute(_AFTER, asked)))


def log(
    raw: Driver, watch_id: int, *, name: bytes | None, polls: Sequence[int], limit: int
) -> list[LoggedChange]:
    """Read the change log, newest first: of one name, of some polls, or all of it."""
    asked: dict[str, object] = {"watch": watch_id, "limit": limit}
    also = ""
    if name is not None:
        also, asked["name"] = "AND name = :name", name
    if polls:
        also += " AND poll_seq IN (SELECT CAST(value AS BIGINT) FROM json_each(:polls))"
        asked["polls"] = json.dumps(list(polls))
    return list(map(rows.change, raw.execute(_NEWEST.format(also=also), asked)))


def behind(raw: Driver, datastore: str) -> tuple[str, ...]:
    """Give the ids of schedules that have yet to decide about changes in a datastore."""
    return tuple(id_ for (id_,) in raw.execute(_BEHIND, (datastore,)))


def pass_over(
    raw: Driver, schedule_id: str, counts: Callable[[LoggedChange], bool]
) -> Undecided | None:
    """Take a schedule to the end of its watch's log; None where nothing counted."""
    found = raw.execute(_CURSOR, (schedule_id,)).fetchone()
    if found is None:
        return None
    watch_id, place, existing = found
    first = last = count = 0
    while lines := changes(raw, watch_id, place, _AT_ONCE):
        for line in lines:
            if (line.change != EXISTING or line.poll_seq == existing) and counts(line):
                first, last, count = first or line.seq, line.seq, count + 1
        place = lines[-1].seq
    raw.execute(_MOVE_CURSOR, (place, schedule_id))
    return Undecided(watch_id, first, last, count) if count else None


def logged_before(raw: Driver, watch_id: int, instant: int) -> int:
    """Give the last place in the change log that was written before ``instant``, else 0."""
    place: int = raw.execute(_LOGGED_BEFORE, {"watch": watch_id, "instant": instant}).fetchone()[0]
    return place


def polls(raw: Driver, watch_id: int, limit: int) -> list[Poll]:
    """List a watch's polls, newest first."""
    return list(map(rows.poll, raw.execute(_NEWEST_POLLS, (watch_id, limit))))


def first_poll(raw: Driver, watch_id: int) -> Poll | None:
    """Give the oldest poll of a watch that is kept."""
    found = raw.execute(_FIRST_POLL, (watch_id,)).fetchone()
    return None if found is None else rows.poll(found)


def record_poll(  # noqa: PLR0913  (the port's)
    raw: Driver,
    poll: Poll,
    changes: Sequence[Change],
    rewrites: Iterable[Rewrite],
    *,
    place: str | None,
    baseline: bool,
    was: int | None,
) -> bool:
    """Store a poll, log its changes, rewrite the snapshot and move the watch; False if it moved."""
    moved = {
        "watch": poll.watch_id,
        "poll_seq": poll.poll_seq,
        "before": poll.poll_seq - 1,
        "next_poll": poll.next_poll,
        "was": was,
    }
    if poll.error:
        found = raw.execute(_FAILED, moved).fetchone()
    else:
        moved_to = {**moved, "state": poll.state.value, "place": place}
        found = raw.execute(_SUCCEEDED, moved_to).fetchone()
    if found is None:
        return False
    raw.execute(_POLL, rows.poll_values(poll))
    if poll.error:
        return True
    log = _Log(raw, poll, found[0])
    if baseline:
        pages.forget(raw, poll.watch_id)
        pages.rewrite(raw, poll.watch_id, rewrites)
        log.existing()
    else:
        log.existing()
        pages.rewrite(raw, poll.watch_id, rewrites)
    log.append((change.kind.value, change.name, change.facts) for change in changes)
    log.close()
    return True


class _Log:
    """The end of a watch's change log, to which one poll appends."""

    def __init__(self, raw: Driver, poll: Poll, seq: int) -> None:
        self._raw = raw
        self._watch_id, self._poll_seq = poll.watch_id, poll.poll_seq
        self._begin = self._seq = seq

    def append(self, lines: Iterable[tuple[str, bytes, bytes]]) -> None:
        """Append lines, each a change, a name and facts; few of them are in memory."""
        remaining = iter(lines)
        while some := list(islice(remaining, _AT_ONCE)):
            self._raw.executemany(
                _CHANGE,
                [
                    (self._watch_id, seq, self._poll_seq, *line)
                    for seq, line in enumerate(some, self._seq + 1)
                ],
            )
            self._seq += len(some)

    def existing(self) -> None:
        """Log what is known for the schedules that asked for it, and for them alone."""
        asking = [id_ for (id_,) in self._raw.execute(_ASKING, (self._watch_id,))]
        if not asking:
            return
        known = pages.in_order(lambda after: pages.following(self._raw, self._watch_id, after))
        self.append((EXISTING, *file) for page in known for file in zip(*split(page), strict=True))
        self._raw.executemany(_ANSWERED, [(self._poll_seq, id_) for id_ in asking])
        # Who has read all that came before need not read lines that are for others.
        passed = {"watch": self._watch_id, "poll_seq": self._poll_seq}
        self._raw.execute(_SKIP, {**passed, "start": self._begin, "end": self._seq})

    def close(self) -> None:
        """Note where the log ends now."""
        if self._seq > self._begin:
            self._raw.execute(_LOGGED, (self._seq, self._watch_id))


def _grouped(found: Iterable[Sequence[Any]]) -> list[Watch]:
    """Read rows of WATCH_COLUMNS and of one schedule each, None for no active one."""
    watches: dict[Any, list[tuple[str, bool]]] = {}
    for *watch, schedule_id, existing in found:
        asking = watches.setdefault(tuple(watch), [])
        if schedule_id is not None:
            asking.append((schedule_id, existing == 0))
    return [
        rows.watch(watch, tuple(id_ for id_, _ in asking), existing=any(it for _, it in asking))
        for watch, asking in watches.items()
    ]
