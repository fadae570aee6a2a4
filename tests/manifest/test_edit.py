from __future__ import annotations

import json
import re

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from reconciler.manifest.edit import REMOVE, CannotEdit, edit, edit_all, plain_data
from reconciler.manifest.emit import mapping_lines, to_yaml
from reconciler.manifest.load import KINDS, Document, load
from reconciler.manifest.yaml12 import parse
from tests.manifest.strategies import UNHURRIED, datastores, pipelines, schedules

SCHEDULE = """\
# Nightly scoring, agreed with the risk team
kind: Schedule
name: nightly
pipeline: 'batch-scoring'   # the newest one

trigger:
  recurrence:
    frequency: Week
    # Not on Friday: the warehouse loads.
    week_days: [Monday,  Thursday]  # twice is enough
    time_of_day: "06:30"\t# before the office opens

pipeline_parameters:
    batch_size: 512   # rows
    # More than this and the node runs out of memory.
    rate: 0.5
tags: {team: risk}
# the end
"""


def changed(before: str, changes: dict, kind="Schedule", name="nightly") -> str:
    """Edit the text, once more with CRLF, a byte order mark and no newline at the end."""
    after = edit(before.encode(), kind, name, changes).decode()
    for bom, newline in (("", "\r\n"), ("\ufeff", "\r")):
        other, expected = (bom + text.replace("\n", newline) for text in (before, after))
        assert edit(other.encode(), kind, name, changes).decode() == expected
    if "|" not in before + after:  # there, the last newline means something
        other = before.removesuffix("\n").encode()
        assert edit(other, kind, name, changes).decode() == after.removesuffix("\n")
    return after


def lines_changed(before: str, after: str) -> list[str]:
    old, new = before.splitlines(), after.splitlines()
    return [f"-{line}" for line in old if line not in new] + [
        f"+{line}" for line in new if line not in old
    ]


RECURRENCE = ("trigger", "recurrence")


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, []),
        ({("pipeline",): "batch-scoring"}, []),
        ({("no",): REMOVE, ("tags", "no"): REMOVE, ("pipeline", 3): REMOVE, ("tags", "team", "no"): REMOVE}, []),
        ({("pipeline",): "it's"}, ["-pipeline: 'batch-scoring'   # the newest one", "+pipeline: 'it''s'   # the newest one"]),
        ({("pipeline",): "a\tb"}, ["-pipeline: 'batch-scoring'   # the newest one", '+pipeline: "a\\tb"   # the newest one']),
        ({(*RECURRENCE, "time_of_day"): "7:00"}, ['-    time_of_day: "06:30"\t# before the office opens', '+    time_of_day: "7:00"\t# before the office opens']),
        ({(*RECURRENCE, "frequency"): "Day", (*RECURRENCE, "week_days"): REMOVE},
         ["-    frequency: Week", "-    week_days: [Monday,  Thursday]  # twice is enough", "+    frequency: Day"]),
        ({(*RECURRENCE, "week_days"): ["Monday", "Tuesday", "Thursday"]},
         ["-    week_days: [Monday,  Thursday]  # twice is enough", "+    week_days: [Monday, Tuesday,  Thursday]  # twice is enough"]),
        ({(*RECURRENCE, "week_days"): ["Sunday", "Monday", "Thursday"]},
         ["-    week_days: [Monday,  Thursday]  # twice is enough", "+    week_days: [Sunday, Monday,  Thursday]  # twice is enough"]),
        ({(*RECURRENCE, "week_days", 0): REMOVE},
         ["-    week_days: [Monday,  Thursday]  # twice is enough", "+    week_days: [Thursday]  # twice is enough"]),
        ({(*RECURRENCE, "week_days", 1): REMOVE, (*RECURRENCE, "week_days", 0): "Friday"},
         ["-    week_days: [Monday,  Thursday]  # twice is enough", "+    week_days: [Friday]  # twice is enough"]),
        ({(*RECURRENCE, "week_days", 2): "Sunday"},
         ["-    week_days: [Monday,  Thursday]  # twice is enough", "+    week_days: [Monday,  Thursday, Sunday]  # twice is enough"]),
        ({(*RECURRENCE, "time_zone"): "Europe/Paris"}, ["+    time_zone: Europe/Paris"]),
        ({("pipeline_parameters", "batch_size"): 1.5}, ["-    batch_size: 512   # rows", "+    batch_size: 1.5   # rows"]),
        ({("pipeline_parameters", "batch_size"): 512.0}, ["-    batch_size: 512   # rows", "+    batch_size: 512.0   # rows"]),
        ({("pipeline_parameters", "batch_size"): "512"}, ["-    batch_size: 512   # rows", '+    batch_size: "512"   # rows']),
        ({("pipeline_parameters", "batch_size"): "18:30"}, ["-    batch_size: 512   # rows", '+    batch_size: "18:30"   # rows']),
        ({("pipeline_parameters", "batch_size"): REMOVE}, ["-    batch_size: 512   # rows"]),
        ({("pipeline_parameters", "text"): "a\nb"}, ["+    text: |-", "+      a", "+      b"]),
        ({("pipeline_parameters", "rate"): "a\nb\n"}, ["-    rate: 0.5", "+    rate: |", "+      a", "+      b"]),
        ({("pipeline_parameters", "batch_size"): "a\nb"},
         ["-    batch_size: 512   # rows", "+    batch_size: |-   # rows", "+      a", "+      b"]),
        ({("tags", "two words"): "é"}, ["-tags: {team: risk}", '+tags: {team: risk, two words: "é"}']),
        ({("tags", "team"): REMOVE}, ["-tags: {team: risk}", "+tags: {}"]),
        ({("tags", "team"): REMOVE, ("tags", "a: b"): "x\ny"}, ["-tags: {team: risk}", '+tags: {"a: b": "x\\ny"}']),
        ({("tags",): REMOVE}, ["-tags: {team: risk}"]),
        ({("description",): "Scores"}, ["+description: Scores"]),
        ({("trigger",): {"cron": {"expression": "0 6 * * *"}}, ("overlap",): "queue"},
         ["-  recurrence:", "-    frequency: Week", "-    # Not on Friday: the warehouse loads.",
          "-    week_days: [Monday,  Thursday]  # twice is enough", '-    time_of_day: "06:30"\t# before the office opens',
          "+  cron:", '+    expression: "0 6 * * *"', "+overlap: queue"]),
    ],
)  # fmt: skip
def test_a_change_touches_its_own_lines_only(changes, lines):
    assert lines_changed(SCHEDULE, changed(SCHEDULE, changes)) == lines


