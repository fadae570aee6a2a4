"""What every registry tells at a glance of the last apply and what came after."""

from __future__ import annotations

import pytest

from reconciler.clock import HOUR
from reconciler.schedule import Status
from reconciler.workspace.records import Folder, Hold, OwnerRecord, Pin
from tests.workspace.make import NOW, OTHER, OWNER, declaration, edit, pipeline, schedule, store


def test_a_glance_before_the_first_apply_is_none(registry, clock):
    with registry.transaction() as write:
        schedule(write)
    registry.acquire_lease(OWNER, "ann", 60)
    assert registry.glance(OWNER) is None
    assert registry.live().owners == ()


def test_a_glance_right_after_an_apply_finds_all_settled(registry, clock):
    record = OwnerRecord(
        owner=OWNER,
        root_commit="r00t",
        project_path="jobs",
        commit="c0ffee",
        applied_at=NOW - HOUR,
        inputs="digest",
    )
    folders = {
        "jobs": Folder(key="k1", entries={"a.yml": "1", "sub/": "2", "odd\udcff\n.yml": "3"}),
        "jobs/code": Folder(key="k2", entries={}),
        "jobs/odd\udcff": Folder(key="k3", entries={}),
    }
    with registry.transaction() as write:
        first, second = pipeline(write), pipeline(write, "q")
        schedule(write)
        schedule(write, "off", status=Status.DISABLED)
        schedule(write, "foreign", owner=OTHER)
        store(write)
        store(write, "nobodys", owner=None)
        write.declare(
            OWNER,
            [
                declaration(),
                declaration(name="off"),
                declaration("Pipeline", "p", digest=first.digest, code="jobs/code"),
                declaration("Pipeline", "q", digest=second.digest),
                declaration("Datastore", "landing"),
            ],
        )
        write.record_folders(OWNER, folders, [])
        write.record_owner(record)
    seen = registry.glance(OWNER)
    assert seen.record == record
    assert seen.folders == folders
    assert seen.pipelines == {
        "p": Pin(digest="d1", file="pipelines/p.yml", code="jobs/code"),
        "q": Pin(digest="d1", file="pipelines/q.yml"),
    }
    assert seen.datastores == {"landing": "datastores/landing.yml"}
    assert (seen.owned, seen.expected, seen.active, seen.schedules) == (2, 2, 1, 2)
    assert seen.unsettled == ()
    assert seen.outside == seen.outside_then
    assert registry.live().owners == (record,)
    assert registry.glance(OTHER) is None


def test_folders_are_replaced_and_forgotten(registry):
    def entry(key):
        return Folder(key=key, entries={"a.yml": key})

    with registry.transaction() as write:
        write.record_owner(OwnerRecord(owner=OWNER))
        write.record_folders(OWNER, {"a": entry("1"), "b": entry("2"), "c": entry("3")}, [])
        write.record_folders(OTHER, {"a": entry("9")}, [])
        write.record_folders(OWNER, {"b": entry("4"), "\udcff": entry("5")}, ["a", "never"])
        write.record_folders(OWNER, {}, ["\udcff"])
    assert registry.glance(OWNER).folders == {"b": entry("4"), "c": entry("3")}


def test_an_owner_is_recorded_over_what_was_and_by_default_as_of_now(registry, clock):
    for instant, commit in ((NOW, "c1"), (NOW + 1, "c2")):
        clock.instant = instant
        with registry.transaction() as write:
            write.record_owner(OwnerRecord(owner=OWNER, commit=commit))
    assert registry.live().owners == (OwnerRecord(owner=OWNER, commit="c2", applied_at=NOW + 1),)


def unsettled(registry):
    return registry.glance(OWNER).unsettled


def test_touched_held_and_lost_objects_unsettle_their_files(registry, ids):
    assert unsettled(registry) == ()
    with registry.transaction() as write:
        write.hold(ids["Schedule"], Hold(who="ann", why="audit", since=NOW))
    assert unsettled(registry) == ("schedules/s.yml",)
    with registry.transaction() as write:
        write.hold(ids["Schedule"], None)
        write.set_pipeline_status(ids["Pipeline"], 1, Status.DISABLED, None)
    assert unsettled(registry) == ("pipelines/p.yml",)
    with registry.transaction() as write:
        edit(write, ids["Schedule"])
        store(write, revision=1)
    assert unsettled(registry) == ("datastores/landing.yml", "pipelines/p.yml", "schedules/s.yml")


