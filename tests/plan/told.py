"""Plans to be told: one that has everything in it, and any that could be."""

import json

from hypothesis import strategies as st

from reconciler.clock import parse_instant
from reconciler.live import Hold, Owner
from reconciler.plan.change import (
    Action,
    Cause,
    Change,
    FieldChange,
    Files,
    Guard,
    Held,
    Kind,
    Plan,
    PlanWarning,
    Reason,
    Side,
    Suppressed,
)
from reconciler.plan.impact import ClockChange, Impact, Timing
from reconciler.schedule import Missed

NEW_YORK = "America/New_York"
FIRES = tuple(
    map(parse_instant, ("2026-03-09T06:30:00Z", "2026-03-10T06:30:00Z", "2026-03-11T06:30:00Z"))
)
DAILY = Timing(next_fires=FIRES, runs=28, days=28)
OFTEN = Timing(
    next_fires=tuple(FIRES[0] + minutes * 60_000_000 for minutes in (0, 5, 10)),
    runs=28 * 288,
    days=28,
)


def spec(**members):
    return json.dumps(members, sort_keys=True, separators=(",", ":"))


def schedule(time_of_day="02:30", **members):
    rule = {"frequency": "Day", "time_of_day": time_of_day, "time_zone": NEW_YORK}
    return spec(trigger={"recurrence": rule}, pipeline="score", **members)


def changed(name="nightly", **members):
    given = {
        "action": Action.UPDATE,
        "kind": Kind.SCHEDULE,
        "name": name,
        "cause": Cause.EDITED,
        "fields": (FieldChange.by_git("trigger.recurrence.interval", 1, 2),),
        "file": f"schedules/{name}.yml",
        "line": 3,
        "id": f"risk-{name}",
        "revision": 4,
        "fingerprint": "f" * 64,
        "before": schedule(name=name),
        "after": schedule("02:35", name=name),
        "pipeline_id": "score-1",
    }
    return Change(**{**given, **members})


def disabled(name="old", **members):
    given = {
        "action": Action.DISABLE,
        "cause": Cause.MISSING,
        "fields": (FieldChange.by_git("status", "Active", "Disabled"),),
        "after": None,
        "impact": Impact(before=DAILY),
    }
    return changed(name, **{**given, **members})


def created(name="fresh", **members):
    given = {
        "action": Action.CREATE,
        "cause": Cause.DECLARED,
        "fields": (),
        "id": None,
        "revision": None,
        "fingerprint": None,
        "before": None,
        "impact": Impact(after=DAILY, fires_on_apply=1),
    }
    return changed(name, **{**given, **members})


def plan_of(*changes, **members):
    given = {
        "owner": Owner("risk", "prod"),
        "workspace": "sqlite:ws.db",
        "changes": changes,
        "unchanged": 40,
        "as_of": parse_instant("2026-03-08T12:00:00Z"),
        "tool": "0.2.0",
        "commit": "c0ffee" * 6 + "c0ff",
    }
    return Plan(**{**given, **members})


CLOCK = ClockChange(day="2026-03-08", due=FIRES[0], text="02:30 does not exist; runs at 03:30")
WHOLE = plan_of(
    Change(
        action=Action.REMOVE,
        kind=Kind.DATASTORE,
        name="attic",
        cause=Cause.MISSING,
        file="stores.yml",
        revision=1,
        before=spec(name="attic", url="file:///attic"),
    ),
    Change(
        action=Action.UPDATE,
        kind=Kind.PIPELINE,
        name="score",
        cause=Cause.EDITED,
        fields=(FieldChange.by_git("code (content)", "0" * 12, "1" * 12),),
        file="score.yml",
        line=1,
        id="score-1",
        revision=1,
        fingerprint="a" * 64,
        before=spec(name="score", steps=[{"name": "run", "command": ["a", "b"]}]),
        after=spec(name="score", steps=[{"name": "run", "command": ["a", "b"]}]),
        digest="d" * 64,
        code_digest="1" * 64,
    ),
    changed(
        "adopted",
        action=Action.ADOPT,
        cause=Cause.ADOPTED,
        formerly="other/prod",
        fields=(FieldChange.by_git("owner", "other/prod", "risk/prod"),),
        impact=Impact(
            before=DAILY, after=DAILY, same_fires_until=parse_instant("2030-03-01T00:00:00Z")
        ),
    ),
    changed(
        "arrivals",
        after=spec(name="arrivals", trigger={"datastore_change": {"datastore": "landing"}}),
        impact=Impact(before=DAILY),
        files=Files("landing/in", 412),
        notes=("it looks like 'attic'",),
    ),
    changed(
        "backlog",
        after=spec(name="backlog", trigger={"datastore_change": {"datastore": "landing"}}),
        impact=Impact(before=DAILY),
        files=Files("landing/old", 100_000, more=True, initial=True, fires=100_000),
    ),
    created(),
    changed(
        fields=(
            FieldChange("trigger.recurrence.time_of_day", "06:30", "02:35", "02:30", Side.BOTH),
            FieldChange("tags.team", "ops", "risk", "risk", Side.LIVE),
        ),
        impact=Impact(before=DAILY, after=OFTEN, clock_changes=(CLOCK,), first_difference=FIRES[0]),
        protected=True,
    ),
    disabled(),
    changed(
        "renamed",
        action=Action.RENAME,
        cause=Cause.RENAMED,
        formerly="former",
        fields=(FieldChange.by_git("name", "former", "renamed"),),
        impact=Impact(before=DAILY, after=DAILY),
    ),
    changed(
        "woken",
        action=Action.ENABLE,
        cause=Cause.DRIFTED,
        fields=(FieldChange("status", "Disabled", "Active", "Active", Side.LIVE),),
        impact=Impact(after=DAILY),
    ),
    warnings=(
        PlanWarning(
            file="schedules/arrivals.yml",
            line=5,
            column=3,
            id="loop",
            message="runs may start each other without end: 'arrivals' runs score, which ...",
            objects=("Schedule.arrivals", "Pipeline.score"),
        ),
    ),
    guards=(
        Guard("protected", "Schedule 'old' is protected; take that away in Git first"),
        Guard("runs_per_day", "287 more runs a day, 100 are allowed", allowable=True),
    ),
    suppressed=(
        Suppressed("Schedule.nightly", "tags.owner", Reason.IGNORED, {"b": 1, "a": [2]}, None),
    ),
    held=(
        Held("nightly", Hold(who="alice", why="audit", since=FIRES[0], until=FIRES[2])),
        Held("old", Hold(who="bob", why="for ever", since=FIRES[0], catchup=Missed.ALL)),
    ),
    dirty=("a.yml", "b\n.yml"),
)

