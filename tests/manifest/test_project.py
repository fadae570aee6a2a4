from __future__ import annotations

import pytest

from reconciler.errors import InvalidValue
from reconciler.manifest.project import Project, Target, load_project


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
