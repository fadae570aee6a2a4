from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.errors import ManifestError
from reconciler.manifest.edit import plain_data
from reconciler.manifest.emit import inline, to_data, to_yaml
from reconciler.manifest.format import format_text
from reconciler.manifest.load import Document, load
from reconciler.manifest.yaml12 import parse
from tests.manifest.strategies import UNHURRIED, datastores, pipelines, schedules

ROOT = Path(__file__).parents[2]


def laid_out(text: str, file: str = "a.yml") -> str:
    """Lay out a text; whatever it is, its data, its comments and a second time are looked at."""
    new = format_text(file, text.encode())
    assert format_text(file, new) == new
    assert data(new) == data(text.encode())
    return new.decode()


def data(text: bytes) -> str:
    roots, problems = parse("", text)
    assert not problems
    return json.dumps([plain_data(root) for root, _ in roots], sort_keys=True)


def refusal(text: str, file: str = "a.yml") -> list[str]:
    with pytest.raises(ManifestError) as caught:
        format_text(file, text.encode())
    return [str(problem) for problem in caught.value.problems]


MESSY = """\
# yaml-language-server: $schema=../schemas/schedule.schema.json
---

# Agreed with the risk team
name: 'nightly'   # not to be renamed


kind: Schedule
tags: {"team":risk , 'a b':  'it''s'}\t# who


# what makes it fire
trigger: # by the clock
    recurrence:

        # Not on Friday: the warehouse loads.
        week_days: [Monday,  Thursday]  # twice is enough
        time_of_day: '06:30'
        frequency: Week
        # interval: 2
    # cron: nothing

# which one
pipeline:
  "scoring"
pipeline_parameters: {
  size: 512,   # rows
  # a share
  rate: 0.5, }  # tuned
# the end

---  # the second
kind: Pipeline
name: scoring
steps:
- command: [python,
    'a.py', "--in=${{ parameters.x }}"]
  # first
  name: score
  # timeout: 5m
- # then
  shell: |   # two lines
      echo "a"   # no comment

        echo b


  name: "report"
# where the code is
code: ./code
description: >-
   folded

   text
...
# after all
"""
NEAT = """\
# yaml-language-server: $schema=../schemas/schedule.schema.json

# Agreed with the risk team
kind: Schedule
name: nightly   # not to be renamed

# which one
pipeline: scoring

# what makes it fire
trigger: # by the clock
  recurrence:
    frequency: Week

    # Not on Friday: the warehouse loads.
    week_days: [Monday, Thursday]  # twice is enough
    time_of_day: "06:30"
    # interval: 2
  # cron: nothing
pipeline_parameters:  # tuned
  size: 512   # rows
  # a share
  rate: 0.5
tags: {team: risk, a b: it's}  # who
# the end
---
# the second
kind: Pipeline
name: scoring
description: >-
  folded

  text
# where the code is
code: ./code
steps:
  # first
  - name: score
    command:
      - python
      - a.py
      - "--in=${{ parameters.x }}"
    # timeout: 5m
  # then
  - name: report
    shell: |   # two lines
      echo "a"   # no comment

        echo b
# after all
"""


