"""This repository's own workflows: their form, and their steps run in order on a local remote."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.notifier.comment import State, parse
from reconciler.plan.change import Action
from reconciler.plan.saved import read_plan
from tests.journeys.checkout import IDENTITY
from tests.servers.actions import ROOT, Machine, base_environment
from tests.servers.forge import TOKEN, ForgeServer

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTION = ROOT / ".github/actions/reconciler/action.yml"
GITLAB = ROOT / "docs/ci/gitlab-ci.yml"
PROGRAMS = Path(sys.executable).parent


def test_zizmor_finds_nothing():
    done = subprocess.run(
        [PROGRAMS / "zizmor", "--offline", "--no-progress", "--quiet", ROOT / ".github"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "files"),
    [("github-workflows", WORKFLOWS), ("github-actions", [ACTION]), ("gitlab-ci", [GITLAB])],
)
def test_each_file_is_of_the_schema(schema, files):
    done = subprocess.run(
        [PROGRAMS / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def server():
    forge = ForgeServer()
    yield forge
    forge.close()


class Remote:
    """A remote with this repository's schedules and workflows, as GitHub would have it."""

    def __init__(self, folder):
        self.path, self.log = folder / "remote", folder / "git.log"
        self.path.mkdir()
        for name in ("schedules", ".github"):
            shutil.copytree(
                ROOT / name, self.path / name, ignore=shutil.ignore_patterns(".reconciler")
            )
        self.git("init", "-q", "-b", "main")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.commit("begin")

    def git(self, *words):
        done = subprocess.run(
            ["git", *words],
            cwd=self.path, env=os.environ | IDENTITY, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def commit(self, message):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def propose(self, number=5):
        """Edit on a branch, and keep what its merge would be, as GitHub does."""
        self.git("checkout", "-q", "-b", "more")
        manifest = self.path / "schedules/manifests/evening-report.yml"
        manifest.write_text(manifest.read_text().replace("0 18", "30 18"))
        assert self.git("status", "--porcelain")
        head = self.commit("later")
        self.git("checkout", "-q", "--detach", "main")
        self.git("merge", "-q", "--no-ff", "-m", "merge", "more")
        self.git("update-ref", f"refs/pull/{number}/merge", "HEAD")
        self.git("checkout", "-q", "main")
        return head


@pytest.fixture
def remote(tmp_path):
    return Remote(tmp_path)


def machine(folder, remote, server, event, *, name, sha=None, live="", secret=""):
    # Each job begins on a machine of its own, at the same place.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "event.json").write_text(json.dumps(event))
    github = {
        "event": event, "event_name": name, "repository": "acme/shop",
        "token": TOKEN, "sha": sha or remote.git("rev-parse", "main"),
    }  # fmt: skip
    contexts = {
        "github": github,
        "vars": {"RECONCILER_LIVE": live},
        "secrets": {"RECONCILER_WORKSPACE": secret},
        "inputs": event.get("inputs", {}),
        "runner": {"temp": str(folder / "temp")},
    }
    environ = {
        **base_environment(folder),
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": server.url,
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_RUN_ID": "42",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_REF_NAME": "main",
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
    }
    artifacts = folder.parent / "artifacts"
    return Machine(folder / "work", remote.path, artifacts, contexts, environ)


def pull_event(remote, head, *, source="acme/shop"):
    fork = source != "acme/shop"
    return {
        "pull_request": {
            "number": 5,
            "head": {"sha": head, "repo": {"full_name": source, "fork": fork}},
            "base": {"sha": remote.git("rev-parse", "main")},
        }
    }


def codes(steps):
    return {step.name: step.code for step in steps}


def test_the_plan_is_the_real_difference_though_there_is_no_live_workspace(
    remote, server, tmp_path, databases
):
    head = remote.propose()
    pull = server.pull(5, head)
    own = databases.empty()
    event = pull_event(remote, head)
    job = machine(tmp_path / "job", remote, server, event, name="pull_request")
    steps = job.run("plan.yml", "plan", OWN=own)
    told = "\n".join(step.out for step in steps)
    assert codes(steps) == {"Make a workspace as the base would have it": 0, "Run": 0}, told
    plan = read_plan((tmp_path / "artifacts/reconciler-plan/plan.json").read_text())
    assert [(one.action, one.name) for one in plan.changes] == [(Action.UPDATE, "evening-report")]
    marker = parse(pull.body())
    assert (marker.head, marker.state) == (head, State.PLANNED)
    assert marker.commit == remote.git("rev-parse", "refs/pull/5/merge")
    assert pull.labels == ["dev: changes"]
    databases.drop(own)


def test_what_was_reviewed_is_applied_to_the_live_workspace(remote, server, tmp_path, databases):
    live = databases.empty()
    base = remote.git("rev-parse", "main")
    event = {"inputs": {}}
    first = machine(tmp_path / "job", remote, server, event, name="push", live="true", secret=live)
    steps = first.run("apply.yml", "apply")
    assert codes(steps) == {"Run": 4}  # nobody has reviewed the beginning
    digest = steps[0].out.partition("--approve ")[2].split()[0]
    again = machine(
        tmp_path / "job", remote, server, {"inputs": {"approve": digest, "allow": ""}},
        name="workflow_dispatch", live="true", secret=live,
    )  # fmt: skip
    steps = again.run("apply.yml", "apply")
    assert codes(steps) == {"Apply what somebody approves by its digest": 0}, steps[0].out
    head = remote.propose()
    pull = server.pull(5, head)
    event = pull_event(remote, head)
    planned = machine(
        tmp_path / "job", remote, server, event, name="pull_request", live="true", secret=live
    )
    assert codes(planned.run("plan.yml", "plan")) == {"Run": 0}
    remote.git("merge", "-q", "--squash", "more")
    pull.merge(remote.commit("later (#5)"))
    assert remote.git("rev-parse", "main~1") == base
    last = machine(tmp_path / "job", remote, server, {}, name="push", live="true", secret=live)
    steps = last.run("apply.yml", "apply")
    assert codes(steps) == {"Run": 0}, steps[0].out
    assert parse(pull.body()).state is State.APPLIED
    databases.drop(live)


def test_a_fork_is_planned_without_secrets_and_commented_by_another_run(remote, server, tmp_path):
    head = remote.propose()
    pull = server.pull(5, head, source="mallory/shop")
    event = pull_event(remote, head, source="mallory/shop")
    job = machine(tmp_path / "job", remote, server, event, name="pull_request")
    steps = job.run("plan.yml", "plan")
    assert codes(steps) == {"Run": 0}, steps[0].out
    assert server.asked == []
    run = {
        "event": "pull_request", "head_sha": head, "head_branch": "more", "id": 42,
        "head_repository": {"full_name": "mallory/shop", "owner": {"login": "mallory"}},
    }  # fmt: skip
    event = {"workflow_run": run}
    job = machine(tmp_path / "job", remote, server, event, name="workflow_run")
    steps = job.run("plan-comment.yml", "comment")
    assert codes(steps) == {"Run": 0}, steps[0].out
    assert parse(pull.body()).state is State.CLAIMED
    run["head_repository"]["full_name"] = "acme/shop"
    job = machine(tmp_path / "job", remote, server, event, name="workflow_run")
    assert job.run("plan-comment.yml", "comment") is None


def test_without_a_live_workspace_nothing_is_applied(remote, server, tmp_path):
    job = machine(tmp_path / "job", remote, server, {}, name="push")
    assert job.run("apply.yml", "apply") is None
