"""Hypothesis strategies for declared values, with texts that are out to break a YAML file."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from reconciler.data import (
    Batch,
    DataPath,
    Datastore,
    DatastoreChange,
    FileChange,
    Initial,
)
from reconciler.manifest.emit import from_data, to_data
from reconciler.manifest.project import (
    Defaults,
    Overrides,
    Preset,
    Project,
    Target,
    Variable,
    VariableType,
)
from reconciler.manifest.shape import OneOf, Partial, Record, record_of
from reconciler.manifest.terms import IgnoreDrift, Limits, OnMissing
from reconciler.pipeline import Parameter, ParameterType, Pipeline, Resources, Step
from reconciler.retries import Retries
from reconciler.schedule import Deadline, Missed, OnUnknown, Overlap, Schedule, Status
from reconciler.trigger.compile import problems
from tests.strategies import crons, recurrences

# A busy machine is no reason to fail.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

HOSTILE = (
    "", " ", "~", "null", "true", "False", "yes", "on", "No", "010", "0x1f", "0o17", "1", "1.0", "-1e5", ".inf",
    ".nan", "18:30", "2026-01-31", "1_000", "*", "*/5 * * * *", "&a", "!tag", "!!python/object:os.system", "@daily",
    "`x`", "%YAML", "- x", "-", "?", "? x", ":", "x:", "x: y", " x", "x ", "x #y", "#", "[", "]", "{}", "a,b", "|",
    ">", "'", '"', "it's", '"q"', "\\", "\\n", "\t", "\tx", "\n", "a\nb", "a\n b\n", "a\n\nb\n\n", " a\nb", "a\r\nb",
    "a\tb\nc", "a \nb ", "---", "...", "--- a\n---\n", "\ufeff", "\u2028", "\x00", "\x1b[31m", "\x85", "\ufffe", "é",
    "名前", "\U0001f600", "<<", "=", "None", "y", "n", "$(x)", "${{ x", "a" * 1100, "#!/bin/sh\nset -e\n\techo hi\n",
)  # fmt: skip

texts = st.sampled_from([text for text in HOSTILE if "${{" not in text]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=30
).filter(lambda text: "${{" not in text)
filled = texts.filter(bool)
names = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,20}", fullmatch=True)
variables = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,10}", fullmatch=True)
wholes = st.integers(-(1 << 63), (1 << 63) - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
scalars = texts | wholes | numbers | st.booleans()
durations = st.integers(0, 10**12).map(lambda count: timedelta(milliseconds=count))
lengths = st.integers(1, 10**9).map(lambda count: timedelta(milliseconds=count))
tags = st.dictionaries(texts, texts, max_size=3)
retries = st.builds(Retries, max=st.integers(0, 100), backoff=durations)
deadlines = st.tuples(st.none() | lengths, st.none() | lengths).map(
    lambda spans: Deadline(
        start=spans[0], finish=spans[1] and max(spans[1], spans[0] or timedelta(0))
    )
)
resources = st.builds(
    Resources,
    cpus=st.integers(0, 4_096) | st.floats(0, 4_096),
    memory=st.none() | st.from_regex(r"[1-9][0-9]{0,6}(Ki|Mi|Gi|Ti)?", fullmatch=True),
    gpus=st.integers(0, 8),
)


def some(values: st.SearchStrategy, most: int = 3) -> st.SearchStrategy:
    return st.lists(values, max_size=most, unique=True).map(tuple)


file_names = filled.filter(lambda text: text not in {".", ".."} and not {"/", "\0"} & set(text))
markers = file_names.filter(lambda text: "{name}" not in text) | st.sampled_from(
    ["_SUCCESS", "{name}.done", "done-{name}"]
)


@st.composite
def changes_of(draw: st.DrawFn) -> DatastoreChange:
    file = draw(st.none() | file_names)
    several = file is None
    return DatastoreChange(
        datastore=draw(names),
        path_on_datastore=draw(texts.filter(lambda text: ".." not in text and "\0" not in text)),
        recursive=several and draw(st.booleans()),
        file=file,
        polling_interval=draw(st.floats(0.01, 72_000) | st.integers(1, 72_000)),
        data_path_parameter_name=draw(st.none() | texts),
        # Whether a step can open it is for the datastore to say.
        data_path=draw(st.sampled_from([None, DataPath.DATASTORE])),
        changes=tuple(draw(st.sets(st.sampled_from(FileChange), min_size=1))),
        batch=draw(st.sampled_from(Batch)),
        initial=draw(st.sampled_from(Initial)),
        settle=draw(st.none() | durations),
        done_marker=draw(st.none() | markers) if several else None,
        min_size=draw(st.integers(0, 1 << 50)),
        include=draw(some(texts)) if several else (),
        ignore=draw(some(texts)),
    )


changes = changes_of()
triggers = (recurrences() | crons()).filter(lambda trigger: not problems(trigger)) | changes


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    trigger = draw(triggers)
    keeping = [Overlap.QUEUE, Overlap.CANCEL_RUNNING, Overlap.ALLOW, None]
    per_file = isinstance(trigger, DatastoreChange) and trigger.batch is Batch.PER_FILE
    overlaps = keeping if per_file else [*Overlap, None]
    return Schedule(
        name=draw(names),
        description=draw(texts),
        pipeline=draw(filled),
        experiment_name=draw(texts),
        status=draw(st.sampled_from(Status)),
        trigger=trigger,
        pipeline_parameters=draw(st.dictionaries(texts, scalars, max_size=4)),
        continue_on_step_failure=draw(st.none() | st.booleans()),
        overlap=draw(st.sampled_from(overlaps)),
        missed=draw(st.sampled_from(Missed)),
        catchup_window=draw(st.none() | durations),
        max_catchup=draw(st.integers(1, 10_000)),
        max_active_runs=draw(st.integers(1, 10_000)),
        jitter=None if isinstance(trigger, DatastoreChange) else draw(st.none() | durations),
        retries=draw(st.none() | retries),
        on_unknown=draw(st.sampled_from(OnUnknown)),
        pause_after_failures=draw(st.none() | st.integers(1, 1_000)),
        pool=draw(st.none() | names),
        deadline=draw(st.none() | deadlines),
        tags=draw(tags),
    )


@st.composite
def parameters(draw: st.DrawFn) -> Parameter:
    kind = draw(st.sampled_from(ParameterType))
    values = {
        ParameterType.BOOLEAN: st.booleans(),
        ParameterType.INTEGER: wholes,
        ParameterType.NUMBER: wholes | numbers,
    }
    default = draw(st.none() | values.get(kind, texts))
    return Parameter(type=kind, default=default, description=draw(texts))


written = st.builds(
    "/".join,
    st.tuples(names) | st.tuples(names, st.sampled_from(["out", "a b", "é", "x/y", "..."])),
)


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    known = draw(st.dictionaries(variables, parameters(), max_size=3))
    references = st.sampled_from([f"--x=${{{{ parameters.{name} }}}}" for name in known] or ["x"])
    steps: list[Step] = []
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        program = draw(st.booleans())
        step = Step(
            name=name,
            command=tuple(draw(st.lists(texts | references, min_size=1, max_size=4)))
            if program
            else (),
            shell=None if program else draw(texts),
            depends_on=draw(some(st.sampled_from([step.name for step in steps]))) if steps else (),
            env=draw(
                st.dictionaries(variables, texts | st.just("${{ secret.TOKEN }}"), max_size=2)
            ),
            timeout=draw(st.none() | lengths),
            retries=draw(st.none() | retries),
            resources=draw(resources),
        )
        steps.append(step)
    return Pipeline(
        name=draw(names),
        description=draw(texts),
        parameters=known,
        code=draw(st.none() | texts),
        environment=draw(st.none() | texts),
        continue_on_step_failure=draw(st.booleans()),
        writes=draw(some(written)),
        steps=tuple(steps),
        tags=draw(tags),
    )


folders = st.fixed_dictionaries(
    {"url": texts.filter(lambda text: text[:2] != "//").map("file:{}".format)}
)
places = st.sampled_from(["incoming", "incoming/orders", "in-1/a b/é", "incoming/"])
secrets = variables.map("${{{{ secret.{} }}}}".format)


def opened_by(*keys: str) -> st.SearchStrategy[dict[str, Any]]:
    credentials = st.fixed_dictionaries(dict.fromkeys(keys, secrets))
    return st.fixed_dictionaries({"credentials": credentials})


nothing: st.SearchStrategy[dict[str, Any]] = st.just({})
anonymous = st.just({"anonymous": True})
endpoints = st.fixed_dictionaries(
    {}, optional={"endpoint": st.sampled_from(["http://localhost:9000", "https://x.example/y/"])}
)
OPENED = {
    "az": nothing
    | anonymous
    | opened_by("account_key")
    | opened_by("sas_token")
    | opened_by("client_id")
    | opened_by("client_id", "client_secret", "tenant_id"),
    "s3": nothing
    | anonymous
    | opened_by("access_key_id", "secret_access_key")
    | opened_by("access_key_id", "secret_access_key", "session_token"),
    "gs": nothing | anonymous | opened_by("service_account_key"),
}
BESIDES = {
    "az": st.just({"account": "contosodata"}),
    "s3": st.sampled_from([{}, {"region": "eu-central-1"}]),
    "gs": nothing,
}


@st.composite
def remote(draw: st.DrawFn) -> dict[str, Any]:
    scheme = draw(st.sampled_from(sorted(OPENED)))
    url = {"url": f"{scheme}://{draw(places)}"}
    return url | draw(OPENED[scheme]) | draw(BESIDES[scheme]) | draw(endpoints)


datastores = st.builds(
    lambda name, description, tags, place: Datastore(
        name=name, description=description, tags=tags, **place
    ),
    names,
    texts,
    tags,
    folders | remote(),
)


def pieces(draw: st.DrawFn, record: Record, data: dict) -> dict:
    """Take some of the keys of valid data, and let some of the optional ones be null."""
    found = {}
    for member in record.members:
        if member.name in Partial.OWN or not draw(st.booleans()):
            continue
        value = data.get(member.name)
        if isinstance(member.shape, OneOf):
            ((tag, below),) = value.items()
            value = {tag: pieces(draw, member.shape.records[tag], below)}
        elif isinstance(value, dict):
            value = {key: draw(st.sampled_from([one, None])) for key, one in value.items()}
        elif value is None or (not member.required and draw(st.integers(0, 4)) == 0):
            value = None
        if value is not None or not member.required:
            found[member.name] = value
    return found


@st.composite
def parts(draw: st.DrawFn, whole: st.SearchStrategy) -> dict:
    """Take a part of some value, as plain data."""
    value = draw(whole)
    return pieces(draw, record_of(type(value)), to_data(value))


globs = st.sampled_from(["*", "nightly", "night-*", "a?"])
kinds = {
    "Schedule": parts(schedules()),
    "Pipeline": parts(pipelines()),
    "Datastore": parts(datastores),
}
limits = st.builds(
    Limits,
    disables=st.integers(0, 1_000_000),
    disabled_percent=st.none() | st.integers(0, 100).map(float),
)
addresses = some(st.sampled_from(["Schedule.nightly", "*.*", "Pipeline.a-*"]))
drifting = st.sampled_from(["description", "tags.x", "pipeline_parameters.size", "status"])
drifts = some(
    st.builds(IgnoreDrift, objects=st.just("Schedule.*"), fields=some(drifting).filter(bool))
)


@st.composite
def projects(draw: st.DrawFn) -> Project:
    known = draw(st.dictionaries(variables, st.sampled_from(VariableType), max_size=3))
    typed = {
        VariableType.STRING: texts, VariableType.INTEGER: wholes, VariableType.BOOLEAN: st.booleans(),
        VariableType.NUMBER: numbers | wholes,
    }  # fmt: skip
    inside = texts.filter(lambda text: ".." not in text and not text.startswith("/"))

    def fragment(kind: str) -> Any:
        return getattr(from_data(Defaults, {kind: draw(kinds[kind])}), kind)

    def target() -> Target:
        overrides = {
            kind: {glob: fragment(kind) for glob in draw(some(globs, 2))}
            for kind in draw(some(st.sampled_from(sorted(kinds))))
        }
        return Target(
            workspace=draw(filled),
            include=draw(some(inside)),
            variables={
                name: draw(typed[kind]) for name, kind in known.items() if draw(st.booleans())
            },
            preset=draw(st.sampled_from([None, *Preset])),
            overrides=Overrides(**overrides),
            limits=draw(st.none() | limits),
            protected=draw(addresses),
            ignore_drift=draw(drifts),
            on_missing=draw(st.sampled_from([None, *OnMissing])),
        )

    defaults = {kind: fragment(kind) for kind in draw(some(st.sampled_from(sorted(kinds))))}
    return Project(
        project=draw(names),
        include=draw(st.lists(inside, min_size=1, max_size=3, unique=True).map(tuple)),
        defaults=Defaults(**defaults),
        variables={
            name: Variable(
                type=kind, default=draw(st.none() | typed[kind]), description=draw(texts)
            )
            for name, kind in known.items()
        },
        limits=draw(limits),
        protected=draw(addresses),
        ignore_drift=draw(drifts),
        on_missing=draw(st.sampled_from(OnMissing)),
        targets={
            name: target() for name in draw(st.lists(names, min_size=1, max_size=2, unique=True))
        },
    )


values = schedules() | pipelines() | datastores