HEAD = "kind: Schedule\nname: nightly\npipeline: p\ntrigger: {cron: {expression: 0 6 * * *}}\n"
STEPS = "kind: Pipeline\nname: nightly\nsteps:\n"
TAGS = ("tags",)


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        # Nothing is there yet
        ("", {("tags", "a"): "b"}, "tags:\n  a: b\n"),
        ("# end\n", {("tags", "a"): "b"}, "tags:\n  a: b\n# end\n"),
        ("tags:\n", {("tags", "a"): "b"}, "tags: {a: b}\n"),
        ("tags:  # none\n", {("tags", "a"): "b"}, "tags: {a: b}  # none\n"),
        ("tags: ~ # none\n", {("tags", "a"): "b"}, "tags: {a: b} # none\n"),
        ("tags: {} # none\n", {("tags", "a"): "b", ("tags", "c"): "d"}, "tags: {a: b, c: d} # none\n"),
        ("tags: { }\n", {("tags", "a"): "b"}, "tags: {a: b}\n"),
        ("tags: { # none\n}\n", {("tags", "a"): "b"}, "tags: {a: b # none\n}\n"),
        ("catchup_window:\n", {("catchup_window",): "5m"}, "catchup_window: 5m\n"),
        ("catchup_window: # default\n", {("catchup_window",): "5m"}, "catchup_window: 5m # default\n"),
        # Blocks
        ("tags:\n    a: b # c\n\n# end\n", {("tags", "d"): "e"}, "tags:\n    a: b # c\n    d: e\n\n# end\n"),
        ("tags:\n  a: b\n  # of a\n\n  # of a, too\n# end\n", {("tags", "d"): "e"}, "tags:\n  a: b\n  d: e\n  # of a\n\n  # of a, too\n# end\n"),
        ("tags:\n  a: b\n    # of a\n# end\n", {("tags", "d"): "e\nf"}, "tags:\n  a: b\n    # of a\n  d: |-\n    e\n    f\n# end\n"),
        ("tags: # t\n  # x\n  a: b # c\n  # y\n", {("tags", "a"): REMOVE}, "tags: {} # t\n  # x\n  # y\n"),
        ("tags:\n  # x\n  a: b # c\n  # y\n  d: e\n", {("tags", "a"): REMOVE}, "tags:\n  # x\n  # y\n  d: e\n"),
        ("tags:\n  a: b\n  d: e # f\n", {("tags", "d"): REMOVE}, "tags:\n  a: b\n"),
        ("tags:\n  a: b\nmissed: all\n", {("tags",): {"c": "d"}}, "tags:\n  c: d\nmissed: all\n"),
        ("tags:\n  a: 'b\n    c'  # d\n", {("tags", "a"): "x"}, "tags:\n  a: 'x'  # d\n"),
        ("tags:\n  a: b\n    c  # d\n", {("tags", "a"): "x"}, "tags:\n  a: x  # d\n"),
        ("tags:\n  a: b\n    c  # d\n  e: f\n", {("tags", "a"): REMOVE}, "tags:\n  e: f\n"),
        # Quotes
        ('tags: {"a": "b"}\n', {("tags", "a"): "c"}, 'tags: {"a": "c"}\n'),
        ('tags: {"a": "b"}\n', {("tags", "a"): "c\nd"}, 'tags: {"a": "c\\nd"}\n'),
        ("tags: {'a' : 'b'}\n", {("tags", "a"): "c\nd"}, "tags: {'a' : \"c\\nd\"}\n"),
        ('tags:\n  "a b" : "b"\n', {("tags", "a b"): "c\nd"}, 'tags:\n  "a b" : "c\\nd"\n'),
        ("tags:\n  'a': 'b'\n", {("tags", "a"): "c\nd"}, "tags:\n  'a': |-\n    c\n    d\n"),
        ('pipeline_parameters: {a: "1"}\n', {("pipeline_parameters", "a"): 1}, "pipeline_parameters: {a: 1}\n"),
        ("pipeline_parameters: {a: 1}\n", {("pipeline_parameters", "a"): True}, "pipeline_parameters: {a: true}\n"),
        ("tags:\n  名前: \U0001f600 # 値\n", {("tags", "名前"): "é"}, 'tags:\n  名前: "é" # 値\n'),
        # Block scalars
        ("description: |  # why\n    a\n    b\n\n# end\n", {("description",): "c\nd\n"}, "description: |  # why\n  c\n  d\n\n# end\n"),
        ("description: >-\n  a\n  b\nmissed: all\n", {("description",): "c"}, "description: c\nmissed: all\n"),
        ("description: |+  # why\n  a\n\nmissed: all\n", {("description",): "c"}, "description: c  # why\nmissed: all\n"),
        ("description: |+\n  a\n\n", {("missed",): "all"}, "description: |+\n  a\n\nmissed: all\n"),
        ("description: |+\n  a\n\nmissed: all\n", {("missed",): REMOVE}, "description: |+\n  a\n\n"),
        ("description: |\n  a\n\n\n# end\n", {("missed",): "all"}, "description: |\n  a\nmissed: all\n\n\n# end\n"),
        # Brackets
        ("tags: {a: b, c: d, e: f}\n", {("tags", "a"): REMOVE}, "tags: {c: d, e: f}\n"),
        ("tags: {a: b, c: d, e: f}\n", {("tags", "c"): REMOVE}, "tags: {a: b, e: f}\n"),
        ("tags: {a: b, c: d, e: f,}\n", {("tags", "e"): REMOVE}, "tags: {a: b, c: d,}\n"),
        ("tags: { a: b }\n", {("tags", "a"): REMOVE}, "tags: {}\n"),
        ("tags: { # x\n  a: b\n}\n", {("tags", "a"): REMOVE}, "tags: { # x\n  \n}\n"),
        ("tags: {a: b,}\n", {("tags", "c"): "d"}, "tags: {a: b, c: d,}\n"),
        ("tags: {\n  a: b, # x\n  # y\n  c: d, # z\n}\n", {("tags", "e"): "f"}, "tags: {\n  a: b, # x\n  # y\n  c: d, # z\n  e: f,\n}\n"),
        ("tags: {\n  a: b, # x\n  c: d # z\n}\n", {("tags", "e"): "f"}, "tags: {\n  a: b, # x\n  c: d, # z\n  e: f\n}\n"),
        ("tags: {\n  a: b, # x\n  # y\n  c: d # z\n}\n", {("tags", "a"): REMOVE}, "tags: {\n  # y\n  c: d # z\n}\n"),
        ("tags: {\n  a: b, # x\n  # y\n  c: d # z\n}\n", {("tags", "c"): REMOVE}, "tags: {\n  a: b, # x\n  # y\n}\n"),
        ("tags: {a: b, # x\n  c: d, e: f}\n", {("tags", "c"): REMOVE}, "tags: {a: b, # x\n   e: f}\n"),
        ("tags: {a: b, # x\n  c: d}\n", {("tags", "a"): REMOVE}, "tags: { # x\n  c: d}\n"),
        ("tags: {\n  a: b,\n  c: d }\n", {("tags", "e"): "f"}, "tags: {\n  a: b,\n  c: d, e: f }\n"),
        ("pipeline_parameters: {? a : 1, b: 2}\n", {("pipeline_parameters", "a"): 3}, "pipeline_parameters: {? a : 3, b: 2}\n"),
        # Long and explicit keys
        ("tags:\n  ? a # x\n  : b # y\n", {("tags", "a"): "c"}, "tags:\n  ? a # x\n  : c # y\n"),
        ("tags:\n  ? a\n  : b\n  c: d\n", {("tags", "a"): REMOVE, ("tags", "e"): "f"}, "tags:\n  c: d\n  e: f\n"),
        # Anchors that nobody uses, and shared values that stay
        ("tags: &t\n  a: &b c # d\n", {("tags", "a"): "e"}, "tags: &t\n  a: e # d\n"),
        ("tags: &t\n  a: b\n", {("tags", "a"): REMOVE}, "tags: {}\n"),
        ("description: &d x\ntags: {a: *d, b: c}\n", {("tags", "b"): "e"}, "description: &d x\ntags: {a: *d, b: e}\n"),
        ("description: &d x\ntags: {a: *d, b: c}\n", {("tags", "a"): REMOVE}, "description: &d x\ntags: {b: c}\n"),
        ("description: &d |-\n  x\n", {("description",): "z"}, "description: z\n"),
    ],
)  # fmt: skip
def test_a_schedule_before_and_after(before, changes, after):
    assert changed(HEAD + before, changes) == HEAD + after


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        # Mappings in a list
        ("- name: a # x\n  shell: b\n", {(0, "timeout"): "5m"}, "- name: a # x\n  shell: b\n  timeout: 5m\n"),
        ("- shell: b # x\n  name: a\n", {(0, "shell"): REMOVE, (0, "command"): ["x"]}, "- name: a\n  command: [x]\n"),
        ("- shell: b # x\n  # y\n  name: a\n", {(0, "shell"): REMOVE, (0, "command"): ["x"]}, "- \n  # y\n  name: a\n  command: [x]\n"),
        ("-\n  # x\n  name: a\n  shell: b\n", {(0, "name"): "c"}, "-\n  # x\n  name: c\n  shell: b\n"),
        ("- # x - y\n  name: a\n  shell: b\n", {(1,): {"name": "c", "shell": "d"}}, "- # x - y\n  name: a\n  shell: b\n- name: c\n  shell: d\n"),
        ("    - name: a\n      shell: b\n      env: {A: b}\n", {(0, "env", "A"): "c", (0, "env", "B"): "d"}, "    - name: a\n      shell: b\n      env: {A: c, B: d}\n"),
        ("- {name: a, shell: b}\n- {name: c, shell: d}\n", {(0,): REMOVE}, "- {name: c, shell: d}\n"),
        ("- {name: a, shell: b} # x\n# y\n- {name: c, shell: d}\n", {(1,): REMOVE}, "- {name: a, shell: b} # x\n# y\n"),
        ("- name: a\n  shell: b\n  env:\n    A: b\n  timeout: 5m\n", {(0, "env", "A"): REMOVE}, "- name: a\n  shell: b\n  env: {}\n  timeout: 5m\n"),
        ("- name: a\n  shell: b\n  retries:\n    max: 2 # x\n", {(0, "retries"): {"max": 2, "backoff": "5s"}}, "- name: a\n  shell: b\n  retries:\n    max: 2 # x\n    backoff: 5s\n"),
        ("- name: a\n  shell: b\n", {(0, "retries", "max"): 1, (0, "depends_on"): []}, "- name: a\n  shell: b\n  retries:\n    max: 1\n  depends_on: []\n"),
        ("- name: a\n  shell: |\n    x\n    y\n  timeout: 5m\n", {(0, "shell"): "x\nz\n"}, "- name: a\n  shell: |\n    x\n    z\n  timeout: 5m\n"),
        # Lists of texts
        ("- name: a\n  command:\n  - x # 1\n  # two\n  - y # 2\n  - z # 3\n", {(0, "command", 0): REMOVE}, "- name: a\n  command:\n  # two\n  - y # 2\n  - z # 3\n"),
        ("- name: a\n  command:\n  - x # 1\n  # two\n  - y # 2\n  - z # 3\n", {(0, "command"): ["x", "z"]}, "- name: a\n  command:\n  - x # 1\n  # two\n  - z # 3\n"),
        ("- name: a\n  command:\n    - x # 1\n    - z # 3\n", {(0, "command"): ["x", "v", "w", "z"]}, "- name: a\n  command:\n    - x # 1\n    - v\n    - w\n    - z # 3\n"),
        ("- name: a\n  command:\n    # one\n    - x # 1\n", {(0, "command"): ["w", "x"]}, "- name: a\n  command:\n    # one\n    - w\n    - x # 1\n"),
        ("- name: a\n  command:\n    - x\n", {(0, "command", 0): "a\nb"}, "- name: a\n  command:\n    - |-\n      a\n      b\n"),
        ("- name: a\n  command:\n    - |\n      x\n", {(0, "command", 1): "z"}, "- name: a\n  command:\n    - |\n      x\n    - z\n"),
        ("- name: a\n  command: [x]\n  depends_on:\n", {(0, "command", 0): "w", (0, "command", 1): "[z"}, '- name: a\n  command: [w, "[z"]\n  depends_on:\n'),
        ("- name: a\n  command:\n    - x\n  depends_on:\n    - b\n- name: b\n  shell: c\n", {(0, "depends_on", 0): REMOVE}, "- name: a\n  command:\n    - x\n  depends_on: []\n- name: b\n  shell: c\n"),
    ],
)  # fmt: skip
def test_the_steps_of_a_pipeline_before_and_after(before, changes, after):
    changes = {("steps", *path): value for path, value in changes.items()}
    assert changed(STEPS + before, changes, "Pipeline") == STEPS + after


