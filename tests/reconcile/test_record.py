"""What an apply leaves behind for the next plan."""

import pytest

from reconciler.live import Owner, OwnerRecord, Provenance
from reconciler.plan.change import Kind
from reconciler.reconcile.read import read, read_project
from reconciler.reconcile.record import outdated
from reconciler.settings import open_source
from tests.site import HELLO, minutely
from tests.source.repositories import Repository, steady

OWNER = Owner("test", "dev")
STORE = "kind: Datastore\nname: store\nurl: file:store\n"
WATCH = """
kind: Schedule
name: watch
pipeline: hello@latest
trigger: {datastore_change: {datastore: store}}
"""


def declared(place):
    return {(one.kind, one.name): one for one in place.registry.declarations(OWNER)}


def reading(place, *, full=False):
    source = open_source(str(place.project))
    return read(source, read_project(source), "dev", place.registry, full=full)


@pytest.fixture
def tracked(place, monkeypatch):
    """The site with its project in a repository."""
    steady(monkeypatch)
    place.repository = Repository(place.project)
    return place


def save(place):
    return place.repository.commit()


def test_each_object_is_declared_as_it_was_applied(place):
    place.apply(a=HELLO, b=minutely(), c=STORE, d=WATCH)
    found = declared(place)
    pipeline, schedule = found[Kind.PIPELINE, "hello"], found[Kind.SCHEDULE, "every-minute"]
    assert (pipeline.file, pipeline.line, pipeline.revision) == ("a.yml", 2, 1)
    (version,) = place.registry.live().pipelines
    assert pipeline.digest == version.digest
    assert schedule.spec == place.schedule("every-minute").spec
    assert schedule.pipeline_id == version.id
    assert schedule.pipeline == "hello"
    watch = found[Kind.SCHEDULE, "watch"]
    assert (watch.pipeline, watch.pipeline_id, watch.datastores) == ("hello", None, ("store",))
    assert found[Kind.DATASTORE, "store"].file == "c.yml"
    assert {one.declared for one in place.registry.live().schedules} == {True}


def test_what_is_declared_no_more_is_forgotten_also_where_no_plan_says_so(place):
    place.apply(a=HELLO, b=minutely(status="Disabled"), c=STORE, d=minutely("other"))
    place.remove("b")
    assert place.apply().changes == ()
    assert (Kind.SCHEDULE, "every-minute") not in declared(place)
    place.remove("c")
    place.apply()
    assert declared(place).keys() == {(Kind.PIPELINE, "hello"), (Kind.SCHEDULE, "other")}


def test_what_is_kept_stays_declared(place):
    (place.project / "reconciler.yml").write_text(
        "project: test\ninclude: ['*.yml']\non_missing: keep\n"
    )
    place.apply(a=HELLO, b=minutely(), c=STORE, d=minutely("other"))
    for name in "bc":
        place.remove(name)
    place.apply(d=minutely("other", description="new"))
    assert {name for _, name in declared(place)} == {"hello", "every-minute", "store", "other"}


def test_what_is_left_to_others_or_renamed_is_looked_at_by_every_plan(place):
    (place.project / "reconciler.yml").write_text(
        "project: test\ninclude: ['*.yml']\n"
        "ignore_drift: [{objects: Datastore.*, fields: [description]}]\n"
    )
    place.apply(a=HELLO, b=minutely(), c=STORE)
    with place.registry.transaction() as tx:
        (store,) = tx.live().datastores
        tx.put_datastore(
            owner=OWNER,
            name="store",
            spec=store.spec[:-1] + ',"description":"theirs"}',
            provenance=store.provenance,
            revision=1,
        )
    place.apply(b=minutely("each-minute", renamed_from="every-minute"))
    found = declared(place)
    assert found[Kind.SCHEDULE, "each-minute"].revision == 0
    assert found[Kind.DATASTORE, "store"].revision == 0
    place.apply(b=minutely("each-minute", description="x"))
    assert declared(place)[Kind.SCHEDULE, "each-minute"].revision == 3


