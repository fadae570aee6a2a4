"""The sample project's programs, run as the runner runs them: in a private copy of their folder."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.clock import SystemClock
from reconciler.manifest.project import load_project
from reconciler.reconcile.read import read
from reconciler.source.directory import DirectorySource
from reconciler.workspace.empty import EmptyRegistry

PROJECT = Path(__file__).parents[2] / "schedules"
TRAINING = PROJECT / "data/training/wine.csv"


def program(folder, *arguments):
    """Run one program of the project and give its output; fails if the program does."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={"RECONCILER_RUN_ID": "run-1", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(folder, *arguments):
    """Run one program that must fail, and give its last words, one line without a traceback."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    return line


@pytest.fixture
def copy(tmp_path):
    return lambda name: shutil.copytree(PROJECT / name, tmp_path / name)


@pytest.fixture
def trained(copy, tmp_path):
    work = copy("train")
    program(work, "validate.py", "--data", TRAINING, "--clean", "clean.csv")
    program(work, "train.py", "--data", "clean.csv", "--model", "candidate.json")
    arguments = ["--data=clean.csv", "--model=candidate.json", "--at-least=0.9"]
    said = program(work, "evaluate.py", *arguments, f"--publish={tmp_path}/models/wine.json")
    return tmp_path / "models/wine.json", said


def test_the_project_is_complete_and_has_no_problem():
    source = DirectorySource(str(PROJECT))
    document = source.project_file()
    project, found = load_project(document.file, document.text)
    assert found == ()
    reading = read(source, project, "dev", EmptyRegistry(SystemClock()))
    assert sorted(reading.code) == ["report", "score", "train"]
    assert len(reading.desired.schedules) == 4


def test_every_manifest_names_its_schema_where_an_editor_finds_it():
    manifests = [*PROJECT.glob("manifests/*.yml"), PROJECT / "reconciler.yml"]
    for manifest in manifests:
        first = manifest.read_text("utf-8").partition("\n")[0]
        path = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)[1]
        schema = json.loads((manifest.parent / path).resolve().read_text("utf-8"))
        kind = re.search(r"^kind: (\w+)", manifest.read_text("utf-8"), re.MULTILINE)
        assert Path(path).name == f"{kind[1].lower() if kind else 'project'}.schema.json"
        assert schema["type"] == "object"


def test_the_data_is_that_of_178_wines_each_once():
    files = [TRAINING, *sorted(PROJECT.glob("data/batches/*.csv"))]
    rows = []
    for file in files:
        with file.open(newline="") as opened:
            rows += [
                tuple(value for name, value in row.items() if name != "cultivar")
                for row in csv.DictReader(opened)
            ]
    assert len(rows) == len(set(rows)) == 178


def test_a_model_is_trained_tested_on_held_out_wines_and_published(trained):
    path, said = trained
    accuracy = float(re.search(r"accuracy ([0-9.]+) \(\d+ of 35 held-out wines\)", said)[1])
    assert accuracy >= 0.95
    model = json.loads(path.read_text("utf-8"))
    assert (sorted(model["cultivars"]), model["run"]) == (["1", "2", "3"], "run-1")
    assert len(model["features"]) == 13
    assert [file.name for file in path.parent.iterdir()] == ["wine.json"]


def test_training_twice_gives_the_same_bytes(copy):
    work = copy("train")
    program(work, "validate.py", "--data", TRAINING, "--clean", "clean.csv")
    for name in ["one.json", "two.json"]:
        program(work, "train.py", "--data", "clean.csv", "--model", name)
    assert (work / "one.json").read_bytes() == (work / "two.json").read_bytes()


def test_a_model_below_the_bound_is_not_published(copy, tmp_path):
    work = copy("train")
    program(work, "validate.py", "--data", TRAINING, "--clean", "clean.csv")
    program(work, "train.py", "--data", "clean.csv", "--model", "candidate.json")
    arguments = ["--data=clean.csv", "--model=candidate.json", "--at-least=0.999"]
    line = refused(work, "evaluate.py", *arguments, f"--publish={tmp_path}/models/wine.json")
    assert line == "below 0.999: the model is not published"
    assert not (tmp_path / "models").exists()


def test_a_row_without_numbers_is_left_out_and_named(copy, tmp_path):
    text = TRAINING.read_text("utf-8")
    (tmp_path / "data.csv").write_text(text.replace("14.23,1.71", "14.23,n/a"), "utf-8")
    said = program(
        copy("train"), "validate.py", "--data", tmp_path / "data.csv", "--clean", "clean.csv"
    )
    assert said.splitlines() == [
        "row 1 is left out: no number in malic_acid",
        "142 of 143 rows are usable",
    ]


def test_data_of_another_shape_is_refused_in_one_line(copy, tmp_path):
    work = copy("train")
    (tmp_path / "data.csv").write_text("cultivar,alcohol\n1,2\n", "utf-8")
    line = refused(work, "validate.py", "--data", tmp_path / "data.csv", "--clean", "clean.csv")
    assert "lacks the columns alcalinity_of_ash, ash" in line
    text = TRAINING.read_text("utf-8").replace("1,1", "1,-1")
    (tmp_path / "data.csv").write_text(text, "utf-8")
    line = refused(work, "validate.py", "--data", tmp_path / "data.csv", "--clean", "clean.csv")
    assert "rows are usable; the file needs a look" in line


def test_a_batch_with_labels_is_scored_with_its_accuracy(trained, copy, tmp_path):
    batch = PROJECT / "data/batches/labelled.csv"
    arguments = [f"--input={batch}", f"--model={trained[0]}", f"--results={tmp_path}/results"]
    said = program(copy("score"), "score.py", *arguments).splitlines()
    assert said[0].startswith("scored 18 wines of 'labelled.csv': ")
    assert float(re.match(r"accuracy ([0-9.]+) \(\d+ of 18", said[1])[1]) >= 0.9
    with (tmp_path / "results/labelled.csv.scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18
    assert all(1 / 3 <= float(row["probability"]) <= 1 for row in rows)


def test_a_batch_without_labels_is_scored_and_reported(trained, copy, tmp_path):
    name = "new\nfile $(touch owned).csv"
    shutil.copy(PROJECT / "data/batches/unlabelled.csv", tmp_path / name)
    results = f"--results={tmp_path}/results"
    arguments = [f"--input={tmp_path / name}", f"--model={trained[0]}", results]
    said = program(copy("score"), "score.py", *arguments)
    assert "scored 17 wines of 'new\\nfile $(touch owned).csv': " in said
    assert "accuracy" not in said
    first, last = program(copy("report"), "report.py", results).splitlines()
    assert first.partition(": ")[2] == last.partition(": ")[2]
    assert sum(map(int, re.findall(r"(\d+) of", last))) == 17


def test_a_report_of_nothing_is_no_failure(copy, tmp_path):
    said = program(copy("report"), "report.py", f"--results={tmp_path}/results")
    assert said == "in all: no wine\n"


def test_scoring_before_training_says_what_to_do(copy, tmp_path):
    batch = PROJECT / "data/batches/labelled.csv"
    arguments = [f"--input={batch}", "--model=nowhere.json", "--results=results"]
    line = refused(copy("score"), "score.py", *arguments)
    assert line == "there is no model at nowhere.json yet; run the pipeline train first"


def test_a_file_that_is_no_analysis_is_refused_in_one_line(trained, copy, tmp_path):
    (tmp_path / "bad.csv").write_text("alcohol\n13\n", "utf-8")
    arguments = [f"--input={tmp_path}/bad.csv", f"--model={trained[0]}", "--results=results"]
    assert "row 1 of 'bad.csv' has no number in" in refused(copy("score"), "score.py", *arguments)
