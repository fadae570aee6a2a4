"""Hypothesis strategies for both sides of a plan, where anything may have happened to either."""

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from reconciler.data import DatastoreChange
from reconciler.live import Applied, DisabledBy, Hold, Live, Lost
from reconciler.manifest.load import Declared
from reconciler.manifest.terms import IgnoreDrift, Limits, OnMissing, Terms
from reconciler.manifest.yaml12 import Node
from reconciler.pipeline import ParameterType
from reconciler.plan.build import build_plan
from reconciler.plan.desired import Desired
from reconciler.plan.spec import spec_text, spec_value
from reconciler.schedule import Schedule, Status
from tests.manifest import strategies
from tests.plan.effect import carried_out
from tests.plan.world import OTHER, OWNER

PIPELINES = ("p0", "p1")
STORES = ("d0", "d1")
SCHEDULES = ("s0", "s1", "s2", "s3")
PATHS = (
    "status", "description", "pipeline", "trigger", "tags", "url", "overlap", "name",
    "pipeline_parameters", "trigger.recurrence.interval", "trigger.cron.expression", "tags.nothing.of.it",
)  # fmt: skip


def declare(kinds, owner=OWNER, **circumstances):
    """Make a desired side of values by name: (schedules, pipelines, datastores)."""
    maps = [
        {v.name: Declared(v, f"{v.KIND}-{v.name}.yml", Node({}, 1, 1)) for v in values}
        for values in kinds
    ]
    found = dict(zip(("schedules", "pipelines", "datastores"), maps, strict=True))
    return Desired(owner=owner, **found, **circumstances)


@st.composite
def pipelines(draw, name):
    one = draw(strategies.pipelines())
    parameters = {
        key: replace(p, type=ParameterType.STRING, default="x") for key, p in one.parameters.items()
    }
    return replace(one, name=name, parameters=parameters, code=None)


@st.composite
def stores(draw, name):
    return replace(draw(strategies.datastores), name=name)


@st.composite
def schedules(draw, name, known, places, former=None):
    """Draw a schedule of one of the pipelines, which watches one of the places if it watches."""
    one = draw(strategies.schedules())
    trigger = one.trigger
    if isinstance(trigger, DatastoreChange):
        if not places:
            return draw(schedules(name, known, STORES[:1], former).filter(_by_clock))
        place = draw(st.sampled_from(places))
        trigger = replace(trigger, datastore=place, data_path_parameter_name=None)
    late = draw(st.sampled_from(("", "", "@latest")))
    return replace(
        one,
        name=name,
        pipeline=draw(st.sampled_from(known)) + late,
        pipeline_parameters={},
        trigger=trigger,
        renamed_from=former,
    )


def _by_clock(schedule):
    return not isinstance(schedule.trigger, DatastoreChange)


@st.composite
def manifests(draw, before=((), (), ())):
    """Draw what is declared; much of it as it was before."""

    def some(names, make, old):
        kept = {value.name: value for value in old}
        for name in names:
            fate = draw(st.sampled_from(("same", "same", "new", "gone")))
            if fate == "new" or (fate == "same" and name not in kept):
                kept[name] = draw(make(name))
            elif fate == "gone":
                kept.pop(name, None)
        return list(kept.values())

    published = some(PIPELINES, pipelines, before[1])
    if not published:
        published = [draw(pipelines("p0"))]
    places = some(STORES, stores, before[2])
    names, known = [p.name for p in published], [s.name for s in places]
    fitting = [
        s
        for s in before[0]
        if s.pipeline.partition("@")[0] in names and (_by_clock(s) or s.trigger.datastore in known)
    ]
    declared = some(SCHEDULES, lambda name: schedules(name, names, known), fitting)
    free = [s.name for s in before[0] if s.name not in {one.name for one in declared}]
    for number, former in enumerate(free):
        if draw(st.booleans()):
            declared.append(draw(schedules(f"r{number}", names, known, former)))
    return declared, published, places


