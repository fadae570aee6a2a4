"""``reconciler show``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.facts import (
    data,
    occurrences,
    print_occurrences,
    schedule_data,
    then,
    zone_of,
)
from reconciler.cli.say import clean, document, short, state, table, utc
from reconciler.cli.scope import Scope, kind_and_name, output, scoped
from reconciler.clock import parse_instant
from reconciler.data import DatastoreChange
from reconciler.manifest.emit import from_data, to_yaml
from reconciler.pipeline import Pipeline
from reconciler.plan.bind import label
from reconciler.plan.spec import spec_value
from reconciler.reconcile.operate import find_pipeline, find_schedule, registered
from reconciler.run import AttemptState, RunState
from reconciler.schedule import OnUnknown, Schedule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.settings import Workspace

KINDS = ("schedule", "pipeline", "run")
FIRES = 5
ROWS = 10

Facts = dict[str, Any]


@click.command("show", epilog="Example: reconciler show pipeline batch-scoring@3")
@click.argument("words", nargs=-1, required=True, metavar="[KIND] NAME")
@output
@scoped
def command(scope: Scope, *, as_json: bool, words: tuple[str, ...]) -> None:
    """Show everything about one object: a schedule, `pipeline NAME[@VERSION]` or `run ID`.

    A run's id may be shortened as long as it stays unambiguous.
    """
    kind, name = kind_and_name(words, KINDS)
    read, write = {
        "schedule": (_schedule, _write_schedule),
        "pipeline": (_pipeline, _write_pipeline),
        "run": (_run, _write_run),
    }[kind]
    facts = read(scope.look(), name)
    if as_json:
        document(facts)
    else:
        write(facts)


def _schedule(workspace: Workspace, name: str) -> Facts:
    live, now = registered(workspace.registry, name), workspace.registry.now()
    here = find_schedule(live, name)
    spec = spec_value(Schedule, here.spec)
    trigger = spec.trigger
    facts = schedule_data(here, live, now)
    facts["decisions"] = data(workspace.ledger.fires(here.id, ROWS))
    facts["time_zone"] = zone_of(spec)
    facts["next"], facts["polls"] = [], []
    if isinstance(trigger, DatastoreChange):
        polls = workspace.ledger.polls(trigger.datastore, trigger.path_on_datastore, ROWS)
        facts["polls"] = data(polls)
    elif here.next_due is not None:
        facts["next"] = occurrences(trigger, here.created_at, here.next_due - 1, FIRES)
    return facts


def _write_schedule(facts: Facts) -> None:
    hold = facts["hold"]
    pairs = {
        "status": state(facts["condition"]),
        "held": hold and f"by {hold['who']} since {_time(hold['since'])}: {hold['why']}",
        "held until": hold
        and f"{_time(hold['until']) or 'it is released'}; {then(hold['catchup'])}",
        "disabled by": facts["disabled_by"],
        "trigger": facts["trigger"],
        "policies": "; ".join(facts["policies"]),
        "pipeline": f"{facts['pipeline']}  {facts['pipeline_id'] or ''}",
        "id": facts["id"],
        **_origin(facts),
        "created": _time(facts["created_at"]),
        "updated": f"{_time(facts['updated_at'])}, revision {facts['revision']}",
    }
    _write(f"schedule {facts['name']}", pairs)
    _section("Declared")
    click.echo(_indented(to_yaml(from_data(Schedule, facts["spec"]))))
    if facts["next"]:
        _section("Next")
        print_occurrences(facts["next"], facts["time_zone"])
    _section("Last decisions")
    rows = [
        (_time(f["due_at"]), f["decision"], str(f["count"]), short(f["run_id"] or ""), f["reason"])
        for f in facts["decisions"]
    ]
    table(("DUE", "DECISION", "COUNT", "RUN", "REASON"), rows, "None yet.")
    if facts["polls"]:
        _section("Last looks at the directory")
        head = ("AT", "LISTED", "CHANGED", "STATE", "NOTE")
        polls = [
            (_time(p["polled_at"]), str(p["listed"]), str(p["changed"]), p["state"], _said(p))
            for p in facts["polls"]
        ]
        table(head, polls, "")


def _said(poll: Facts) -> str:
    return f"failed: {poll['error']}" if poll["error"] else str(poll["note"])


def _pipeline(workspace: Workspace, name: str) -> Facts:
    live = workspace.registry.live()
    here = find_pipeline(live, name)
    return {
        **data(here),
        "versions": [
            {"version": p.version, "status": p.status, "id": p.id}
            for p in live.pipelines
            if p.name == here.name
        ],
        "schedules": sorted(s.name for s in live.schedules if s.pipeline_id == here.id),
        "files": [
            {"path": path, "bytes": len(content)}
            for path, _, content in workspace.registry.code(here.code_digest).entries
        ]
        if here.code_digest
        else [],
    }


def _write_pipeline(facts: Facts) -> None:
    versions = [f"{v['version']} ({v['status']})" for v in facts["versions"]]
    pairs = {
        "status": state(facts["status"]),
        "disabled by": facts["disabled_by"],
        "id": facts["id"],
        "digest": facts["digest"],
        "versions": ", ".join(versions),
        "used by": ", ".join(facts["schedules"]) or "no schedule",
        "code": ", ".join(f"{file['path']} ({file['bytes']} B)" for file in facts["files"]),
        **_origin(facts),
        "published": _time(facts["created_at"]),
    }
    _write(f"pipeline {facts['name']}@{facts['version']}", pairs)
    _section("Declared")
    click.echo(_indented(to_yaml(from_data(Pipeline, facts["spec"]))))


def _run(workspace: Workspace, prefix: str) -> Facts:
    run = workspace.ledger.run(prefix)
    versions = {p.id: label(p) for p in registered(workspace.registry, run.pipeline_id).pipelines}
    return {
        **data(run),
        "pipeline": versions[run.pipeline_id],
        "attempts": data(workspace.ledger.attempts([run.id]).get(run.id, [])),
    }


def _write_run(facts: Facts) -> None:
    pairs = {
        "state": state(facts["state"]),
        "reason": facts["reason"],
        "cancel": facts["cancel_requested"],
        "waits": _waits(facts),
        "retry": facts["retry_of"] and f"number {facts['number']}, of {facts['retry_of']}",
        "schedule": facts["schedule_name"] or "none, run by hand",
        "pipeline": f"{facts['pipeline']}  {facts['pipeline_id']}",
        "experiment": facts["experiment_name"],
        "due": _time(facts["due_at"]),
        "started": _time(facts["started_at"]),
        "ended": _time(facts["ended_at"]),
        "alert": _deadline(facts),
        "pool": facts["pool"],
        "on unknown": _unknown(facts),
        "occurrence": facts["occurrence_key"],
        **{f"  {name}": str(value) for name, value in facts["parameters"].items()},
        **{f"  ({name})": str(value) for name, value in (facts["facts"] or {}).items()},
    }
    _write(f"run {facts['id']}", pairs)
    _section("Attempts")
    rows = [
        (
            a["step"],
            str(a["number"]),
            a["state"],
            _time(a["started_at"]),
            _time(a["ended_at"]),
            a["node"],
            a["reason"],
        )
        for a in facts["attempts"]
    ]
    head = ("STEP", "ATTEMPT", "STATE", "STARTED", "ENDED", "NODE", "REASON")
    table(head, rows, "None yet.")


def _waits(facts: Facts) -> str | None:
    return (
        facts["state"] == RunState.NOT_STARTED
        and facts["not_before"]
        and (f"until {_time(facts['not_before'])}")
    )


def _deadline(facts: Facts) -> str:
    """Say when somebody is told that the run is late."""
    start, finish = _time(facts["start_by"]), _time(facts["finish_by"])
    parts = [start and f"not started by {start}", finish and f"not over by {finish}"]
    return ", ".join(part for part in parts if part)


def _unknown(facts: Facts) -> str | None:
    """Say what the run does about an unknown outcome: where there is one, or that is not usual."""
    policy = facts["on_unknown"]
    unknown = [a for a in facts["attempts"] if a["state"] == AttemptState.UNKNOWN]
    if not unknown:
        return None if policy == OnUnknown.FAIL else str(policy)
    steps = ", ".join(f"{a['step']} {a['number']}" for a in unknown)
    return f"{policy} (unknown: {steps})"


def _origin(facts: Facts) -> dict[str, str | None]:
    source = facts["provenance"]
    commit = source["commit"]
    return {
        "project": facts["owner"] or "none",
        "declared at": source["file"] and f"{source['file']}:{source['line']}",
        "commit": commit and f"{commit[:12]} of {_time(source['committed_at'])}",
        "author": source["author"],
    }


def _time(text: str | None) -> str:
    return utc(parse_instant(text)) if text else ""


def _write(title: str, pairs: Mapping[str, str | None]) -> None:
    click.secho(title, bold=True)
    width = max(map(len, pairs))
    for name, value in pairs.items():
        if value:
            click.echo(f"  {name:<{width}}  {value}")


def _section(title: str) -> None:
    click.echo("")
    click.secho(title, bold=True)


def _indented(text: str) -> str:
    return "\n".join(f"  {clean(line)}" for line in text.splitlines())
