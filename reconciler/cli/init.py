"""``reconciler init``."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from reconciler.errors import ReconcilerError
from reconciler.fields import NAME_PATTERN

_PROJECT = """\
# What this repository declares and where it goes; see `reconciler --help`.
project: {name}
include: ["schedules/**/*.yml"]
targets:
  dev:
    # Counted from this folder. Another machine's runner needs a workspace of its own.
    workspace: sqlite:.reconciler/workspace.db
"""

_SCHEDULE = """\
# A pipeline is a graph of steps. Each apply publishes its content as a version that never changes.
kind: Pipeline
name: hello
description: Greets somebody and counts the letters
parameters:
  who: {type: string, default: world}
code: ./hello                      # this folder is snapshotted with the pipeline
steps:
  - name: greet
    command: [python, greet.py, "${{ parameters.who }}"]
  - name: count
    command: [python, -c, "print(len(open('greeting.txt').read()), 'characters')"]
    depends_on: [greet]
    timeout: 5m
---
# A schedule runs a pipeline. Without a start_time it runs once as soon as it is applied.
kind: Schedule
name: hello-every-morning
description: Greets early
pipeline: hello
trigger:
  recurrence:
    frequency: Day
    time_zone: UTC                 # or Europe/Paris, America/New_York, ...
    time_of_day: "06:30"
pipeline_parameters: {who: reader}
"""

_CODE = """\
import sys
from pathlib import Path

greeting = f"Hello, {sys.argv[1]}!"
Path("greeting.txt").write_text(greeting)
print(greeting)
"""

_IGNORED = ".reconciler/"


@click.command("init", epilog="Example: reconciler init scoring --name risk")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option("--name", help="The project's name; by default the folder's.")
def command(folder: Path, *, name: str | None) -> None:
    """Write a new project into DIR: reconciler.yml, and a small example that runs at once."""
    chosen = name or _name(folder.resolve().name)
    if not re.fullmatch(NAME_PATTERN, chosen):
        text = f"'{chosen}' is not a name; start with a letter or digit, then letters, digits, -, _"
        raise ReconcilerError(text)
    files = {
        "reconciler.yml": _PROJECT.format(name=chosen),
        "schedules/hello.yml": _SCHEDULE,
        "schedules/hello/greet.py": _CODE,
    }
    present = [file for file in files if (folder / file).exists()]
    if present:
        raise ReconcilerError(f"{folder / present[0]} is there already; nothing was written")
    for file, text in files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        click.echo(f"wrote {path}")
    _ignore(folder / ".gitignore")
    steps = ["reconciler plan", "reconciler apply", "reconciler runner start"]
    if folder != Path():
        steps.insert(0, f"cd {shlex.quote(str(folder))}")
    if any(Path(above, ".git").exists() for above in (folder.resolve(), *folder.resolve().parents)):
        # What is not committed is applied only on request.
        steps.insert(-2, "git add -A . && git commit")
    click.echo(f"Next: {' && '.join(steps)}")


def _name(folder: str) -> str:
    """Make a project's name out of a folder's."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", folder).strip("-_") or "project"


def _ignore(file: Path) -> None:
    """Keep the workspace out of Git, whatever else the file says."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if _IGNORED not in text.splitlines():
        separator = "" if text.endswith("\n") or not text else "\n"
        file.write_text(f"{text}{separator}{_IGNORED}\n", encoding="utf-8")
        click.echo(f"wrote {file}")
