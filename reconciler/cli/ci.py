"""``reconciler ci``."""

from __future__ import annotations

import click

from reconciler.cli import ci_apply, ci_comment, ci_plan


@click.group("ci", no_args_is_help=False)
def command() -> None:
    """Plan a pull request, and apply what was reviewed, in a job of GitHub, GitLab or others."""


for part in (ci_plan, ci_comment, ci_apply):
    command.add_command(part.command)