def test_a_manifest_has_one_layout_and_keeps_its_comments():
    assert laid_out(MESSY) == NEAT


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", ""),
        ("\n\n", ""),
        ("# only this", "# only this\n"),
        ("---\n# a\n\n---\n...\n# b\n", "# a\n\n# b\n"),
        ("%YAML 1.2 # a\n---\nkind: Schedule\n", "# a\nkind: Schedule\n"),
        (
            "\ufeffkind: Schedule\r\nname: a\rstatus: Active",
            "kind: Schedule\nname: a\nstatus: Active\n",
        ),
        ("{name: a, kind: Schedule}", "{kind: Schedule, name: a}\n"),
        ("# a\n{name: a,\n # b\n kind: Schedule}\n# c", "# a\n# b\nkind: Schedule\nname: a\n# c\n"),
        ("  # a\n  kind: Schedule\n# b", "# a\nkind: Schedule\n# b\n"),
        (
            "kind: Schedule\n---\n---\n# b\n---\nkind: Pipeline",
            "kind: Schedule\n---\n# b\nkind: Pipeline\n",
        ),
        # What stands at the top stays there, the first key's own comment or not.
        ("# a\nname: a\n\n# b\nkind: Schedule\n", "# a\n\n# b\nkind: Schedule\nname: a\n"),
        ("name: a\n\nkind: Schedule\n", "kind: Schedule\nname: a\n"),
    ],
)
def test_documents_and_what_is_around_them(before, after):
    assert laid_out(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("description: '\"b'", "description: '\"b'"),
        ("description: '[a]'", 'description: "[a]"'),
        ("description: 'it''s: b'", 'description: "it\'s: b"'),
        ("description: '\\d: '", "description: '\\d: '"),
        ('description: "\\u202e"', 'description: "\\u202e"'),
        ('description: "yes"', 'description: "yes"'),
        ("description: '512'", 'description: "512"'),
        ("description: &a 'x'", "description: &a 'x'"),
        ("description:", "description:"),
        ("description:    # c", "description:    # c"),
        ("description:\t# c", "description:  # c"),
        ("description: # c\n  # d\n\n  x # e", "# c\n# d\ndescription: x # e"),
        ("description: a\n    b\n\n    c # d", "description: a\n  b\n\n  c # d"),
        ("description: 'a \n\n    it''s'", 'description: "a\n\n  it\'s"'),
        ("tags: { } # a", "tags: {} # a"),
        ("tags: { # a\n\n # b\n } # c", "# a\n# b\ntags: {} # c"),
        ("tags: # a\n  {b: c,\n   d: e} # f", "tags: # a\n  b: c\n  d: e\n  # f"),
        ("tags: {a, b: , 'c d'}", "tags: {a: null, b: null, c d: null}"),
        ("tags: {? a : b,\n  c}", "tags:\n  a: b\n  c:"),
        ("tags:\n  ? a\n  : b\n  ?  c\n  : d", "tags:\n  a: b\n  c: d"),
        ("tags: {a: &x b, c: [*x, &y [d]], *x : e}", "tags: {a: &x b, c: [*x, &y [d]], *x : e}"),
        ("tags: &x # a\n  b: *x2".replace("*x2", "c"), "tags: &x # a\n  b: c"),
        ("tags: { 'a #b': c }", 'tags: {"a #b": c}'),
        ("tags: [a: b, [c]]", "tags: [{a: b}, [c]]"),
        ("tags: [a:\n b, [c]]", "tags:\n  - a: b\n  - [c]"),
        ("tags:\n-   a: b\n\n    c: d\n-\n  - e\n  - f", "tags:\n  - a: b\n\n    c: d\n  - - e\n    - f"),
        ("tags:\n- &x # a\n  b: c\n-\n- ", "tags:\n  - &x # a\n    b: c\n  -\n  -"),
        ("tags: |\n\n    a\n   \n      b\n\n\n", "tags: |\n\n  a\n\n    b"),
        ("tags: |+ # a\n    a\n\n\nzzz: b", "tags: |+ # a\n  a\n\n\nzzz: b"),
        ("tags: >+\n    a\nzzz: b", "tags: >\n  a\nzzz: b"),
        ("tags: |-3\n      a\n    b\n # c", "tags: |2-\n     a\n   b\n# c"),
        ("tags: &a |\n  a\n   \n# b", "tags: &a |\n  a\n   \n# b"),
        ("tags: |\nzzz: b", "tags: |-\nzzz: b"),
        ("tags: |+\n\nzzz: b", "tags: |+\n\nzzz: b"),
        ("tags:\n  - |\n   a\n  # b\n # c\n# d", "tags:\n  - |\n    a\n  # b\n# c\n# d"),
        # A list that is not indented: what is at its column belongs to what is below.
        ("tags:\n- a\n# b\nzzz: c", "tags:\n  - a\n# b\nzzz: c"),
        ("tags:\n- a: b\n  # c\n  - d".replace("  - d", "- d"), "tags:\n  - a: b\n    # c\n  - d"),
        ("tags:\n    # a\n\n  # b\n  a: b\n\n\n   # c\n # d\n   # e", "tags:\n  # a\n\n  # b\n  a: b\n\n  # c\n# d\n# e"),
        # What a manifest does not know stays last, in its order.
        ("b: 1\na: 2\npool: c", "pool: c\nb: 1\na: 2"),
        ("defaults: {b: 1, a: 2}", "defaults: {b: 1, a: 2}"),
        # An alias stays below its anchor.
        ("tags: &x {a: b}\npipeline_parameters: *x", "tags: &x {a: b}\npipeline_parameters: *x"),
    ],
)  # fmt: skip
def test_values(before, after):
    head = "kind: Schedule\n"
    assert laid_out(head + before) == f"{head}{after}\n"


def test_a_key_that_is_too_long_for_a_line_has_its_own():
    key = "k" * 1_000
    long = f"kind: Schedule\ntags:\n  ? {key}\n  :\n    a: b\n"
    assert laid_out(f"kind: Schedule\ntags:\n    {key}: {{a:\n b}}\n") == long
    assert laid_out(long) == long


