"""The command line.

The law of this room: a command reads its words, calls one use case and writes what came back; it
decides nothing. There is one file per command, named as the command and holding ``command``, and it
is imported when that command is asked for. What a command computes for people lies in a lower room,
where the SDK finds it too.

This module is what ``reconciler --help`` loads; it must stay light.
"""

from __future__ import annotations

import os
import sys

from reconciler import __version__
from reconciler.cli.table import help_text

INTERRUPTED = 130


def main() -> None:
    """Run the program on its arguments and exit with its code."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # somebody closed it
            nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  (pathlib is slow to import; open to the end)
            setattr(sys, name, nowhere)
        # A file's name may hold what the terminal's encoding cannot say.
        getattr(sys, name).reconfigure(errors="backslashreplace")
    try:
        code = execute(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        # Ctrl-C before there was anything that knows how to answer it.
        sys.stderr.write("\ninterrupted\n")
        code = INTERRUPTED
    except BrokenPipeError:
        # Nobody reads on, and Python must not try to write the rest at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


def execute(arguments: list[str]) -> int:
    """Do what ``arguments`` say and return the exit code; ``run`` is a command's module.

    0 done, 1 an error (a wrong usage too), 2 ``plan --detailed-exitcode`` found changes, 3 blocked
    by a guard, 4 stale plan, 130 interrupted.
    """
    completing = "_RECONCILER_COMPLETE" in os.environ
    if arguments in ([], ["-h"], ["--help"]) and not completing:
        sys.stdout.write(help_text())
        return 0
    if arguments == ["--version"]:
        sys.stdout.write(f"reconciler {__version__}\n")
        return 0
    from reconciler.cli.group import invoke  # noqa: PLC0415  (click is slow, and help needs none)

    return invoke(arguments)
