"""The loop around tick, observe, launch and reap.

Every pass runs on the whole present state; what wakes it only says that a look is worth while.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

from reconciler.clock import DAY, SECOND, SystemClock, iso
from reconciler.errors import ReconcilerError, SessionLost, WorkspaceError
from reconciler.executor.base import NotStarted, Running
from reconciler.fields import duration_text
from reconciler.runner.book import Book
from reconciler.runner.late import Deadlines
from reconciler.runner.launch import Launcher
from reconciler.runner.metrics import NOBODY, Metrics
from reconciler.runner.observe import Events, Observer
from reconciler.runner.reap import reap
from reconciler.runner.tick import Ticker
from reconciler.runner.zone_data import ZoneData

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.datastore.base import DatastoreReader
    from reconciler.executor.base import Executor
    from reconciler.runner.admit import Limits
    from reconciler.runner.compose import Composer
    from reconciler.runner.prune import Janitor
    from reconciler.runner.reap import Underway
    from reconciler.workspace.ledger import Ledger

log = logging.getLogger(__name__)

# Other processes change the registry without telling anyone, so the loop looks this often; where
# they do tell, less often is enough.
LONGEST_SLEEP = SECOND // 2
LONGEST_DOZE = SECOND
LONGEST_BACKOFF = 30 * SECOND
# What others tell within this time is heard at once; and one that never stops does not wake the
# loop more often.
HEARING = 50_000
# The more is under way the longer a pass takes. After it the loop rests this many times as long,
# but no longer than so many seconds, however many programs end: most of the machine is theirs.
REST, LONGEST_REST = 4, 0.25
# When very much is due at once, what was decided starts before the rest is decided.
BATCHES = 8
# Schedules are read so long before they are due; at least one pass comes within it.
AHEAD = 2 * SECOND
# Clocks are slewed by less than this all the time; a step back beyond it is worth a line.
CLOCK_STEP = 2 * SECOND
# A program that another runner gave up longer ago is not looked for.
DISOWNED = 7 * DAY


class _Stopped(Exception):
    """Somebody asked a runner that stands by to stop."""


class Daemon:
    """One runner. :meth:`run` returns after :meth:`stop` once the steps under way are over.

    ``drain`` is how many microseconds it waits for them; what still runs then goes on by itself
    and is adopted by the next runner. ``node`` names the place whose programs its executor sees.
    ``events`` makes what tells of files that change; it is given what wakes the loop.
    """

    def __init__(  # noqa: PLR0913  (what it is made of, always by keyword)
        self,
        *,
        ledger: Ledger,
        executor: Executor,
        composer: Composer,
        datastore: Callable[[str], DatastoreReader],
        limits: Limits,
        drain: int,
        node: str = "",
        metrics: Metrics = NOBODY,
        janitor: Janitor | None = None,
        events: Callable[[Callable[[], None]], Events] | None = None,
    ) -> None:
        self._janitor = janitor
        self._metrics = metrics
        self._ledger = ledger
        self._node = node
        self._patience = limits.patience
        self._executor = executor
        self._drain = drain
        self._poked, self._poker = socket.socketpair()
        self._poked.settimeout(0)
        self._poker.settimeout(0)
        self._stopping = False
        self._lost = False
        self._failing, self._failing_by = "", ""
        self._backoff = 0
        self._latest = 0
        self._clock = SystemClock()
        self._deaf = False
        self._heard_at = 0
        self._rest = 0.0
        self._read_to = 0
        self._zones = ZoneData()
        self._book = Book()
        self._ticker = Ticker(ledger, self._book, metrics)
        self._deadlines = Deadlines(ledger)
        self._launcher = Launcher(ledger, executor, composer, self._book, limits, node, metrics)
        self._observer = Observer(
            ledger,
            self._book,
            datastore,
            self.poke,
            metrics,
            None if events is None else events(self.poke),
        )

    def poke(self) -> None:
        """Wake the loop; safe from any thread and from a signal handler."""
        with contextlib.suppress(OSError):  # full of pokes already, or closed
            self._poker.send(b"\0")

    def stop(self, *_: object) -> None:
        """Begin to drain; called a second time, stop waiting for steps."""
        if self._stopping:
            self._drain = 0
        self._stopping = True
        self.poke()

    def run(self) -> None:
        """Become the runner, standing by while there is another one, and run until stopped."""
        try:
            self._join()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self.stop)
            log.info("runner started, pid %s", os.getpid())
            while not self._stopping:
                self._sleep(self._guarded(self.step))
            log.info("draining: no new fires, no new runs")
            began = self._clock.now()
            while self._clock.now() - began < self._drain:
                seconds = self._guarded(self._finishing)
                if seconds is None:
                    break
                self._sleep(seconds)
        except _Stopped:
            log.info("stopped while standing by")
        finally:
            self.close()
            if self._janitor is not None:
                self._janitor.close()
            self._executor.close()
            with contextlib.suppress(WorkspaceError):  # then the database takes the right back
                self._ledger.end_session()
            log.info("runner stopped")

    def close(self) -> None:
        """Let go of what wakes it; looks under way end unheard, what it was made of stays."""
        self._observer.close()
        self._poked.close()
        self._poker.close()

    def step(self) -> int | None:
        """Do everything once; returns the next instant at which there is something to do.

        Raises:
            SessionLost: another runner has ended this one's session.
        """
        if self._lost:
            self._rejoin()
        began = monotonic()
        now = self._ledger.now()
        self._tell_clock(now)
        self._look_at_zones(now)
        self._ledger.take_over(self._patience)
        self._observer.observe(now)
        underway = self._reap(now)
        # A run that is over must not stand in the way of what is decided next.
        if self._launcher.launch(underway, now, begin=False) == now:
            underway = self._reap(now)
        self._ticker.tick(BATCHES)
        retry = self._launcher.launch(underway, now)
        self._deadlines.look(now)
        if self._janitor is not None:
            self._janitor.look()
        if self._ticker.behind:
            return now
        # Of what was due by now all that can be done is done; a listing under way will poke.
        due = self._ledger.next_wake(now)
        if due is not None and due <= now + AHEAD and due != self._read_to:
            self._ticker.read_ahead(due)
            self._read_to = due
        spent = monotonic() - began
        self._rest = min(REST * spent, LONGEST_REST)
        if retry == now:  # what ended during the pass can wait as what ends after it does
            retry = now + round((spent + self._rest) * SECOND)
        return min((at for at in (retry, due) if at is not None), default=None)

    def adopt(self) -> None:
        """Stop the programs of this node that another runner has given up meanwhile.

        Their attempts are over for everybody else: whatever they would do, nobody waits for it.
        """
        disowned = self._ledger.disowned(self._ledger.now() - DISOWNED)
        found = self._executor.look(disowned) if disowned else {}
        alive = [id_ for id_, seen in found.items() if isinstance(seen, Running | NotStarted)]
        if alive:
            log.warning("stopping what another runner gave up: %s", ", ".join(sorted(alive)))
            self._executor.cancel(alive)

    def _join(self) -> None:
        """Begin a session, standing by as long as there may be only one.

        Raises:
            _Stopped: a signal asked to stop meanwhile.
        """
        host, pid = socket.gethostname(), os.getpid()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _stop_standing_by)
        if self._ledger.begin_session(host=host, pid=pid, node=self._node) is None:
            log.warning("another runner is active on this workspace; standing by")
            self._ledger.begin_session(host=host, pid=pid, node=self._node, wait=True)
        self._metrics.session(held=True)
        self.adopt()

    def _rejoin(self) -> None:
        """Begin a new session in the place of one that was lost; nothing of it is remembered."""
        self._ledger.end_session()
        self._ticker.forget()
        self._launcher.forget()
        self._observer.forget()
        if (
            self._ledger.begin_session(host=socket.gethostname(), pid=os.getpid(), node=self._node)
            is None
        ):
            raise SessionLost("another runner is active on this workspace")
        self._lost = self._deaf = False
        self._metrics.session(held=True)
        log.warning("a new session has begun")
        self.adopt()

    def _tell_clock(self, now: int) -> None:
        """Say it once when the clock went back, and until when nothing is due."""
        if now < self._latest - CLOCK_STEP:
            back = duration_text(timedelta(seconds=(self._latest - now) // SECOND))
            log.warning(
                "the clock went back by %s; what was decided stays decided, "
                "and nothing more is due until %s",
                back,
                iso(self._latest),
            )
        self._latest = now

    def _look_at_zones(self, now: int) -> None:
        """Decide anew when schedules are due once the time zone data are others."""
        if not self._zones.changed(now):
            return
        self._book.drop_calendars()
        mine, newest = self._zones.version, self._ledger.use_zones(self._zones.version)
        if newest > mine:
            log.warning(
                "the time zone data here are of version %s, older than %s that others use",
                mine or "unknown",
                newest,
            )
        else:
            log.info("time zone data of version %s", mine or "unknown")

    def _reap(self, now: int) -> Underway:
        return reap(self._ledger, self._executor, now, self._node, self._metrics)

    def _finishing(self) -> int | None:
        """Move only what is under way; None once nothing is, or it is another runner's."""
        if self._lost:
            return None
        now = self._ledger.now()
        underway = self._reap(now)
        self._launcher.launch(underway, now, begin=False)
        return now + LONGEST_SLEEP if underway.live else None

    def _guarded(self, work: Callable[[], int | None]) -> float | None:
        """Do ``work``; on an error alert once, and try again until it works.

        What passes by itself is tried every second, what looks like a defect later and later.

        Returns how many seconds there are until there is more to do, None for nothing in sight.
        """
        began = monotonic()
        try:
            wake = work()
            seconds = None if wake is None else max(0, wake - self._ledger.now()) / SECOND
        except Exception as error:
            # Whatever it is: all the schedules there are hang on this loop.
            if isinstance(error, SessionLost) and not self._lost:
                self._lost = True
                self._metrics.session(held=False, lost=True)
                log.warning("%s", error)
                return 0.0
            meant = isinstance(error, ReconcilerError)
            text = str(error) if meant else repr(error)
            passes = isinstance(error, ReconcilerError) and error.retriable
            # What passes by itself says so in other words each time.
            kind = type(error).__name__ if passes else text
            if kind != self._failing_by:
                log.error(
                    "%s; trying again until it works", text, exc_info=None if meant else error
                )
            self._failing, self._failing_by = text, kind
            self._metrics.passed(monotonic() - began, text)
            longest = SECOND if passes else LONGEST_BACKOFF
            self._backoff = min(max(2 * self._backoff, SECOND), longest)
            return self._backoff / SECOND
        if self._failing:
            log.warning("recovered from: %s", self._failing)
            self._failing, self._failing_by, self._backoff = "", "", 0
        self._metrics.passed(monotonic() - began)
        return seconds

    def _sleep(self, seconds: float | None) -> None:
        """Wait for an event, no longer than others may stay unheard; after an error, as told."""
        longest = (LONGEST_SLEEP if self._ear() is None else LONGEST_DOZE) / SECOND
        if seconds is None or (seconds > longest and not self._failing):
            seconds = longest
        self.wait(seconds)

    def wait(self, seconds: float) -> None:
        """Wait until somebody pokes, a program ends, others write, or so many seconds passed."""
        rest, self._rest = min(seconds, self._rest), 0.0
        if rest > 0 and self._select(None, rest, ends=False):
            return
        seconds -= rest
        ear = self._ear()
        unheard = min(seconds, self._pause()) if ear is not None else 0.0
        if unheard > 0 and self._select(None, unheard):
            return
        self._select(ear, seconds - unheard)

    def _select(self, ear: int | None, seconds: float, *, ends: bool = True) -> bool:
        """Wait for one of the descriptors and empty it; tells whether there was one.

        Without ``ends`` it does not wait for programs to end.
        """
        wakeup, poked = self._executor.wakeup(), self._poked.fileno()
        heard = [poked, *([wakeup] if ends else []), *([] if ear is None else [ear])]
        try:
            ready, _, _ = select.select(heard, [], [], seconds)
            if ear in ready:
                self._heard_at = self._clock.now()
                self._ledger.heard()
        except (OSError, ValueError, ReconcilerError):
            if ear is None:
                raise
            self._deaf = True  # until the next session: whoever polls learns the same
            return True
        if poked in ready:
            self._poked.recv(4_096)
        if wakeup in ready:
            self._executor.drain_wakeups()
        return bool(ready)

    def _ear(self) -> int | None:
        """Give the descriptor that tells when others wrote, where there is one."""
        try:
            return None if self._deaf else self._ledger.listen()
        except ReconcilerError:
            self._deaf = True
            return None

    def _pause(self) -> float:
        """Give how many seconds not to listen, after something was heard just now."""
        since = self._clock.now() - self._heard_at
        return (HEARING - since) / SECOND if 0 <= since < HEARING else 0.0


def _stop_standing_by(*_: object) -> None:
    raise _Stopped
