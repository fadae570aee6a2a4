"""What the observer keeps in memory of one watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.clock import MINUTE
from reconciler.runner.look import Asked, Found, Looking
from reconciler.trigger.arrivals import Unsettled
from reconciler.workspace.records import Watch

DEFAULT_INTERVAL = 5 * MINUTE


@dataclass(frozen=True, slots=True)
class Timing:
    """What the schedules of a watch ask for, in microseconds; ``settles`` as in ``Asked``."""

    interval: int = DEFAULT_INTERVAL
    settles: frozenset[int | None] = frozenset((None,))


@dataclass(slots=True)
class Sight:
    """What is kept in memory of one watch; losing it costs nothing but time.

    ``watch`` is as it was written last, ``whole_at`` when all files are to be looked at again and
    ``settle`` how long one must stay unchanged. ``named`` are files that events told of; where they
    told of more than they could name, some were ``missed``. ``skipped`` polls are for the next row,
    and ``note`` is the last one's.
    """

    watch: Watch
    timing: Timing = Timing()
    whole_at: int = 0
    looking: Looking | None = None
    hung: list[Looking] = field(default_factory=list)
    unsettled: Mapping[bytes, Unsettled] = field(default_factory=dict)
    unmarked: frozenset[bytes] = frozenset()
    settle: int = 0
    named: frozenset[bytes] = frozenset()
    missed: bool = False
    rested_at: int = 0
    remounts: int = 0
    skipped: int = 0
    note: str = ""

    def settled(self, now: int) -> frozenset[bytes]:
        """Name the files that have been unsettled for long enough to be looked at again."""
        return frozenset(
            name for name, one in self.unsettled.items() if one.since + self.settle <= now
        )

    def told(self) -> frozenset[bytes]:
        """Name the files that events told of, and those that waited for one of them as a marker."""
        marker_of = self.watch.watched.marker_of
        return self.named.union(name for name in self.unmarked if marker_of(name) in self.named)

    def merged(
        self, asked: Asked, found: Found, now: int
    ) -> tuple[dict[bytes, Unsettled], frozenset[bytes]]:
        """Put together which files are unsettled and unmarked: of those not looked at, as before.

        What was seen for the first time may have been so as late as ``now``: a look takes a while.
        """
        unsettled = {
            name: one if one.since < asked.began else Unsettled(one.facts, now)
            for name, one in found.unsettled.items()
        }
        if asked.names is None or found.whole:
            return unsettled, found.unmarked
        others = {name: one for name, one in self.unsettled.items() if name not in asked.names}
        return {**others, **unsettled}, self.unmarked - asked.names | found.unmarked
