"""The short cut never changes what a plan says, whatever people do to files, code and workspace."""

import gc
import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import SystemClock
from reconciler.manifest import load as loading
from reconciler.manifest import yaml12
from reconciler.reconcile import operate
from reconciler.reconcile.read import choose_target, plan, read, read_project
from reconciler.settings import open_commit, open_source, open_workspace
from reconciler.workspace.sql import open_reader as open_sql_reader
from tests.journeys.shared import NOTHING, NOW, World, clocked, pipeline, store, watching
from tests.journeys.steps import EDITS, STEPS, apply, commit, older
from tests.strategies import examples


@pytest.fixture(scope="module")
def anew(tmp_path_factory):
    """Give what makes the same world again, applied and committed, always in the same place."""
    folder = tmp_path_factory.mktemp("worlds")
    World(folder / "shop").begin()
    kept = folder.rename(folder.with_name("template"))

    def again():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(kept, folder, symlinks=True)
        return World(folder / "shop").open()

    return again


@pytest.fixture
def world(anew):
    place = anew()
    assert place.short()
    return place


# What would fool a short cut that looks at manifests alone


def test_code_that_changes_under_an_unchanged_manifest_is_a_new_version(world):
    world.put("jobs/code/run.py", "print(2)\n")
    assert '"path": "code (content)"' in world.check()
    world.commit()
    said = world.check()
    assert world.check(ref="HEAD") == said
    assert world.read(full=False).desired.pipelines.keys() == {"p1", "p2"}
    assert world.short()


def test_a_mode_of_code_that_changes_is_a_new_version(world):
    world.at("jobs/code/run.py").chmod(0o755)
    assert '"path": "code (content)"' in world.check()
    assert world.short()
    world.at("jobs/code/run.py").chmod(0o644)
    world.at("top.yml").chmod(0o755)
    assert NOTHING in world.check()
    assert world.short()


def test_a_parameter_changes_its_type_under_schedules_that_stand(world):
    world.files["jobs/a.yml"][0]["parameters"]["n"] = {"type": "string", "default": "x"}
    world.declare()
    assert "top.yml:1" in world.check()
    world.files["jobs/a.yml"][0]["parameters"]["n"] = {"type": "number", "default": 1}
    world.declare()
    assert '"Schedule.w7"' in world.check()
    assert world.short()


@pytest.mark.parametrize("again", [None, "s2"])
def test_a_datastore_goes_or_gets_another_name_under_schedules_that_stand(world, again):
    world.files["top.yml"].append(world.files["jobs/b.yml"].pop(0))
    world.declare()
    world.commit()
    assert world.apply()
    if again is None:
        world.files["top.yml"].pop()
    else:
        world.files["top.yml"][-1]["name"] = again
    world.declare()
    assert "datastore 's1' is no longer declared" in world.check()


@pytest.mark.parametrize("again", [None, "p9"])
def test_a_pipeline_goes_or_gets_another_name_under_schedules_that_stand(world, again):
    if again is None:
        world.files["jobs/a.yml"].pop(0)
    else:
        world.files["jobs/a.yml"][0]["name"] = again
    world.declare()
    assert "pipeline 'p1' is no longer declared" in world.check()


@pytest.mark.parametrize("kind", ["Schedule", "Pipeline", "Datastore"])
def test_a_name_that_stands_is_declared_again_in_a_new_file(world, kind):
    made = {"Schedule": clocked("w1"), "Pipeline": pipeline("p1"), "Datastore": store("s1")}
    world.put("jobs/new.yml", json.dumps(made[kind]))
    assert "is already declared at" in world.check()


def test_code_at_the_root_of_the_project_is_seen_to_change(world):
    world.files["jobs/sub/c.yml"][0]["code"] = "../.."
    world.declare()
    world.commit()
    assert world.apply()
    world.put("README", "another\n")
    assert '"Pipeline.p2"' in world.check()
    assert world.short()


def test_a_parameter_changes_its_type_under_schedules_that_take_the_latest(world):
    world.files["jobs/b.yml"][2]["pipeline_parameters"] = {"n": 7}
    world.declare()
    world.commit()
    assert world.apply()
    world.files["jobs/sub/c.yml"][0]["parameters"]["n"] = {"type": "string", "default": "x"}
    world.declare()
    assert "of type string" in world.check()


LOOP = '"id": "loop"'


@pytest.fixture
def nearly_round(world):
    """w3 looks at s1/in and writes s1/out, where w8 looks, which writes s2/in."""
    world.files["jobs/a.yml"][0]["writes"] = ["s1/out"]
    world.files["jobs/sub/c.yml"][0]["code"] = "../../lib"  # not all that is there
    out = {"datastore": "s1", "path_on_datastore": "out"}
    world.files["top.yml"] = [
        *world.files["top.yml"],
        {**pipeline("p3"), "writes": ["s2/in"]},
        {**watching("w8", reference="p3"), "trigger": {"datastore_change": out}},
        store("s2", "file:///data/there"),
    ]
    world.declare()
    world.commit()
    assert LOOP not in world.check()
    assert world.apply()
    assert world.short()
    return world


