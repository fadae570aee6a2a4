"""Whatever is live becomes a manifest that means the same, or is left out with a reason."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.clock import FixedClock, parse_instant
from reconciler.errors import NotFound, SourceError, StalePlan, WorkspaceBusy
from reconciler.live import CodeTree, Owner, Provenance
from reconciler.pipeline import Pipeline, Step
from reconciler.plan.spec import content_digest, spec_text
from reconciler.reconcile.apply import How
from reconciler.reconcile.drafts import Wanted
from reconciler.reconcile.importing import carry_out, prepare
from reconciler.reconcile.overlay import Overlay
from reconciler.reconcile.read import plan, read, read_project
from reconciler.schedule import Cron, Schedule, Status
from reconciler.settings import open_folder
from reconciler.source.base import Descent
from reconciler.source.snapshot import code_tree
from reconciler.workspace.sql import open_workspace
from tests.manifest.strategies import datastores, pipelines, schedules

NOW = parse_instant("2026-03-02T12:00:00Z")
HELLO = Pipeline(name="hello", steps=(Step(name="say", command=("echo", "hello")),))
HOURLY = Schedule(name="hourly", pipeline="hello", trigger=Cron(expression="0 * * * *"))
WANTED = Wanted(folder="imported")


class Place:
    """A project without manifests and a workspace of its own, both real."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(exist_ok=True)
        Path(folder, "reconciler.yml").write_text("project: shop\ninclude: ['imported/**/*.yml']\n")
        self.workspace = open_workspace(str(self.folder / "ws.db"), FixedClock(NOW), create=True)
        self.registry = self.workspace.registry

    def publish(self, pipeline, code=None):
        spec = spec_text(pipeline)
        digest = content_digest(spec, code and code.digest)
        with self.registry.transaction() as tx:
            return tx.publish(
                owner=None, name=pipeline.name, spec=spec, digest=digest, code=code,
                provenance=Provenance(),
            )  # fmt: skip

    def create(self, schedule, version):
        with self.registry.transaction() as tx:
            return tx.create_schedule(
                owner=None, name=schedule.name, spec=spec_text(schedule), pipeline_id=version.id,
                status=schedule.status, provenance=Provenance(), arming=None,
            )  # fmt: skip

    def put(self, store):
        with self.registry.transaction() as tx:
            tx.put_datastore(
                owner=None, name=store.name, spec=spec_text(store), provenance=Provenance(),
                revision=None,
            )  # fmt: skip

    def source(self):
        return open_folder(str(self.folder))

    def prepare(self, wanted=WANTED):
        source = self.source()
        project = read_project(source)
        return prepare(
            source, project, "dev", self.registry, wanted, workspace="ws", as_of=NOW
        )  # fmt: skip

    def carry_out(self, ready):
        carry_out(ready, ready.claim, self.source, self.registry, How())

    def plan(self):
        source = self.source()
        return plan(read(source, read_project(source), "dev", self.registry), "ws", NOW)


@pytest.fixture
def place(tmp_path):
    made = Place(tmp_path / "project")
    yield made
    made.workspace.close()


def named(values):
    return st.lists(values, max_size=6, unique_by=lambda value: value.name)


def facts(live):
    """What each object says, whichever way its pipeline is written."""
    for one in (*live.schedules, *live.datastores, *live.pipelines):
        spec = json.loads(one.spec)
        bound = getattr(one, "pipeline_id", None)
        if bound is not None:
            del spec["pipeline"]
        yield (
            type(one).__name__,
            one.name,
            bound or "",
            json.dumps(spec),
            str(getattr(one, "status", "")),
        )


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(stores=named(datastores), graphs=named(pipelines()), made=named(schedules()))
def test_whatever_is_live_is_imported_as_it_is_or_left_out(stores, graphs, made):
    with tempfile.TemporaryDirectory() as folder:
        place = Place(folder)
        for store in stores:
            place.put(store)
        version = place.publish(replace(HELLO, name="hello-of-all"))
        for graph in graphs:
            place.publish(replace(graph, code=None))
        for schedule in made:
            place.create(
                replace(schedule, pipeline="hello-of-all", pipeline_parameters={}), version
            )
        before = sorted(facts(place.registry.live()))
        ready = place.prepare()
        place.carry_out(ready)
        live = place.registry.live()
        assert sorted(facts(live)) == before
        mine = {one.address for one in ready.manifests}
        left = {f"{one.kind}.{one.name}" for one in ready.skipped}
        assert not mine & left
        kinds = ("Schedule", live.schedules), ("Datastore", live.datastores), ("Pipeline", live.pipelines)  # fmt: skip
        for kind, objects in kinds:
            for one in objects:
                assert (f"{kind}.{one.name}" in mine) == (one.owner == Owner("shop", "dev"))
                assert f"{kind}.{one.name}" in mine | left
        assert "Pipeline.hello-of-all" in mine
        assert place.plan().changes == ()
        place.workspace.close()


def test_a_text_that_a_manifest_would_take_for_a_variable_is_left_out(place):
    version = place.publish(HELLO)
    place.create(replace(HOURLY, description="${{ variables.x }}"), version)
    (left,) = place.prepare().skipped
    assert "is not declared in reconciler.yml" in left.reason


