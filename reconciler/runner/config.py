"""The runner's own configuration: a file outside every repository, and the operator's alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from reconciler.fields import field
from reconciler.pipeline import Resources
from reconciler.runner.admit import Limits
from reconciler.runner.prune import Retention
from reconciler.runner.room import Amounts
from reconciler.runner.secrets import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerConfig:
    """What the runner may use, and which secrets it knows."""

    max_steps: int = field(
        "How many steps run at the same time on this machine.", default=16, minimum=1, maximum=1_000
    )
    cpus: float | None = field(
        "The processors that steps' resources are counted against; the machine's own by default.",
        default=None,
        minimum=0,
        examples=(8,),
    )
    memory: str | None = field(
        "The memory that they are counted against; the machine's own by default.",
        default=None,
        pattern=r"^[1-9][0-9]*(Ki|Mi|Gi|Ti)?$",
        hint="write for example 512Mi or 2Gi",
        examples=("32Gi",),
    )
    gpus: int = field(
        "The graphics processors that they are counted against.", default=0, minimum=0
    )
    max_starts_per_minute: int = field(
        "A schedule whose runs are started more often than this is paused.",
        default=300,
        minimum=1,
    )
    patience: timedelta = field(
        "How long another machine's runner may be gone before its runs are taken over.",
        default=timedelta(minutes=1),
        examples=("5m",),
    )
    drain: timedelta = field(
        "How long a runner that is told to stop waits for the steps under way.",
        default=timedelta(seconds=30),
        examples=("5m",),
    )
    retention: Retention = field(
        "How long what is over is kept; the runner deletes it, a little at a time.",
        default=Retention(),
        examples=({"runs": "30d", "logs": "7d"},),
    )
    secrets: Mapping[str, Secret] = field(
        "The secrets that steps may refer to as ${{ secret.NAME }}.",
        default_factory=dict,
        examples=({"API_TOKEN": {"file": "/run/secrets/api-token", "projects": ["risk/prod"]}},),
    )

    def limits(self) -> Limits:
        """Give what this machine's runner may do."""
        cpus = os.cpu_count() or 1 if self.cpus is None else self.cpus
        memory = Resources(memory=self.memory).bytes or _physical_memory()
        return Limits(
            capacity=Amounts(self.max_steps, int(cpus * 1_000), memory, self.gpus),
            max_starts=self.max_starts_per_minute,
            patience=self.patience // timedelta(microseconds=1),
        )


def _physical_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
