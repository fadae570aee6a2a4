"""Look at watched files and write down what changed.

A look may be slow or never end, so each runs in a thread of its own (``look``); what it found is
written by the loop, in one transaction. Nothing is lost when a runner dies in between: the snapshot
has not moved, and the next look finds the same changes.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Protocol
from zlib import crc32

from reconciler.clock import MINUTE
from reconciler.data import DatastoreChange, FileChange
from reconciler.errors import DatastoreError, ReconcilerError
from reconciler.runner.logs import about
from reconciler.runner.look import Asked, Found, Looking, give_back
from reconciler.runner.metrics import NOBODY, Metrics
from reconciler.runner.sight import Sight, Timing
from reconciler.workspace.records import Alarm, Alert, Poll, Watch, WatchState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.data import Watched
    from reconciler.datastore.base import DatastoreReader
    from reconciler.live import RegisteredSchedule
    from reconciler.runner.book import Book
    from reconciler.workspace.ledger import Ledger

log = logging.getLogger(__name__)

LONGEST_BACKOFF = 10 * MINUTE
# Looks under way. One whose store is silent for so many seconds waits, and is not counted; after
# the longest silence it is given up.
AT_ONCE, SILENCE, LONGEST_SILENCE = 16, 30.0, 600.0
# Looks at one watch that were given up and have not ended. A thread cannot be stopped from outside.
MOST_HUNG = 3
# So many polls that failed in a row make a watch degraded.
DEGRADED = 3
# After a look at all files that nothing but events asked for, so many times its length is rested.
REST = 4
# How often watches that nobody needs any more are forgotten.
_TIDY = MINUTE
_SILENT = (
    f"nothing was heard for {LONGEST_SILENCE / 60:.0f} minutes, and the look is given up; "
    "see whether the datastore can be reached from this machine"
)
_HANGS = (
    f"{MOST_HUNG} looks that were given up still hang; see whether the datastore can be reached "
    "from this machine, and restart the runner if they do not end"
)


class Events(Protocol):
    """Tells which watched files may have changed; it wakes and is never the truth."""

    def watch(self, key: int, reader: DatastoreReader, watched: Watched) -> None:
        """Begin to listen, unless that is so already; from any thread."""
        ...

    def unwatch(self, key: int) -> None:
        """Listen no more."""
        ...

    def taken(self) -> Mapping[int, frozenset[bytes] | None]:
        """Take what was heard since, by key: names, or None where some could not be named."""
        ...

    def close(self) -> None:
        """Stop to listen to anything."""
        ...


class Observer:
    """Polls watched files; ``poke`` is called from a thread when a look has ended."""

    def __init__(  # noqa: PLR0913, PLR0917  (what it is made of)
        self,
        ledger: Ledger,
        book: Book,
        datastore: Callable[[str], DatastoreReader],
        poke: Callable[[], None],
        metrics: Metrics = NOBODY,
        events: Events | None = None,
    ) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._book = book
        self._datastore = datastore
        self._poke = poke
        self._events = events
        self._sights: dict[int, Sight] = {}
        self._latest: float = inf
        self._tidied: float = -inf

    def forget(self) -> None:
        """Forget what belongs to a session that is over: another runner may watch by now."""
        for watch_id in list(self._sights):
            self._drop(watch_id)
        self._latest = inf

    def close(self) -> None:
        """Listen to no more events."""
        if self._events is not None:
            self._events.close()

    def observe(self, now: int) -> None:
        """Write down what looks found that have ended, and begin those that are due."""
        if now < self._latest:  # the clock went back, or may have before this runner began
            self._ledger.poll_again(now)
            self._tidied = -inf
        self._latest = now
        if now >= self._tidied + _TIDY:
            self._tidy(now)
        for sight in list(self._sights.values()):
            if sight.looking is not None:
                self._end(sight, sight.looking, now)
        self._hear()
        free = AT_ONCE - sum(
            sight.looking is not None and sight.looking.silence < SILENCE
            for sight in self._sights.values()
        )
        due = [watch for watch in self._ledger.due_watches(now) if not self._busy(watch.id)]
        for watch in sorted(due, key=lambda watch: watch.next_poll)[: max(0, free)]:
            free -= self._begin(self._refreshed(watch), now, due=True)
        for sight in self._eager(now)[: max(0, free)]:
            self._begin(sight, now, due=False)

    # The beginning of a look ------------------------------------------------------------------

    def _hear(self) -> None:
        """Note the files that events told of."""
        if self._events is None:
            return
        for watch_id, names in self._events.taken().items():
            sight = self._sights.get(watch_id)
            if sight is None:
                self._events.unwatch(watch_id)
            elif names is None:
                sight.missed = True
            else:
                sight.named |= names

    def _eager(self, now: int) -> list[Sight]:
        """Give the watches of which events told; a long look is not made again at once."""
        return [
            sight
            for sight in self._sights.values()
            if sight.looking is None
            and not sight.watch.failures
            and (sight.named or (sight.missed and now >= sight.rested_at))
        ]

    def _refreshed(self, watch: Watch) -> Sight:
        """Give what is known of a watch that is due, as far as nobody else moved it."""
        sight = self._sights.get(watch.id)
        if sight is None or sight.watch.poll_seq != watch.poll_seq:
            self._drop(watch.id)
            sight = self._sights[watch.id] = Sight(watch)
        elif sight.watch.next_poll != watch.next_poll:
            sight.whole_at = 0  # somebody asked for it
        sight.watch, sight.timing = watch, self._timing(watch)
        return sight

    def _begin(self, sight: Sight, now: int, *, due: bool) -> bool:
        """Begin a look; tells whether it has begun."""
        sight.hung = [looking for looking in sight.hung if not looking.done]
        watch = sight.watch
        if len(sight.hung) >= MOST_HUNG:
            self._failed(sight, DatastoreError(_HANGS), now)
            return False
        whole = now >= sight.whole_at if due else sight.missed
        names = None if whole else sight.told() | sight.settled(now)
        asked = Asked(
            watch=watch,
            names=names,
            unsettled=sight.unsettled,
            settles=sight.timing.settles,
            began=now,
            due=due,
            remounts=sight.remounts,
        )
        sight.named, sight.missed = frozenset(), sight.missed and not whole
        listen = partial(self._listen, watch)
        sight.looking = Looking(asked, self._ledger, self._datastore, listen, self._poke)
        return True

    def _listen(self, watch: Watch, reader: DatastoreReader) -> None:
        if self._events is not None:
            self._events.watch(watch.id, reader, watch.watched)

    def _timing(self, watch: Watch) -> Timing:
        with self._ledger.transaction() as tx:
            here = tx.schedules(watch.schedule_ids)
        triggers: list[DatastoreChange] = []
        for schedule in here.values():
            with suppress(ReconcilerError):  # it is degraded where it would fire
                trigger = self._book.schedule(schedule).trigger
                if isinstance(trigger, DatastoreChange):
                    triggers.append(trigger)
        if not triggers:  # each was edited away just now
            return Timing()
        return Timing(
            interval=min(int(trigger.polling_interval * MINUTE) for trigger in triggers),
            settles=frozenset(
                None if trigger.settle is None else trigger.settle // timedelta(microseconds=1)
                for trigger in triggers
            ),
        )

    def _busy(self, watch_id: int) -> bool:
        sight = self._sights.get(watch_id)
        return sight is not None and sight.looking is not None

    # Its end ----------------------------------------------------------------------------------

    def _end(self, sight: Sight, looking: Looking, now: int) -> None:
        """Write down what a look found that has ended; give up one that will not."""
        if not looking.done:
            if looking.silence >= LONGEST_SILENCE:
                sight.looking = None
                sight.hung.append(looking)
                self._failed(sight, DatastoreError(_SILENT), now)
            return
        sight.looking = None
        try:
            found = looking.result()
        except Exception as error:  # noqa: BLE001  (whatever a store raises is its own)
            self._failed(sight, error, now, looking.took)
            return
        try:
            self._found(sight, looking, found, now)
        except ReconcilerError:
            # What the ledger waits for is due until it is written; of the rest nobody else knows.
            sight.named |= looking.asked.names or frozenset()
            sight.missed |= looking.asked.names is None
            raise

    def _found(self, sight: Sight, looking: Looking, found: Found, now: int) -> None:
        asked, watch, interval = looking.asked, looking.asked.watch, sight.timing.interval
        planned = _planned(watch.watched, now, interval)
        unsettled, unmarked = sight.merged(asked, found, now)
        again = min((one.since + found.settle for one in unsettled.values()), default=planned)
        whole_at = planned if found.whole else min(planned, sight.whole_at)
        if found.onward:
            whole_at = now
        elif found.more:
            whole_at = min(planned, again)
        next_poll = min(whole_at, again)
        skipped = (planned - _planned(watch.watched, asked.began, interval)) // interval
        kinds = Counter(change.kind for change in found.changes)
        poll = Poll(
            watch_id=watch.id,
            poll_seq=watch.poll_seq + 1,
            polled_at=now,
            listed=found.listed,
            state=WatchState.READY,
            next_poll=next_poll,
            added=kinds[FileChange.ADDED],
            modified=kinds[FileChange.MODIFIED],
            deleted=kinds[FileChange.DELETED],
            waiting=len(unsettled) + len(unmarked),
            took=looking.took,
            skipped=sight.skipped if found.whole else 0,
            note=found.note,
        )
        news = found.changes or found.baseline or found.onward or unmarked - sight.unmarked
        idle = not (asked.due or news or next_poll < watch.next_poll)
        if not idle:
            with self._ledger.transaction() as tx:
                if not tx.record_poll(
                    poll,
                    found.changes,
                    found.rewrites,
                    place=found.place,
                    baseline=found.baseline,
                    was=watch.next_poll,
                ):
                    self._drop(watch.id)
                    return
            self._metrics.polled(poll)
            sight.watch = replace(
                watch,
                state=WatchState.READY,
                poll_seq=poll.poll_seq,
                next_poll=next_poll,
                failures=0,
                place=found.place,
                existing=False,
            )
        sight.unsettled, sight.unmarked, sight.settle = unsettled, unmarked, found.settle
        sight.whole_at = whole_at
        if found.whole:
            sight.skipped, sight.remounts = skipped, found.remounts
            if not asked.due:
                sight.rested_at = now + REST * looking.took
        self._tell(sight, watch, poll)
        give_back(found.listed)

    def _failed(self, sight: Sight, error: BaseException, now: int, took: int = 0) -> None:
        """Write a poll that found nothing out; it moves neither snapshot nor log."""
        watch, interval = sight.watch, sight.timing.interval
        meant = isinstance(error, ReconcilerError)
        text = str(error) if meant else repr(error)
        backoff = min(max(interval, LONGEST_BACKOFF), interval * 2 ** min(watch.failures, 10))
        poll = Poll(
            watch_id=watch.id,
            poll_seq=watch.poll_seq + 1,
            polled_at=now,
            listed=0,
            state=watch.state,
            next_poll=now + backoff,
            took=took,
            error=text,
        )
        failures = watch.failures + 1
        with self._ledger.transaction() as tx:
            if not tx.record_poll(poll, was=watch.next_poll):
                self._drop(watch.id)
                return
            if failures >= DEGRADED:
                tx.alert(_alerts(watch, poll, tx.schedules(watch.schedule_ids)))
        self._metrics.polled(poll)
        sight.watch = replace(
            watch, poll_seq=poll.poll_seq, next_poll=poll.next_poll, failures=failures
        )
        sight.whole_at = poll.next_poll
        if failures in {1, DEGRADED}:
            said = (
                "cannot be looked at" if failures == 1 else f"is degraded, {failures} looks failed"
            )
            trace = None if meant else error
            named = about(watch=_shown(watch.watched))
            log.error(
                "watch %s %s: %s", _shown(watch.watched), said, text, exc_info=trace, extra=named
            )
        self._count_degraded()

    def _tell(self, sight: Sight, before: Watch, poll: Poll) -> None:
        """Log what is worth a line of a look that went well; a note that stays is told once."""
        place, named = _shown(before.watched), about(watch=_shown(before.watched))
        if before.failures:
            text = "watch %s is looked at again, %s looks had failed"
            log.info(text, place, before.failures, extra=named)
            self._count_degraded()
        if poll.note and poll.note != sight.note:
            log.info("watch %s: %s", place, poll.note, extra=named)
        sight.note = poll.note

    def _count_degraded(self) -> None:
        degraded = sum(sight.watch.failures >= DEGRADED for sight in self._sights.values())
        self._metrics.degraded(degraded)

    # What is no longer needed -----------------------------------------------------------------

    def _tidy(self, now: int) -> None:
        """Forget watches that no schedule needs any more."""
        needed = {watch.id for watch in self._ledger.watches()}
        for watch_id in self._sights.keys() - needed:
            self._drop(watch_id)
        self._tidied = now

    def _drop(self, watch_id: int) -> None:
        """Forget a watch; a look that is under way ends unheard."""
        if self._sights.pop(watch_id, None) is not None and self._events is not None:
            self._events.unwatch(watch_id)


def _planned(watched: Watched, now: int, interval: int) -> int:
    """Give the next planned instant after ``now``.

    Each watch has a phase of its own, so that those with one interval do not all come at once; it
    keeps that phase however long a look takes.
    """
    key = f"{watched.datastore}/{watched.path}/{watched.depth}/{watched.done_marker}"
    phase = crc32(key.encode("utf-8", "surrogateescape"))
    return now + interval - (now - phase) % interval


def _alerts(watch: Watch, poll: Poll, here: Mapping[str, RegisteredSchedule]) -> list[Alert]:
    """Tell each schedule on a degraded watch, once in a row of failures."""
    first = watch.poll_seq + 1 - watch.failures
    return [
        Alert(
            key=f"{Alarm.DEGRADED}:{watch.id}:{first}:{schedule.id}",
            alarm=Alarm.DEGRADED,
            at=poll.polled_at,
            text=f"schedule {schedule.name} is degraded and does not fire: the last "
            f"{watch.failures + 1} looks at {_shown(watch.watched)} failed: {poll.error}",
            schedule_id=schedule.id,
        )
        for schedule in here.values()
    ]


def _shown(watched: Watched) -> str:
    return f"{watched.datastore}/{watched.path}"