def refused(text: str | bytes, changes: dict, kind="Schedule", name="nightly") -> str:
    with pytest.raises(CannotEdit) as caught:
        edit(text if isinstance(text, bytes) else text.encode(), kind, name, changes)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"line {caught.value.line}: ") or caught.value.line == 0
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        ("tags: &t {a: b}\npipeline_parameters: *t\n", {("tags", "a"): "c"},
         "line 5: tags.a cannot be edited: it stands in what is shared as 't'; write tags.a: c by hand"),
        ("tags: &t {a: b}\npipeline_parameters: *t\n", {("pipeline_parameters", "a"): REMOVE},
         "line 5: pipeline_parameters.a cannot be edited: it stands in what is shared as 't'; remove pipeline_parameters.a by hand"),
        ("tags: &t {a: b}\npipeline_parameters: *t\n", {("pipeline_parameters", "c"): [1, {"d": None}]},
         "line 6: pipeline_parameters.c cannot be edited: it stands in what is shared as 't'; write pipeline_parameters.c: [1, {d: null}] by hand"),
        ("tags: {a: &t b}\ndescription: *t\n", {("tags", "a"): "c"},
         "line 5: tags.a cannot be edited: its value is shared as 't'; write tags.a: c by hand"),
        ("tags: {a: &t b}\ndescription: *t\n", {("tags",): REMOVE},
         "line 5: tags cannot be edited: its value is shared as 't'; remove tags by hand"),
        ("tags: {a: &t b}\ndescription: *t\n", {("description",): "c"},
         "line 6: description cannot be edited: its value is shared as 't'; write description: c by hand"),
        ("# x\ntags: {a: '${{ variables.team }}'}\n", {("tags", "a"): "c"},
         "line 6: tags.a cannot be edited: its value comes from variables.team; write tags.a: c by hand"),
        ("tags:\n  &k a: b\ndescription: *k\n", {("tags", "a"): REMOVE},
         "line 6: tags.a cannot be edited: the text around it is unusual; remove tags.a by hand"),
        ("description: &k a\ntags:\n  *k : c\n", {("tags", "a"): "d"},
         "line 7: tags.a cannot be edited: the text around it is unusual; write tags.a: d by hand"),
        ("description: |\n  a\ntags: {}\n   # x\nmissed: all\n", {("tags",): REMOVE},
         "line 7: tags cannot be edited: the text around it is unusual; remove tags by hand"),
        ("pipeline_parameters: {a: [b: 1]}\n", {("pipeline_parameters", "a", 0, "c"): 2},
         "line 5: pipeline_parameters.a[0].c cannot be edited: the text around it is unusual; write pipeline_parameters.a[0].c: 2 by hand"),
        ("tags:\n  ? a\n", {("tags", "a"): "d"},
         "line 6: tags.a cannot be edited: the text around it is unusual; write tags.a: d by hand"),
        ("tags: {}\n", {("tags", "a" * 1100): "d", ("description",): "x"},
         f"line 5: tags.{'a' * 1100} cannot be edited: the text around it is unusual; write tags.{'a' * 1100}: d by hand"),
        ("tags: {a: b}\n", {("tags", "a"): "\ud800"},
         'line 5: tags.a cannot be edited: the text around it is unusual; write tags.a: "\\ud800" by hand'),
        ("tags: {a: b}\n", {("tags", "a", "c"): "d"}, "line 5: tags.a.c: c leads into what is no mapping"),
        ("tags: {a: b}\n", {("tags", 0): "d"}, "line 5: tags[0]: 0 leads into what is no list"),
        ("tags:\n", {("include", 1): "d"}, "line 1: include[1]: there is no item 1 in a list of 0"),
        ("tags: {a: b}\n", {("tags", "a"): {"c": "d"}}, "line 5: tags.a would make the manifest wrong: each value of tags must be text, not a mapping"),
        ("tags:\n  a: b\n", {("tags",): 1}, "line 5: tags would make the manifest wrong: tags must be a mapping; write name: value lines under it"),
        ("", {("pipeline",): REMOVE}, "line 3: pipeline would make the manifest wrong: missing key 'pipeline'; write for example pipeline: batch-scoring"),
        ("", {("kind",): REMOVE}, "line 1: kind would make the manifest wrong: missing key 'kind'; write kind: Schedule, Pipeline or Datastore"),
        ("tags: {a: b\n", {("tags",): {}}, "line 5: this '{' is not closed, or a ',' is missing behind it; check the mapping; nothing was changed"),
    ],
)  # fmt: skip
def test_what_cannot_be_edited_safely_is_refused_with_the_line_and_what_to_write(
    text, changes, message
):
    assert refused(HEAD + text, changes) == message