def test_a_schedule_of_a_version_that_was_retired_says_what_to_enable(place):
    old = place.publish(HELLO)
    place.create(HOURLY, old)
    place.publish(replace(HELLO, description="newer"))
    with place.registry.transaction() as tx:
        tx.set_pipeline_status(old.id, old.revision, Status.DISABLED, None)
    ready = place.prepare()
    (left,) = ready.skipped
    assert left.reason.endswith("enable it first: reconciler enable pipeline hello@1")
    assert [one.address for one in ready.manifests] == ["Pipeline.hello"]


def test_a_schedule_whose_pipeline_cannot_be_imported_keeps_its_version(place):
    version = place.publish(HELLO)
    place.create(HOURLY, version)
    place.publish(replace(HELLO, name="changed", steps=HELLO.steps), code=None)
    other = place.publish(Pipeline(name="odd", description="${{ variables.x }}", steps=HELLO.steps))
    place.create(replace(HOURLY, name="of-odd", pipeline="odd"), other)
    ready = place.prepare()
    assert [(left.kind, left.name) for left in ready.skipped] == [("Pipeline", "odd")]
    place.carry_out(ready)
    assert "pipeline: odd@1\n" in (place.folder / "imported/of-odd.yml").read_text()


def test_a_binding_that_is_lost_or_late_is_written_as_it_is(place):
    version = place.publish(HELLO)
    place.create(replace(HOURLY, pipeline="hello@latest"), replace(version, id=None))
    ready = place.prepare()
    place.carry_out(ready)
    assert "pipeline: hello@latest\n" in (place.folder / "imported/hourly.yml").read_text()
    assert place.plan().changes == ()


def test_a_workspace_that_moves_before_the_claim_leaves_no_file(place):
    version = place.publish(HELLO)
    place.create(HOURLY, version)
    ready = place.prepare()
    place.create(replace(HOURLY, name="hourly"), version)
    with pytest.raises(StalePlan, match="or the workspace moved"):
        place.carry_out(ready)
    assert [p.name for p in place.folder.rglob("*.yml")] == ["reconciler.yml"]


def test_somebody_elses_apply_leaves_no_file_either(place):
    place.create(HOURLY, place.publish(HELLO))
    ready = place.prepare()
    lease = place.registry.acquire_lease(Owner("shop", "dev"), "ada", 60)
    with pytest.raises(WorkspaceBusy, match="ada"):
        place.carry_out(ready)
    assert [p.name for p in place.folder.rglob("*.yml")] == ["reconciler.yml"]
    place.registry.release_lease(lease)
    place.carry_out(ready)
    assert place.plan().changes == ()


def test_code_that_is_gone_or_lies_nowhere_is_told(place):
    tree = code_tree([("run.py", 0o100644, b"")])
    place.publish(replace(HELLO, name="rooted", code="/srv/code"), tree)
    place.publish(replace(HELLO, name="above", code="../.."), tree)
    reasons = {left.name: left.reason for left in place.prepare().skipped}
    assert reasons == {
        "rooted": "its code folder '/srv/code' is in no project; publish it anew with `apply`",
        "above": "its code folder '../..' would hold its own manifest; publish it anew with `apply`",
    }


def test_schemas_of_a_folder_above_are_used_and_never_written(tmp_path):
    place = Place(tmp_path / "project")
    place.create(HOURLY, place.publish(HELLO))
    source = place.source()
    state = replace(source.state(), project_path="project")
    source.state = lambda: state
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "schedule.schema.json").write_text("{}")
    project = read_project(source)
    ready = prepare(source, project, "dev", place.registry, WANTED, workspace="ws", as_of=NOW)
    assert sorted(ready.files) == ["imported/hello/hello.yml", "imported/hourly.yml"]
    text = ready.files["imported/hourly.yml"][1].decode()
    assert text.startswith("# yaml-language-server: $schema=../../schemas/schedule.schema.json\n")
    place.workspace.close()


def test_an_overlay_is_the_source_below_with_files_over_it(place):
    Path(place.folder, "imported").mkdir()
    Path(place.folder, "imported/a.yml").write_text("one\n")
    overlay = Overlay(place.source())
    overlay.files = {"imported/a.yml": b"two\n", "imported/b.yml": b"three\n"}
    overlay.trees = {"imported/code": CodeTree(digest="d", entries=())}
    documents = overlay.manifests(["imported/*.yml"])
    assert [(one.file, one.text) for one in documents] == [
        ("imported/a.yml", b"two\n"),
        ("imported/b.yml", b"three\n"),
    ]
    assert overlay.read(["reconciler.yml", "imported/b.yml"])[0].text == b"three\n"
    assert overlay.code("imported/./code").digest == "d"
    with pytest.raises(SourceError, match="does not exist"):
        overlay.code("imported/other")
    assert overlay.provenance(["imported/b.yml"])["imported/b.yml"].commit is None
    assert (overlay.folders(), overlay.root_commit(), overlay.shallow()) == (None, None, False)
    assert overlay.descent("c0ffee") is Descent.UNKNOWN
    assert overlay.folder == str(place.folder)
    assert overlay.project_file().file == "reconciler.yml"
    with pytest.raises(SourceError, match="elsewhere"):
        overlay.manifests(["imported/*.yml", "elsewhere/*.yml"])


def test_what_the_registry_lost_is_told(place, monkeypatch):
    tree = code_tree([("run.py", 0o100644, b"")])
    place.publish(replace(HELLO, code="./src"), tree)

    def lost(_digest):
        raise NotFound("no code snapshot")

    monkeypatch.setattr(place.registry, "code", lost)
    (left,) = place.prepare().skipped
    assert left.reason == "no code snapshot; publish it anew with `apply`"
