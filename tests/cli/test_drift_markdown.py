"""Drift as markdown, whatever people and other programs named their things."""

import re

import pytest

# It comes with rich.
from markdown_it import MarkdownIt

from reconciler.cli.drift_markdown import drift_markdown
from reconciler.live import Hold, Owner, OwnerRecord
from reconciler.plan.change import Kind
from reconciler.plan.markdown import LIMIT
from reconciler.reconcile.drift import Drift, Finding, State, Touched
from reconciler.reconcile.write_back import Edit, Left, WriteBack

READER = MarkdownIt("commonmark", {"html": True}).enable("table")
HOSTILE = [
    "@everyone",
    "<script>alert(1)</script>",
    "a`b``c```d",
    "x|y|z\\|",
    "![i](https://example.com/x.png)",
    "# head",
    "- item",
    "www.example.com",
    "two\nlines\u202e",
    "</code></summary>",
    "\x1b[31m",
    "~~~",
    "",
]
TOUCHED = (Touched("description", "", "by hand"),)


def changed(name="nightly", fields=TOUCHED, **members):
    given = {
        "state": State.CHANGED, "kind": Kind.SCHEDULE, "name": name, "id": "id-1",
        "owner": Owner("shop", "dev"), "file": f"schedules/{name}.yml", "line": 3, "fields": fields,
    }  # fmt: skip
    return Finding(**{**given, **members})


def drift_of(*findings, **members):
    given = {
        "owner": Owner("shop", "dev"), "workspace": "sqlite:ws.db", "as_of": 0, "record": None,
        "findings": findings,
    }  # fmt: skip
    return Drift(**{**given, **members})


@pytest.mark.parametrize("word", HOSTILE)
def test_nothing_that_somebody_wrote_becomes_markup_or_a_mention(word):
    touched = (Touched(word, word, {word: word}),)
    drift = drift_of(
        changed(word, touched, ignored=touched, hold=Hold(who=word, why=word, since=0)),
        changed(word, (), state=State.MISSING, file=None),
        changed(word, (), state=State.UNMANAGED, owner=None, id=word),
        changed(word, (), state=State.FOREIGN, owner=Owner(word, word)),
        owner=Owner(word, word),
        workspace=word,
        record=OwnerRecord(owner=Owner(word, word), commit=word, applied_at=0),
    )
    left = Left(f"Schedule.{word}", word, word)
    edits = (Edit(word, word, word, word), Edit(word, word, "b", None))
    written = WriteBack(files={word: b""}, edits=edits, left=(left,))
    text = drift_markdown(drift, written)
    assert all(line.isprintable() for line in text.split("\n"))
    tokens = READER.parse(text)
    types = [token.type for token in tokens]
    for name, count in (("heading_open", 7), ("fence", 1), ("td_open", 8), ("list_item_open", 7)):
        assert types.count(name) == count, name
    for token in tokens:
        for child in token.children or ():
            assert child.type in {"text", "code_inline", "strong_open", "strong_close", "softbreak"}
            if child.type == "text":
                assert not re.search(r"[@<#\[]|www|script|two", child.content)
        if token.type == "html_block":
            tags = "".join(re.findall("<[^<>]*>", token.content))
            code = "<code></code>"
            opened = f"<details open><summary>{code}{code}</summary>"
            assert tags in (opened, "</details>")


def test_many_objects_and_long_values_stay_within_what_github_takes_and_that_is_said():
    few, many = (drift_of(*(changed(f"s{n:05}") for n in range(count))) for count in (11, 600))
    text = drift_markdown(few, None)
    assert text.count("<details>") == 11
    assert "left out" not in text
    rows = drift_markdown(many, None)
    assert len(rows) <= LIMIT
    assert rows.count("\n| `~` changed") == 600
    assert rows.endswith("**The details are left out; `reconciler drift` prints them.**\n")
    most = drift_markdown(drift_of(*(changed(f"s{n:05}") for n in range(3_000))), None)
    assert most.count("\n| `~` changed") == 10
    assert "\n| | and 2990 more | | |\n" in most
    assert most.endswith("`reconciler drift` prints all.**\n")
    assert len(drift_markdown(many, None, limit=200)) == 200


def test_an_object_with_many_fields_names_the_first_ones():
    fields = tuple(Touched(f"tags.t{n:02}", None, "x") for n in range(12))
    text = drift_markdown(drift_of(changed(fields=fields)), None)
    assert "`tags.t09`, ... |" in text
    assert "+ tags.t11: " in text


def test_an_apply_without_a_commit_is_said_to_have_none():
    record = OwnerRecord(owner=Owner("shop", "dev"), commit=None, applied_at=0)
    text = drift_markdown(drift_of(record=record), None)
    assert "applied last: no commit at 1970-01-01T00:00:00Z." in text
    assert "nothing was applied yet." in drift_markdown(drift_of(), None)
