"""The command ``reconciler`` itself: finds commands, and turns errors into one line and a code."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import click

from reconciler import __version__
from reconciler.cli import INTERRUPTED
from reconciler.cli.say import clean
from reconciler.cli.table import COMMANDS, help_text
from reconciler.errors import ManifestError, ReconcilerError


class Commands(click.Group):
    """All commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Name the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  (click's signature)
        """Import a command; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"reconciler.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that ``args`` begin with; a mistyped one is answered with the nearest.

        Raises:
            click.UsageError: there is none.
        """
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            from difflib import get_close_matches  # noqa: PLC0415  (for mistakes alone)

            near = get_close_matches(name, COMMANDS, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else "."
            ctx.fail(f"No such command '{name}'{hint}")
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:  # noqa: ARG002  (click's signature)
        """Give the one help text there is."""
        return help_text().rstrip("\n")

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  (click's signature)
        """Run a command; an error becomes lines on stderr and an exit code."""
        try:
            return super().invoke(ctx)
        except ManifestError as error:
            for problem in error.problems:
                click.echo(clean(str(problem)), err=True)
            say_error(count_problems(error))
            return error.exit_code
        except ReconcilerError as error:
            say_error(str(error))
            return error.exit_code
        except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except OSError as error:
            say_error(f"{error.filename}: {error.strerror}" if error.filename else str(error))
            return 1
        except Exception as error:  # noqa: BLE001  (what nobody foresaw is said in one line too)
            if ctx.params["debug"]:
                import traceback  # noqa: PLC0415  (slow, and seldom needed)

                traceback.print_exc()
            hint = "rerun with `reconciler --debug ...` for the traceback"
            say_error(f"{type(error).__name__}: {error}; {hint}", "internal error")
            return 1


def say_error(message: str, word: str = "error") -> None:
    """Write one line to stderr."""
    colour = False if os.environ.get("NO_COLOR") else None
    red = click.style(f"{word}:", fg="red", bold=True)
    click.echo(f"{red} {clean(message)}", err=True, color=colour)


def count_problems(error: ManifestError) -> str:
    """Say how many problems there are in how many files."""
    problems, files = len(error.problems), len({problem.file for problem in error.problems})
    return f"{many(problems, 'problem')} in {many(files, 'file')}"


def many(count: int, noun: str) -> str:
    """Write a count with its noun, in the plural where it is not one."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="reconciler %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an internal error.")
@click.pass_context
def reconciler(ctx: click.Context, *, debug: bool) -> None:  # noqa: ARG001  (read by invoke)
    """Schedules as code for machine-learning pipelines."""
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def invoke(arguments: list[str]) -> int:
    """Run one command line and return its exit code; see :func:`reconciler.cli.run`."""
    try:
        code = reconciler.main(arguments, prog_name="reconciler", standalone_mode=False)
    except click.ClickException as error:
        # Click's own code for a wrong usage, 2, would say that a plan has changes.
        ctx = error.ctx if isinstance(error, click.UsageError) else None
        said = clean(error.format_message())
        stop = "" if said.endswith((".", "?")) else "."
        say_error(f"{said}{stop} See `{ctx.command_path if ctx else 'reconciler'} --help`.")
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    return code if isinstance(code, int) else 0
