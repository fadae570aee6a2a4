from __future__ import annotations

import gc

import pytest
from hypothesis import given, settings

from reconciler.errors import Problem
from reconciler.manifest.emit import to_yaml
from reconciler.manifest.load import MAX_PROBLEMS, Document, load
from reconciler.schedule import Frequency
from tests.manifest.strategies import UNHURRIED, schedules

SCHEDULE = b"""\
kind: Schedule
name: nightly
pipeline: batch-scoring
trigger:
  recurrence:
    frequency: Day
    time_of_day: 18:30
"""
DATASTORE = b"kind: Datastore\nname: landing\nurl: file:in\n"
PIPELINE = b"kind: Pipeline\nname: batch-scoring\nsteps: [{name: a, command: [x]}]\n"


def test_every_kind_is_found_by_name_in_order():
    text = DATASTORE + b"---\n" + PIPELINE + b"---\n" + DATASTORE.replace(b"landing", b"archive")
    loaded = load([Document("z.yml", SCHEDULE), Document("a.yml", text)])
    assert loaded.problems == ()
    assert loaded.broken == frozenset()
    assert (list(loaded.schedules), list(loaded.pipelines)) == (["nightly"], ["batch-scoring"])
    assert list(loaded.datastores) == ["archive", "landing"]
    nightly = loaded.schedules["nightly"]
    assert (nightly.value.trigger.frequency, nightly.value.trigger.time_of_day) == (
        Frequency.DAY,
        "18:30",
    )
    archive = loaded.datastores["archive"]
    assert (archive.file, archive.line, archive.column) == ("a.yml", 9, 1)


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        (lambda text: text.replace(b"\n", b"\r\n"), "name", "nightly"),
        (lambda text: b"\xef\xbb\xbf" + text, "name", "nightly"),
        (lambda text: text + b"description:\n", "description", ""),
        (lambda text: text + b"overlap: null\ntags: ~\npipeline_parameters:\n", "overlap", "skip"),
        (lambda text: text + b"continue_on_step_failure: ~\n", "continue_on_step_failure", None),
        (lambda text: text + b"tags: {010: a, on: b, 18:30: c}\n", "tags", {"010": "a", "on": "b", "18:30": "c"}),
        (lambda text: text + b"pipeline_parameters: {t: 18:30, d: 2026-01-31, n: no}\n", "pipeline_parameters",
         {"t": "18:30", "d": "2026-01-31", "n": "no"}),
        (lambda text: text + b"pipeline_parameters: {i: 0o17, f: 5e-05, b: True, s: '1'}\n", "pipeline_parameters",
         {"i": 15, "f": 5e-05, "b": True, "s": "1"}),
        (lambda text: text + b"description: |\n  two\n  lines\n", "description", "two\nlines\n"),
        (lambda text: text + b"tags: &t {a: b}\npipeline_parameters: *t\n", "pipeline_parameters", {"a": "b"}),
        (lambda text: b"# so\n---\n" + text + b"...\n", "name", "nightly"),
    ],
)  # fmt: skip
def test_the_obvious_value_is_accepted(change, field, value):
    loaded = load([Document("f.yml", change(SCHEDULE))])
    assert loaded.problems == ()
    assert getattr(loaded.schedules["nightly"].value, field) == value


def test_a_path_leads_to_its_place_or_to_the_nearest_one_that_is_written():
    declared = load([Document("f.yml", SCHEDULE + b"tags:\n  team: risk\n")]).schedules["nightly"]
    assert declared.at("trigger", "recurrence", "frequency") == ("f.yml", 6, 16)
    assert declared.at("trigger", "recurrence", "interval") == ("f.yml", 6, 5)
    assert declared.at("tags", 0) == ("f.yml", 9, 3)
    assert declared.at() == ("f.yml", 1, 1)
    pipeline = load([Document("p.yml", PIPELINE)]).pipelines["batch-scoring"]
    assert pipeline.at("steps", 0, "command", 0) == ("p.yml", 3, 29)
    assert pipeline.at("steps", 7, "command") == ("p.yml", 3, 8)
    assert pipeline.problem("no\nsuch thing", "name") == Problem("p.yml", 2, 7, "no\\nsuch thing")


def test_broken_documents_are_named_so_that_references_to_them_are_not_called_unknown():
    text = (
        PIPELINE.replace(b"[x]", b"x")
        + b"---\n"
        + DATASTORE
        + b"name: b\n---\nkind: Datastore\nurl: x\n---\nname: c\n"
    )
    loaded = load([Document("f.yml", text), Document("g.yml", b"[x]\n")])
    assert loaded.broken == {("Pipeline", "batch-scoring"), ("Datastore", "landing"), ("", "c")}
    assert (loaded.pipelines, loaded.datastores) == ({}, {})


def test_problems_come_sorted_whatever_the_order_of_files():
    documents = [
        Document("b.yml", b"kind: Datastore\n"),
        Document("a.yml", b"x\n"),
        Document("c.yml", DATASTORE),
    ]
    loaded = load(documents)
    assert loaded.problems == load(reversed(documents)).problems == tuple(sorted(loaded.problems))
    assert [problem.file for problem in loaded.problems] == ["a.yml", "b.yml", "b.yml"]


def test_a_file_with_very_many_problems_shows_the_first_ones_and_counts_the_rest():
    keys = "".join(f"description{n}: x\n" for n in range(10_000))
    loaded = load([Document("f.yml", DATASTORE + keys.encode())])
    assert len(loaded.problems) == MAX_PROBLEMS + 1
    assert str(loaded.problems[0]) == "f.yml: 9,900 more problems in this file; fix the first ones"
    assert loaded.problems[1].line == 4


def test_very_long_words_are_cut_in_messages():
    text = DATASTORE.replace(b"landing", b"-" + b"x" * 500_000)
    (problem,) = load([Document("f.yml", text)]).problems
    assert len(problem.message) < 200


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(enabled):
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        load([Document("f.yml", SCHEDULE)])
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


@given(schedules())
@settings(UNHURRIED, max_examples=100)
def test_line_endings_and_a_mark_change_nothing(schedule):
    text = to_yaml(schedule)
    plain = load([Document("f.yml", text.encode())]).schedules
    if "|" not in text:
        windows = ("\ufeff" + text.replace("\n", "\r\n")).encode()
        assert load([Document("f.yml", windows)]).schedules == plain
