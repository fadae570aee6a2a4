"""How often what failed is tried again: one rule for steps and for whole runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from reconciler.fields import field


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often something that failed is tried again, and how long it waits before."""

    max: int = field("How many times at most.", default=0, minimum=0, maximum=100, examples=(2,))
    backoff: timedelta = field(
        "The wait before the first retry; it doubles with each further one.",
        default=timedelta(seconds=10),
        examples=("10s",),
    )

    def wait(self, failed: int) -> timedelta:
        """How long to wait after the ``failed``-th attempt (from 1), a day at most."""
        return min(self.backoff * (1 << min(failed - 1, 30)), timedelta(days=1))