def test_the_end_of_a_file_may_be_a_part_of_a_text():
    assert (
        laid_out("kind: Schedule\ndescription: |\n  a") == "kind: Schedule\ndescription: |-\n  a\n"
    )
    kept = "kind: Schedule\ndescription: |+\n  a\n\n"
    assert laid_out(kept) == kept
    assert laid_out(f"{kept}---\n{kept}") == f"{kept}---\n{kept}"
    # Blank lines that moved below such a text would be a part of it.
    moved = "description: |+\n  a\n\n\nkind: Schedule\n\nstatus: Active\n\nname: b\n"
    assert (
        laid_out(moved) == "kind: Schedule\n\nname: b\ndescription: |+\n  a\n\n\nstatus: Active\n"
    )


def test_the_project_file_and_what_it_says_of_manifests_are_laid_out_too():
    before = "targets:\n  b: {overrides: {Schedule: {x: {status: Disabled, pipeline: p}}}}\n  a: {}\nproject: shop\n"
    after = "project: shop\ntargets:\n  b: {overrides: {Schedule: {x: {pipeline: p, status: Disabled}}}}\n  a: {}\n"
    assert laid_out(before, "dir/reconciler.yml") == after


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Schedule\nname: [", "a.yml:3:1: a value is expected here"),
        ("kind: Schedule\nkind: Schedule", "a.yml:2:1: duplicate key 'kind'"),
        (
            "kind: Schedule\n---\nkind: Shedule",
            "a.yml:2:7: kind must be Schedule, Pipeline or Datastore".replace(":2:", ":3:"),
        ),
        ("- a", "a.yml:1:1: a manifest is a mapping"),
        (
            "kind: Schedule\n---\nkind: Schedule\n? a # b\n: c",
            "a.yml:3:1: this document cannot be laid out",
        ),
        ("kind: Schedule\ntags: {? a # b\n : c}", "a.yml:1:1: this document cannot be laid out"),
        (
            "kind: Schedule\ntags: {a: &x b, c: &y d, *x : 1, *y : 2}",
            "a.yml:1:1: this document cannot be laid out",
        ),
    ],
)
def test_what_cannot_be_laid_out_is_told_where_it_stands(text, said):
    assert [line[: len(said)] for line in refusal(text)] == [said]


def test_a_project_file_must_be_a_mapping():
    said = "reconciler.yml:1:1: reconciler.yml is a mapping that starts with project: NAME"
    assert refusal("[a]", "reconciler.yml") == [said]


def written(draw: st.DrawFn, value: object, indent: int) -> list[str]:
    """Write plain data below a key or a dash in any way there is, with comments everywhere."""
    margin = " " * indent
    lines: list[str] = []
    entries = (
        [(f"{quoted(draw, key)}:", one) for key, one in value.items()]
        if isinstance(value, dict)
        else [("-", one) for one in value]
    )
    if isinstance(value, dict) and draw(st.booleans()):
        entries = draw(st.permutations(entries))
    for start, one in entries:
        lines += noise(draw, indent)
        # Behind a dash the parser takes a tab for indentation.
        end = draw(st.sampled_from(["", "", " # tail", "  # tail" if start == "-" else "\t# tail"]))
        deeper = indent + draw(st.integers(1, 5))
        way = draw(st.integers(0, 2))
        if isinstance(one, dict | list) and one and way:
            if start == "-" and way == 1:  # the first entry behind the dash, or the next dash
                below = written(draw, one, deeper := indent + draw(st.integers(2, 4)))
                at = next(
                    at for at, line in enumerate(below) if line.strip() and line.lstrip()[0] != "#"
                )
                lines += [*below[:at], f"{margin}-{below[at][indent + 1 :]}", *below[at + 1 :]]
                continue
            if isinstance(one, list) and start != "-" and draw(st.booleans()):
                deeper = indent
            lines += [f"{margin}{start}{end}", *written(draw, one, deeper)]
            if deeper > indent and draw(st.booleans()):
                lines += noise(draw, deeper)
        elif isinstance(one, dict | list) and way == 0 and one and draw(st.booleans()):
            lines += [f"{margin}{start} {flow(draw, one, deeper)}{end}"]
        elif (
            isinstance(one, str)
            and re.fullmatch(r"[a-z][a-z ]*[a-z](\n[a-z]+)*\n*", one)
            and way == 0
        ):
            sign = draw(st.sampled_from("|>")) if "\n" not in one.rstrip("\n") else "|"
            ends = len(one) - len(one.rstrip("\n"))
            body = [f"{' ' * deeper}{line}" for line in one.rstrip("\n").split("\n")] + [""] * (
                ends - 1
            )
            lines += [f"{margin}{start} {sign}{['-', '', '+'][min(ends, 2)]}{end}", *body]
            lines += ["", ""] if ends < 2 and draw(st.booleans()) else []
        elif way == 1:
            lines += [
                f"{margin}{start}{end}",
                *noise(draw, deeper),
                f"{' ' * deeper}{scalar(draw, one)}{end}",
            ]
        else:
            lines.append(f"{margin}{start}  {scalar(draw, one)}{end}")
    return lines