def test_protection_is_recorded_with_what_is_applied(place):
    (place.project / "reconciler.yml").write_text(
        "project: test\ninclude: ['*.yml']\nprotected: ['*.every-*']\n"
    )
    place.apply(a=HELLO, b=minutely())
    assert [one.name for one in declared(place).values() if one.protected] == ["every-minute"]
    assert place.schedule("every-minute").protected


def test_outside_git_nothing_is_recorded_that_a_short_cut_could_trust(place):
    place.apply(a=HELLO, b=minutely())
    glance = place.registry.glance(OWNER)
    assert (glance.folders, glance.record.inputs) == ({}, "")
    assert not outdated(reading(place), place.registry)
    assert glance.record == OwnerRecord(owner=OWNER, applied_at=glance.record.applied_at)


def test_the_first_apply_of_anything_is_worth_recording(place):
    place.write(a="# nothing\n")
    assert not outdated(reading(place), place.registry)
    place.write(a=HELLO)
    assert outdated(reading(place), place.registry)


def test_what_an_apply_without_changes_would_leave_behind_is_told(tracked):
    tracked.write(a=HELLO, b=minutely())
    save(tracked)
    tracked.apply()
    assert not outdated(reading(tracked), tracked.registry)
    tracked.write(c="# nothing\n")
    assert outdated(reading(tracked), tracked.registry)
    save(tracked)
    assert outdated(reading(tracked), tracked.registry)
    tracked.apply()  # the site applies whatever the plan says
    assert not outdated(reading(tracked), tracked.registry)
    assert not outdated(reading(tracked, full=True), tracked.registry)


def test_what_others_did_is_seen_once_and_then_the_short_cut_is_taken_again(tracked):
    tracked.write(a=HELLO, b=minutely())
    save(tracked)
    tracked.apply()
    with tracked.registry.transaction() as tx:
        theirs = Provenance()
        tx.put_datastore(owner=None, name="x", spec="{}", provenance=theirs, revision=None)
    assert reading(tracked).part is None
    assert outdated(reading(tracked), tracked.registry)
    tracked.apply()
    assert reading(tracked).part is not None
    assert not outdated(reading(tracked), tracked.registry)


def test_folders_are_recorded_with_the_code_of_pipelines_and_forgotten_when_all_is_read(tracked):
    for folder in ("code", "lib"):
        (tracked.project / folder).mkdir()
        (tracked.project / folder / "run.py").write_text("print(1)\n")
    tracked.write(a=HELLO + "code: ./code\n", b=minutely())
    save(tracked)
    tracked.apply()
    assert tracked.registry.glance(OWNER).folders.keys() == {"", "code"}
    tracked.write(a=HELLO + "code: ./lib\n")
    save(tracked)
    tracked.apply()
    assert tracked.registry.glance(OWNER).folders.keys() >= {"", "lib"}
    (tracked.project / "reconciler.yml").write_text("project: test\ninclude: ['[ab].yml']\n")
    save(tracked)
    tracked.apply()  # everything is read, so everything is known
    assert tracked.registry.glance(OWNER).folders.keys() == {"", "lib"}


def test_the_first_commit_of_the_repository_is_recorded_once(tracked):
    tracked.write(a=HELLO)
    root = save(tracked)
    tracked.apply()
    tracked.write(b=minutely())
    head = save(tracked)
    tracked.apply()
    record = tracked.registry.glance(OWNER).record
    assert (record.root_commit, record.commit) == (root, head)


def test_a_link_that_may_come_to_lead_elsewhere_makes_every_plan_a_full_one(tracked):
    (tracked.project / "reconciler.yml").write_text("project: test\ninclude: ['**/*.yml']\n")
    (tracked.project / "notes").symlink_to("text")
    (tracked.project / "text").write_text("x")
    tracked.write(a=HELLO, b=minutely())
    save(tracked)
    tracked.apply()
    assert reading(tracked).part is None
    assert not outdated(reading(tracked), tracked.registry)
    (tracked.project / "notes").unlink()
    save(tracked)
    tracked.apply()
    assert reading(tracked).part is not None
