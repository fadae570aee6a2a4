"""What a data schedule finds in its watch's change log, and what of it a hold lets through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.schedule import Missed
from reconciler.trigger.arrivals import ChangeKind, ignored_because
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
    """``count`` files that a hold passed over, logged at the places ``first`` to ``last``."""

    first: int
    last: int
    count: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What to decide about next.

    ``changes`` are those that count, in order; ``cursor`` is the schedule's place in the log after
    them. ``held`` says why they come so late, else it is empty. With ``lift`` all that was logged
    during the hold is accounted for.
    """

    changes: list[LoggedChange]
    cursor: int
    held: str = ""
    passed: Passed | None = None
    lift: bool = False


def next_page(
    tx: LedgerTransaction, arrival: Arrival, hold: Hold | None, trigger: DatastoreChange
) -> Page:
    """Read what was logged after the schedule's place, a page of it.

    A ``hold`` is one that is over, and its ``catchup`` decides about what was logged before its
    end: ``skip`` passes over it, ``last`` lets the newest file through, both at once, and ``all``
    every file, page by page.
    """
    end = 0
    if hold is not None and hold.until is not None:
        end = tx.logged_before(arrival.watch_id, hold.until)
    if hold is None or end <= arrival.cursor:
        logged = tx.changes(arrival.watch_id, arrival.cursor, PAGE)
        counted = list(_counted(logged, trigger))
        return Page(changes=counted, cursor=logged[-1].seq, lift=hold is not None)
    why, rule = held_by(hold), f"(catchup: {hold.catchup})"
    made_up = f"{why}; made up {rule}"
    pages = _pages(tx, arrival, end)
    if hold.catchup is Missed.ALL:
        logged = next(pages)
        counted, cursor = list(_counted(logged, trigger)), logged[-1].seq
        return Page(changes=counted, cursor=cursor, held=made_up, lift=cursor == end)
    changes: list[LoggedChange] = []
    first = last = count = 0
    for change in (change for page in pages for change in _counted(page, trigger)):
        changes.append(change)
        if len(changes) > (hold.catchup is Missed.LAST):
            last = changes.pop(0).seq
            first, count = first or last, count + 1
    if changes:
        why = f"{why}; a newer file stands for them {rule}"
    passed = Passed(first, last, count, why) if count else None
    return Page(changes=changes, cursor=end, held=made_up, passed=passed, lift=True)


def _pages(tx: LedgerTransaction, arrival: Arrival, end: int) -> Iterator[list[LoggedChange]]:
    """Read the log from the schedule's place up to ``end``, which lies beyond it."""
    place = arrival.cursor
    while place < end:
        logged = tx.changes(arrival.watch_id, place, min(PAGE, end - place))
        yield logged
        place = logged[-1].seq


def _counted(logged: Iterable[LoggedChange], trigger: DatastoreChange) -> Iterator[LoggedChange]:
    """Leave out what was deleted and what the schedule's filters do not let through."""
    for change in logged:
        kept = change.change != ChangeKind.DELETED
        if kept and ignored_because(change.file.name, trigger.include, trigger.ignore) is None:
            yield change