def noise(draw: st.DrawFn, indent: int) -> list[str]:
    kinds = [
        "",
        f"{' ' * indent}# above",
        f"{' ' * (indent + 3)}# deep",
        "# at the left",
        f"{' ' * (indent // 2)}#between",
        "   ",
    ]
    return draw(st.lists(st.sampled_from(kinds), max_size=3)) if draw(st.booleans()) else []


def quoted(draw: st.DrawFn, text: str) -> str:
    way = draw(st.integers(0, 2))
    if way == 0 and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return (
        json.dumps(text).replace("\x7f", "\\x7f") if way == 1 and text.isascii() else inline(text)
    )


def scalar(draw: st.DrawFn, value: object) -> str:
    return quoted(draw, value) if isinstance(value, str) else inline(value)


def flow(draw: st.DrawFn, value: object, indent: int) -> str:
    """Write plain data in brackets, on a line or on several."""
    if not isinstance(value, dict | list):
        return scalar(draw, value)
    parts = (
        [f"{quoted(draw, key)}: {flow(draw, one, indent)}" for key, one in value.items()]
        if isinstance(value, dict)
        else [flow(draw, one, indent) for one in value]
    )
    left, right = "{}" if isinstance(value, dict) else "[]"
    breaks = [" ", f"\n{' ' * indent}", f" # within\n\n{' ' * indent}# more\n{' ' * indent}"]
    gaps = [draw(st.sampled_from(breaks)) for _ in range(len(parts) + 1)]
    return (
        left
        + "".join(f"{gap}{part} , " for gap, part in zip(gaps, parts, strict=False))
        + gaps[-1]
        + right
    )


@st.composite
def files(draw: st.DrawFn) -> str:
    """One to three manifests, each written in some way or another."""
    texts, values = (
        [],
        draw(
            st.lists(
                schedules() | pipelines() | datastores,
                min_size=1,
                max_size=2,
                unique_by=lambda value: value.name,
            )
        ),
    )
    for value in values:
        whole = {"kind": value.KIND, **to_data(value)}
        assume("a" * 1_000 not in str(whole))  # such keys have a form of their own
        texts.append("\n".join([*written(draw, whole, 0), *noise(draw, 2), ""]))
    start = draw(
        st.sampled_from(["", "# first\n", "---\n", "# first\n\n--- # second\n", "%YAML 1.2\n---\n"])
    )
    between = draw(
        st.sampled_from(["---\n", "...\n---\n", "... # a\n# b\n--- # c\n", "---\n---\n"])
    )
    return start + between.join(texts)


def comments(text: str) -> list[str]:
    return sorted(
        re.findall(
            r"(?<=[\s])# (?:tail|above|deep|within|more|first|second|a|b|c)$|#between$|# at the left$",
            f"\n{text}",
            re.MULTILINE,
        )
    )


@UNHURRIED
@given(files())
def test_whatever_is_written_in_whatever_way_means_the_same_and_keeps_its_comments(before):
    after = laid_out(before)
    assert comments(after) == comments(before)
    old, new = (load([Document("", text.encode())]) for text in (before, after))
    assert [p.message for p in new.problems] == [p.message for p in old.problems]
    assert (new.schedules, new.pipelines, new.datastores) == (
        old.schedules,
        old.pipelines,
        old.datastores,
    )
    assert after.endswith("\n")
    assert not after.startswith(("---", "\n"))
    assert format_text("a.yml", before.replace("\n", "\r\n").encode()).decode() == after


CORPUS = [MESSY, NEAT, *(path.read_text() for path in sorted((ROOT / "schedules").rglob("*.yml")))]


@UNHURRIED
@given(st.sampled_from(CORPUS), st.data())
def test_comments_and_blank_lines_anywhere_in_what_people_wrote(text, more):
    lines = text.split("\n")
    for _ in range(more.draw(st.integers(1, 6))):
        at = more.draw(st.integers(0, len(lines)))
        lines[at:at] = [
            " " * more.draw(st.integers(0, 8))
            + more.draw(st.sampled_from(["# above", "", "# deep", " "]))
        ]
    file = "reconciler.yml" if "\nproject:" in text else "a.yml"
    before = "\n".join(lines)
    if not parse("", before.encode())[1]:  # within a text, a line may end it
        laid_out(before, file)


@UNHURRIED
@given(schedules() | pipelines() | datastores)
def test_what_the_program_writes_only_differs_in_line_breaks(value):
    text = to_yaml(value)
    assert laid_out(text) == text
