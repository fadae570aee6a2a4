"""What every registry keeps of an apply, and what it tells a plan of it."""

from __future__ import annotations

import pytest

from reconciler.clock import HOUR
from reconciler.errors import StalePlan
from reconciler.schedule import Missed, Status
from reconciler.workspace.records import Applied, Folder, Hold, Live, Lost, Owner, OwnerRecord
from tests.workspace.make import (
    GIT,
    NOW,
    OTHER,
    OWNER,
    applied,
    clockwork,
    declaration,
    edit,
    pipeline,
    schedule,
    store,
)


def part(registry, owner=OWNER, **asked):
    nothing = {"files": [], "schedules": [], "pipelines": [], "datastores": []}
    return registry.live_part(owner, **nothing | asked)


def names(live):
    return (
        [each.name for each in live.schedules],
        [(each.name, each.version) for each in live.pipelines],
        [each.name for each in live.datastores],
    )


def all_of(live):
    return (*live.schedules, *live.pipelines, *live.datastores)


def test_what_was_declared_is_read_back_sorted_by_kind_and_name(registry, ids):
    assert registry.declarations(OWNER) == (
        declaration("Datastore", "landing"),
        declaration("Pipeline", "p", digest="d1", code="code/p"),
        declaration(
            pipeline_id=ids["Pipeline"], pipeline="p", datastores=("landing",), protected=True
        ),
    )
    assert registry.declarations(OTHER) == ()


def test_live_objects_carry_the_declared_file_line_and_protection(registry, ids):
    live = registry.live()
    assert [(each.provenance.file, each.provenance.line) for each in all_of(live)] == [
        ("schedules/s.yml", 7),
        ("pipelines/p.yml", 7),
        ("datastores/landing.yml", 7),
    ]
    assert [each.provenance.commit for each in all_of(live)] == [GIT.commit] * 3
    assert [each.protected for each in all_of(live)] == [True, False, False]
    assert [each.revision for each in all_of(live)] == [1, 1, 1]


def test_a_manifest_that_moved_shows_its_new_place_without_a_new_revision(registry, ids):
    with registry.transaction() as write:
        write.declare(OWNER, [declaration(file="elsewhere.yml", line=3)])
    (found,) = registry.live().schedules
    assert (found.provenance.file, found.provenance.line) == ("elsewhere.yml", 3)
    assert (found.revision, found.applied, found.protected) == (1, None, False)


def test_what_was_applied_comes_with_touched_objects_only(registry, ids):
    assert [each.applied for each in all_of(registry.live())] == [None, None, None]
    with registry.transaction() as write:
        edit(write, ids["Schedule"])
        write.set_pipeline_status(ids["Pipeline"], 1, Status.DISABLED, None)
        store(write, revision=1)
        inside = write.live()
    live = registry.live()
    assert live == inside
    (touched,) = live.schedules
    assert touched.applied == Applied(
        spec='{"applied":1}', status=Status.ACTIVE, pipeline_id=ids["Pipeline"]
    )
    assert touched.protected
    assert live.pipelines[0].applied == Applied(spec='{"applied":1}')
    assert live.datastores[0].applied == Applied(spec='{"applied":1}')


def test_declaring_again_settles_a_touched_object(registry, ids):
    with registry.transaction() as write:
        edit(write, ids["Schedule"])
        write.declare(OWNER, [declaration(revision=2, status=Status.DISABLED)])
    assert registry.live().schedules[0].applied is None
    assert registry.declarations(OWNER)[-1].status is Status.DISABLED


def test_a_pipelines_declaration_belongs_to_the_version_that_was_applied(registry, ids):
    with registry.transaction() as write:
        second = pipeline(write, digest="d2")
        write.declare(OWNER, [declaration("Pipeline", "p", digest="d2", protected=True)])
        write.set_pipeline_status(ids["Pipeline"], 1, Status.DISABLED, None)
        write.set_pipeline_status(second.id, 1, Status.DISABLED, None)
    first, second = registry.live().pipelines
    assert (first.applied, first.protected) == (None, False)
    assert (second.applied, second.protected) == (Applied(spec='{"applied":1}'), True)
    assert first.provenance.file == "pipelines/p.yml"


def test_what_is_declared_no_more_is_forgotten_and_protects_nothing(registry, ids):
    with registry.transaction() as write:
        edit(write, ids["Schedule"])
        write.undeclare(OWNER, "Schedule", ["s", "never"])
        write.undeclare(OTHER, "Pipeline", ["p"])
    (found,) = registry.live().schedules
    assert (found.applied, found.protected) == (None, False)
    assert [each.kind for each in registry.declarations(OWNER)] == ["Datastore", "Pipeline"]


def test_the_same_name_of_another_owner_is_left_alone(registry, ids):
    with registry.transaction() as write:
        schedule(write, owner=OTHER)
        write.declare(OTHER, [declaration(file="dev.yml", revision=9)])
        write.undeclare(OTHER, "Schedule", ["s"])
        write.declare(OTHER, [declaration(file="dev.yml", revision=9)])
    dev, prod = sorted(registry.live().schedules, key=lambda each: each.owner)
    assert (dev.provenance.file, dev.applied is None) == ("dev.yml", False)
    assert (prod.provenance.file, prod.applied) == ("schedules/s.yml", None)


