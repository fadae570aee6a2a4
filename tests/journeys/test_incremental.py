"""The short cut never changes what a plan says, whatever people do to files, code and workspace."""

import contextlib
import gc
import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.clock import DAY, SystemClock, parse_instant
from reconciler.errors import ReconcilerError
from reconciler.live import Provenance
from reconciler.manifest import load as loading
from reconciler.manifest import yaml12
from reconciler.pipeline import Pipeline, Step
from reconciler.plan.change import Kind
from reconciler.plan.codec import plan_json
from reconciler.plan.spec import content_digest, spec_text
from reconciler.reconcile import operate
from reconciler.reconcile.apply import apply_plan
from reconciler.reconcile.read import choose_target, plan, read, read_project
from reconciler.reconcile.record import outdated
from reconciler.schedule import Datastore, Recurrence, Schedule
from reconciler.settings import open_commit, open_folder, open_reader, open_source, open_workspace
from reconciler.workspace.sql import open_reader as open_sql_reader
from tests.journeys.checkout import IDENTITY
from tests.strategies import examples

NOTHING = '"resource_changes": []'
NOW = parse_instant("2026-03-02T12:00:00Z")
FILES = ("jobs/a.yml", "jobs/b.yml", "jobs/sub/c.yml", "jobs/sub/d.yaml", "top.yml")
PROJECT = {"project": "shop", "include": ["jobs/**/*.yml", "jobs/**/*.yaml", "top.yml"]}
CODES = (None, "./code", "../lib", "..", "../jobs/code", ".")


def pipeline(name, code=None, **parameters):
    fields = {"code": code} if code is not None else {}
    step = {"name": "go", "command": ["true"]}
    known = {n: {"type": t, "default": d} for n, (t, d) in parameters.items()}
    return {"kind": "Pipeline", "name": name, "parameters": known, "steps": [step], **fields}


def clocked(name, reference="p1", **fields):
    often = {"frequency": "Day", "interval": 1, "first_run": "aligned"}
    said = {"trigger": {"recurrence": often}, **fields}
    return {"kind": "Schedule", "name": name, "pipeline": reference, **said}


def watching(name, store="s1", reference="p1", **fields):
    there = {"datastore": store, "path_on_datastore": "in"}
    return clocked(name, reference, trigger={"datastore_change": there}, **fields)


def store(name, url="file:///data/here"):
    return {"kind": "Datastore", "name": name, "url": url}


BASE = {
    "jobs/a.yml": [pipeline("p1", "./code", n=("integer", 1)), clocked("w1"), clocked("w2")],
    "jobs/b.yml": [store("s1"), watching("w3"), clocked("w4", "p2@latest")],
    "jobs/sub/c.yml": [pipeline("p2", "..", n=("integer", 1), d=("datapath", "s1/x"))],
    "jobs/sub/d.yaml": [clocked("w5", "p2"), clocked("w6", "p1", status="Disabled")],
    "top.yml": [clocked("w7", "p1", pipeline_parameters={"n": 3})],
}
CODE = ("jobs/code/run.py", "jobs/tool.py", "lib/run.py")


