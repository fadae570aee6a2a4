"""A project in a real Git repository, and the command line run on it."""

import json
import os
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path

from reconciler.cli import execute

IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada Lovelace",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada Lovelace",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_AUTHOR_DATE": "2026-03-01T12:00:00Z",
    "GIT_COMMITTER_DATE": "2026-03-01T12:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}
PROJECT = """
project: shop
targets:
  dev: {workspace: "sqlite:.reconciler/workspace.db"}
"""
PIPELINE = """
kind: Pipeline
name: scoring
parameters:
  batch_size: {type: integer, default: 256}
  input_data: {type: datapath, default: landing/seed.csv}
code: ./code
steps:
  - name: score
    command: [python, score.py, "${{ parameters.batch_size }}"]
"""
NIGHTLY = """
kind: Schedule
name: nightly
pipeline: scoring
trigger:
  recurrence: {frequency: Day, time_of_day: "02:30", time_zone: America/New_York, first_run: aligned}
pipeline_parameters: {batch_size: 512}
"""
ARRIVALS = """
kind: Schedule
name: arrivals
pipeline: scoring
trigger:
  datastore_change: {datastore: landing, path_on_datastore: incoming, data_path_parameter_name: input_data}
"""
DATASTORE = """
kind: Datastore
name: landing
url: file:///data/landing
"""


@dataclass
class Result:
    code: int
    out: str
    err: str

    @property
    def data(self):
        return json.loads(self.out)


class Checkout:
    """A repository at ``path``; each call of it is one command line run in it."""

    def __init__(self, path, capfd):
        self.path = path
        self._capfd = capfd

    def __call__(self, *arguments):
        self._capfd.readouterr()
        code = execute(list(arguments))
        out, err = self._capfd.readouterr()
        return Result(code, out, err)

    def write(self, file, text):
        path = Path(self.path, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"))

    def edit(self, file, old, new):
        path = Path(self.path, file)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def delete(self, file):
        Path(self.path, file).unlink()

    def git(self, *arguments):
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path, env=os.environ | IDENTITY, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout

    def commit(self, message="change"):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)

    def apply(self):
        done = self("apply", "--yes")
        assert done.code == 0, done.err
        return done


def fill(checkout):
    """Write the project that most journeys begin with, and commit it."""
    checkout.write("reconciler.yml", PROJECT)
    checkout.write("schedules/scoring.yml", PIPELINE)
    checkout.write("schedules/nightly.yml", NIGHTLY)
    checkout.write("schedules/arrivals.yml", ARRIVALS)
    checkout.write("schedules/landing.yml", DATASTORE)
    checkout.write("schedules/code/score.py", "import sys\n\nprint('scored', sys.argv[1])\n")
    checkout.write(".gitignore", ".reconciler/\n")
    checkout.git("init", "-q", "-b", "main")
    checkout.commit("begin")
