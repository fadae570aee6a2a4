"""``reconciler show``."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
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
from reconciler.cli.watched import (
    POLL_HEAD,
    about_data,
    counted,
    poll_cells,
    poll_data,
    standing_data,
)
from reconciler.clock import parse_instant
from reconciler.data import DatastoreChange, name_bytes
from reconciler.errors import NotFound
from reconciler.manifest.emit import from_data, to_yaml
from reconciler.pipeline import Pipeline
from reconciler.plan.bind import label
from reconciler.plan.spec import spec_value
from reconciler.reconcile.looks import files_known, place, standing
from reconciler.reconcile.operate import find_pipeline, find_schedule, registered
from reconciler.run import AttemptState, RunState
from reconciler.schedule import OnUnknown, Schedule
from reconciler.trigger.arrivals import display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reconciler.settings import Workspace
    from reconciler.workspace.ledger import Ledger

KINDS = ("schedule", "pipeline", "datastore", "run")
FIRES = 5
ROWS = 10
_UNFINISHED = (RunState.RUNNING, RunState.NOT_STARTED)
# Unfinished runs that are counted.
_MANY = 10_000

Facts = dict[str, Any]


@click.command("show", epilog="Example: reconciler show pipeline batch-scoring@3")
@click.argument("words", nargs=-1, required=True, metavar="[KIND] NAME")
@click.option("--files", is_flag=True, help="Of a run: every file that it was made for.")
@output
@scoped
def command(scope: Scope, *, as_json: bool, words: tuple[str, ...], files: bool) -> None:
    """Show everything about one object: a schedule, or one of another kind.

    That is `pipeline NAME[@VERSION]`, `datastore NAME` or `run ID`; a run's id may be shortened as
    long as it stays unambiguous.
    """
    kind, name = kind_and_name(words, KINDS)
    if files and kind != "run":
        raise click.UsageError("--files is for a run: reconciler show run ID --files.")
    ways: dict[str, tuple[Callable[[Workspace, str], Facts], Callable[[Facts], None]]] = {
        "schedule": (_schedule, _write_schedule),
        "pipeline": (_pipeline, _write_pipeline),
        "datastore": (_datastore, _write_datastore),
        "run": (partial(_run, files=files), _write_run),
    }
    read, write = ways[kind]
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
    facts["next"], facts["polls"], facts["watch"], facts["unfinished"] = [], [], None, None
    if isinstance(trigger, DatastoreChange):
        facts |= _watching(workspace.ledger, here.id)
    elif here.next_due is not None:
        facts["next"] = occurrences(trigger, here.created_at, here.next_due - 1, FIRES)
    return facts


def _watching(ledger: Ledger, schedule_id: str) -> Facts:
    """Tell what a schedule by files has to do with the files."""
    runs = ledger.runs(schedule_id=schedule_id, states=_UNFINISHED, limit=_MANY)
    unfinished = Counter(run.state.value for run in runs)
    facts: Facts = {"unfinished": {state.value: unfinished[state] for state in _UNFINISHED}}
    watch, arrival = ledger.watch_of(schedule_id), ledger.arrival(schedule_id)
    if watch is None or arrival is None:
        return facts
    polls = ledger.polls(watch.id, ROWS)
    facts["watch"] = {
        **standing_data(standing(watch, polls)),
        "known": files_known(ledger, watch),
        "lag": watch.change_seq - arrival.cursor,
    }
    return {**facts, "polls": [poll_data(poll) for poll in polls]}


def _write_schedule(facts: Facts) -> None:
    hold = facts["hold"]
    pairs = {
        "status": state(facts["condition"]),
        "held": hold and f"by {hold['who']} since {_time(hold['since'])}: {hold['why']}",
        "held until": hold
        and f"{_time(hold['until']) or 'it is released'}; {then(hold['catchup'])}",
        "disabled by": facts["disabled_by"],
        "trigger": facts["trigger"],
        **_seen(facts["watch"]),
        "unfinished": counted(facts["unfinished"] or {}),
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
        _section("Last looks")
        table(POLL_HEAD, map(poll_cells, facts["polls"]), "")


def _seen(watch: Facts | None) -> dict[str, str]:
    """Say how a watch stands."""
    if watch is None:
        return {}
    last = watch["last_poll"]
    lag = f"; {watch['lag']} changes not decided about yet" if watch["lag"] else ""
    failing = watch["failing_since"]
    return {
        "watch": f"{state(watch['state'])}, {watch['known']} files known{lag}",
        "looks fail": f"since {_time(failing)}: {clean(watch['error'])}" if failing else "",
        "last look": _time(last["polled_at"]) if last else "none yet",
        "next look": _time(watch["next_poll"]),
    }


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


def _datastore(workspace: Workspace, name: str) -> Facts:
    ledger = workspace.ledger
    here = ledger.datastores().get(name)
    if here is None:
        raise NotFound(f"no datastore '{name}'; `reconciler list datastores` shows them")
    watches = [watch for watch in ledger.watches() if watch.watched.datastore == name]
    ids = sorted({id_ for watch in watches for id_ in watch.schedule_ids})
    names = {s.id: s.name for s in registered(workspace.registry, *ids).schedules} if ids else {}
    return {
        **data(here),
        "watches": [
            {
                **standing_data(standing(watch, ledger.polls(watch.id, ROWS))),
                "known": files_known(ledger, watch),
                "watched": place(watch.watched),
                "schedules": sorted(names[id_] for id_ in watch.schedule_ids if id_ in names),
            }
            for watch in watches
        ],
    }


def _write_datastore(facts: Facts) -> None:
    spec = facts["spec"]
    pairs = {
        "url": spec["url"],
        "account": spec.get("account"),
        "endpoint": spec.get("endpoint"),
        "region": spec.get("region"),
        "opened with": _opened_with(spec),
        "description": clean(spec.get("description", "")),
        **_origin(facts),
        "registered": _time(facts["created_at"]),
    }
    _write(f"datastore {facts['name']}", pairs)
    _section("Watched")
    rows = [
        (
            watch["watched"],
            watch["state"],
            ", ".join(watch["schedules"]),
            str(watch["known"]),
            _time(watch["last_poll"] and watch["last_poll"]["polled_at"]),
            _time(watch["next_poll"]),
            watch["error"],
        )
        for watch in facts["watches"]
    ]
    head = ("WHAT", "STATE", "FOR", "FILES", "LAST LOOK", "NEXT LOOK", "ERROR")
    table(head, rows, "Nothing: no Active schedule has a trigger on it.")


def _opened_with(spec: Facts) -> str:
    """Say what opens a datastore: what it refers to, and never any value."""
    if spec["url"].startswith("file:"):
        return "the file system"
    if spec.get("anonymous"):
        return "no credentials (anonymous)"
    references = [f"{name} {reference}" for name, reference in spec.get("credentials", {}).items()]
    return ", ".join(references) or "what the runner's machine has"


def _run(workspace: Workspace, prefix: str, *, files: bool) -> Facts:
    run = workspace.ledger.run(prefix)
    versions = {p.id: label(p) for p in registered(workspace.registry, run.pipeline_id).pipelines}
    facts = {
        **data(run),
        "pipeline": versions[run.pipeline_id],
        "attempts": data(workspace.ledger.attempts([run.id]).get(run.id, [])),
    }
    if files:
        listed = workspace.ledger.files(run.id)
        if listed is None:
            text = f"run {run.id} was not made for a list of files"
            raise NotFound(f"{text}; `batch: per_poll` makes such runs")
        facts["files"] = [json.loads(line) for line in listed.splitlines()]
    return facts


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
        "for": about_data(facts["facts"]),
        **{f"  {name}": _value(value) for name, value in facts["parameters"].items()},
        **{f"  ({name})": text for name, text in _causes(facts["facts"] or {})},
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
    if "files" in facts:
        _section("Files")
        names = [
            (display(name_bytes(file["path"])), file["change"], str(file["size"]))
            for file in facts["files"]
        ]
        table(("FILE", "CHANGE", "BYTES"), names, "None.")


def _causes(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Write what a run knows of its cause; a file's state is said by its parts."""
    for name, value in facts.items():
        if name != "state":
            yield name, utc(value) if name == "modified" else _value(value)


def _value(value: object) -> str:
    """Write a parameter or a fact, which may hold any file's name."""
    text = str(value)
    # What a terminal would act upon, or is no text at all, is written as file names are.
    return text if text.isprintable() else display(name_bytes(text))


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