def test_what_was_applied_and_is_gone_is_lost(registry, ids):
    with registry.transaction() as write:
        write.remove_datastore("landing", 1)
        write.declare(
            OWNER, [declaration(name="gone"), declaration("Pipeline", "gone", digest="d9")]
        )
    lost = registry.live().lost
    assert lost == tuple(
        Lost(owner=OWNER, kind=kind, name=name, file=f"{kind.lower()}s/{name}.yml", line=7)
        for kind, name in (("Datastore", "landing"), ("Pipeline", "gone"), ("Schedule", "gone"))
    )
    assert part(registry, files=["schedules/gone.yml"]).lost == lost[2:]
    assert part(registry, pipelines=["gone"], schedules=["gone"]).lost == lost[1:]
    # Whoever refers to it misses it.
    assert part(registry, schedules=["s"]).lost == lost[:1]
    assert part(registry, OTHER, files=["schedules/gone.yml"], schedules=["gone"]).lost == ()
    assert part(registry, OTHER, pipelines=["gone"]).lost == ()


def test_part_of_the_live_side_is_what_files_declare_and_what_that_needs(registry, ids):
    with registry.transaction() as write:
        pipeline(write, digest="d2")
        other = pipeline(write, "q", owner=OTHER)
        schedule(write, "t", pipeline_id=other.id)
        schedule(write, "u", pipeline_id=other.id, owner=OTHER)
        store(write, "other")
        write.declare(OWNER, [declaration(name="t", file="t.yml", pipeline="latest")])
        write.declare(OTHER, [declaration(name="u", file="t.yml")])
    everything = registry.live()
    found = part(registry, files=["schedules/s.yml"])
    assert names(found) == (["s"], [("p", 1), ("p", 2)], ["landing"])
    assert found.schedules == everything.schedules[:1]
    assert found.pipelines == everything.pipelines[:2]
    assert found.datastores == everything.datastores[:1]
    assert names(part(registry, files=["t.yml"])) == (["t"], [("q", 1)], [])
    assert names(part(registry, schedules=["t"])) == (["t"], [("q", 1)], [])
    assert names(part(registry, files=["pipelines/p.yml", "datastores/landing.yml"])) == (
        [],
        [("p", 1), ("p", 2)],
        ["landing"],
    )
    assert names(part(registry, pipelines=["q", ids["Pipeline"]], datastores=["other"])) == (
        [],
        [("p", 1), ("p", 2), ("q", 1)],
        ["other"],
    )
    assert [each.owner for each in part(registry, schedules=["u"]).schedules] == [OTHER]
    assert names(part(registry, schedules=["u"])) == (["u"], [("q", 1)], [])
    assert part(registry) == Live()


def test_a_file_whose_name_is_not_text_is_found(registry, ids):
    with registry.transaction() as write:
        write.declare(OWNER, [declaration(file="odd\udcff.yml")])
    assert names(part(registry, files=["odd\udcff.yml"]))[0] == ["s"]


def test_a_pipeline_by_name_brings_the_datastores_it_declares(registry, ids):
    with registry.transaction() as write:
        store(write, "models")
        write.declare(OWNER, [declaration("Pipeline", "p", digest="d1", datastores=("models",))])
    assert names(part(registry, pipelines=["p"]))[2] == ["models"]
    assert names(part(registry, schedules=["s"]))[2] == ["landing", "models"]


def test_a_touched_object_is_found_by_the_file_it_says_it_comes_from(registry, ids):
    with registry.transaction() as write:
        edit(write, ids["Schedule"], name="renamed")
    found = part(registry, files=[GIT.file])
    assert names(found)[0] == ["renamed"]
    (lost,) = registry.live().lost
    assert lost.name == "s"
    assert part(registry, schedules=["s"]).lost == (lost,)
    assert registry.glance(OWNER).unsettled == (GIT.file, "schedules/s.yml")


def test_dependents_are_the_files_that_refer_to_an_object(registry, ids):
    with registry.transaction() as write:
        write.declare(
            OWNER,
            [
                declaration("Pipeline", "p", digest="d1", datastores=("models", "landing")),
                declaration(name="t", file="a.yml", pipeline="q"),
                declaration(name="u", file="a.yml", pipeline="q"),
            ],
        )
        write.declare(OTHER, [declaration(name="v", file="v.yml", pipeline="q")])

    def dependents(*pipelines, stores=()):
        return registry.dependents(OWNER, pipelines=pipelines, datastores=stores)

    assert dependents() == ()
    assert dependents("q") == ("a.yml",)
    assert dependents("p", "q") == ("a.yml", "schedules/s.yml")
    assert dependents(stores=["models"]) == ("pipelines/p.yml",)
    assert dependents("q", stores=["landing"]) == ("a.yml", "pipelines/p.yml", "schedules/s.yml")


