"""Both sides of a plan, made from YAML and from what an apply would have registered."""

import textwrap
from dataclasses import replace

from reconciler.live import (
    Applied,
    DisabledBy,
    Live,
    Owner,
    Provenance,
    PublishedPipeline,
    RegisteredDatastore,
    RegisteredSchedule,
)
from reconciler.manifest.load import Document, load
from reconciler.plan.bind import Bindings
from reconciler.plan.build import build_plan
from reconciler.plan.check import problems
from reconciler.plan.desired import Desired
from reconciler.plan.spec import spec_text, spec_value
from reconciler.schedule import Schedule, Status

OWNER = Owner("risk", "dev")
OTHER = Owner("other", "prod")
PIPELINE = """
kind: Pipeline
name: score
parameters:
  size: {type: integer, default: 1}
  input: {type: datapath, default: landing/x.csv}
steps:
  - {name: prepare, command: [prepare, "${{ parameters.input }}"]}
  - {name: score, command: [score], depends_on: [prepare]}
"""
LANDING = "kind: Datastore\nname: landing\nurl: file:///landing\n"
NIGHTLY = """
kind: Schedule
name: nightly
pipeline: score
trigger: {recurrence: {frequency: Day, time_of_day: "06:30"}}
pipeline_parameters: {size: 2}
"""
ARRIVAL = """
kind: Schedule
name: arrival
pipeline: score
trigger: {datastore_change: {datastore: landing, data_path_parameter_name: input}}
"""
ALL = (PIPELINE, LANDING, NIGHTLY, ARRIVAL)


def desired(*texts, owner=OWNER, code=None, **circumstances):
    documents = [
        Document(f"{number}.yml", textwrap.dedent(text).encode())
        for number, text in enumerate(texts)
    ]
    loaded = load(documents)
    assert loaded.problems == (), "\n".join(map(str, loaded.problems))
    return Desired(
        owner=owner,
        schedules=loaded.schedules,
        pipelines=loaded.pipelines,
        datastores=loaded.datastores,
        code_digests=code or {},
        **circumstances,
    )


def applied(*texts, live=None, owner=OWNER, code=None):
    """Give the live side after an apply of ``texts``; ``live`` is what was there before."""
    live = live or Live()
    wanted = desired(*texts, owner=owner, code=code)
    pipelines = list(live.pipelines)
    for name, declared in wanted.pipelines.items():
        versions = [p for p in pipelines if p.name == name]
        if any(p.digest == wanted.digest(name) for p in versions):
            continue
        number = len(versions) + 1
        pipelines.append(
            PublishedPipeline(
                id=f"{name}-{number}",
                name=name,
                version=number,
                spec=spec_text(declared.value),
                digest=wanted.digest(name),
                code_digest=wanted.code_digests.get(name),
                status=Status.ACTIVE,
                disabled_by=None,
                owner=owner,
                provenance=Provenance(file=declared.file, line=declared.line),
                created_at=0,
                revision=1,
            )
        )
    pipelines = [
        replace(p, declared=p.digest == wanted.digest(p.name)) if p.name in wanted.pipelines else p
        for p in pipelines
    ]
    stores = [
        RegisteredDatastore(
            name=name,
            spec=spec_text(declared.value),
            owner=owner,
            provenance=Provenance(file=declared.file, line=declared.line),
            created_at=0,
            revision=1,
        )
        for name, declared in wanted.datastores.items()
    ]
    schedules = []
    for name, declared in wanted.schedules.items():
        binding = Bindings(wanted, pipelines).bind(declared.value.pipeline)
        active = declared.value.status is Status.ACTIVE
        schedules.append(
            RegisteredSchedule(
                id=f"{owner.project if owner else 'sdk'}-{name}",
                name=name,
                spec=spec_text(declared.value),
                pipeline_id=binding.published.id if binding.published else None,
                status=declared.value.status,
                disabled_by=None if active else DisabledBy.GIT,
                owner=owner,
                provenance=Provenance(file=declared.file, line=declared.line),
                created_at=0,
                updated_at=0,
                revision=1,
            )
        )
    return Live(
        schedules=(*live.schedules, *schedules),
        pipelines=tuple(sorted(pipelines, key=lambda p: (p.name, p.version))),
        datastores=(*live.datastores, *stores),
    )


def with_schedule(live, name, **fields):
    return replace(
        live,
        schedules=tuple(replace(s, **fields) if s.name == name else s for s in live.schedules),
    )


def with_pipelines(live, **fields):
    return replace(live, pipelines=tuple(replace(p, **fields) for p in live.pipelines))


def with_store(live, name, **fields):
    return replace(
        live,
        datastores=tuple(replace(s, **fields) if s.name == name else s for s in live.datastores),
    )


def touched(live, name, change, **facts):
    """Let somebody edit the spec of a live schedule, or its facts, past the owner of it."""
    here = next(s for s in live.schedules if s.name == name)
    was = Applied(spec=here.spec, status=here.status, pipeline_id=here.pipeline_id)
    spec = spec_text(change(spec_value(Schedule, here.spec)))
    return with_schedule(live, name, spec=spec, revision=2, applied=was, **facts)


def planned(wanted, live, as_of=0):
    found = problems(wanted, live)
    assert found == (), "\n".join(map(str, found))
    return build_plan(wanted, live, workspace="sqlite:ws.db", commit="c0ffee" * 7, as_of=as_of)


def said(wanted, live):
    return [str(problem) for problem in problems(wanted, live)]


def short(plan):
    return [f"{change.action} {change.kind} {change.name}" for change in plan.changes]


def fields(change):
    return {field.path: (field.old, field.new) for field in change.fields}


def told(plan, guard_id=None):
    return [guard.message for guard in plan.guards if guard_id in {None, guard.id}]