def test_a_file_that_is_no_text_is_refused():
    assert "not valid UTF-8" in refused(b"kind: \xff", {})


def test_a_document_that_is_not_there_or_twice_is_refused():
    assert refused(HEAD, {}, name="other") == "no Schedule 'other' is declared in this file"
    twice = f"{HEAD}---\n{HEAD}"
    assert refused(twice, {}) == "line 6: Schedule 'nightly' is declared twice; remove one"


def test_a_name_that_another_document_has_is_refused():
    text = f"{HEAD}---\n{HEAD.replace('nightly', 'daily')}"
    assert refused(text, {("name",): "daily"}).startswith(
        "line 2: name would make the manifest wrong:"
    )
    assert refused(text, {("name",): "nightly"}, name="daily").startswith("line 7: name would make")


def test_problems_that_were_there_before_do_not_stand_in_the_way():
    text = "kind: Schedule\nname: nightly\npipelin: p\ntags: {a: 010, b: c}\n"
    assert changed(text, {("tags", "b"): "d"}) == text.replace("b: c", "b: d")


MANY = """\
# first
%s
# second
--- # of the datastore
kind: Datastore
name: nightly # the same name
url: file:a
...
# between
---
# nothing
---
{kind: Datastore, name: other, url: file:b} # flow
---
kind: Pipeline
name: p
steps: [{name: a, shell: b}]
"""