class World:
    """A repository with a project, its workspace, and another project's folder beside it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.url = f"sqlite:{self.folder.parent}/workspace.db"
        self.files = {}
        self.project = {}

    def begin(self):
        self.folder.mkdir()
        for file in CODE:
            self.put(file, "print(1)\n")
        self.put("lib/old.pyc", "x")
        self.put("README", "text\n")
        self.git("init", "-q", "-b", "main")
        self.declare(BASE, PROJECT)
        self.commit()
        other = self.folder.parent / "other"
        other.mkdir()
        (other / "reconciler.yml").write_text('project: other\ninclude: ["*.yml"]\n')
        open_workspace(self.url, create=True)
        assert self.apply()
        self.files["jobs/sub/d.yaml"][1]["pipeline"] = "p1@1"  # there is one by now
        self.declare()
        self.commit()
        assert self.apply()
        return self

    def open(self):
        self.files = {}
        for file in FILES:
            with contextlib.suppress(OSError, json.JSONDecodeError):
                texts = self.at(file).read_text().split("---\n")
                self.files[file] = [json.loads(text) for text in texts]
        self.project = json.loads(self.at("reconciler.yml").read_text())
        return self

    def at(self, file):
        return self.folder / file

    def put(self, file, text):
        path = self.at(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            path.unlink()
        path.write_text(text)

    def declare(self, files=None, project=None):
        """Write the manifests as they are to be; a file without documents is deleted."""
        self.files = json.loads(json.dumps(self.files if files is None else files))
        self.project = json.loads(json.dumps(self.project if project is None else project))
        for file in FILES:
            if self.files.get(file):
                self.put(file, "---\n".join(json.dumps(one) + "\n" for one in self.files[file]))
            else:
                self.at(file).unlink(missing_ok=True)
        self.put("reconciler.yml", json.dumps(self.project) + "\n")

    def git(self, *arguments):
        subprocess.run(
            ["git", *arguments],
            cwd=self.folder, env=os.environ | IDENTITY, check=True, capture_output=True,
        )  # fmt: skip

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")

    # What is asked of the project

    def read(self, *, full, ref=None, adopt=frozenset()):
        source = (
            open_source(str(self.folder)) if ref is None else open_commit(str(self.folder), ref)
        )
        project = read_project(source)
        target = choose_target(project, None)
        reader = open_reader(self.url)
        return read(source, project, target, reader, adopt=adopt, full=full)

    def said(self, **asked):
        """Give a plan's JSON, or what went wrong and the exit code."""
        try:
            return plan_json(plan(self.read(**asked), self.url, NOW))
        except ReconcilerError as error:
            return f"{type(error).__name__} {error.exit_code} {error}"

    def check(self, **asked):
        """See the short cut and the long way say the same; returns that."""
        short, full = self.said(full=False, **asked), self.said(full=True, **asked)
        assert short == full
        return short

    def short(self, **asked):
        """Whether the short cut can be taken."""
        return self.read(full=False, **asked).part is not None

    def apply(self, *, full=False, **asked):
        """Apply what no guard forbids for good; tells whether that was done."""
        try:
            reading = self.read(full=full, **asked)
        except ReconcilerError:
            return False
        made = plan(reading, self.url, NOW)
        if made.blocking(frozenset(guard.id for guard in made.guards)):
            return False
        if made.changes or outdated(reading):
            apply_plan(made, reading, self.registry)
        return True

    # What others do to the workspace

    @property
    def registry(self):
        return open_workspace(self.url).registry

    def sql(self, statement, *values):
        with closing(sqlite3.connect(self.url.removeprefix("sqlite:"))) as raw, raw:
            raw.execute("PRAGMA foreign_keys = OFF")
            return raw.execute(statement, values).fetchall()

    def publish(self, name):
        """Publish a pipeline that nobody manages."""
        spec = spec_text(Pipeline(name=name, steps=(Step(name="s", command=("true",)),)))
        with self.registry.transaction() as tx:
            tx.publish(
                owner=None, name=name, spec=spec, digest=content_digest(spec, None), code=None,
                provenance=Provenance(),
            )  # fmt: skip

    def store(self, name):
        """Register a datastore that nobody manages; one that is there is left alone."""
        if name not in {one.name for one in self.registry.live().datastores}:
            with self.registry.transaction() as tx:
                tx.put_datastore(
                    owner=None,
                    name=name,
                    spec=spec_text(Datastore(name=name, url="file:///theirs")),
                    provenance=Provenance(),
                    revision=None,
                )

    def schedule(self, name):
        """Make a schedule that nobody manages, of any pipeline."""
        version = next(iter(self.registry.live().pipelines))
        trigger = Recurrence(frequency="Day", interval=1)
        made = Schedule(name=name, pipeline=version.name, trigger=trigger)
        operate.create_schedule(self.registry, made, version.id)

    def other(self, documents, adopt=frozenset()):
        """Apply another project to the same workspace."""
        folder = self.folder.parent / "other"
        (folder / "all.yml").write_text("---\n".join(json.dumps(one) + "\n" for one in documents))
        source = open_folder(str(folder))
        reading = read(source, read_project(source), "dev", self.registry, adopt=adopt)
        made = plan(reading, self.url, NOW)
        if not made.blocking(frozenset(guard.id for guard in made.guards)):
            apply_plan(made, reading, self.registry)


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


