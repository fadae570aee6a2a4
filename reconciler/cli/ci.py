"""``reconciler ci``."""

from __future__ import annotations

from importlib import import_module

import click

_PARTS = ("plan", "comment", "apply")


class _Parts(click.Group):
    """The commands of a job, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Name the commands."""
        return list(_PARTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (click's signature)
        """Import a command; None where there is none of that name."""
        if cmd_name not in _PARTS:
            return None
        command: click.Command = import_module(f"reconciler.cli.ci_{cmd_name}").command
        return command


@click.group("ci", cls=_Parts, no_args_is_help=False)
def command() -> None:
    """Plan a pull request, and apply what was reviewed, in a job of GitHub, GitLab or others."""