def test_the_other_documents_of_a_file_stay_as_they_are():
    text = MANY % HEAD
    after = changed(text, {("url",): "file:c", ("tags", "a"): "b"}, "Datastore")
    assert lines_changed(text, after) == ["-url: file:a", "+url: file:c", "+tags:", "+  a: b"]
    after = changed(text, {("url",): "file:c"}, "Datastore", "other")
    assert after == text.replace("file:b", "file:c")
    after = changed(text, {("steps", 0, "shell"): "c"}, "Pipeline", "p")
    assert after == text.replace("shell: b", "shell: c")


def test_several_documents_are_edited_in_one_go():
    text = (MANY % HEAD).encode()
    changes = {
        ("Pipeline", "p"): {("description",): "x"},
        ("Schedule", "nightly"): {("missed",): "all"},
        ("Datastore", "other"): {("url",): "file:b"},
        ("Datastore", "nightly"): {("url",): "file:c"},
    }
    one_by_one = text
    for (kind, name), wishes in changes.items():
        one_by_one = edit(one_by_one, kind, name, wishes)
    assert edit_all(text, changes) == one_by_one
    changes["Datastore", "other"] = {("tags", "a" * 1100): "b"}
    with pytest.raises(CannotEdit, match=r"^line 17: tags cannot be edited"):
        edit_all(text, changes)


