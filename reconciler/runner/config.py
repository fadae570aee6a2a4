"""The runner's own configuration: a file outside every repository, and the operator's alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from reconciler.fields import field
from reconciler.runner.prune import Retention
from reconciler.runner.secrets import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerConfig:
    """What the runner may use, and which secrets it knows."""

    max_steps: int = field(
        "How many steps run at the same time on this machine.", default=16, minimum=1, maximum=1_000
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
