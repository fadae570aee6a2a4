"""What a runner counts of its own doing.

:class:`Metrics` counts nothing and costs nothing; :class:`Prometheus` counts for whoever listens.
Times are seconds, as Prometheus wants them; instants are microseconds as everywhere.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from reconciler import __version__
from reconciler.clock import SECOND
from reconciler.run import Decision

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.run import Attempt, Fire, Run, RunState
    from reconciler.workspace.records import Poll

_LAG = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0)
_WORK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)


class Metrics:
    """Told of everything, and keeps nothing."""

    def session(self, *, held: bool, lost: bool = False) -> None:
        """Note that this runner may write, or no longer may; ``lost`` where another took it."""

    def passed(self, seconds: float, error: str = "") -> None:
        """Note the end of a pass, and why it failed if it did."""

    def fired(self, fires: Iterable[Fire]) -> None:
        """Count decisions that are committed."""

    def started(self, runs: Iterable[Run], now: int) -> None:
        """Count runs that went from waiting to Running."""

    def ended(self, states: Iterable[RunState]) -> None:
        """Count runs that are over, by how."""

    def learned(self, attempts: Iterable[Attempt]) -> None:
        """Count attempts that are over, by how; those that are not are left out."""

    def polled(self, poll: Poll) -> None:
        """Count a look at watched files that is written, and what it found."""

    def degraded(self, watches: int) -> None:
        """Note how many watches this runner looks at failed several times in a row."""


NOBODY = Metrics()


class Prometheus(Metrics):
    """Keeps counts in a ``registry`` of its own, and what tells whether the runner is well.

    ``held`` tells whether it may write, ``beat`` when its last pass ended on the monotonic clock
    (None before the first), ``failing`` why that failed, if it did.
    """

    def __init__(self) -> None:
        from prometheus_client import (  # noqa: PLC0415  (seldom wanted)
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
            Info,
            ProcessCollector,
            disable_created_metrics,
        )

        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        self.held = False
        self.beat: float | None = None
        self.failing = ""
        ProcessCollector(registry=registry)
        Info("reconciler", "The program.", registry=registry).info({"version": __version__})

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"reconciler_{name}", text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"reconciler_{name}", text, buckets=buckets, registry=registry)

        self._fires = counter(
            "fires", "Decisions, by what was decided and by which gate.", "decision", "gate"
        )
        self._decision_lag = histogram(
            "decision_lag_seconds", "From the due time to the decision to run.", _LAG
        )
        self._start_lag = histogram(
            "start_lag_seconds", "From when a run was due to when it was Running.", _LAG
        )
        self._runs = counter("runs_ended", "Runs that are over, by state.", "state")
        self._attempts = counter("attempts_ended", "Attempts that are over, by state.", "state")
        self._polls = counter("polls", "Looks at watched files: ok, error.", "outcome")
        self._poll_time = histogram("poll_seconds", "How long a look took.", _WORK)
        self._skipped = counter(
            "polls_skipped", "Polls left out, for the one before took too long."
        )
        self._listed = counter("files_listed", "Files that were looked at.")
        self._changes = counter("file_changes", "Files that changed, by what happened.", "change")
        self._degraded = Gauge(
            "reconciler_watches_degraded",
            "Watches that failed several times in a row.",
            registry=registry,
        )
        self._sessions = counter("sessions_begun", "Sessions of this runner.")
        self._lost = counter("sessions_lost", "Sessions that another runner ended.")
        self._pass_time = histogram("pass_seconds", "How long a pass took.", _WORK)
        self._failed = counter("passes_failed", "Passes that ended with an error.")

    def session(self, *, held: bool, lost: bool = False) -> None:
        """Note that this runner may write, or no longer may; ``lost`` where another took it."""
        self.held = held
        self._sessions.inc(held)
        self._lost.inc(lost)

    def passed(self, seconds: float, error: str = "") -> None:
        """Note the end of a pass, and why it failed if it did."""
        self.beat, self.failing = monotonic(), error
        self._pass_time.observe(seconds)
        self._failed.inc(bool(error))

    def fired(self, fires: Iterable[Fire]) -> None:
        """Count decisions that are committed, and how late those to run were."""
        for fire in fires:
            self._fires.labels(fire.decision.value, fire.gate.value).inc()
            if fire.decision in {Decision.LAUNCH, Decision.QUEUE}:
                self._decision_lag.observe(max(0, fire.decided_at - fire.due_at) / SECOND)

    def started(self, runs: Iterable[Run], now: int) -> None:
        """Observe how late runs went from waiting to Running."""
        for run in runs:
            self._start_lag.observe(max(0, now - max(run.due_at, run.not_before or 0)) / SECOND)

    def ended(self, states: Iterable[RunState]) -> None:
        """Count runs that are over, by how."""
        for state in states:
            self._runs.labels(state.value).inc()

    def learned(self, attempts: Iterable[Attempt]) -> None:
        """Count attempts that are over, by how; those that are not are left out."""
        for attempt in attempts:
            if attempt.over:
                self._attempts.labels(attempt.state.value).inc()

    def polled(self, poll: Poll) -> None:
        """Count a look at watched files that is written, and what it found."""
        self._polls.labels("error" if poll.error else "ok").inc()
        self._skipped.inc(poll.skipped)
        self._poll_time.observe(poll.took / SECOND)
        self._listed.inc(poll.listed)
        for change in ("added", "modified", "deleted"):
            self._changes.labels(change).inc(getattr(poll, change))

    def degraded(self, watches: int) -> None:
        """Note how many watches this runner looks at failed several times in a row."""
        self._degraded.set(watches)
