"""A project of many schedules in a Git repository, with a workspace it was applied to."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = 100  # schedules in a folder, or in a file
PIPELINES = 100
PROJECT = """\
project: bench
include: ["schedules/**/*.yml", "pipelines/*.yml"]
targets:
  dev: {workspace: "sqlite:.reconciler/workspace.db"}
"""
PIPELINE = """\
kind: Pipeline
name: pipeline-{n}
parameters:
  batch_size: {{type: integer, default: 256}}
steps:
  - name: score
    command: [python, score.py, "${{{{ parameters.batch_size }}}}"]
"""
# Nothing in it is at its default, so that a naive comparison with the live spec finds it equal.
SCHEDULE = """\
kind: Schedule
name: schedule-{n}
description: Score the transactions of region {n}
pipeline: pipeline-{pipeline}
experiment_name: scoring-{folder}
trigger:
  recurrence:
    frequency: Week
    time_zone: {zone}
    week_days:
    - Monday
    - Thursday
    time_of_day: "{hour:02}:{minute:02}"
    first_run: aligned
pipeline_parameters:
  batch_size: {batch}
overlap: skip
tags:
  team: risk
  tier: gold
"""
ZONES = ("Europe/Paris", "America/New_York", "Asia/Tokyo", "America/Sao_Paulo")
# What a program runs in: as installed, so its compiled modules are kept.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def schedule(n: int, batch: int | None = None) -> str:
    """Write the n-th schedule, or one that differs from it in ``batch``."""
    return SCHEDULE.format(
        n=n,
        folder=n // FOLDER,
        pipeline=n % PIPELINES,
        zone=ZONES[n % len(ZONES)],
        hour=n // 60 % 24,
        minute=n % 60,
        batch=n % 512 + 1 if batch is None else batch,
    )


@dataclass(frozen=True)
class Site:
    """A repository at ``path`` with ``count`` schedules; see :meth:`write` for its layouts."""

    path: Path
    count: int

    @property
    def database(self) -> Path:
        """The workspace's file."""
        return self.path / ".reconciler" / "workspace.db"

    def git(self, *words: str) -> None:
        """Run Git in the repository."""
        subprocess.run(
            ["git", "-C", self.path, *words],
            check=True,
            env=ENVIRONMENT | IDENTITY,
            stdout=subprocess.DEVNULL,
        )

    def begin(self) -> None:
        """Make the repository, with all but the schedules."""
        (self.path / "pipelines").mkdir(parents=True)
        (self.path / "reconciler.yml").write_text(PROJECT)
        (self.path / ".gitignore").write_text(".reconciler/\n")
        pipelines = "---\n".join(PIPELINE.format(n=n) for n in range(PIPELINES))
        (self.path / "pipelines" / "all.yml").write_text(pipelines)
        self.git("init", "-q", "-b", "main")

    def write(self, *, many: bool) -> None:
        """Write and commit the schedules: one file for each, or for each folder's worth of them."""
        self.git("rm", "-q", "-r", "--ignore-unmatch", "schedules")
        for folder in range(0, self.count, FOLDER):
            numbers = range(folder, min(folder + FOLDER, self.count))
            path = self.path / "schedules" / f"team-{folder // FOLDER}"
            if many:
                path.parent.mkdir(exist_ok=True)
                path.with_suffix(".yml").write_text("---\n".join(map(schedule, numbers)))
            else:
                path.mkdir(parents=True)
                for n in numbers:
                    (path / f"schedule-{n}.yml").write_text(schedule(n))
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "All schedules")

    def edit(self, batch: int | None = None) -> None:
        """Change one schedule in the middle, on the disk alone; None is as it was."""
        n = self.count // 2
        path = self.path / "schedules" / f"team-{n // FOLDER}"
        if path.is_dir():
            (path / f"schedule-{n}.yml").write_text(schedule(n, batch))
        else:
            first = n - n % FOLDER
            texts = [
                schedule(m, batch if m == n else None)
                for m in range(first, min(first + FOLDER, self.count))
            ]
            path.with_suffix(".yml").write_text("---\n".join(texts))

    def commit(self) -> None:
        """Commit what differs."""
        self.git("commit", "-q", "-a", "-m", "One of them")

    def refresh(self) -> None:
        """Let Git note that files written again are what they were."""
        self.git("update-index", "-q", "--refresh")

    def command(self, *words: str) -> list[str]:
        """Give the command line of this program on the project."""
        return [sys.executable, "-m", "reconciler", *words, "--project", str(self.path)]

    def apply(self) -> None:
        """Make the workspace as declared."""
        program = self.command("apply", "--yes")
        quiet = subprocess.DEVNULL
        subprocess.run(program, check=True, env=ENVIRONMENT, stdout=quiet, stderr=quiet)
