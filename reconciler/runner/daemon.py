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
from typing import TYPE_CHECKING

from reconciler.clock import SECOND
from reconciler.errors import ReconcilerError
from reconciler.fields import duration_text
from reconciler.runner.book import Book
from reconciler.runner.launch import Launcher
from reconciler.runner.observe import Observer
from reconciler.runner.reap import reap
from reconciler.runner.tick import Ticker

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.datastore.base import DatastoreReader
    from reconciler.executor.base import Executor
    from reconciler.runner.compose import Composer
    from reconciler.workspace.base import Ledger

log = logging.getLogger(__name__)

# Other processes change the registry without telling anyone, so the loop looks this often.
LONGEST_SLEEP = SECOND // 2
LONGEST_BACKOFF = 30 * SECOND
# Clocks are slewed by less than this all the time; a step back beyond it is worth a line.
CLOCK_STEP = 2 * SECOND


class Daemon:
    """One runner. :meth:`run` returns after :meth:`stop` once the steps under way are over.

    ``drain`` is how many microseconds it waits for them; what still runs then goes on by itself
    and is adopted by the next runner.
    """

    def __init__(  # noqa: PLR0913  (what it is made of, always by keyword)
        self,
        *,
        ledger: Ledger,
        executor: Executor,
        composer: Composer,
        datastore: Callable[[str], DatastoreReader],
        max_steps: int,
        drain: int,
        node: str = "",
        patience: int = 60 * SECOND,
    ) -> None:
        self._ledger = ledger
        self._node = node
        self._patience = patience
        self._executor = executor
        self._drain = drain
        self._poked, self._poker = socket.socketpair()
        self._poked.settimeout(0)
        self._poker.settimeout(0)
        self._stopping = False
        self._failing = ""
        self._backoff = 0
        self._retry_at = 0
        self._latest = 0
        book = Book()
        self._ticker = Ticker(ledger, book)
        self._launcher = Launcher(ledger, executor, composer, book, max_steps)
        self._observer = Observer(ledger, book, datastore, self.poke)

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
        host, pid = socket.gethostname(), os.getpid()
        if self._ledger.begin_session(host=host, pid=pid, node=self._node) is None:
            log.warning("another runner is active on this workspace; standing by")
            self._ledger.begin_session(host=host, pid=pid, node=self._node, wait=True)
        log.info("runner started, pid %s", pid)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)
        try:
            while not self._stopping:
                self._sleep(self._guarded(self.step))
            log.info("draining: no new fires, no new runs")
            deadline = self._ledger.now() + self._drain
            while self._ledger.now() < deadline and self._guarded(self._finishing) is not None:
                self._sleep(None)
        finally:
            self.close()
            self._executor.close()
            self._ledger.end_session()
            log.info("runner stopped")

    def close(self) -> None:
        """Let go of what wakes it; listings under way end unheard, what it was made of stays."""
        self._poked.close()
        self._poker.close()

    def step(self) -> int | None:
        """Do everything once; returns the next instant at which there is something to do."""
        now = self._ledger.now()
        if now < self._latest - CLOCK_STEP:
            back = duration_text(timedelta(seconds=(self._latest - now) // SECOND))
            log.warning("the clock went back by %s; what was decided stays decided", back)
        self._latest = now
        self._ledger.take_over(self._patience)
        self._observer.observe(now)
        self._ticker.tick()
        underway = reap(self._ledger, self._executor, now)
        retry = self._launcher.launch(underway, now)
        due = self._ledger.next_wake()
        if due is not None and due <= now:
            due = None  # all that could be done about it is done; a listing under way will poke
        return min((at for at in (retry, due) if at is not None), default=None)

    def _finishing(self) -> int | None:
        """Move only what is under way; None once nothing is."""
        now = self._ledger.now()
        underway = reap(self._ledger, self._executor, now)
        self._launcher.launch(underway, now, begin=False)
        if not underway.live:
            return None
        return now

    def _guarded(self, work: Callable[[], int | None]) -> int | None:
        """Do ``work``; on an error alert once, and try again later and later until it works."""
        now = self._ledger.now()
        if now < self._retry_at <= now + LONGEST_BACKOFF:
            return self._retry_at
        try:
            wake = work()
        except Exception as error:
            # Whatever it is: all the schedules there are hang on this loop.
            meant = isinstance(error, ReconcilerError)
            text = str(error) if meant else repr(error)
            if text != self._failing:
                log.error(
                    "%s; trying again until it works", text, exc_info=None if meant else error
                )
            self._failing = text
            self._backoff = min(max(2 * self._backoff, SECOND), LONGEST_BACKOFF)
            self._retry_at = now + self._backoff
            return self._retry_at
        if self._failing:
            log.warning("recovered from: %s", self._failing)
            self._failing, self._backoff, self._retry_at = "", 0, 0
        return wake

    def _sleep(self, until: int | None) -> None:
        """Wait for an event, but not beyond ``until`` nor longer than ``LONGEST_SLEEP``."""
        span = LONGEST_SLEEP
        if until is not None:
            span = min(span, max(0, until - self._ledger.now()))
        self.wait(span / SECOND)

    def wait(self, seconds: float) -> None:
        """Wait until somebody pokes, a program ends, or so many seconds have passed."""
        wakeup = self._executor.wakeup()
        poked = self._poked.fileno()
        ready, _, _ = select.select([poked, wakeup], [], [], seconds)
        if poked in ready:
            self._poked.recv(4_096)
        if wakeup in ready:
            self._executor.drain_wakeups()
