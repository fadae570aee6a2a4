from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.data import DatastoreChange
from reconciler.live import Live
from reconciler.manifest.terms import OnMissing
from reconciler.plan.build import build_plan
from reconciler.plan.change import KINDS, Action
from reconciler.plan.check import problems
from reconciler.plan.desired import Kept
from reconciler.schedule import Status
from tests.plan.effect import carried_out
from tests.plan.world import OWNER
from tests.plan.worlds import declare, with_others, worlds
from tests.strategies import examples

NOW = 1_767_225_600_000_000  # 2026-01-01


def planned(desired, live):
    assume(not problems(desired, live))
    return build_plan(desired, live, as_of=NOW)


@given(worlds())
@examples(60)
def test_a_plan_after_an_apply_is_empty(world):
    plan = planned(world.desired, world.live)
    assume(not any(guard.id == "ignore_drift" for guard in plan.guards))
    live = carried_out(plan, world.live)
    again = build_plan(world.desired, live, as_of=NOW)
    assert again.changes == ()


@given(worlds(), st.randoms(use_true_random=False))
@examples(25)
def test_the_order_of_what_goes_in_says_nothing(world, random):
    plan = planned(world.desired, world.live)

    def shuffled(mapping):
        items = list(mapping.items())
        random.shuffle(items)
        return dict(items)

    def mixed(values):
        return tuple(random.sample(values, len(values)))

    desired = replace(
        world.desired,
        schedules=shuffled(world.desired.schedules),
        pipelines=shuffled(world.desired.pipelines),
        datastores=shuffled(world.desired.datastores),
    )
    live = replace(
        world.live,
        schedules=mixed(world.live.schedules),
        datastores=mixed(world.live.datastores),
        lost=mixed(world.live.lost),
    )
    assert build_plan(desired, live, as_of=NOW) == plan
    keys = [(KINDS.index(change.kind), change.name) for change in plan.changes]
    assert keys == sorted(set(keys))
    assert list(plan.guards) == sorted(set(plan.guards), key=lambda g: (g.id, g.message))


@given(st.data())
@examples(25)
def test_what_belongs_to_others_is_only_ever_adopted(data):
    world = data.draw(worlds())
    live = with_others(data.draw, world.live)
    adopt = {
        f"{kind}.{name}"
        for kind, names in zip(("Schedule", "Pipeline", "Datastore"), world.now, strict=True)
        for name in (one.name for one in names)
        if data.draw(st.booleans())
    }
    desired = replace(world.desired, adopt=frozenset(adopt))
    plan = planned(desired, live)
    theirs = {s.id for s in live.schedules if s.owner != OWNER}
    theirs |= {p.id for p in live.pipelines if p.owner != OWNER}
    stores = {f"Datastore.{s.name}" for s in live.datastores if s.owner != OWNER}
    for change in plan.changes:
        foreign = change.id in theirs or change.address in stores
        assert foreign == (change.action is Action.ADOPT)
        assert not foreign or change.address in adopt
    blocked = {"ignore_drift", "foreign_owner", "adopt"} & {guard.id for guard in plan.guards}
    if not blocked:
        again = build_plan(replace(desired, adopt=frozenset()), carried_out(plan, live), as_of=NOW)
        assert again.changes == ()


def uses(schedule, pipelines, stores):
    """Whether a schedule refers to one of these, by name."""
    trigger = schedule.trigger
    watched = trigger.datastore if isinstance(trigger, DatastoreChange) else None
    return schedule.pipeline.partition("@")[0] in pipelines or watched in stores


@given(worlds((OnMissing.DISABLE, OnMissing.FAIL), same_terms=True))
@examples(40)
def test_what_is_known_to_be_as_it_was_applied_need_not_be_read(world):
    """As an incremental plan does it: what changed is read, and what refers to that."""
    whole = planned(world.desired, world.live)
    live, now = world.live, world.desired
    before = declare(world.before)

    def same(kind, touched):
        old, new = getattr(before, kind), getattr(now, kind)
        return {n for n in new if n in old and old[n].value == new[n].value} - touched

    seen = {s.name for s in live.schedules if s.applied or s.hold or s.disabled_by}
    seen |= {lost.name for lost in live.lost}
    pipelines = same("pipelines", {p.name for p in live.pipelines if p.status is Status.DISABLED})
    stores = same("datastores", {s.name for s in live.datastores if s.applied})
    read = now.pipelines.keys() - pipelines, now.datastores.keys() - stores
    schedules = {
        name for name in same("schedules", seen) if not uses(now.schedules[name].value, *read)
    }
    kept = Kept(
        pipelines={name: now.digest(name) for name in pipelines},
        datastores=frozenset(stores),
        objects=len(pipelines) + len(stores) + len(schedules),
        active=sum(s.status is Status.ACTIVE for s in live.schedules if s.name in schedules),
    )
    part = replace(
        now,
        schedules={n: d for n, d in now.schedules.items() if n not in schedules},
        pipelines={n: d for n, d in now.pipelines.items() if n not in pipelines},
        datastores={n: d for n, d in now.datastores.items() if n not in stores},
        kept=kept,
    )
    seen_live = Live(
        schedules=tuple(s for s in live.schedules if s.name not in schedules),
        pipelines=live.pipelines,
        datastores=tuple(s for s in live.datastores if s.name not in stores),
        lost=live.lost,
    )
    assert problems(part, seen_live) == ()
    assert build_plan(part, seen_live, as_of=NOW) == whole
