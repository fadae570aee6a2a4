"""A corpus of malformed manifests: the whole output of each is compared.

``bad/NAME.yml`` (or the folder ``bad/NAME/``) belongs to ``bad/NAME.txt``. After a change of words,
``GOLDEN=write pytest tests/manifest/test_bad.py`` writes the texts anew; read the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.manifest.load import Document, load

BAD = Path(__file__).parent / "bad"
CASES = sorted(path.name for path in BAD.iterdir() if path.suffix != ".txt")


def documents(case: Path) -> list[Document]:
    files = sorted(case.iterdir()) if case.is_dir() else [case]
    return [Document(file.name, file.read_bytes()) for file in files]


def test_the_corpus_is_large():
    assert len(CASES) >= 60


@pytest.mark.parametrize("case", CASES)
def test_every_problem_is_one_line_with_its_place_and_what_to_do(case):
    problems = load(documents(BAD / case)).problems
    lines = [str(problem) for problem in problems]
    golden = (BAD / case).with_suffix(".txt")
    if os.environ.get("GOLDEN") == "write":
        golden.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert lines == golden.read_text(encoding="utf-8").splitlines()
    assert problems
    assert all(line.isprintable() for line in lines)
    assert not any("while scanning" in line or "while parsing" in line for line in lines)


@pytest.mark.parametrize("case", [case for case in CASES if case.endswith(".yml")])
def test_a_document_with_a_problem_declares_nothing(case):
    if b"---" in (BAD / case).read_bytes():
        return  # its other documents are whole
    loaded = load(documents(BAD / case))
    assert (loaded.schedules, loaded.pipelines, loaded.datastores) == ({}, {}, {})


def test_every_golden_text_has_its_case():
    texts = {path.stem for path in BAD.glob("*.txt")}
    assert texts == {Path(case).stem for case in CASES}
