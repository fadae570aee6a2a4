"""A workspace made by a real apply of a small project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from reconciler import settings
from reconciler.reconcile.apply import apply_plan
from reconciler.reconcile.read import choose_target, plan, read, read_project
from reconciler.sdk import PublishedPipeline, Workspace

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """\
project: shop
include: ["*.yaml"]
"""
OBJECTS = """\
kind: Datastore
name: workspaceblobstore
description: Where new data lands
url: file:landing
---
kind: Pipeline
name: batch-scoring
description: Scores what lands
parameters:
  batch_size: {type: integer, default: 256}
  input_data: {type: datapath, default: workspaceblobstore/first.csv}
steps:
  - {name: score, command: [python, score.py, "${{ parameters.input_data }}"]}
"""
NIGHTLY = """\
kind: Schedule
name: nightly
pipeline: batch-scoring
trigger:
  recurrence: {frequency: Month, interval: 1, month_days: [-1], time_of_day: 02:05, time_zone: Europe/Paris}
"""


class Project:
    """A project in a folder, with the workspace it is applied to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "landing").mkdir(parents=True)
        self.write("reconciler.yml", PROJECT)
        self.write("objects.yaml", OBJECTS)

    def write(self, file: str, text: str) -> None:
        (self.folder / file).write_text(text, encoding="utf-8")

    def plan(self):
        source = settings.open_folder(str(self.folder))
        project = read_project(source)
        target = choose_target(project, None)
        url = project.targets[target].workspace
        registry = settings.open_workspace(url, str(self.folder), create=True).registry
        reading = read(source, project, target, registry)
        return plan(reading, url, registry.now()), reading, registry

    def apply(self) -> None:
        made, reading, registry = self.plan()
        apply_plan(made, reading, registry)


@pytest.fixture(scope="session")
def empty_workspace(tmp_path_factory):
    """A workspace nothing was applied to: migrating one costs more than most tests."""
    folder = tmp_path_factory.mktemp("empty")
    settings.open_workspace("sqlite:workspace.db", str(folder), create=True)
    return (folder / "workspace.db").read_bytes()


@pytest.fixture
def project(tmp_path, monkeypatch, empty_workspace):
    for variable in ("RECONCILER_WORKSPACE", "RECONCILER_TARGET"):
        monkeypatch.delenv(variable, raising=False)
    project = Project(tmp_path / "shop")
    (project.folder / ".reconciler").mkdir()
    (project.folder / ".reconciler" / "workspace.db").write_bytes(empty_workspace)
    project.apply()
    monkeypatch.chdir(project.folder)
    return project


@pytest.fixture
def ws(project) -> Workspace:
    return Workspace.from_config()


@pytest.fixture
def pipeline(ws) -> PublishedPipeline:
    return PublishedPipeline.list(ws)[0]


@pytest.fixture
def nightly():
    return NIGHTLY
