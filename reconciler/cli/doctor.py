"""``reconciler doctor``."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import click

from reconciler import settings
from reconciler.cli.say import clean, document
from reconciler.cli.scope import Scope, output, scoped
from reconciler.clock import SystemClock
from reconciler.errors import NotFound, ReconcilerError
from reconciler.runner.doctor import Check, Patient, State, examine
from reconciler.runner.secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.cli.scope import Address
    from reconciler.data import Watched
    from reconciler.datastore.base import DatastoreReader

_COLOURS = {State.OK: "green", State.WARN: "yellow", State.FAIL: "red"}


@click.command(
    "doctor", epilog="Example: reconciler doctor --workspace sqlite:/srv/ml/workspace.db"
)
@click.option("--config", metavar="FILE", help="The runner's own configuration.")
@output
@scoped
def command(scope: Scope, *, as_json: bool, config: str | None) -> int:
    """Check the workspace and this machine, a line each; changes nothing. Exit 1 if any fails."""
    checks = []
    for check in _checks(scope, config):
        checks.append(check)
        if not as_json:
            _say(check)
    failed = any(check.state is State.FAIL for check in checks)
    if as_json:
        document(
            {
                "ok": not failed,
                "checks": [
                    {
                        "check": check.name,
                        "state": check.state,
                        "said": check.said,
                        "way_out": check.way_out,
                    }
                    for check in checks
                ],
            }
        )
    return int(failed)


def _say(check: Check) -> None:
    way_out = f"; {check.way_out}" if check.way_out else ""
    word = click.style(f"{check.state:<4}", fg=_COLOURS[check.state])
    click.echo(f"{word}  {check.name:<14}  {clean(check.said + way_out)}")


def _checks(scope: Scope, config: str | None) -> Iterator[Check]:
    yield _git()
    yield from _project(scope)
    try:
        address = scope.address()
    except ReconcilerError as error:
        yield Check("workspace", State.FAIL, str(error))
    else:
        yield from examine(_patient(address, config))


def _git() -> Check:
    try:
        asked = ["git", "--version"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True)  # noqa: S603  (its path is not ours)
    except (OSError, subprocess.CalledProcessError) as error:
        return Check("git", State.WARN, f"it does not run: {error}", "install it; plans need it")
    return Check("git", State.OK, done.stdout.strip())


def _project(scope: Scope) -> Iterator[Check]:
    from reconciler.reconcile.read import read_project  # noqa: PLC0415  (the parser is slow)

    try:
        project = read_project(scope.files())
    except NotFound:
        return
    except ReconcilerError as error:
        # A runner's machine need not have one.
        state = State.WARN if scope.workspace else State.FAIL
        yield Check("project", state, str(error).splitlines()[0])
    else:
        targets = ", ".join(sorted(project.targets))
        yield Check("project", State.OK, f"{project.project}, with the targets {targets}")


def _looked(address: Address) -> settings.Workspace:
    """Open a workspace for one who writes nothing."""
    return settings.open_workspace(address.url, address.base, read_only=True)


def _patient(address: Address, config: str | None) -> Patient:
    def watched() -> Mapping[str, list[Watched]]:
        ledger = _looked(address).ledger
        places: dict[str, list[Watched]] = {name: [] for name in ledger.datastores()}
        for watch in ledger.watches():
            places.setdefault(watch.watched.datastore, []).append(watch.watched)
        return places

    def opened(name: str) -> DatastoreReader:
        secrets = Secrets(settings.read_runner_config(config).secrets)
        return settings.open_datastore(_looked(address).ledger, name, secrets)

    return Patient(
        clock=SystemClock(),
        file=settings.workspace_file(address.url, address.base),
        folder=settings.workspace_folder(address.url, address.base),
        config=str(settings.runner_config_path(config)[0]),
        upkeep=lambda: settings.open_upkeep(address.url, address.base, read_only=True),
        runner_active=address.has_runner,
        read_config=lambda: settings.read_runner_config(config),
        watched=watched,
        datastore=opened,
    )
