"""Drift as a value, and edits that make a manifest mean what is live."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from reconciler.data import Datastore, DatastoreChange
from reconciler.live import (
    Applied,
    Hold,
    Live,
    Lost,
    Owner,
    Provenance,
    PublishedPipeline,
    RegisteredDatastore,
    RegisteredSchedule,
)
from reconciler.manifest.emit import to_yaml
from reconciler.manifest.load import Document, load
from reconciler.manifest.project import Project
from reconciler.manifest.terms import IgnoreDrift, Terms
from reconciler.plan.change import Kind
from reconciler.plan.spec import spec_text
from reconciler.reconcile import disk
from reconciler.reconcile.drift import State, Touched, find_drift
from reconciler.reconcile.write_back import write_back
from reconciler.schedule import Cron, Schedule, Status
from reconciler.settings import open_folder
from tests.manifest.strategies import schedules
from tests.strategies import examples

OURS, THEIRS = Owner("shop", "prod"), Owner("other", "prod")
HOURLY = Schedule(name="hourly", pipeline="scoring", trigger=Cron(expression="0 * * * *"))
HOLD = Hold(who="ada", why="audit", since=1, until=100)


def schedule(live=HOURLY, applied=None, status=Status.ACTIVE, **facts):
    known = {"owner": OURS, "pipeline_id": "p1", "provenance": Provenance(file="a.yml", line=1)}
    return RegisteredSchedule(
        id=f"id-{live.name}",
        name=live.name,
        spec=spec_text(live),
        status=status,
        disabled_by=None,
        created_at=0,
        updated_at=0,
        revision=2,
        applied=applied,
        **known | facts,
    )


def applied(value=HOURLY, status=Status.ACTIVE, pipeline_id="p1"):
    return Applied(spec=spec_text(value), status=status, pipeline_id=pipeline_id)


def version(number=1, **facts):
    known = {"owner": OURS, "status": Status.ACTIVE, "spec": "{}"}
    return PublishedPipeline(
        id=f"p{number}",
        name="scoring",
        version=number,
        digest=f"d{number}",
        code_digest=None,
        disabled_by=None,
        provenance=Provenance(),
        created_at=0,
        revision=1,
        **known | facts,
    )


def found(*rules, as_of=50, **parts):
    terms = Terms(ignore_drift=tuple(IgnoreDrift(objects=o, fields=f) for o, f in rules))
    live = Live(**{name: tuple(objects) for name, objects in parts.items()})
    return find_drift(live, OURS, terms, workspace="ws", as_of=as_of)


def test_what_nobody_touched_is_not_told():
    drift = found(schedules=[schedule()], pipelines=[version()])
    assert drift.findings == ()
    assert not drift.drifted


def test_what_was_touched_and_put_back_is_not_told_either():
    assert found(schedules=[schedule(applied=applied())]).findings == ()


def test_the_status_beside_the_spec_is_the_one_that_counts():
    paused = replace(HOURLY, status=Status.DISABLED)
    here = schedule(paused, applied(), Status.ACTIVE)
    assert found(schedules=[here]).findings == ()
    (finding,) = found(schedules=[schedule(HOURLY, applied(), Status.DISABLED)]).findings
    assert finding.fields == (Touched("status", "Active", "Disabled"),)


def test_a_hold_is_told_until_it_ends_and_beside_a_change():
    here = schedule(hold=HOLD)
    (held,) = found(schedules=[here]).findings
    assert (held.state, held.hold) == (State.HELD, HOLD)
    assert found(schedules=[here], as_of=100).findings == ()
    edited = schedule(replace(HOURLY, description="x"), applied(), hold=HOLD)
    (changed,) = found(schedules=[edited]).findings
    assert (changed.state, changed.hold) == (State.CHANGED, HOLD)


def test_another_binding_names_both_versions():
    versions = [version(1), version(2)]
    for bound, name in (("p2", "scoring@2"), (None, "latest"), ("gone", "gone")):
        here = schedule(applied=applied(), pipeline_id=bound)
        (finding,) = found(schedules=[here], pipelines=versions).findings
        assert finding.fields == (Touched("pipeline version", "scoring@1", name),)


def test_a_rule_leaves_a_field_and_all_below_it_to_others():
    live = replace(HOURLY, tags={"a.b": "1"}, description="theirs", max_catchup=9)
    rule = ("Schedule.hour*", ("tags", "description"))
    (finding,) = found(rule, schedules=[schedule(live, applied())]).findings
    assert finding.fields == (Touched("max_catchup", 100, 9),)
    assert [one.path for one in finding.ignored] == ["description", "tags.a.b"]
    (finding,) = found(
        (*rule[:1], ("tags", "description", "max_catchup")),
        schedules=[schedule(live, applied())],
    ).findings
    assert (finding.state, finding.fields) == (State.IGNORED, ())


def test_each_pipeline_is_told_once_whoever_owns_how_many_versions():
    disabled = version(2, status=Status.DISABLED, applied=Applied(spec="{}"))
    (finding,) = found(pipelines=[version(1), disabled]).findings
    assert (finding.id, finding.fields) == ("p2", (Touched("status", "Active", "Disabled"),))
    for owner, state in ((None, State.UNMANAGED), (THEIRS, State.FOREIGN)):
        others = [version(n, owner=owner, status=Status.DISABLED) for n in (1, 2)]
        (finding,) = found(pipelines=others).findings
        assert (finding.state, finding.id) == (state, "p2")


def test_objects_are_sorted_by_kind_and_name_and_others_lost_ones_are_theirs():
    store = RegisteredDatastore(
        name="z", spec="{}", owner=None, provenance=Provenance(), created_at=0, revision=1
    )
    lost = [Lost(owner=owner, kind=Kind.SCHEDULE, name="gone") for owner in (OURS, THEIRS)]
    drift = found(schedules=[schedule(owner=THEIRS)], datastores=[store], lost=lost)
    assert [finding.address for finding in drift.findings] == [
        "Datastore.z",
        "Schedule.gone",
        "Schedule.hourly",
    ]
    assert drift.summary == "0 changed, 1 missing, 1 unmanaged, 0 held, 1 foreign."


def written(before, after, folder, live=None):
    """Write ``before`` as a manifest, touch it so that ``after`` is live, and write that back."""
    Path(folder, "reconciler.yml").write_text("project: shop\ninclude: ['*.yml']\n")
    Path(folder, "a.yml").write_text(to_yaml(before))
    if isinstance(after, Datastore):
        here = RegisteredDatastore(
            name=after.name,
            spec=spec_text(after),
            owner=OURS,
            provenance=Provenance(file="a.yml"),
            created_at=0,
            revision=2,
            applied=applied(before),
        )
        live = Live(datastores=(here,))
    else:
        status = applied(before, before.status)
        live = Live(schedules=(schedule(after, status, after.status),))
    drift = find_drift(live, OURS, Terms(), workspace="ws", as_of=0)
    source = open_folder(str(folder))
    project = Project(project="shop", targets={"prod": Project(project="x").targets["dev"]})
    return write_back(drift, live, source, project)


@examples(60)
@given(before=schedules(), after=schedules())
def test_a_manifest_that_was_written_back_means_what_is_live(before, after):
    after = replace(after, name=before.name, renamed_from=None)
    before = replace(before, renamed_from=None)
    with tempfile.TemporaryDirectory() as folder:
        made = written(before, after, folder)
        assert made.left == ()
        text = made.files.get("a.yml", to_yaml(before).encode())
    (read,) = load([Document("a.yml", text)]).schedules.values()
    assert spec_text(read.value) == spec_text(after)


def test_what_followed_from_the_trigger_is_said_with_another_trigger(tmp_path):
    watch = Schedule(name="hourly", pipeline="p", trigger=DatastoreChange(datastore="lake"))
    after = replace(watch, trigger=HOURLY.trigger)
    made = written(watch, after, tmp_path)
    assert [one.path for one in made.edits] == [
        "overlap",
        "trigger.cron",
        "trigger.datastore_change",
    ]
    assert b"overlap: allow" in made.files["a.yml"]


def test_a_datastore_is_compared_by_the_place_it_means(tmp_path):
    before = Datastore(name="landing", url="file:landing")
    after = Datastore(name="landing", url="file:///elsewhere", tags={"a.b": "c"})
    made = written(before, after, tmp_path)
    assert made.left == ()
    assert b"file:///elsewhere" in made.files["a.yml"]


def test_a_file_that_declares_it_no_more_is_looked_for_elsewhere(tmp_path):
    watch = replace(HOURLY, trigger=DatastoreChange(datastore="lake"), overlap=None)
    written(HOURLY, watch, tmp_path)
    text = Path(tmp_path, "a.yml").read_text()
    Path(tmp_path, "b.yml").write_text(text)
    Path(tmp_path, "a.yml").write_text(text.replace("hourly", "another"))
    here = schedule(replace(HOURLY, description="x"), applied())
    live = Live(schedules=(here,))
    drift = find_drift(live, OURS, Terms(), workspace="ws", as_of=0)
    project = Project(project="shop", include=("*.yml",), targets={"prod": Project(project="x").targets["dev"]})  # fmt: skip
    made = write_back(drift, live, open_folder(str(tmp_path)), project)
    assert list(made.files) == ["b.yml"]


def test_a_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "a" / "b.txt"
    disk.put(file, b"one", 0o100755)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"one", 0o755)
    disk.put(file, b"two")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"two", 0o755)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space"):
        disk.put(file, b"three")
    assert file.read_bytes() == b"two"
    assert list(file.parent.iterdir()) == [file]
