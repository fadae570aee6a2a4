"""Look at watched directories and write down what changed.

A listing may be slow or hang, so it runs in a thread of its own; what it found is committed by the
loop. Nothing is lost when a runner dies in between: the snapshot has not moved, and the next
listing finds the same changes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import inf
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING

from reconciler.clock import MINUTE, SECOND
from reconciler.data import DatastoreChange
from reconciler.datastore.base import Listing
from reconciler.errors import ReconcilerError
from reconciler.runner.logs import about
from reconciler.runner.metrics import NOBODY, Metrics
from reconciler.trigger.arrivals import FileVersion, Look, Unsettled, look
from reconciler.workspace.records import FileFacts, LoggedChange, Poll, Watch, WatchState

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.datastore.base import DatastoreReader
    from reconciler.runner.book import Book
    from reconciler.workspace.ledger import Ledger

log = logging.getLogger(__name__)

DEFAULT_SETTLE = 2 * SECOND
DEFAULT_INTERVAL = 5 * MINUTE
LONGEST_BACKOFF = 10 * MINUTE
_AT_ONCE = 16


@dataclass(slots=True)
class _Sight:
    """What is kept in memory of one watch: files that have not settled, and a listing under way.

    Losing it costs nothing but time: unsettled files are found again.
    """

    unsettled: Mapping[bytes, Unsettled] = field(default_factory=dict)
    listing: Future[Listing] | None = None
    watch: Watch | None = None


class Observer:
    """Polls directories; ``poke`` is called from a thread when a listing is ready."""

    def __init__(
        self,
        ledger: Ledger,
        book: Book,
        datastore: Callable[[str], DatastoreReader],
        poke: Callable[[], None],
        metrics: Metrics = NOBODY,
    ) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._book = book
        self._datastore = datastore
        self._poke = poke
        self._sights: dict[int, _Sight] = {}
        self._latest: float = inf

    def forget(self) -> None:
        """Forget what belongs to a session that is over: another runner may watch by now."""
        self._sights, self._latest = {}, inf

    def observe(self, now: int) -> None:
        """Commit the listings that are ready and begin those that are due."""
        if now < self._latest:  # the clock went back, or may have before this runner began
            self._ledger.poll_again(now)
        self._latest = now
        for sight in self._sights.values():
            if sight.listing is not None and sight.listing.done():
                self._commit(sight, sight.listing, now)
        under_way = {id_ for id_, sight in self._sights.items() if sight.listing is not None}
        due = [watch for watch in self._ledger.due_watches(now) if watch.id not in under_way]
        due.sort(key=lambda watch: watch.next_poll)
        for watch in due[: max(0, _AT_ONCE - len(under_way))]:
            sight = self._sights.setdefault(watch.id, _Sight())
            listing: Future[Listing] = Future()
            # A thread that hangs must not keep the process from its end.
            Thread(target=self._list, args=(watch, listing), daemon=True).start()
            sight.watch, sight.listing = watch, listing

    def _list(self, watch: Watch, listing: Future[Listing]) -> None:
        began = monotonic()
        try:
            listing.set_result(self._datastore(watch.datastore).list(watch.path))
        except Exception as error:  # noqa: BLE001  (the loop tells of it)
            listing.set_exception(error)
        self._metrics.polled(monotonic() - began, failed=listing.exception() is not None)
        self._poke()

    def _commit(self, sight: _Sight, done: Future[Listing], now: int) -> None:
        watch = sight.watch
        assert watch is not None, "a listing belongs to a watch"  # noqa: S101  (set with the listing)
        sight.listing = None
        interval, settle = self._timing(watch)
        error = done.exception()
        if error is not None:
            self._failed(watch, error, now, interval)
            return
        listing = done.result()
        poll = Poll(
            watch_id=watch.id,
            poll_seq=watch.poll_seq + 1,
            polled_at=now,
            listed=len(listing.files),
            changed=0,
            state=WatchState.READY,
            next_poll=_next_poll(watch.next_poll, now, interval),
        )
        if watch.state is WatchState.BASELINING:
            self._baseline(watch, poll, listing)
            return
        known = {
            name: FileVersion(facts.size, facts.mtime_ns, facts.inode)
            for name, facts in self._ledger.snapshot(watch.id).items()
        }
        seen = look(known, sight.unsettled, listing.files, now, settle)
        if self._write(watch, poll, seen):
            sight.unsettled = seen.unsettled

    def _write(self, watch: Watch, poll: Poll, seen: Look) -> bool:
        changes = [
            LoggedChange(
                watch_id=watch.id,
                seq=watch.change_seq + number,
                poll_seq=poll.poll_seq,
                change=change.kind.value,
                file=_facts(change.name, change.version),
            )
            for number, change in enumerate(seen.changes, 1)
        ]
        next_poll = min(poll.next_poll, seen.look_again or poll.next_poll)
        note = (
            f"mounted anew: {len(seen.rebased)} files differ only in inode" if seen.rebased else ""
        )
        poll = replace(poll, changed=len(changes), next_poll=next_poll, note=note)
        with self._ledger.transaction() as tx:
            rebased = [_facts(name, version) for name, version in seen.rebased.items()]
            return tx.record_poll(poll, changes, rebased=rebased)

    def _baseline(self, watch: Watch, poll: Poll, listing: Listing) -> None:
        files = [_facts(name, version) for name, version in listing.files.items()]
        note = f"baseline: {len(files)} files were there before"
        with self._ledger.transaction() as tx:
            tx.record_poll(replace(poll, note=note), baseline=files)
        named = about(watch=f"{watch.datastore}/{watch.path}")
        log.info("watch %s/%s %s", watch.datastore, watch.path, note, extra=named)

    def _failed(self, watch: Watch, error: BaseException, now: int, interval: int) -> None:
        """Write a poll that found nothing out; it moves neither snapshot nor log."""
        meant = isinstance(error, ReconcilerError)
        text = str(error) if meant else repr(error)
        backoff = min(max(interval, LONGEST_BACKOFF), interval * 2 ** min(watch.failures, 10))
        poll = Poll(
            watch_id=watch.id,
            poll_seq=watch.poll_seq + 1,
            polled_at=now,
            listed=0,
            changed=0,
            state=watch.state,
            next_poll=now + backoff,
            error=text,
        )
        with self._ledger.transaction() as tx:
            tx.record_poll(poll)
        if watch.failures == 0:
            log.error(
                "watch %s/%s cannot be listed: %s",
                watch.datastore,
                watch.path,
                text,
                exc_info=None if meant else error,
                extra=about(watch=f"{watch.datastore}/{watch.path}"),
            )

    def _timing(self, watch: Watch) -> tuple[int, int]:
        """Give the poll interval and the settle time that all its schedules agree with."""
        with self._ledger.transaction() as tx:
            here = tx.schedules(watch.schedule_ids)
        triggers: list[DatastoreChange] = []
        for schedule in here.values():
            with suppress(ReconcilerError):  # it is degraded where it would fire
                trigger = self._book.schedule(schedule).trigger
                if isinstance(trigger, DatastoreChange):
                    triggers.append(trigger)
        # There are none where each was edited away while the directory was listed.
        interval = min(
            (int(t.polling_interval * MINUTE) for t in triggers), default=DEFAULT_INTERVAL
        )
        settle = (
            DEFAULT_SETTLE if t.settle is None else t.settle // timedelta(microseconds=1)
            for t in triggers
        )
        return interval, max(settle, default=DEFAULT_SETTLE)


def _facts(name: bytes, version: FileVersion) -> FileFacts:
    return FileFacts(name=name, size=version.size, mtime_ns=version.mtime_ns, inode=version.inode)


def _next_poll(planned: int, now: int, interval: int) -> int:
    """Give the next planned time after ``now``: polls keep their phase however long one takes."""
    return planned + interval * ((now - planned) // interval + 1)