def open_lines(text: str) -> set[int]:
    """The lines that are no part of a block scalar, where a comment would be text."""
    events = yaml.parse(text, yaml.CBaseLoader)
    marks = [(e.start_mark.line, e.end_mark.line) for e in events if getattr(e, "style", "") == "|"]
    closed = {line for start, end in marks for line in range(start + 1, end)}
    return set(range(text.count("\n"))) - closed


@st.composite
def decorated(draw, text: str) -> str:
    """Strew comments and blank lines where YAML allows them."""
    lines, free = [], open_lines(text)
    kinds = st.sampled_from(["", "", "above", "blank", "behind"])
    for number, line in enumerate(text.split("\n")[:-1]):
        kind = draw(kinds) if number in free else ""
        margin = re.match(" *", line)[0]
        lines += {"above": [f"{margin}# c{number} - x"], "blank": [""]}.get(kind, [])
        lines.append(f"{line} # c{number}: y" if kind == "behind" else line)
    return "\n".join(lines) + "\n"


def outermost(text: str) -> dict[str, str]:
    """Each outermost key with its lines, but the comments and blank lines that follow them."""
    lines, found, free = text.split("\n")[:-1], {}, open_lines(text)
    starts = [at for at, line in enumerate(lines) if at in free and re.match("[a-z]", line)]
    for start, stop in zip(starts, [*starts[1:], len(lines)], strict=True):
        own = lines[start:stop]
        while not own[-1] or (start + len(own) - 1 in free and own[-1].lstrip().startswith("#")):
            own.pop()
        found[lines[start].partition(":")[0]] = "\n".join(["", *own, ""])
    return found


