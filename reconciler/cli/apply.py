"""``reconciler apply``."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

import click

from reconciler import __version__
from reconciler.cli.planned import Planned, make_plan, show
from reconciler.cli.planning import Asked, planning
from reconciler.cli.say import document
from reconciler.cli.scope import Scope, output, scoped
from reconciler.cli.who import actor
from reconciler.errors import PlanFileError, ReconcilerError, StalePlan
from reconciler.plan.change import Action
from reconciler.plan.codec import approval_digest, plan_data
from reconciler.plan.compare import difference
from reconciler.plan.saved import read_plan
from reconciler.reconcile.apply import How, apply_plan, refuse
from reconciler.reconcile.looks import DEGRADED_AFTER, place, standing
from reconciler.reconcile.record import outdated
from reconciler.workspace.records import WatchState

if TYPE_CHECKING:
    from reconciler.cli.scope import Address
    from reconciler.live import Owner
    from reconciler.plan.change import Plan
    from reconciler.settings import Workspace
    from reconciler.workspace.records import Watch

# Fewer changes are written before anyone could read a bar.
_WORTH_A_BAR = 200
_LOOK_AGAIN = 0.2
# So many differences stand on one line.
_SOME = 5
_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_AGAIN = "make a new one: reconciler plan --out"


@click.command("apply", epilog="Example: reconciler apply --target prod --wait")
@click.argument("file", required=False, metavar="[PLAN]")
@click.option("--commit", metavar="COMMIT", help="Apply this commit, not the files as they lie.")
@click.option(
    "--approve",
    metavar="DIGEST|FILE",
    help="Apply only what was reviewed: the approval digest of a plan, or a saved plan.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--wait", is_flag=True, help="Wait until new watches know what is there already.")
@output
@planning
@scoped
def command(  # noqa: PLR0913  (its options)
    scope: Scope,
    *,
    asked: Asked,
    as_json: bool,
    file: str | None,
    commit: str | None,
    approve: str | None,
    yes: bool,
    wait: bool,
) -> int:
    """Make the workspace as declared: show the plan, ask, and carry it out as a whole.

    With a saved PLAN exactly that is carried out, if it still holds. Exits 3 when a guard blocks
    the plan and 4 when it is not the reviewed one any more.
    """
    if file is not None and (commit or approve or asked.adopt):
        raise click.UsageError(
            "A saved plan says itself what it is of and what it adopts; leave out the rest."
        )
    reviewed = None if approve is None else _reviewed(approve)
    if file is not None:
        planned = _saved(scope, file, asked)
    else:
        planned = make_plan(scope, asked.source(scope, commit), asked)
    plan, address = planned.plan, planned.address
    if not as_json:
        show(plan)
    if reviewed is not None:
        _approved(plan, reviewed)
    refuse(plan, asked.allowed)
    if plan.changes and not (yes or file or approve) and not _confirmed(asks=not as_json):
        click.echo("Nothing was applied.")
        return 1
    if plan.changes or outdated(planned.reading, address.reader()):
        _carry_out(planned)
    if as_json:
        document({**plan_data(plan), "applied": bool(plan.changes), "results": _results(plan)})
    else:
        click.echo(done_text(plan))
    if plan.changes and not address.has_runner():
        click.echo(f"note: {address.start_hint()}", err=True)
    if wait:
        _wait(address.open(), address, plan.owner)
    return 0


def _saved(scope: Scope, file: str, asked: Asked) -> Planned:
    """Plan anew what a saved plan says, and make sure that it is still the same.

    Raises:
        PlanFileError: the file is not such a plan, or of another version, target or workspace.
        StalePlan: the workspace or the files moved since.
    """
    reviewed = _read(file)
    if reviewed.tool != __version__:
        text = f"{file} was made by reconciler {reviewed.tool}, this is {__version__}"
        raise PlanFileError(f"{text}; {_AGAIN} {file}")
    if reviewed.commit is not None and not _COMMIT.fullmatch(reviewed.commit):
        # Any other name of a commit would be another one tomorrow.
        raise PlanFileError(f"{file} names no commit by its full id; {_AGAIN} {file}")
    here = asked.source(scope)
    state = here.state()
    if not reviewed.dirty and (state.commit != reviewed.commit or state.dirty):
        here = asked.source(scope, reviewed.commit)
    scope = Scope(scope.folder, scope.target or reviewed.owner.target, scope.workspace)
    planned = make_plan(scope, here, replace(asked, adopt=_adopted(reviewed)))
    for what, was, now in (
        ("project", reviewed.owner.project, planned.plan.owner.project),
        ("target", reviewed.owner.target, planned.plan.owner.target),
        ("workspace", reviewed.workspace, planned.plan.workspace),
    ):
        if was != now:
            raise PlanFileError(f"{file} is a plan of {what} '{was}', this is '{now}'")
    if planned.plan.commit != reviewed.commit:
        was, now = map(_commit, (reviewed.commit, planned.plan.commit))
        raise StalePlan(
            f"{file} was made of files on {was}, they are on {now} now; {_AGAIN} {file}"
        )
    if approval_digest(planned.plan) != approval_digest(reviewed):
        told = _told(reviewed, planned.plan)
        raise StalePlan(f"{file} is stale: {told}; {_AGAIN} {file}")
    if _said(planned.plan) != _said(reviewed):
        text = f"{file} does not tell people what it would do; somebody edited it"
        raise PlanFileError(f"{text}; {_AGAIN} {file}")
    return planned


def _said(plan: Plan) -> list[object]:
    """What a plan tells of each change that its approval digest does not cover."""
    return [(change.address, change.action, change.fields) for change in plan.changes]


def _told(reviewed: Plan, present: Plan) -> str:
    """Say on one line how a plan differs from the reviewed one."""
    if reviewed.changes and not present.changes:
        return "nothing of it is left to do (was it applied already?)"
    parts = difference(reviewed, present)
    more = len(parts) - _SOME
    return "; ".join([*parts[:_SOME], *([f"and {more} more"] if more > 0 else [])])


def _read(file: str) -> Plan:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise PlanFileError(f"{file} is not a plan, for it is no text; {_AGAIN} FILE") from None
    plan = read_plan(text, file)
    if plan.base is not None:
        text = f"{file} is an offline plan, of two commits, which nobody can approve or apply"
        raise PlanFileError(f"{text}; plan against the workspace: reconciler plan --out FILE")
    return plan


def _commit(commit: str | None) -> str:
    return "no commit" if commit is None else f"commit {commit[:12]}"


def _adopted(plan: Plan) -> frozenset[str]:
    return frozenset(c.address for c in plan.changes if c.action is Action.ADOPT)


def _reviewed(approve: str) -> Plan | str:
    """Read what was approved: a saved plan, or the digest of one.

    Raises:
        PlanFileError: it is neither.
    """
    if Path(approve).is_file():
        return _read(approve)
    if not _DIGEST.fullmatch(approve):
        text = f"'{approve}' is neither an approval digest (sha256: and 64 hex digits)"
        raise PlanFileError(f"{text} nor a saved plan")
    return approve


def _approved(plan: Plan, reviewed: Plan | str) -> None:
    """Make sure that the plan is the one that was reviewed.

    Raises:
        StalePlan: it is not; with a saved plan it is told where they differ.
    """
    present = approval_digest(plan)
    if isinstance(reviewed, str):
        if reviewed != present:
            text = f"the approved plan is {reviewed}, this one is {present}"
            raise StalePlan(f"{text}; review the plan above and approve it anew")
    elif approval_digest(reviewed) != present:
        for line in difference(reviewed, plan):
            click.echo(line, err=True)
        raise StalePlan("this is not the approved plan; review it and approve it anew")


def _confirmed(*, asks: bool) -> bool:
    if not asks or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise ReconcilerError("there is no terminal to ask on; add --yes to apply")
    return click.confirm("Apply these changes?")


def _carry_out(planned: Planned) -> None:
    plan = planned.plan
    registry = planned.address.open(create=True).registry
    if len(plan.changes) < _WORTH_A_BAR or not sys.stderr.isatty():
        apply_plan(plan, planned.reading, registry, How(actor=actor()))
        return
    from rich.console import Console  # noqa: PLC0415  (rich is slow to import)
    from rich.progress import Progress  # noqa: PLC0415  (the same)

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Applying", total=len(plan.changes))
        how = How(actor=actor(), done=lambda _: progress.advance(task))
        apply_plan(plan, planned.reading, registry, how)


def _results(plan: Plan) -> list[dict[str, str]]:
    return [
        {"address": change.address, "action": change.action.value, "result": "applied"}
        for change in plan.changes
    ]


def done_text(plan: Plan) -> str:
    """Count what an apply did, on one line."""
    if not plan.changes:
        return "Nothing to apply."
    words = {
        "added": plan.count(Action.CREATE),
        "changed": plan.count(Action.UPDATE, Action.ENABLE),
        "disabled": plan.count(Action.DISABLE),
        "adopted": plan.count(Action.ADOPT),
        "renamed": plan.count(Action.RENAME),
        "removed": plan.count(Action.REMOVE),
    }
    always = {"added", "changed", "disabled"}
    counts = [f"{count} {word}" for word, count in words.items() if count or word in always]
    return f"Applied: {', '.join(counts)}, {plan.unchanged} unchanged."


def _wait(workspace: Workspace, address: Address, owner: Owner) -> None:
    """Wait until every watch has its baseline; what lies there before that does not fire.

    Raises:
        ReconcilerError: the looks at what this project watches fail.
    """
    said = False
    while True:
        waiting = [w for w in workspace.ledger.watches() if w.state is WatchState.BASELINING]
        if not waiting:
            return
        _check(workspace, waiting, owner)
        if not said and not address.has_runner():
            places = ", ".join(place(watch.watched) for watch in waiting)
            click.echo(f"waiting for a runner to look at {places}", err=True)
            said = True
        sleep(_LOOK_AGAIN)


def _check(workspace: Workspace, waiting: list[Watch], owner: Owner) -> None:
    failing = [watch for watch in waiting if watch.failures >= DEGRADED_AFTER]
    if not failing:
        return
    own = {here.id for here in workspace.registry.live().schedules if here.owner == owner}
    for watch in failing:
        if not own.isdisjoint(watch.schedule_ids):
            found = standing(watch, workspace.ledger.polls(watch.id, 1))
            text = f"applied, but {place(watch.watched)} cannot be looked at"
            raise ReconcilerError(f"{text}: {found.error}")
