"""Whatever is declared, once applied there is nothing left to do."""

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.data import Datastore, DatastoreChange
from reconciler.manifest.emit import to_yaml
from reconciler.pipeline import ParameterType, Pipeline
from reconciler.plan.change import Action
from reconciler.reconcile.apply import apply_plan
from reconciler.reconcile.read import plan, read, read_project
from reconciler.schedule import Schedule, Status
from reconciler.settings import open_folder, open_source, open_workspace
from tests.journeys.checkout import IDENTITY
from tests.manifest.strategies import datastores, numbers, pipelines, schedules, texts, wholes
from tests.strategies import examples

VALUES = {
    ParameterType.BOOLEAN: st.booleans(),
    ParameterType.INTEGER: wholes,
    ParameterType.NUMBER: wholes | numbers,
    ParameterType.STRING: texts,
}


@st.composite
def _named(draw, name, values, least, most):
    """Few names, so that two projects often declare the same object differently."""
    which = draw(st.sets(st.integers(1, 3), min_size=least, max_size=most))
    return [replace(draw(values), name=f"{name}-{number}") for number in sorted(which)]


@st.composite
def projects(draw):
    """Datastores, pipelines and schedules that refer to each other rightly, as one YAML text."""
    stores = draw(_named("store", datastores, 1, 2))
    paths = st.sampled_from([f"{store.name}/a file.csv" for store in stores])
    kinds = {**VALUES, ParameterType.DATAPATH: paths}
    pipes = [draw(_fitting(one, paths)) for one in draw(_named("pipe", pipelines(), 1, 2))]
    found = [
        draw(_bound(one, stores, pipes, kinds)) for one in draw(_named("when", schedules(), 0, 3))
    ]
    return [*stores, *pipes, *found]


@st.composite
def _fitting(draw, pipeline, paths):
    parameters = {
        name: replace(one, default=draw(paths))
        if one.type is ParameterType.DATAPATH and one.default is not None
        else one
        for name, one in pipeline.parameters.items()
    }
    return replace(pipeline, parameters=parameters, code=draw(st.sampled_from([None, "./code"])))


@st.composite
def _bound(draw, schedule, stores, pipes, kinds):
    pipeline = draw(st.sampled_from(pipes))
    trigger = schedule.trigger
    if isinstance(trigger, DatastoreChange):
        taking = [n for n, p in pipeline.parameters.items() if p.type is ParameterType.DATAPATH]
        trigger = replace(
            trigger,
            datastore=draw(st.sampled_from(stores)).name,
            data_path_parameter_name=draw(st.sampled_from([None, *taking])),
        )
    values = {
        name: draw(kinds[parameter.type])
        for name, parameter in pipeline.parameters.items()
        if parameter.default is None or draw(st.booleans())
    }
    reference = draw(st.sampled_from([pipeline.name, f"{pipeline.name}@latest"]))
    return replace(schedule, trigger=trigger, pipeline=reference, pipeline_parameters=values)


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    """An empty workspace, to be copied: making one takes longer than a test of one project."""
    path = tmp_path_factory.mktemp("blank") / "workspace.db"
    open_workspace(f"sqlite:{path}", create=True)
    return path


class Site:
    """A project's folder with a workspace of its own; a repository if it was made one."""

    def __init__(self, folder, blank):
        self.folder = Path(folder)
        (self.folder / "code").mkdir()
        (self.folder / "code/step.py").write_text("print('step')\n")
        self.settle({"project": "any", "include": ["*.yml"]})
        (self.folder / ".gitignore").write_text("workspace.db*\n")
        shutil.copy(blank, self.folder / "workspace.db")
        self.registry = open_workspace(f"sqlite:{self.folder}/workspace.db").registry

    @property
    def tracked(self):
        return (self.folder / ".git").exists()

    def settle(self, project):
        (self.folder / "reconciler.yml").write_text(json.dumps(project))

    def declare(self, values):
        (self.folder / "all.yml").write_text("---\n".join(map(to_yaml, values)), newline="")

    def git(self, *arguments):
        subprocess.run(
            ["git", *arguments],
            cwd=self.folder, env=os.environ | IDENTITY, check=True, capture_output=True,
        )  # fmt: skip

    def commit(self):
        if self.tracked:
            self.git("add", "-A")
            self.git("commit", "-q", "--allow-empty", "-m", "change")

    def plan(self, *, full=True):
        source = (open_source if self.tracked else open_folder)(str(self.folder))
        reading = read(source, read_project(source), "dev", self.registry, full=full)
        return plan(reading, "here", self.registry.now()), reading

    def apply(self, *, full=True):
        made, reading = self.plan(full=full)
        apply_plan(made, reading, self.registry)
        return made