def test_lost_objects_unsettle_their_files(registry, ids):
    with registry.transaction() as write:
        write.remove_datastore("landing", 1)
        write.declare(
            OWNER, [declaration(name="gone"), declaration("Pipeline", "gone", digest="d9")]
        )
    assert unsettled(registry) == (
        "datastores/landing.yml",
        "pipelines/gone.yml",
        "schedules/gone.yml",
    )


def test_others_touched_objects_unsettle_nothing(registry, ids):
    with registry.transaction() as write:
        theirs = schedule(write, "theirs", OTHER)
        nobodys = schedule(write, "nobodys", None)
        write.declare(OTHER, [declaration(name="theirs"), declaration(name="gone")])
        for schedule_id in (theirs, nobodys):
            edit(write, schedule_id)
            write.hold(schedule_id, Hold(who="ann", why="audit", since=NOW))
    assert unsettled(registry) == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda write, theirs: store(write, "new", OTHER),
        lambda write, theirs: store(write, "models", None, revision=1),
        lambda write, theirs: write.remove_datastore("models", 1),
        lambda write, theirs: pipeline(write, "q", "d2", owner=None),
        lambda write, theirs: write.set_pipeline_status(theirs, 1, Status.DISABLED, None),
        lambda write, theirs: write.claim("Datastore", "models", 1, OWNER),
        lambda write, theirs: write.claim("Pipeline", "p", 1, OTHER),
    ],
)
def test_any_change_among_other_owners_objects_changes_their_digest(registry, ids, change):
    with registry.transaction() as write:
        theirs = pipeline(write, "q", owner=OTHER)
        store(write, "models", OTHER)
        write.record_owner(OwnerRecord(owner=OWNER))
    before = registry.glance(OWNER)
    assert before.outside == before.outside_then
    with registry.transaction() as write:
        change(write, theirs.id)
    after = registry.glance(OWNER)
    assert after.outside_then == before.outside
    assert after.outside != before.outside


def test_a_schedule_more_or_less_shows_in_the_count(registry, ids):
    with registry.transaction() as write:
        schedule(write, "by-hand")
    seen = registry.glance(OWNER)
    assert (seen.owned, seen.expected) == (2, 1)


STRAYS = {
    "active schedule": lambda write: schedule(write, "by-hand"),
    "held schedule": lambda write: write.hold(
        schedule(write, "by-hand", status=Status.DISABLED), Hold(who="ann", why="audit", since=NOW)
    ),
    "active pipeline": lambda write: pipeline(write, "by-hand"),
    "datastore": lambda write: store(write, "by-hand"),
}


@pytest.mark.parametrize("made", STRAYS.values(), ids=STRAYS)
def test_what_is_in_use_or_held_and_was_not_declared_is_a_stray(registry, ids, made):
    assert not registry.glance(OWNER).stray
    with registry.transaction() as write:
        made(write)
    assert registry.glance(OWNER).stray


def test_what_others_have_or_what_rests_is_no_stray(registry, ids):
    with registry.transaction() as write:
        schedule(write, "resting", status=Status.DISABLED)
        other = pipeline(write, "resting")
        write.set_pipeline_status(other.id, 1, Status.DISABLED, None)
        for owner in (OTHER, None):
            name = f"of {owner}"
            held = schedule(write, name, owner)
            write.hold(held, Hold(who="ann", why="audit", since=NOW))
            pipeline(write, name, owner=owner)
            store(write, name, owner)
    assert not registry.glance(OWNER).stray


def test_a_schedule_is_told_to_be_declared_by_its_name(registry, ids):
    def declared():
        return {one.name for one in registry.live().schedules if one.declared}

    with registry.transaction() as write:
        schedule(write, "by-hand")
    assert declared() == {"s"}
    with registry.transaction() as write:
        edit(write, ids["Schedule"])
    assert declared() == {"s"}
    with registry.transaction() as write:
        edit(write, ids["Schedule"], 2, name="renamed")
    assert declared() == set()
    with registry.transaction() as write:
        schedule(write)  # made anew
    assert declared() == {"s"}
    with registry.transaction() as write:
        write.undeclare(OWNER, "Schedule", ["s"])
    assert declared() == set()
