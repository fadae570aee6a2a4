"""``reconciler logs``."""

from __future__ import annotations

import sys
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.facts import data
from reconciler.cli.say import document
from reconciler.cli.scope import Scope, output, scoped
from reconciler.errors import NotFound
from reconciler.settings import open_executor

if TYPE_CHECKING:
    from reconciler.executor.base import Executor
    from reconciler.run import Attempt
    from reconciler.settings import Workspace

_LOOK_AGAIN = 0.2


@click.command("logs", epilog="Example: reconciler logs 3f2a9c --step score --follow")
@click.argument("run")
@click.option("--step", metavar="NAME", help="Only this step.")
@click.option("--attempt", type=click.IntRange(1), help="Only this attempt; all by default.")
@click.option("-f", "--follow", is_flag=True, help="Go on until the run is over.")
@output
@scoped
def command(  # noqa: PLR0913  (an option each)
    scope: Scope, *, as_json: bool, run: str, step: str | None, attempt: int | None, follow: bool
) -> None:
    """Print what the steps of a run have written, output and errors as they came.

    The logs lie beside the workspace on the machine that ran the steps.
    """
    if as_json and follow:
        raise click.UsageError("--follow prints what comes as it comes, and never as JSON.")
    workspace = scope.look()
    found = workspace.ledger.run(run)
    executor = open_executor(workspace)
    try:
        printer = _Printer(workspace, executor, found.id, step, attempt)
        over = found.state.over
        if as_json:
            document(printer.whole())
            return
        printer.print_more()
        while follow and not over:
            sleep(_LOOK_AGAIN)
            # What was written before the run ended is read after it has.
            over = workspace.ledger.run(found.id).state.over
            printer.print_more()
    finally:
        executor.close()
    if not printer.matched and (step or attempt):
        raise NotFound(f"no such attempt; `reconciler show run {run}` lists them")
    if not printer.matched:
        click.echo(f"run {found.id} is {found.state}; no step has started", err=True)


class _Printer:
    """Prints what is new in the logs of a run's attempts, a heading before each."""

    def __init__(
        self,
        workspace: Workspace,
        executor: Executor,
        run_id: str,
        step: str | None,
        number: int | None,
    ) -> None:
        self._ledger = workspace.ledger
        self._executor = executor
        self._run_id = run_id
        self._step = step
        self._number = number
        self._read: dict[str, int] = {}
        self._current = ""

    @property
    def matched(self) -> bool:
        """Whether there was any attempt to print."""
        return bool(self._read)

    def print_more(self) -> None:
        for attempt in self._attempts():
            self._print(attempt)
        sys.stdout.flush()

    def whole(self) -> list[dict[str, Any]]:
        """Give every attempt with all that it has written; bytes that are no text are escaped."""
        logs = []
        for attempt in self._attempts():
            path = Path(self._executor.log_path(attempt.id))
            written = path.read_bytes() if path.exists() else b""
            logs.append({**data(attempt), "log": written.decode(errors="backslashreplace")})
        return logs

    def _attempts(self) -> list[Attempt]:
        return [
            attempt
            for attempt in self._ledger.attempts([self._run_id]).get(self._run_id, ())
            if self._step in {None, attempt.step} and self._number in {None, attempt.number}
        ]

    def _print(self, attempt: Attempt) -> None:
        done = self._read.setdefault(attempt.id, 0)
        path = Path(self._executor.log_path(attempt.id))
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(done)
            fresh = file.read()
        self._read[attempt.id] = done + len(fresh)
        if fresh and self._current != attempt.id:
            click.secho(f"==> step {attempt.step}, attempt {attempt.number} <==", bold=True)
            self._current = attempt.id
        click.echo(fresh, nl=bool(fresh) and not fresh.endswith(b"\n"))
