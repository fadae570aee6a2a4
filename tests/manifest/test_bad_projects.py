"""A corpus of wrong project files, alone and over manifests: the whole output of each is compared.

The folder ``bad_projects/NAME`` belongs to ``bad_projects/NAME.txt``. After a change of words,
``GOLDEN=write pytest tests/manifest/test_bad_projects.py`` writes the texts anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.manifest.compose import compose
from reconciler.manifest.load import Document, load
from reconciler.manifest.project import load_project

BAD = Path(__file__).parent / "bad_projects"
CASES = sorted(path.name for path in BAD.iterdir() if path.is_dir())


def problems(case: Path) -> list[str]:
    """Tell what is wrong with the project file, or else with its manifests in every target."""
    project, found = load_project("reconciler.yml", (case / "reconciler.yml").read_bytes())
    if project is None:
        return [str(problem) for problem in found]
    assert found == ()
    manifests = sorted(case.glob("[!r]*.yml"))
    documents = [Document(file.name, file.read_bytes()) for file in manifests]
    loaded = [load(documents, compose(project, target)) for target in sorted(project.targets)]
    return [str(problem) for one in loaded for problem in one.problems]


@pytest.mark.parametrize("case", CASES)
def test_every_problem_is_one_line_with_its_place_and_what_to_do(case):
    lines = problems(BAD / case)
    golden = BAD / f"{case}.txt"
    if os.environ.get("GOLDEN") == "write":
        golden.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert lines == golden.read_text(encoding="utf-8").splitlines()
    assert lines
    assert all(line.isprintable() for line in lines)


def test_every_golden_text_has_its_case():
    assert {path.stem for path in BAD.glob("*.txt")} == set(CASES)