def close(world):
    world.files["top.yml"][-1]["url"] = store("s1")["url"]


def write_back(world):
    world.files["top.yml"][1]["writes"] = ["s1/in"]


def look_elsewhere(world):
    world.files["jobs/b.yml"][1]["trigger"]["datastore_change"]["datastore"] = "s2"


@pytest.mark.parametrize("edit", [close, write_back, look_elsewhere])
def test_a_loop_is_told_whichever_part_closes_it(nearly_round, edit):
    edit(nearly_round)
    nearly_round.declare()
    assert LOOP in nearly_round.check()


def test_a_loop_that_stands_is_told_where_a_part_of_it_changes_and_costs_others_nothing(
    nearly_round,
):
    write_back(nearly_round)
    nearly_round.declare()
    nearly_round.commit()
    assert nearly_round.apply()
    said = nearly_round.check()
    assert NOTHING in said
    assert LOOP not in said
    assert nearly_round.short()
    nearly_round.files["jobs/sub/d.yaml"][0]["description"] = "another"
    nearly_round.declare()
    assert LOOP not in nearly_round.check()
    assert nearly_round.short()
    nearly_round.files["top.yml"][2]["description"] = "another"
    nearly_round.declare()
    assert LOOP in nearly_round.check()


def test_a_disabled_schedule_whose_manifest_goes_is_no_longer_counted(world):
    world.files["jobs/sub/d.yaml"].pop()
    world.declare()
    world.commit()
    world.check()
    assert world.apply()
    world.check()
    assert world.short()


def test_a_held_schedule_whose_manifest_is_gone_is_still_told(world):
    operate.hold_schedule(world.registry, "w7", who="ann", why="audit", until=None)
    world.check()
    world.files["top.yml"] = [clocked("w8")]
    world.declare()
    world.commit()
    assert world.apply()
    assert "audit" in world.check()


def test_what_was_taken_away_and_enabled_by_hand_is_taken_away_again(world):
    world.files["jobs/sub/d.yaml"].append(pipeline("p9"))
    world.declare()
    assert world.apply()
    world.files["jobs/sub/d.yaml"] = world.files["jobs/sub/d.yaml"][1:2]
    world.declare()
    world.commit()
    assert world.apply()
    world.check()
    assert world.short()
    operate.enable_pipeline(world.registry, "p9@1")
    assert '"Pipeline.p9"' in world.check()
    assert world.apply()
    world.sql("UPDATE schedules SET status = 'Active' WHERE name = 'w5'")
    assert '"Schedule.w5"' in world.check()


def test_what_is_left_to_others_in_a_datastore_is_told_by_every_plan(world):
    world.project["ignore_drift"] = [{"objects": "Datastore.*", "fields": ["url"]}]
    world.declare()
    world.commit()
    assert world.apply()
    world.sql("UPDATE datastores SET spec = replace(spec, 'here', 'there') WHERE name = 's1'")
    assert "ignored" in world.check()
    world.files["jobs/a.yml"][1]["description"] = "x"
    world.declare()
    world.commit()
    assert world.apply()
    assert "ignored" in world.check()
    assert world.short()


def test_a_name_is_taken_away_once_and_then_not_taken_again(world):
    world.files["top.yml"][0] |= {"name": "v7", "renamed_from": "w7"}
    world.declare()
    world.commit()
    assert world.apply()
    world.files["jobs/sub/d.yaml"][0] |= {"renamed_from": "w7"}
    world.declare()
    assert "is renamed to 'v7'" in world.check()
    world.files["jobs/sub/d.yaml"][0] = clocked("w7")
    world.declare()
    assert "is still declared" in world.check()


def test_what_tools_leave_behind_is_no_manifest(world):
    world.put("jobs/__pycache__/x.yml", json.dumps(clocked("w9")))
    world.put("jobs/.idea/x.yml", json.dumps(clocked("w9")))
    world.put("jobs/.#x.yml", json.dumps(clocked("w9")))
    world.commit()
    world.check()
    assert world.short()


def test_a_link_that_leads_elsewhere_by_now_is_seen(world):
    world.at("jobs/sub/notes").symlink_to("../../docs")
    del world.files["jobs/sub/c.yml"][0]["code"]
    world.declare()
    world.put("docs", "text")
    world.commit()
    world.check()
    assert world.apply()
    world.at("docs").unlink()
    world.put("docs/x", "text")
    assert "symbolic link" in world.check()


def test_the_project_file_is_no_manifest_where_an_include_matches_it(world):
    world.project["include"] = ["jobs/**/*.yml", "jobs/**/*.yaml", "*.yml"]
    world.declare()
    world.commit()
    assert world.apply()
    world.at("reconciler.yml").chmod(0o755)
    world.check()
    assert world.short()


def test_a_code_folder_outside_the_includes_is_read_once(world):
    world.put("lib2/run.py", "print(1)\n")
    world.files["top.yml"].append(pipeline("p9", "./lib2"))
    world.declare()
    world.commit()
    assert world.short()
    assert world.apply()
    assert "p9" not in world.read(full=False).desired.pipelines


# The work is counted, not timed