# A random walk: what people do to a project and its workspace, each step by up to two numbers


def somewhere(world, a):
    """Name a file that declares something."""
    files = [file for file in FILES if world.files.get(file)]
    return files[a % len(files)] if files else None


def some(world, a, kind=None):
    """Give a declared document, and the documents of its file."""
    found = [
        (one, world.files[file])
        for file in sorted(world.files)
        for one in world.files[file]
        if kind in {None, one["kind"]}
    ]
    return found[a % len(found)] if found else ({}, [])


def add(world, a, b):
    made = (
        clocked(f"w{b % 9}", ("p1", "p2", "p3", "p1@latest", "p1@1", "ext")[a % 6]),
        watching(f"w{b % 9}", ("s1", "s2", "lake")[a % 3]),
        pipeline(f"p{b % 4}", CODES[a % len(CODES)], n=("integer", 1)),
        store(f"s{b % 3}"),
    )
    world.files.setdefault(FILES[a % len(FILES)], []).append(made[(a + b) % len(made)])
    world.declare()


def take(world, a, _):
    one, documents = some(world, a)
    if one:
        documents.remove(one)
    world.declare()


def move(world, a, b):
    one, documents = some(world, a)
    if one:
        documents.remove(one)
        world.files.setdefault(FILES[b % len(FILES)], []).insert(0, one)
    world.declare()


def delete(world, a, _):
    world.files.pop(somewhere(world, a), None)
    world.declare()


def move_file(world, a, b):
    documents = world.files.pop(somewhere(world, a), [])
    world.files.setdefault(FILES[b % len(FILES)], []).extend(documents)
    world.declare()


def rename(world, a, b):
    one, _ = some(world, a, "Schedule" if b % 3 else None)
    if one:
        former = one["name"]
        one["name"] = f"{former[0]}{b % 9}"
        if one["kind"] == "Schedule" and a % 2:
            one["renamed_from"] = former
    world.declare()


def edit(world, a, b):
    one, _ = some(world, a, "Schedule")
    if one:
        edits = (
            {"description": f"text {b}"},
            {"status": ("Active", "Disabled")[a % 2]},
            {"pipeline": ("p1", "p2", "p1@latest", "p1@1", "p2@2", "ext")[a % 6]},
            {"pipeline_parameters": ({}, {"n": 2}, {"n": "x"})[a % 3]},
            {"trigger": clocked("", interval=b)["trigger"]},
            watching(one["name"], ("s1", "s2", "lake")[a % 3]),
        )
        one.update(edits[b % len(edits)])
        one.pop("interval", None)
    world.declare()


def annotate(world, a, _):
    one, _ = some(world, a, "Schedule")
    one.pop("renamed_from", None)
    world.declare()


def repeat(world, a, b):
    """Declare a name twice, or again where it stands."""
    one, _ = some(world, a)
    if one:
        world.files.setdefault(FILES[b % len(FILES)], []).append(dict(one))
    world.declare()


def retype(world, a, b):
    one, _ = some(world, a, "Pipeline")
    if one:
        kinds = (("integer", 1), ("integer", 2), ("string", "x"), ("datapath", "s1/y"))
        one["parameters"]["n"] = dict(zip(("type", "default"), kinds[b % 4], strict=True))
    world.declare()


