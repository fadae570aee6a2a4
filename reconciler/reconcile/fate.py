"""What became of a line of a watch's change log, for one schedule.

What was decided is read from the ledger's rows. Only where there is none are the schedule's present
rules asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from operator import itemgetter
from typing import TYPE_CHECKING

from reconciler.run import Decision, Fire, Kind
from reconciler.trigger.arrivals import EXISTING, ignored_because

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.data import DatastoreChange
    from reconciler.workspace.records import Arrival, LoggedChange


class Fate(StrEnum):
    """What a change came to; the words are those of the JSON output."""

    FIRED = "fired"
    SKIPPED = "skipped"
    PASSED_OVER = "passed_over"
    IGNORED = "ignored"
    UNDECIDED = "undecided"
    EARLIER = "earlier"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one line came to, why, and the decision about it where one was made.

    ``for_others`` tells that the line was written for other schedules alone.
    """

    fate: Fate
    why: str
    fire: Fire | None = None
    for_others: bool = False


class Decisions:
    """A schedule's decisions about the lines of one watch's change log."""

    def __init__(self, watch_id: int, fires: Iterable[Fire]) -> None:
        self._files: dict[int, Fire] = {}
        self._polls: dict[int, list[tuple[int, Fire]]] = {}
        self._gaps: list[tuple[int, int, Fire]] = []
        for fire in fires:
            kind, watch, *rest = fire.occurrence_key.split(":")
            if watch != str(watch_id):
                continue
            if kind == Kind.DATA:
                self._files[int(rest[0])] = fire
            elif kind == Kind.POLL:
                # A poll that was decided about in parts has each part's beginning in its key.
                poll, after = (*map(int, rest), 0)[:2]
                self._polls.setdefault(poll, []).append((after, fire))
            elif kind == Kind.GAP:
                first, _, last = rest[0].partition("/")
                self._gaps.append((int(first), int(last), fire))

    def about_file(self, line: LoggedChange) -> Fire | None:
        """Find the decision about one line alone."""
        return self._files.get(line.seq)

    def about_more(self, line: LoggedChange) -> Fire | None:
        """Find the decision about what its poll found, or what was passed over, with the line."""
        parts = [(after, f) for after, f in self._polls.get(line.poll_seq, ()) if after < line.seq]
        if parts:
            return max(parts, key=itemgetter(0))[1]
        return next((f for first, last, f in self._gaps if first <= line.seq <= last), None)


def outcome(
    line: LoggedChange,
    trigger: DatastoreChange,
    standing: Arrival | None,
    decisions: Decisions,
    *,
    earlier: bool,
) -> Outcome:
    """Tell what a line came to.

    ``standing`` is where the schedule is in the log, None where it is not on the watch. ``earlier``
    tells that the line was written before the schedule was created, edited or enabled last: then
    the schedule may have begun to read the log after it.
    """
    if (fire := decisions.about_file(line)) is not None:
        return _decided(fire)
    if line.change == EXISTING and (standing is None or standing.existing != line.poll_seq):
        text = "it was there before, and other schedules asked to be told"
        return Outcome(Fate.IGNORED, text, for_others=True)
    why = ignored_because(trigger, line.name, line.change, line.facts)
    if why is not None:
        return Outcome(Fate.IGNORED, why)
    if (fire := decisions.about_more(line)) is not None:
        return _decided(fire)
    return _undecided(line, standing, earlier=earlier)


def _undecided(line: LoggedChange, standing: Arrival | None, *, earlier: bool) -> Outcome:
    if standing is not None and standing.cursor < line.seq:
        return Outcome(Fate.UNDECIDED, "nothing is decided about it yet")
    if earlier:
        return Outcome(Fate.EARLIER, "the schedule was created, edited or enabled after it")
    return Outcome(Fate.UNKNOWN, "what was decided about it is not kept any more")


def _decided(fire: Fire) -> Outcome:
    if fire.decision is Decision.GAP:
        return Outcome(Fate.PASSED_OVER, fire.reason, fire)
    if fire.decision in {Decision.LAUNCH, Decision.QUEUE}:
        return Outcome(Fate.FIRED, fire.reason, fire)
    return Outcome(Fate.SKIPPED, fire.reason, fire)