# What somebody could write to break out of where it is shown.
NASTY = (
    "`", "```", "````\n", "|", "\\|", "\n", "\r\n\r\n", "<details>", "</details>", "<script>x</script>",
    "@alice", "@org/team", "-->", "<!--", "--", "~~~", "# h", "- item", "&lt;", "[a](http://b)", "::error::",
    "\x1b[31m", "\u202e", "\ud800", "%0A", ":", ",", "*", "_", "$`x`$", "    code", "www.a.b", "\u2028", "{", "\\",
)  # fmt: skip
texts = st.lists(st.sampled_from(NASTY), max_size=4).map("".join) | st.text(max_size=6)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
plain = scalars | texts | st.lists(texts, max_size=2) | st.dictionaries(texts, scalars, max_size=2)
instants = st.integers(0, 7_000_000_000_000_000)
counts = st.integers(0, 10_000)
digests = st.none() | st.text("0123456789abcdef", min_size=64, max_size=64)
timings = st.builds(
    Timing,
    next_fires=st.lists(instants, max_size=3).map(lambda found: tuple(sorted(found))),
    runs=counts,
    days=st.sampled_from([28, 364]),
    whole=st.booleans(),
)
impacts = st.builds(
    Impact,
    before=st.none() | timings,
    after=st.none() | timings,
    fires_on_apply=st.integers(0, 1),
    clock_changes=st.lists(
        st.builds(ClockChange, day=texts, due=instants, text=texts), max_size=7
    ).map(tuple),
    same_fires_until=st.none() | instants,
    first_difference=st.none() | instants,
)
specs = st.none() | st.builds(
    lambda name, zone, data: spec(
        name=name, trigger={"cron": {"time_zone": zone}}, parameters=data
    ),
    texts,
    st.sampled_from(["UTC", NEW_YORK, "Asia/Kolkata", "Central Standard Time"]),
    st.dictionaries(texts, texts, max_size=2),
)
fields = st.builds(FieldChange, texts, plain, plain, plain, st.sampled_from(Side))
changes = st.builds(
    Change,
    action=st.sampled_from(Action),
    kind=st.sampled_from(Kind),
    name=texts,
    cause=st.sampled_from(Cause),
    fields=st.lists(fields, max_size=2).map(tuple),
    file=st.none() | texts,
    line=st.none() | counts,
    id=st.none() | texts,
    revision=st.none() | counts,
    fingerprint=digests,
    before=specs,
    after=specs,
    digest=digests,
    code_digest=digests,
    pipeline_id=st.none() | texts,
    formerly=st.none() | texts,
    protected=st.booleans(),
    notes=st.lists(texts, max_size=2).map(tuple),
    impact=st.none() | impacts,
    files=st.none()
    | st.builds(Files, texts, st.none() | counts, st.booleans(), st.booleans(), st.none() | counts),
)
holds = st.builds(
    Hold,
    who=texts,
    why=texts,
    since=instants,
    until=st.none() | instants,
    catchup=st.sampled_from(Missed),
)


def several(strategy, most=2):
    return st.lists(strategy, max_size=most).map(tuple)


plans = st.builds(
    Plan,
    owner=st.builds(Owner, texts, texts),
    workspace=texts,
    changes=st.lists(changes, max_size=3, unique_by=lambda change: change.address).map(tuple),
    unchanged=counts,
    as_of=instants,
    tool=texts,
    guards=several(st.builds(Guard, texts, texts, st.booleans())),
    warnings=several(
        st.builds(
            PlanWarning,
            file=texts,
            line=counts,
            column=counts,
            id=texts,
            message=texts,
            objects=several(texts),
        )
    ),
    suppressed=several(st.builds(Suppressed, texts, texts, st.sampled_from(Reason), plain, plain)),
    held=several(st.builds(Held, texts, holds)),
    commit=st.none() | texts,
    dirty=several(texts),
)
