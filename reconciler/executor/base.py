"""The port every executor implements.

``Launch.id`` is the same for ever for one attempt, and submitting it twice must never start user
code twice: that is what lets a runner that crashed between recording and submitting simply submit
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One program to start once.

    ``id`` is ``<run>/<step>/<number>``; ``argv`` never meets a shell; ``env`` is the whole
    environment (with secrets in it, so it is never stored); ``cwd`` must exist; ``grace`` is the
    time between SIGTERM and SIGKILL when it is stopped.
    """

    id: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    timeout: timedelta | None = None
    grace: float = 5.0


@dataclass(frozen=True, slots=True)
class NotStarted:
    """User code has not started; submitting again is safe."""


@dataclass(frozen=True, slots=True)
class Running:
    """User code is running, or about to. ``started_at`` is an instant in microseconds."""

    pid: int
    started_at: int


@dataclass(frozen=True, slots=True)
class Exited:
    """It is over. ``exit_code`` is 0 to 255, minus a signal's number, or None if it never started.

    ``reason`` is empty for exit code 0, else a sentence: ``exit code 3``, ``killed by SIGKILL``,
    ``timed out after 30m``, ``canceled``, ``program not found: foo``, ``folder not found: /x``.
    ``canceled`` is True only for an attempt stopped by :meth:`Executor.cancel`.
    """

    exit_code: int | None
    reason: str
    started_at: int
    ended_at: int
    canceled: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """User code may have started, nothing of it is left, and no one wrote how it ended."""

    reason: str


Evidence = NotStarted | Running | Exited | Gone


class Executor(Protocol):
    """Starts programs once and tells what became of them. Called from one thread."""

    def submit(self, launches: Sequence[Launch]) -> None:
        """Start each one unless it was ever started before; return without waiting for any.

        Raises:
            ExecutorError: the executor itself is out of order; nothing is known to have started.
        """
        ...

    def look(self, ids: Iterable[str]) -> dict[str, Evidence]:
        """Tell what is known of each attempt, from durable evidence only."""
        ...

    def cancel(self, ids: Iterable[str]) -> None:
        """Stop each one and all its children; an attempt that has not started never will.

        Returns at once; :meth:`look` tells ``Exited(canceled=True)`` once it is over.
        """
        ...

    def wakeup(self) -> int:
        """Give a file descriptor that becomes readable when an attempt ends: a hint, no promise."""
        ...

    def drain_wakeups(self) -> None:
        """Empty that descriptor."""
        ...

    def log_path(self, attempt_id: str) -> str:
        """Where the attempt's standard output and error are, in the order they were written."""
        ...

    def close(self) -> None:
        """Let go of helpers; programs already running go on and can be found again later."""
        ...