@pytest.mark.parametrize("before", [None, OTHER])
def test_claimed_objects_change_hands_and_a_schedule_is_lost_to_whom_it_belonged(registry, before):
    with registry.transaction() as write:
        schedule_id = schedule(write, owner=before, arming=clockwork())
        pipeline(write, owner=before)
        pipeline(write, digest="d2", owner=before)
        store(write, owner=before)
        if before:
            write.declare(
                before,
                [
                    declaration(protected=True),
                    declaration("Pipeline", "p", digest="d2"),
                    declaration("Datastore", "landing"),
                ],
            )
        assert write.claim("Schedule", schedule_id, 1, OWNER) == 2
        assert write.claim("Pipeline", "p", 1, OWNER) == 2
        assert write.claim("Datastore", "landing", 1, OWNER) == 2
    live = registry.live()
    assert len(all_of(live)) == 4
    for each in all_of(live):
        assert (each.owner, each.revision) == (OWNER, 2)
        assert (each.applied, each.protected) == (None, False)
    # A schedule is lost to whom it belonged, so that it is not quietly made anew.
    assert [(lost.owner, lost.kind) for lost in live.lost] == [(OTHER, "Schedule")] * bool(before)
    assert len(registry.declarations(OTHER)) == bool(before)


def test_a_due_timer_follows_its_schedule_to_another_owner(registry, workspace):
    with registry.transaction() as write:
        write.claim("Schedule", schedule(write, owner=None, arming=clockwork()), 1, OWNER)
    with workspace.ledger.transaction() as write:
        assert [timer.revision for timer in write.due_timers(NOW, 9)] == [2]


def test_a_claim_leaves_what_was_declared_of_schedules(registry, ids):
    with registry.transaction() as write:
        theirs = schedule(write, "theirs", OTHER)
        schedule(write, "s", Owner("lab", "prod"))
        write.declare(Owner("lab", "prod"), [declaration()])
        write.declare(OTHER, [declaration(name="theirs"), declaration(name="kept")])
        write.claim("Schedule", theirs, 1, OWNER)
    assert [each.name for each in registry.declarations(OTHER)] == ["kept", "theirs"]
    assert len(registry.declarations(OWNER)) == 3
    assert len(registry.declarations(Owner("lab", "prod"))) == 1


def test_a_pipeline_is_claimed_at_the_revision_of_its_version_in_use(registry):
    with registry.transaction() as write:
        pipeline(write, owner=None)
        off = pipeline(write, digest="d2", owner=None)
        write.set_pipeline_status(off.id, 1, Status.DISABLED, None)
        assert write.claim("Pipeline", "p", 1, OWNER) == 2
    assert [each.revision for each in registry.live().pipelines] == [2, 3]


def test_claims_are_compare_and_set(registry, ids):
    with registry.transaction() as write:
        twin = schedule(write, owner=None)
        pipeline(write, digest="d2")
        edit(write, ids["Schedule"])
    for kind, key, revision, message in (
        ("Schedule", ids["Schedule"], 1, "Schedule 's' was at revision 1 and is at 2"),
        ("Pipeline", "p", 7, "Pipeline 'p' was at revision 7 and is at 1"),
        ("Datastore", "landing", 7, "Datastore 'landing' was at revision 7 and is at 1"),
        ("Datastore", "gone", 1, "Datastore gone was at revision 1 and is gone"),
        ("Schedule", twin, 1, "Schedule 's' of shop/prod is registered by now"),
    ):
        with pytest.raises(StalePlan, match=message), registry.transaction() as write:
            write.claim(kind, key, revision, OWNER)


def test_a_hold_keeps_how_it_is_to_end(registry, workspace, ids):
    held = Hold(who="ann", why="audit", since=NOW, until=NOW + HOUR, catchup=Missed.LAST)
    with registry.transaction() as write:
        write.hold(ids["Schedule"], held)
    assert registry.live().schedules[0].hold == held
    with workspace.ledger.transaction() as write:
        assert write.schedules([ids["Schedule"]])[ids["Schedule"]].hold == held


def test_a_transaction_left_by_an_exception_keeps_nothing_of_an_apply(registry, ids):
    lease = registry.acquire_lease(OWNER, "ann", 60)
    before = (registry.live(), registry.declarations(OWNER), registry.glance(OWNER))

    def write_all_and_fail(write):
        write.check_lease(lease)
        write.claim("Schedule", ids["Schedule"], 1, OTHER)
        write.claim("Pipeline", "p", 1, OTHER)
        write.claim("Datastore", "landing", 1, OTHER)
        write.declare(OWNER, [declaration(name="t"), declaration("Datastore", "landing", line=9)])
        write.undeclare(OWNER, "Pipeline", ["p"])
        write.record_folders(OWNER, {"a": Folder(key="1", entries={})}, ["b"])
        write.record_owner(OwnerRecord(owner=OWNER, commit="c0ffee"))
        write.record_owner(OwnerRecord(owner=OTHER))
        write.record_apply(applied())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), registry.transaction() as write:
        write_all_and_fail(write)
    assert (registry.live(), registry.declarations(OWNER), registry.glance(OWNER)) == before
    assert registry.applies() == ()
    with registry.transaction() as write:
        write.check_lease(lease)