def recode(world, a, b):
    one, _ = some(world, a, "Pipeline")
    if one and CODES[b % len(CODES)] is not None:
        one["code"] = CODES[b % len(CODES)]
    elif one:
        one.pop("code", None)
    world.declare()


def place(world, a, b):
    one, _ = some(world, a, "Datastore")
    if one:
        one["url"] = f"file:///data/{b % 3}"
    world.declare()


def code(world, a, b):
    file = (*CODE, "jobs/code/more/new.py", "lib/old.pyc")[a % 5]
    world.put(file, f"print({b % 4})\n")


def uncode(world, a, _):
    world.at(CODE[a % len(CODE)]).unlink(missing_ok=True)


def mode(world, a, b):
    path = world.at((*CODE, *FILES, "reconciler.yml")[a % 9])
    if path.is_file() and not path.is_symlink():
        path.chmod((0o644, 0o755)[b % 2])


def link(world, a, b):
    path = world.at(("jobs/x.yml", "jobs/x", "jobs/code/x.py", "lib/x")[a % 4])
    if path.is_symlink():
        path.unlink()
    elif path.parent.is_dir():
        path.symlink_to(("a.yml", "sub", "../README", "nowhere")[b % 4])


def ignore(world, a, _):
    lines = ("jobs/sub/\n", "*.yaml\n", "top.yml\n", "*.py\n", "\n", "jobs/b.yml\n")
    world.put(".gitignore", lines[a % len(lines)])


def unused(world, a, b):
    """Write a file that says nothing, and one that tools leave behind."""
    world.put(("README", "jobs/notes.txt", "jobs/a.yml~", "jobs/.cache/x.yml")[a % 4], f"{b}")


def broken(world, a, _):
    world.put(FILES[a % len(FILES)], "kind: [\n")


def settings(world, a, b):
    target = {"workspace": world.url}
    said = (
        {"defaults": {"Schedule": {"description": f"by default {b % 3}"}}},
        {"variables": {"often": {"type": "integer", "default": b % 3 + 1}}},
        {"include": ["jobs/**/*.yml", "jobs/**/*.yaml", "*.yml"]},
        {"include": ["jobs/**/*.yml", "top.yml"]},
        {"targets": {"dev": {**target, "preset": "paused"}}},
        {"targets": {"dev": {**target, "overrides": {"Schedule": {"w1": {"description": "o"}}}}}},
        {"targets": {"dev": {**target, "overrides": {"Schedule": {"w*": {"tags": {"o": "p"}}}}}}},
        {"protected": ["Schedule.w*", "Datastore.s1"]},
        {"on_missing": ("keep", "fail", "disable")[b % 3]},
        {"ignore_drift": [{"objects": "Schedule.*", "fields": ["description"]}]},
        {"ignore_drift": [{"objects": "Datastore.*", "fields": ["url"]}]},
        {"limits": {"disables": b % 3, "disabled_percent": 20, "runs_per_day": 1}},
    )[a % 12]
    key = next(iter(said))
    if world.project.get(key) == said[key] and key != "include":
        del world.project[key]
    else:
        world.project.update(said)
    world.declare()


def commit(world, *_):
    world.commit()


def amend(world, *_):
    world.git("commit", "-q", "--amend", "--allow-empty", "-m", "another")


def older(world, *_):
    """Go to the commit before, if there is one."""
    with contextlib.suppress(subprocess.CalledProcessError):
        world.git("reset", "-q", "--hard", "HEAD~1")
        world.open()


def clean(world, *_):
    """Throw away what is not committed."""
    world.git("clean", "-q", "-f", "-d")
    world.git("checkout", "-q", "HEAD", "--", ".")
    world.open()


def apply(world, a, _):
    if world.apply(full=a % 4 == 0):
        assert NOTHING in world.check()


def apply_head(world, *_):
    if world.apply(ref="HEAD"):
        assert NOTHING in world.check(ref="HEAD")


