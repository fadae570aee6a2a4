"""``reconciler run``."""

from __future__ import annotations

import uuid
from time import sleep
from typing import TYPE_CHECKING

import click

from reconciler.cli.facts import data
from reconciler.cli.say import document, state
from reconciler.cli.scope import Scope, output, scoped
from reconciler.errors import NotFound, ReconcilerError
from reconciler.pipeline import ParameterType, Pipeline
from reconciler.plan.spec import spec_value
from reconciler.reconcile.ask import bound, run_pipeline, run_schedule
from reconciler.reconcile.operate import find_pipeline, find_schedule, registered
from reconciler.run import RunState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.fields import Scalar
    from reconciler.live import PublishedPipeline
    from reconciler.run import Run
    from reconciler.settings import Workspace

_LOOK_AGAIN = 0.2
_BOOLEANS = {"true": True, "false": False}


@click.command(
    "run",
    epilog="Example: reconciler run nightly-scoring -p batch_size=64 --token monday --wait",
)
@click.argument("schedule", required=False)
@click.option("--pipeline", metavar="NAME", help="A pipeline instead: its name, name@3 or id.")
@click.option("--experiment", metavar="NAME", help="With --pipeline; its name by default.")
@click.option("-p", "--param", "--parameter", "given", metavar="NAME=VALUE", multiple=True)
@click.option("--token", help="The same token twice is one run, with the same parameters.")
@click.option("--wait", is_flag=True, help="Wait for its end; exit 1 unless it finished.")
@output
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope,
    *,
    as_json: bool,
    schedule: str | None,
    pipeline: str | None,
    experiment: str | None,
    given: tuple[str, ...],
    token: str | None,
    wait: bool,
) -> int:
    """Run a schedule's pipeline once, now, as the schedule would; or any pipeline."""
    if (schedule is None) == (pipeline is None):
        raise click.UsageError("Give a schedule, or --pipeline NAME.")
    if experiment is not None and pipeline is None:
        raise click.UsageError("--experiment needs --pipeline; a schedule has its own.")
    address = scope.address()
    workspace = address.open()
    registry, ledger = workspace.registry, workspace.ledger
    live = registered(registry, schedule or pipeline or "")
    token = token or str(uuid.uuid4())
    if schedule is not None:
        here = find_schedule(live, schedule)
        parameters = _typed(bound(live, here), given)
        asked = run_schedule(registry, ledger, here.id, parameters, token)
    else:
        version = find_pipeline(live, pipeline or "")
        parameters = _typed(version, given)
        asked = run_pipeline(
            registry, ledger, version.id, experiment or version.name, parameters, token
        )
    run = asked.run
    if asked.again:
        click.echo(f"note: token '{token}' was used before, for this run", err=True)
    if not address.has_runner():
        click.echo(f"note: {address.start_hint()}", err=True)
    if wait:
        # Whoever stops waiting will want to know what goes on.
        click.echo(f"waiting for run {run.id}", err=True)
        run = _wait(workspace, run.id)
    if as_json:
        document({**data(run), "again": asked.again})
    else:
        reason = f": {run.reason}" if run.reason else ""
        click.echo(f"run {run.id} {state(run.state)}{reason}")
    return 1 if wait and run.state is not RunState.FINISHED else 0


def _typed(pipeline: PublishedPipeline, given: tuple[str, ...]) -> Mapping[str, Scalar]:
    """Read ``name=value`` texts as the pipeline's parameters say.

    Raises:
        NotFound: no such parameter.
        ReconcilerError: a value is not of the parameter's type.
    """
    declared = spec_value(Pipeline, pipeline.spec).parameters
    values: dict[str, Scalar] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"'{text}' is not NAME=VALUE.")
        if name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            raise NotFound(f"pipeline '{pipeline.name}' has no parameter '{name}' (known: {known})")
        kind = declared[name].type
        try:
            values[name] = _value(kind, value)
        except (ValueError, KeyError):
            raise ReconcilerError(f"parameter '{name}' is of type {kind}, not '{value}'") from None
    return values


def _value(kind: ParameterType, text: str) -> Scalar:
    match kind:
        case ParameterType.INTEGER:
            return int(text)
        case ParameterType.NUMBER:
            return float(text)
        case ParameterType.BOOLEAN:
            return _BOOLEANS[text]
        case _:
            return text


def _wait(workspace: Workspace, run_id: str) -> Run:
    while not (run := workspace.ledger.run(run_id)).state.over:
        sleep(_LOOK_AGAIN)
    return run