@st.composite
def drifted(draw, live):
    """Let anything happen to the owner's live objects."""
    lost = []
    found = []
    for here in live.schedules:
        fate = draw(
            st.sampled_from(("fine", "fine", "edited", "status", "held", "missing", "lost"))
        )
        was = Applied(spec=here.spec, status=here.status, pipeline_id=here.pipeline_id)
        one = here
        if fate == "lost":
            lost.append(Lost(owner=OWNER, kind="Schedule", name=here.name))
            continue
        if fate == "edited":
            spec = spec_value(Schedule, here.spec)
            other = draw(strategies.schedules())
            if isinstance(other.trigger, DatastoreChange):
                # Another place might not be there; what the trigger does not suit stays with it.
                other = replace(other, trigger=spec.trigger, overlap=spec.overlap)
            other = replace(other, name=spec.name, pipeline=spec.pipeline)
            one = replace(here, spec=spec_text(other), revision=2, applied=was)
        elif fate == "status":
            off = here.status is Status.ACTIVE
            one = replace(
                here,
                status=Status.DISABLED if off else Status.ACTIVE,
                disabled_by=DisabledBy.OPERATOR if off else None,
                revision=2,
                applied=was,
            )
        elif fate == "missing":
            one = replace(here, status=Status.DISABLED, disabled_by=DisabledBy.MISSING)
        elif fate == "held":
            one = replace(here, hold=Hold(who="ann", why="audit", since=0))
        found.append(one)
    places = []
    for store in live.datastores:
        fate = draw(st.sampled_from(("fine", "edited")))
        other = draw(stores(store.name)) if fate == "edited" else None
        was = Applied(spec=store.spec)
        changed = other and {"spec": spec_text(other), "revision": 2, "applied": was}
        places.append(replace(store, **changed) if changed else store)
    versions = []
    for version in live.pipelines:
        off = draw(st.sampled_from((False, False, False, True)))
        by = draw(st.sampled_from((DisabledBy.OPERATOR, DisabledBy.MISSING)))
        changed = {"status": Status.DISABLED, "disabled_by": by, "revision": 2}
        versions.append(replace(version, **changed) if off else version)
    return Live(
        schedules=tuple(found),
        pipelines=tuple(versions),
        datastores=tuple(places),
        lost=tuple(lost),
    )


@st.composite
def terms(draw, on_missing):
    fields = {
        "*.*": PATHS,
        "Schedule.s*": [path for path in PATHS if path != "url"],
        "Schedule.s1": [path for path in PATHS if path != "url"],
        "Datastore.*": ("description", "tags", "url", "name", "tags.nothing.of.it"),
    }
    rules = st.sampled_from(sorted(fields)).flatmap(
        lambda objects: st.builds(
            IgnoreDrift,
            objects=st.just(objects),
            fields=st.lists(
                st.sampled_from(fields[objects]), min_size=1, max_size=2, unique=True
            ).map(tuple),
        )
    )
    return Terms(
        limits=draw(
            st.sampled_from((Limits(), Limits(disables=0, fires_on_apply=0, runs_per_day=0)))
        ),
        protected=draw(st.sampled_from(((), ("Schedule.s*",), ("*.*",)))),
        ignore_drift=tuple(draw(st.lists(rules, max_size=2))),
        on_missing=draw(st.sampled_from(on_missing)),
    )


@dataclass
class World:
    """What was declared, what is live now, and what is declared now (all of it valid)."""

    before: tuple
    live: Live
    now: tuple
    desired: Desired


@st.composite
def worlds(draw, on_missing=tuple(OnMissing), *, same_terms=False):
    """Draw a world: something was applied, then both sides went on."""
    before = draw(manifests())
    found = draw(terms(on_missing))
    first = declare(before, terms=found if same_terms or draw(st.booleans()) else Terms())
    live = carried_out(build_plan(first, Live()), Live())
    live = draw(drifted(live))
    now = draw(manifests(before))
    return World(before, live, now, declare(now, terms=found))


def with_others(draw, live):
    """Add what other owners have under the same names."""
    theirs = declare(draw(manifests()), owner=OTHER)
    alone = carried_out(build_plan(theirs, Live()), Live())
    names = {p.name for p in live.pipelines}, {s.name for s in live.datastores}
    return replace(
        live,
        schedules=(*live.schedules, *alone.schedules),
        pipelines=(*live.pipelines, *(p for p in alone.pipelines if p.name not in names[0])),
        datastores=(*live.datastores, *(s for s in alone.datastores if s.name not in names[1])),
    )
