from __future__ import annotations

import pytest

from reconciler.errors import NotFound, SourceError
from reconciler.sdk import Experiment, Workspace


@pytest.mark.parametrize("place", ["reconciler.yml", ".", "landing"])
def test_the_workspace_is_found_upward_from_a_file_or_a_folder(
    project, tmp_path, monkeypatch, place
):
    monkeypatch.chdir(tmp_path)
    ws = Workspace.from_config(project.folder / place)
    assert ws.registry.live().pipelines
    assert repr(ws) == "Workspace('sqlite:.reconciler/workspace.db')"


def test_the_environment_names_the_workspace_unless_a_path_is_given(project, tmp_path, monkeypatch):
    monkeypatch.setenv("RECONCILER_WORKSPACE", f"sqlite:{project.folder}/.reconciler/workspace.db")
    monkeypatch.chdir(tmp_path)
    assert Workspace.from_config().registry.live().pipelines
    with pytest.raises(SourceError, match=r"no reconciler\.yml"):
        Workspace.from_config(tmp_path)


def test_a_target_is_chosen_by_argument_else_by_the_environment(project, monkeypatch):
    dev, prod = "{workspace: 'sqlite:.reconciler/workspace.db'}", "{workspace: 'sqlite:prod.db'}"
    project.write("reconciler.yml", f"project: shop\ntargets:\n  dev: {dev}\n  prod: {prod}\n")
    with pytest.raises(NotFound, match="choose one with --target"):
        Workspace.from_config()
    assert Workspace.from_config(target="dev").url.endswith("/workspace.db")
    monkeypatch.setenv("RECONCILER_TARGET", "prod")
    with pytest.raises(NotFound, match="`reconciler apply` creates it"):
        Workspace.from_config()


def test_a_workspace_opens_by_its_url(project):
    ws = Workspace(f"sqlite:{project.folder}/.reconciler/workspace.db")
    assert Workspace("sqlite:.reconciler/workspace.db", str(project.folder)).ledger.runs() == []
    assert ws.ledger.runs() == []


def test_a_sign_in_is_taken_and_not_needed(project):
    assert Workspace.from_config(auth=object()).url


def test_an_experiment_exists_from_its_first_use(ws):
    assert Experiment.list(ws) == []
    made = Experiment(ws, "zeta")
    Experiment(workspace=ws, name="alpha")
    assert [experiment.name for experiment in Experiment.list(ws)] == ["alpha", "zeta"]
    [found] = Experiment.list(ws, experiment_name="zeta")
    assert found.id == made.id == Experiment(ws, "zeta").id
    assert repr(found) == "Experiment(Name: zeta)"