@given(before=projects(), after=projects())
@examples(60)
def test_a_project_once_applied_plans_nothing(blank, before, after):
    with tempfile.TemporaryDirectory() as folder:
        site = Site(folder, blank)
        site.declare(before)
        assert site.apply().count(Action.CREATE) == len(before)
        assert site.plan()[0].changes == ()
        site.declare(after)
        # What lies in a datastore cannot be seen in this test.
        assert {guard.id for guard in site.plan()[0].guards} <= {"fires_on_apply"}
        site.apply()
        assert site.plan()[0].changes == ()
        site.declare(before)
        site.apply()
        assert site.plan()[0].changes == ()
        live = site.registry.live()
        active = {one.name for one in live.schedules if one.status is Status.ACTIVE}
        wanted = {one.name for one in before if getattr(one, "status", None) is Status.ACTIVE}
        assert active == wanted


# What a project file adds

said = st.sampled_from(["nightly", "von Hand", "${{ variables.text }}", "a ${{ variables.count }}"])
# What says where a bucket is, and what opens it, would not fit a folder.
FOLDER = {
    "url": "file:///${{ variables.text }}",
    **dict.fromkeys(["account", "endpoint", "region", "anonymous", "credentials"]),
}
fragments = {
    Schedule: st.fixed_dictionaries(
        {},
        optional={
            "description": said | st.none(),
            "experiment_name": st.just("shared"),
            "status": st.sampled_from(Status).map(str),
            "continue_on_step_failure": st.booleans() | st.just("${{ variables.flag }}"),
            "tags": st.dictionaries(st.sampled_from("ab"), said, min_size=1),
        },
    ),
    Pipeline: st.fixed_dictionaries({}, optional={"description": said | st.none()}),
    Datastore: st.builds(
        dict.__or__,
        st.fixed_dictionaries({}, optional={"description": said}),
        st.sampled_from([{}, FOLDER]),
    ),
}


@st.composite
def overlaid(draw):
    """Objects, and a project file that makes others of them."""
    values = draw(projects())
    overrides, defaults = {}, {}
    for cls, fragment in fragments.items():
        names = [value.name for value in values if isinstance(value, cls)]
        if draw(st.booleans()):
            given_by_default = fragment.map(
                lambda one: {key: value for key, value in one.items() if value is not None}
            )
            defaults[cls.KIND] = draw(given_by_default)
        if names:
            globs = st.sampled_from([*names, "*", f"{names[0][:4]}*"])
            overrides[cls.KIND] = draw(st.dictionaries(globs, fragment, max_size=2))
    target = {
        "variables": draw(st.fixed_dictionaries({}, optional={"text": st.just("y")})),
        "overrides": overrides,
    }
    if draw(st.booleans()):
        target["preset"] = "paused"
    project = {
        "project": "any",
        "include": ["*.yml"],
        "defaults": defaults,
        "variables": {
            "text": {"type": "string", "default": "x"},
            "count": {"type": "integer", "default": 3},
            "flag": {"type": "boolean", "default": True},
        },
        "targets": {"dev": target},
        "protected": draw(st.lists(st.sampled_from(["Schedule.*", "*.*-1"]), unique=True)),
        "ignore_drift": draw(
            st.lists(
                st.sampled_from(
                    [
                        {"objects": "Schedule.*", "fields": ["description", "tags"]},
                        {"objects": "*.*-1", "fields": ["description"]},
                    ]
                ),
                max_size=2,
                unique_by=str,
            )
        ),
        "on_missing": draw(st.sampled_from(["disable", "keep"])),
    }
    return values, project


@pytest.mark.parametrize("tracked", [True, False], ids=["in Git", "outside Git"])
@given(stages=st.lists(overlaid(), min_size=2, max_size=3), full=st.booleans())
@examples(15)
def test_whatever_a_target_makes_of_a_project_once_applied_plans_nothing(
    blank, tracked, stages, full
):
    with tempfile.TemporaryDirectory() as folder:
        site = Site(folder, blank)
        if tracked:
            site.git("init", "-q", "-b", "main", "--template=")
        for values, project in stages:
            site.settle(project)
            # The second time the project file stands, so only what was edited is read.
            for said in ("once", "again"):
                site.declare([replace(one, description=said) for one in values])
                site.commit()
                site.apply(full=full)
                whole, _ = site.plan(full=True)
                assert whole.changes == ()
                short, reading = site.plan(full=False)
                assert replace(short, as_of=whole.as_of) == whole
                quick = tracked and project["on_missing"] != "keep"
                # Where files that are written may start something, who else looks has a say.
                writing = any(one.writes for one in values if isinstance(one, Pipeline))
                assert (reading.part is not None) == quick or (writing and reading.part is None)