class Counts:
    """What a plan does: documents and files parsed, processes started, statements run."""

    def __init__(self, patch):
        self.files, self.documents, self.processes, self.statements = [], 0, [], []
        patch.setattr(loading, "parse", self._parse)
        patch.setattr(subprocess.Popen, "__init__", self._start)

    def _parse(self, file, text):
        roots, wrong = yaml12.parse(file, text)
        self.files.append(file)
        self.documents += len(roots)
        return roots, wrong

    @property
    def _start(self):
        start = subprocess.Popen.__init__

        def started(process, arguments, *others, **named):
            self.processes.append(arguments)
            start(process, arguments, *others, **named)

        return started


@pytest.fixture(scope="module", params=[1, 10])
def large(request, tmp_path_factory):
    """A thousand schedules, so many in a file, in ten folders, applied and committed."""
    each = request.param
    world = World(tmp_path_factory.mktemp("large") / "shop")
    world.folder.mkdir()
    world.git("init", "-q", "-b", "main")
    world.put("reconciler.yml", 'project: shop\ninclude: ["jobs/**/*.yml"]\n')
    world.put("jobs/pipelines.yml", json.dumps(pipeline("p1", "../lib")))
    world.put("lib/run.py", "print(1)\n")
    for number in range(0, 1000, each):
        some = [clocked(f"w{number + one}") for one in range(each)]
        world.put(
            f"jobs/{number % 10}/{number}.yml", "---\n".join(json.dumps(o) + "\n" for o in some)
        )
    world.commit()
    open_workspace(world.url, create=True)
    assert world.apply()
    return world, each


def counted(world, patch, source):
    counts = Counts(patch)
    reader = open_sql_reader(
        world.url.removeprefix("sqlite:"), SystemClock(), trace=counts.statements.append
    )
    counts.statements.clear()
    source = source()
    project = read_project(source)
    reading = read(source, project, choose_target(project, None), reader, full=False)
    made = plan(reading, world.url, NOW)
    assert reading.part is not None
    return made, counts


def test_a_plan_of_one_change_among_a_thousand_reads_one_file_and_asks_little(large, monkeypatch):
    world, each = large

    def here():
        return open_source(str(world.folder))

    def see(source, changes, files, documents, most):
        with monkeypatch.context() as patch:
            made, counts = counted(world, patch, source)
        assert [change.address for change in made.changes] == changes
        assert made.unchanged == 1001 - len(changes)
        assert (counts.files, counts.documents) == (files, documents)
        assert len(counts.processes) <= most, counts.processes
        assert len(counts.statements) <= 3, counts.statements
        assert all(text.lstrip().startswith(("SELECT", "WITH")) for text in counts.statements)

    see(here, [], [], 0, 2)
    file = f"jobs/{500 % 10}/500.yml"
    text = world.at(file).read_text()
    world.put(file, text.replace('"pipeline": "p1"', '"description": "x", "pipeline": "p1"', 1))
    see(here, ["Schedule.w500"], [file], each, 2)
    world.commit()
    see(here, ["Schedule.w500"], [file], each, 2)
    see(lambda: open_commit(str(world.folder), "HEAD"), ["Schedule.w500"], [file], each, 2)
    assert world.apply()
    see(here, [], [], 0, 2)


def test_no_command_that_looks_changes_a_byte_of_the_workspace(shop):
    shop.apply()
    shop("hold", "nightly", "--reason", "audit")
    shop.edit("schedules/nightly.yml", "02:30", "03:30")
    shop.write("schedules/new.yml", "kind: Datastore\nname: new\nurl: file:new\n")
    gc.collect()  # what commands in this process have opened
    database = Path(".reconciler/workspace.db")
    with closing(sqlite3.connect(database)) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def content():
        wal = Path(f"{database}-wal")
        return database.read_bytes(), wal.read_bytes() if wal.exists() else b""

    before = content()
    for line in (
        "plan",
        "plan --full",
        "plan --ref HEAD",
        "plan --output json --out saved.json",
        "plan --adopt Schedule.nightly",
        "apply saved.json",
        "apply",
        "validate",
        "render",
        "drift",
        "history",
        "list schedules",
        "list pipelines --all",
        "show nightly",
        "show pipeline scoring",
        "next nightly",
        "runs",
    ):
        done = shop(*line.split())
        assert done.code in {0, 1, 2, 3}, (line, done.err)
        assert "Traceback" not in done.err
        gc.collect()
        assert content() == before, line


numbers = st.integers(0, 35)
walks = st.lists(st.tuples(st.sampled_from(STEPS), numbers, numbers), min_size=1, max_size=16)


@given(walk=walks)
@examples(8)
def test_the_short_cut_says_what_reading_everything_says_wherever_a_walk_leads(anew, walk):
    world = anew()
    for step, a, b in walk:
        before = {file: list(documents) for file, documents in world.files.items()}
        before, project = json.loads(json.dumps(before)), json.loads(json.dumps(world.project))
        step(world, a, b)
        said = world.check()
        if step in {commit, older, apply}:
            world.check(ref="HEAD")
        if step in EDITS and a % 4 and not said.startswith("{"):
            world.declare(before, project)  # most walks go on with what can be applied