@pytest.mark.parametrize("values", [schedules(), pipelines(), datastores], ids=list(KINDS))
@given(data=st.data())
@settings(UNHURRIED, max_examples=40, phases=[Phase.generate])
def test_any_manifest_can_be_edited_into_any_other_and_keeps_what_is_not_concerned(values, data):
    old, new = data.draw(values), data.draw(values)
    kind, before = old.KIND, data.draw(decorated(to_yaml(old)))
    was = yaml_data(before)
    goal = {**yaml_data(to_yaml(new)), "name": old.name}
    # Half of it stays as it is.
    goal |= {key: was[key] for key in data.draw(st.sets(st.sampled_from(sorted(was))))}
    changes = {(key,): value for key, value in goal.items()}
    changes |= {(key,): REMOVE for key in was if key not in goal}
    text = before.encode()
    if load(
        [Document("", "\n".join(mapping_lines(goal, "")).encode())]
    ).problems:  # two halves that do not go together
        with pytest.raises(CannotEdit, match="would make the manifest wrong"):
            edit(text, kind, old.name, changes)
        return
    after = edit(text, kind, old.name, changes).decode()
    assert ordered(yaml_data(after)) == ordered(goal)
    blocks = outermost(before)
    for key, value in goal.items():
        if key in was and ordered(value) == ordered(was[key]):
            assert blocks[key] in "\n" + after
    at_the_margin = [line for line in before.split("\n") if line.startswith("# c")]
    assert [line for line in after.split("\n") if line in at_the_margin] == at_the_margin


def ordered(data) -> str:
    return json.dumps(data, sort_keys=True)


def yaml_data(text: str) -> dict:
    (root,) = [root for root, _ in parse("", text.encode())[0]]
    return plain_data(root)
