"""What a data schedule finds in its watch's change log, and what of it a hold lets through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING

from reconciler.data import Batch
from reconciler.schedule import Missed
from reconciler.trigger.arrivals import EXISTING, ignored_because
from reconciler.trigger.cause import MOST
from reconciler.trigger.decide import held_by
from reconciler.workspace.records import LoggedChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.data import DatastoreChange
    from reconciler.live import Hold
    from reconciler.workspace.ledger import LedgerTransaction
    from reconciler.workspace.records import Arrival

# Changes read at once.
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Passed:
    """``count`` occurrences that a hold passed over, logged at the places ``first`` to ``last``."""

    first: int
    last: int
    count: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What to decide about next.

    ``changes`` are those that count, in order; ``cursor`` is the schedule's place in the log after
    them. Where runs are made for all that one poll found, those of a poll are all here, unless they
    are more than ``MOST``; ``begun`` tells of a poll that was begun after which place.
    ``held`` says why they come so late, else it is empty. With ``lift`` all that was logged during
    the hold is accounted for.
    """

    changes: list[LoggedChange]
    cursor: int
    begun: Mapping[int, int]
    held: str = ""
    passed: Passed | None = None
    lift: bool = False


class Log:
    """Change logs as one transaction sees them: what several schedules read is read once."""

    def __init__(self, tx: LedgerTransaction) -> None:
        self.changes = cache(tx.changes)
        self.logged_before = cache(tx.logged_before)


def next_page(log: Log, arrival: Arrival, hold: Hold | None, trigger: DatastoreChange) -> Page:
    """Read what was logged after the schedule's place, a page of it.

    A ``hold`` is one that is over, and its ``catchup`` decides about what was logged before its
    end: ``skip`` passes over it, ``last`` lets the newest occurrence through, both at once, and
    ``all`` everything, page by page.
    """
    reader = _Reader(log, arrival, trigger)
    end = 0
    if hold is not None and hold.until is not None:
        end = log.logged_before(arrival.watch_id, hold.until)
    if hold is None or end <= arrival.cursor:
        return reader.page(None, lift=hold is not None)
    why, rule = held_by(hold), f"(catchup: {hold.catchup})"
    made_up = f"{why}; made up {rule}"
    if hold.catchup is Missed.ALL:
        return reader.page(end, held=made_up, lift=True)
    changes: list[LoggedChange] = []
    first = last = count = 0
    for occurrence in reader.occurrences(end):
        gone, changes = (changes, occurrence) if hold.catchup is Missed.LAST else (occurrence, [])
        if gone:
            first, last, count = first or gone[0].seq, gone[-1].seq, count + 1
    if changes:
        why = f"{why}; {reader.newer} {rule}"
    passed = Passed(first, last, count, why) if count else None
    return Page(changes=changes, cursor=end, begun={}, held=made_up, passed=passed, lift=True)


class _Reader:
    """Reads a watch's log for one schedule, from its place on."""

    def __init__(self, log: Log, arrival: Arrival, trigger: DatastoreChange) -> None:
        self._log = log
        self._arrival = arrival
        self._trigger = trigger
        self._per_poll = trigger.batch is Batch.PER_POLL
        self.newer = f"a newer {'poll stands' if self._per_poll else 'file stands'} for them"

    def page(self, end: int | None, *, held: str = "", lift: bool = False) -> Page:
        """Read the next page, of what was logged up to ``end`` where that is given.

        With ``lift`` the hold is over once ``end`` is reached, or at once without one.
        """
        logged = self._polls(end) if self._per_poll else next(self._read(end))
        cursor = logged[-1].seq
        return Page(
            changes=list(self._counted(logged)),
            cursor=cursor,
            begun=self._begun(logged[0]),
            held=held,
            lift=lift and (end is None or cursor == end),
        )

    def occurrences(self, end: int) -> Iterator[list[LoggedChange]]:
        """Read all that counts up to ``end``: each file, or each poll, by itself."""
        counted = (change for page in self._read(end) for change in self._counted(page))
        if not self._per_poll:
            return ([change] for change in counted)
        return (list(found) for _, found in groupby(counted, key=_poll))

    def _read(self, end: int | None) -> Iterator[list[LoggedChange]]:
        place = self._arrival.cursor
        while end is None or place < end:
            limit = PAGE if end is None else min(PAGE, end - place)
            logged = self._log.changes(self._arrival.watch_id, place, limit)
            if not logged:
                return
            yield logged
            place = logged[-1].seq

    def _polls(self, end: int | None) -> list[LoggedChange]:
        """Read whole polls, as many as a page holds or one; of a very large one a slice."""
        logged: list[LoggedChange] = []
        for page in self._read(end):
            logged += page
            last = logged[-1].poll_seq
            if last != logged[0].poll_seq and len(page) == PAGE:
                # The last one may go on in the next page; a poll's lines are written together.
                return [change for change in logged if change.poll_seq != last]
            if len(logged) >= MOST:
                break
        return logged

    def _begun(self, first: LoggedChange) -> dict[int, int]:
        """Tell whether the schedule's place lies within a poll."""
        place = self._arrival.cursor
        if not self._per_poll or not place:
            return {}
        before = self._log.changes(self._arrival.watch_id, place - 1, 1)[0]
        begun = (before.seq, before.poll_seq) == (place, first.poll_seq)
        return {first.poll_seq: place} if begun and not self._for_others(before) else {}

    def _counted(self, logged: Iterable[LoggedChange]) -> Iterator[LoggedChange]:
        """Leave out what the schedule's rules do not let through, and what others asked for."""
        for change in logged:
            if self._for_others(change):
                continue
            if ignored_because(self._trigger, change.name, change.change, change.facts) is None:
                yield change

    def _for_others(self, change: LoggedChange) -> bool:
        return change.change == EXISTING and change.poll_seq != self._arrival.existing


def _poll(change: LoggedChange) -> int:
    return change.poll_seq