def adopt(world, a, b):
    names = ((Kind.SCHEDULE, "w"), (Kind.PIPELINE, "p"), (Kind.DATASTORE, "s"))
    kind, letter = names[a % 3]
    asked = frozenset({f"{kind}.{letter}{b % 9}"})
    world.check(adopt=asked)
    if world.apply(adopt=asked):
        assert NOTHING in world.check()


def hold(world, a, b):
    with contextlib.suppress(ReconcilerError):
        until = None if b % 2 else NOW + DAY
        operate.hold_schedule(world.registry, f"w{a % 9}", who="ann", why="audit", until=until)


def release(world, a, _):
    with contextlib.suppress(ReconcilerError):
        operate.release_schedule(world.registry, f"w{a % 9}")


def disable(world, a, _):
    with contextlib.suppress(ReconcilerError):
        operate.disable_schedule(world.registry, f"w{a % 9}", who="ann", why="audit")


def retire(world, a, b):
    with contextlib.suppress(ReconcilerError):
        operate.disable_pipeline(world.registry, f"p{a % 4}@{b % 3 + 1}")


def restore(world, a, b):
    with contextlib.suppress(ReconcilerError):
        operate.enable_pipeline(world.registry, f"p{a % 4}@{b % 3 + 1}")


def publish(world, a, _):
    world.publish(("ext", "ext", "p1", "p3")[a % 4])


def register(world, a, _):
    world.store(("lake", "s2", "s1")[a % 3])


def by_hand(world, a, _):
    with contextlib.suppress(ReconcilerError):
        world.schedule(f"w{a % 9}")


def tamper(world, a, b):
    names = f"w{a % 9}", f"p{a % 4}", f"s{a % 3}"
    said = (
        (
            "UPDATE schedules SET spec = json_set(spec, '$.description', 'by hand') WHERE name = ?",
            0,
        ),
        ("UPDATE schedules SET status = 'Disabled' WHERE name = ?", 0),
        ("UPDATE schedules SET status = 'Active' WHERE name = ?", 0),
        ("UPDATE schedules SET pipeline_id = (SELECT min(id) FROM pipelines) WHERE name = ?", 0),
        ("UPDATE schedules SET name = name || 'x' WHERE name = ?", 0),
        ("DELETE FROM schedules WHERE name = ?", 0),
        ("UPDATE pipelines SET status = 'Disabled' WHERE name = ?", 1),
        ("UPDATE pipelines SET status = 'Active' WHERE name = ?", 1),
        ("DELETE FROM pipelines WHERE name = ?", 1),
        ("UPDATE datastores SET spec = json_set(spec, '$.url', 'file:///moved') WHERE name = ?", 2),
        ("DELETE FROM datastores WHERE name = ?", 2),
        ("DELETE FROM datastores WHERE name <> ? OR 1", 2),
    )
    statement, which = said[b % len(said)]
    with contextlib.suppress(sqlite3.IntegrityError):
        world.sql(statement, names[which])


def others(world, a, b):
    made = (
        [pipeline("ext", n=("integer", b)), store("lake")],
        [pipeline("ext", n=("integer", b)), clocked(f"w{b % 9}", "ext")],
        [pipeline("p1", n=("integer", b)), store("s1")],
    )[a % 3]
    adopted = {f"{one['kind']}.{one['name']}" for one in made} if b % 2 else set()
    with contextlib.suppress(ReconcilerError):
        world.other(made, adopt=frozenset(adopted))


EDITS = (
    add, take, move, delete, move_file, rename, edit, annotate, repeat, retype, recode, place,
    broken, settings,
)  # fmt: skip
STEPS = (
    *EDITS, edit, code, uncode, mode, link, ignore, unused, commit, amend, older, clean,
    apply, apply, apply, apply, apply_head, adopt, hold, release, disable, retire, restore, publish,
    register, by_hand, tamper, tamper, others,
)  # fmt: skip
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
