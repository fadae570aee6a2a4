"""Whatever is declared, once applied there is nothing left to do."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.manifest.emit import to_yaml
from reconciler.pipeline import ParameterType
from reconciler.plan.change import Action
from reconciler.reconcile.apply import apply_plan
from reconciler.reconcile.read import plan, read, read_project
from reconciler.schedule import DatastoreChange, Status
from reconciler.settings import open_folder, open_workspace
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
    """A project's folder with a workspace of its own."""

    def __init__(self, folder, blank):
        self.folder = Path(folder)
        (self.folder / "code").mkdir()
        (self.folder / "code/step.py").write_text("print('step')\n")
        (self.folder / "reconciler.yml").write_text('project: any\ninclude: ["*.yml"]\n')
        shutil.copy(blank, self.folder / "workspace.db")
        self.registry = open_workspace(f"sqlite:{self.folder}/workspace.db").registry

    def declare(self, values):
        (self.folder / "all.yml").write_text("---\n".join(map(to_yaml, values)), newline="")

    def plan(self):
        source = open_folder(str(self.folder))
        reading = read(source, read_project(source), "dev", self.registry)
        return plan(reading, "here", self.registry.now()), reading

    def apply(self):
        made, reading = self.plan()
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
        assert not site.plan()[0].guards
        site.apply()
        assert site.plan()[0].changes == ()
        site.declare(before)
        site.apply()
        assert site.plan()[0].changes == ()
        live = site.registry.live()
        active = {one.name for one in live.schedules if one.status is Status.ACTIVE}
        wanted = {one.name for one in before if getattr(one, "status", None) is Status.ACTIVE}
        assert active == wanted
