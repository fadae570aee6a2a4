"""Look at watched directories and write down what changed.

A listing may be slow or hang, so it runs in a thread of its own; what it found is committed by the
loop. Nothing is lost when a runner dies in between: the snapshot has not moved, and the next
listing finds the same changes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.clock import MINUTE, SECOND
from reconciler.datastore.base import Listing
from reconciler.errors import DatastoreError, NotFound
from reconciler.schedule import DatastoreChange
from reconciler.trigger.arrivals import FileVersion, Look, Unsettled, look
from reconciler.workspace.records import FileFacts, LoggedChange, Poll, Watch, WatchState

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.datastore.base import DatastoreReader
    from reconciler.runner.book import Book
    from reconciler.workspace.base import Ledger

log = logging.getLogger(__name__)

DEFAULT_SETTLE = 2 * SECOND
LONGEST_BACKOFF = 10 * MINUTE
_THREADS = 4


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
    ) -> None:
        self._ledger = ledger
        self._book = book
        self._datastore = datastore
        self._poke = poke
        self._sights: dict[int, _Sight] = {}
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="poll")

    def observe(self, now: int) -> None:
        """Commit the listings that are ready and begin those that are due."""
        for sight in self._sights.values():
            if sight.listing is not None and sight.listing.done():
                self._commit(sight, sight.listing, now)
        for watch in self._ledger.due_watches(now):
            sight = self._sights.setdefault(watch.id, _Sight())
            if sight.listing is None:
                sight.watch = watch
                sight.listing = self._pool.submit(self._list, watch)
                sight.listing.add_done_callback(lambda _: self._poke())

    def close(self) -> None:
        """Let listings under way end unheard."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _list(self, watch: Watch) -> Listing:
        return self._datastore(watch.datastore).list(watch.path)

    def _commit(self, sight: _Sight, done: Future[Listing], now: int) -> None:
        watch = sight.watch
        assert watch is not None, "a listing belongs to a watch"  # noqa: S101  (set with the listing)
        sight.listing = None
        interval, settle = self._timing(watch)
        try:
            listing = done.result()
        except (DatastoreError, NotFound) as error:
            self._failed(watch, str(error), now, interval)
            return
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
        log.info("watch %s/%s %s", watch.datastore, watch.path, note)

    def _failed(self, watch: Watch, error: str, now: int, interval: int) -> None:
        """Write a poll that found nothing out; it moves neither snapshot nor log."""
        backoff = min(max(interval, LONGEST_BACKOFF), interval * 2 ** min(watch.failures, 10))
        poll = Poll(
            watch_id=watch.id,
            poll_seq=watch.poll_seq + 1,
            polled_at=now,
            listed=0,
            changed=0,
            state=watch.state,
            next_poll=now + backoff,
            error=error,
        )
        with self._ledger.transaction() as tx:
            tx.record_poll(poll)
        if watch.failures == 0:
            log.error("watch %s/%s cannot be listed: %s", watch.datastore, watch.path, error)

    def _timing(self, watch: Watch) -> tuple[int, int]:
        """Give the poll interval and the settle time that all its schedules agree with."""
        with self._ledger.transaction() as tx:
            here = tx.schedules(watch.schedule_ids)
        triggers = [
            trigger
            for schedule in here.values()
            if isinstance(trigger := self._book.schedule(schedule).trigger, DatastoreChange)
        ]
        interval = min(int(t.polling_interval * MINUTE) for t in triggers)
        settle = max(
            DEFAULT_SETTLE if t.settle is None else t.settle // timedelta(microseconds=1)
            for t in triggers
        )
        return interval, settle


def _facts(name: bytes, version: FileVersion) -> FileFacts:
    return FileFacts(name=name, size=version.size, mtime_ns=version.mtime_ns, inode=version.inode)


def _next_poll(planned: int, now: int, interval: int) -> int:
    """Give the next planned time after ``now``: polls keep their phase however long one takes."""
    return planned + interval * ((now - planned) // interval + 1)
