"""A project in a repository with its workspace, and everybody who has a hand in them."""

import contextlib
import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from reconciler.clock import parse_instant
from reconciler.data import Datastore
from reconciler.errors import ReconcilerError
from reconciler.live import Provenance
from reconciler.pipeline import Pipeline, Step
from reconciler.plan.codec import plan_json
from reconciler.plan.spec import content_digest, spec_text
from reconciler.reconcile import operate
from reconciler.reconcile.apply import apply_plan
from reconciler.reconcile.read import choose_target, plan, read, read_project
from reconciler.reconcile.record import outdated
from reconciler.schedule import Recurrence, Schedule
from reconciler.settings import open_commit, open_folder, open_reader, open_source, open_workspace
from tests.journeys.checkout import IDENTITY

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
        if made.changes or outdated(reading, self.registry):
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
