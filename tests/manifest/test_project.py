from __future__ import annotations

import pytest

from reconciler.errors import InvalidValue, Problem
from reconciler.manifest.project import (
    Project,
    Target,
    Variable,
    VariableType,
    load_one,
    load_project,
)
from reconciler.manifest.terms import IgnoreDrift, Limits, OnMissing, Terms


def test_a_name_is_enough():
    project, problems = load_project("reconciler.yml", b"project: risk\n")
    assert problems == ()
    assert project == Project(project="risk", targets={"dev": Target()})
    assert project.include == ("schedules/**/*.yml", "schedules/**/*.yaml")
    assert project.targets["dev"].workspace == "sqlite:.reconciler/workspace.db"


def test_targets_and_includes_are_read():
    text = b"project: risk\ninclude: [a/*.yml]\ntargets:\n  dev: {}\n  prod: {workspace: 'sqlite:/srv/ws.db'}\n"
    project, problems = load_project("reconciler.yml", text)
    assert problems == ()
    assert project.targets == {"dev": Target(), "prod": Target(workspace="sqlite:/srv/ws.db")}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", ["reconciler.yml: the file holds nothing; write a Project"]),
        (b"null\n", ["reconciler.yml:1:1: a Project is a mapping of keys"]),
        (b"a: 1\n---\nb: 1\n", ["reconciler.yml: the file holds several documents; keep one"]),
        (b"project: risk\nproject: x\n", ["reconciler.yml:2:1: duplicate key 'project'; it is already at line 1, column 1"]),
        (b"project: my risk\ntarget: {}\n", [
            "reconciler.yml:1:10: project 'my risk' is not accepted; start with a letter or digit, then letters, digits, - and _",
            "reconciler.yml:2:1: unknown key 'target'; did you mean 'targets'?"]),
        (b"include: []\n", ["reconciler.yml:1:1: missing key 'project'; write for example project: risk-scoring",
                            "reconciler.yml:1:10: include must not be empty"]),
        (b"project: risk\ninclude: [../x/*.yml, /etc/*.yml]\ntargets: {}\n", [
            "reconciler.yml:2:11: an include must stay in the project's folder; write a relative path",
            "reconciler.yml:2:23: an include must stay in the project's folder; write a relative path",
            "reconciler.yml:3:10: a project needs a target; leave the key out for dev"]),
        (b"project: risk\ntargets: {dev: , prod: {workspace: ''}}\n", [
            "reconciler.yml:2:16: 'dev' in targets is empty; write a value or remove it",
            "reconciler.yml:2:36: workspace must not be empty"]),
    ],
)  # fmt: skip
def test_everything_wrong_is_said_in_one_go(text, lines):
    project, problems = load_project("reconciler.yml", text)
    assert project is None
    assert [str(problem) for problem in problems] == lines


def test_a_project_made_in_python_obeys_too():
    with pytest.raises(InvalidValue, match="relative path"):
        Project(project="x", include=("/a",))


TERMS = b"""\
project: risk
include: [a/*.yml]
limits: {disables: 3}
protected: [Schedule.month-end]
ignore_drift: [{objects: "Schedule.*", fields: [description]}]
on_missing: keep
targets:
  dev: {}
  prod:
    include: [b/*.yml, a/*.yml]
    limits: {fires_on_apply: 1}
    protected: ["*.landing", Schedule.month-end]
    ignore_drift: [{objects: Pipeline.scoring, fields: [tags.owner]}]
    on_missing: fail
"""


def test_a_target_has_the_projects_terms_and_its_own_instead_or_besides():
    project, problems = load_project("reconciler.yml", TERMS)
    assert problems == ()
    described = IgnoreDrift(objects="Schedule.*", fields=("description",))
    assert project.terms("dev") == Terms(
        limits=Limits(disables=3),
        protected=("Schedule.month-end",),
        ignore_drift=(described,),
        on_missing=OnMissing.KEEP,
    )
    assert project.terms("prod") == Terms(
        limits=Limits(fires_on_apply=1),
        protected=("Schedule.month-end", "*.landing"),
        ignore_drift=(described, IgnoreDrift(objects="Pipeline.scoring", fields=("tags.owner",))),
        on_missing=OnMissing.FAIL,
    )
    assert project.includes("dev") == ("a/*.yml",)
    assert project.includes("prod") == ("a/*.yml", "b/*.yml")


@pytest.mark.parametrize(
    ("targets", "differ"),
    [
        ("{dev: {preset: paused}}", False),
        ("{dev: {workspace: 'sqlite:a'}, prod: {protected: ['*.*']}}", False),
        ("{dev: {preset: paused}, prod: {}}", True),
        ("{dev: {include: [b.yml]}, prod: {}}", True),
        ("{dev: {overrides: {Schedule: {a: {missed: all}}}}, prod: {overrides: {Schedule: {a: {missed: 'all'}}}}}", False),
        ("{dev: {overrides: {Schedule: {a: {missed: all}}}}, prod: {overrides: {Schedule: {a: {missed: skip}}}}}", True),
    ],
)  # fmt: skip
def test_targets_differ_in_what_is_declared_or_only_in_where_it_goes(targets, differ):
    project, problems = load_project("reconciler.yml", f"project: x\ntargets: {targets}\n".encode())
    assert problems == ()
    assert project.targets_differ is differ


def test_a_variable_made_in_python_obeys_its_type_too():
    with pytest.raises(InvalidValue, match="not of type integer"):
        Project(project="x", variables={"a": Variable(type=VariableType.INTEGER, default="b")})


def test_anchors_serve_in_the_project_file_too():
    text = b"project: x\ndefaults: {Schedule: &all {tags: {a: b}}}\ntargets: {t: {overrides: {Schedule: {n: *all}}}}\n"
    project, problems = load_project("reconciler.yml", text)
    assert problems == ()
    assert project.targets["t"].overrides.Schedule["n"] == project.defaults.Schedule


def test_a_file_of_one_value_without_a_kind_is_read_the_same_way():
    target, problems = load_one(Target, "target.yml", b"workspace: sqlite:a\n")
    assert (target, problems) == (Target(workspace="sqlite:a"), ())
    assert load_one(Target, "target.yml", b"---\n")[1] == (
        Problem("target.yml", 0, 0, "the file holds nothing; write a Target"),
    )
