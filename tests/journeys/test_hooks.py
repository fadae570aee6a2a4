"""The hooks, run by pre-commit itself on commits, from a clone of this repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journeys.checkout import IDENTITY

ROOT = Path(__file__).parents[2]
SHIPPED = ("reconciler", "schemas", "schedules", "pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml")  # fmt: skip
PRE_COMMIT = [sys.executable, "-m", "pre_commit"]
CONFIG = """\
repos:
  - repo: {repo}
    rev: {rev}
    hooks:
      - id: reconciler-fmt
      - id: reconciler-validate
        args: [--project, jobs]
"""
MESSY = "name: 'other'   # which\nkind: Schedule\npipeline: hello\ntrigger: {cron: {expression: '0 6 * * *'}}\n"
NEAT = 'kind: Schedule\nname: other   # which\npipeline: hello\ntrigger: {cron: {expression: "0 6 * * *"}}\n'


def run(folder, *words, code=0, **variables):
    # Coverage and its like are for this process; the hooks run as they do anywhere.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "GIT_", "PYTHON"))}  # fmt: skip
    done = subprocess.run(words, cwd=folder, env=kept | IDENTITY | variables, capture_output=True, text=True, check=False)  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    return said


@pytest.fixture(scope="module")
def hooks(tmp_path_factory):
    """This repository as it stands, committed, and where pre-commit keeps its environments."""
    folder, home = tmp_path_factory.mktemp("hooks"), tmp_path_factory.mktemp("home")
    listed = run(
        ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *SHIPPED
    )
    for file in filter(None, listed.split("\0")):
        copy = folder / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / file).read_bytes())
    run(folder, "git", "init", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-q", "-m", "hooks")
    return folder, {"PRE_COMMIT_HOME": str(home)}


@pytest.fixture
def team(hooks, tmp_path):
    """A repository with a project in a folder of it, another YAML file, and the hooks installed."""
    repo, variables = hooks

    def git(*words, code=0):
        return run(tmp_path, "git", *words, code=code, **variables)

    git("init", "-q")
    rev = run(repo, "git", "rev-parse", "HEAD").strip()
    Path(tmp_path, ".pre-commit-config.yaml").write_text(CONFIG.format(repo=repo, rev=rev))
    Path(tmp_path, "compose.yml").write_text("services:   {'a': {}}\n")
    run(tmp_path, sys.executable, "-m", "reconciler", "init", "jobs")
    run(tmp_path, *PRE_COMMIT, "install", **variables)
    git("add", "-A")
    git("commit", "-q", "-m", "begin")
    return tmp_path, git


def test_a_commit_waits_until_manifests_are_laid_out_and_right(team):
    folder, git = team
    assert Path(folder, "compose.yml").read_text() == "services:   {'a': {}}\n"
    other = Path(folder, "jobs/schedules/other.yml")
    other.write_text(MESSY)
    git("add", "-A")
    said = git("commit", "-m", "messy", code=1)
    assert "files were modified by this hook" in said
    assert "laid out jobs/schedules/other.yml" in said
    assert other.read_text() == NEAT
    git("add", "-A")
    git("commit", "-q", "-m", "neat")

    other.write_text(NEAT.replace("pipeline: hello", "pipeline: hallo"))
    git("add", "-A")
    said = git("commit", "-m", "wrong", code=1)
    assert "schedules/other.yml:3:11: " in said
    assert "hallo" in said
    assert git("log", "--format=%s").split() == ["neat", "begin"]
