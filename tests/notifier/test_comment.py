"""The comment: its hidden line, its standing, and what a hostile manifest can do to either."""

import re
from dataclasses import replace

import pytest

from reconciler.errors import Problem
from reconciler.live import Owner
from reconciler.notifier.comment import (
    Marker,
    State,
    applied,
    failed,
    outdated,
    parse,
    planned,
    refused,
    same,
)
from reconciler.plan.change import (
    Action,
    Cause,
    Change,
    FieldChange,
    Guard,
    Kind,
    Plan,
    PlanWarning,
)
from reconciler.plan.codec import approval_digest
from reconciler.plan.markdown import LIMIT
from tests.journeys.golden import assert_golden
from tests.plan.told import spec

HEAD, MERGE, NEXT = "a" * 40, "b" * 40, "c" * 40
OWNER = Owner("shop", "dev")
FORGED = Marker(
    project="shop", target="dev", label="", head=HEAD, state=State.PLANNED, approval="sha256:" + "0" * 64
).line()  # fmt: skip
# What somebody may write into a name, a description or a file's name.
HOSTILE = (
    "@acme/everyone #1 ![x](https://evil.example/x.png) [apply](javascript:alert(1))",
    "</code></summary></details><script>alert(1)</script><img src=x onerror=alert(1)>",
    "```\n\n# Approved\n\n~~~ `` ` | a | b |",
    f"--> {FORGED}",
    f"\n{FORGED}\n**Applied**",
    "::error file=a.yml::owned %0A##[add-mask]x",
    "\u202e\x1b[31m\x00\r\n<!-- -->",
)


def plan(changes=(), **fields):
    facts = {
        "owner": OWNER,
        "workspace": "sqlite:workspace.db",
        "changes": tuple(changes),
        "unchanged": 3,
        "as_of": 0,
        "tool": "1.0",
        "commit": HEAD,
    }
    return Plan(**{**facts, **fields})


def update(name, old="a", new="b", **fields):
    facts = {
        "action": Action.UPDATE,
        "kind": Kind.PIPELINE,
        "name": name,
        "cause": Cause.EDITED,
        "fields": (FieldChange.by_git("description", old, new),),
        "file": f"schedules/{name}.yml",
        "line": 1,
        "before": spec(name=name, description=old),
        "after": spec(name=name, description=new),
    }
    return Change(**{**facts, **fields})


def hostile_plan(**fields):
    return plan(
        [
            update(text, "was", text, file=f"schedules/{text}.yml", notes=(text,), formerly=text)
            for text in HOSTILE
        ],
        owner=Owner("shop", "dev"),
        workspace=HOSTILE[1],
        guards=tuple(Guard("disables", text, allowable=True) for text in HOSTILE),
        warnings=tuple(
            PlanWarning(file=t, line=1, column=1, id="unused", message=t, objects=(t,))
            for t in HOSTILE
        ),
        dirty=HOSTILE,
        **fields,
    )


def test_a_marker_reads_back_whatever_is_in_it():
    for text in HOSTILE:
        marker = Marker(
            project=text, target=text, label=text, head=text, state=State.PLANNED,
            commit=text, approval=text, level=3,
        )  # fmt: skip
        line = marker.line()
        assert "\n" not in line
        assert line.count("-->") == 1
        assert parse(f"{line}\r\nrest") == marker


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        f" {FORGED}",
        f"> {FORGED}",
        f"{FORGED} ",
        f"{FORGED}{FORGED}",
        f"hello\n{FORGED}",
        "<!-- reconciler-ci [] -->",
        "<!-- reconciler-ci {} -->",
        "<!-- reconciler-ci {'v':1} -->",
        "<!-- reconciler-ci " + "[" * 100_000 + " -->",
        "<!-- reconciler-ci {" + '"a":[' * 100_000 + "} -->",
        FORGED.replace('"v":1', '"v":2'),
        FORGED.replace('"level":0', '"level":true'),
        FORGED.replace('"level":0', '"level":"0"'),
        FORGED.replace('"state":"planned"', '"state":"approved"'),
        FORGED.replace('"head":"' + HEAD + '"', '"head":null'),
        FORGED.replace('"approval":"', '"approval":1,"x":"'),
        FORGED.replace('"project"', '"projekt"'),
    ],
)
def test_what_is_not_our_first_line_is_nothing(body):
    assert parse(body) is None
    assert outdated(body, HEAD) == refused(body, "why", None) == body


def test_a_plan_of_the_head_and_one_of_its_merge():
    made = plan([update("a")])
    marker = parse(planned(made, HEAD))
    assert (marker.approval, marker.head, marker.level) == (approval_digest(made), HEAD, 0)
    assert planned(made, HEAD).splitlines()[1] == ""
    merged = planned(replace(made, commit=MERGE), HEAD, label="eu")
    assert merged.splitlines()[1] == "The plan is of `aaaaaaaaaaaa` as it would be merged."
    assert parse(merged).key == ("shop", "dev", "eu")


def test_a_comment_about_another_head_approves_nothing():
    body = planned(plan([update("a")]), HEAD)
    old = outdated(body, NEXT)
    assert parse(old).approval is None
    assert old.splitlines()[2:] == body.splitlines()[2:]
    assert outdated(old, NEXT) == old


def test_an_apply_that_was_refused_can_be_tried_again():
    body = planned(plan([update("a")]), HEAD)
    told = refused(body, "it failed.", "https://ci.example/1")
    assert parse(told) == parse(body)
    assert told.splitlines()[1] == "**Not applied** by [this run](https://ci.example/1): it failed."


def test_what_was_applied_does_not_say_how_to_apply_it():
    text = applied(plan([update("a")]), HEAD, "Applied: 1 changed.")
    assert text.splitlines()[1] == "**Applied** from commit `aaaaaaaaaaaa`. Applied: 1 changed."
    assert "reconciler apply" not in text
    outside_git = applied(
        plan([update("a")], commit=None), HEAD, "Done.", run="https://ci.example/1"
    )
    assert outside_git.splitlines()[1] == "**Applied** by [this run](https://ci.example/1). Done."


def test_a_claim_shows_no_digest_and_no_command():
    made = plan([update("a")])
    text = planned(replace(made, base=NEXT), HEAD)
    assert parse(text).state is State.CLAIMED
    assert approval_digest(made) not in text
    assert "reconciler apply" not in text
    assert "**Not verified**" in text.splitlines()[1]


def test_five_hundred_changes_fit_and_approve_nothing_where_some_is_left_out():
    changes = [update(f"pipeline-{at:03}", "x" * 300, "y" * 300) for at in range(500)]
    text = planned(plan(changes), HEAD)
    assert_golden("ci-500.md", re.sub(r"sha256:[0-9a-f]{64}", "OWN", text))
    assert len(text) <= LIMIT
    assert parse(text).level > 0
    assert "**Too large to approve here**" in text.splitlines()[1]


def test_no_comment_is_longer_than_github_takes():
    changes = [update(f"{at:05}{HOSTILE[4]}", HOSTILE[4] * 50) for at in range(3_000)]
    for text in (
        planned(plan(changes), HEAD, label="<" * 100),
        applied(plan(changes), HEAD, "Done."),
        failed(OWNER, HEAD, [Problem("f" * 9_000, 1, 1, "m" * 9_000)] * 9_000),
    ):
        assert len(text) <= LIMIT


def test_problems_are_listed_as_code():
    problems = [Problem(f"{text}.yml", at, 1, text) for at, text in enumerate(HOSTILE)]
    assert_golden("ci-hostile-problems.md", failed(OWNER, HEAD, [*problems, "gone"]))
    assert "- and 5 more" in failed(OWNER, HEAD, ["x"] * 55)


def test_nothing_that_somebody_wrote_is_markup():
    text = planned(hostile_plan(), HEAD)
    assert_golden("ci-hostile.md", re.sub(r"sha256:[0-9a-f]{64}", "OWN", text))
    bare = without_code(text)
    for sign in ("@", "<script", "<img", "javascript:", "evil.example", "everyone", "Approved"):
        assert sign not in bare, sign
    # The first line apart, what looks like a marker stands in code or in a fence.
    assert "reconciler-ci" not in without_code(text.partition("\n")[2])
    assert [parse(line) for line in text.split("\n")[1:] if line.startswith("<!--")] == []


def without_code(text):
    """Take away fences, code spans and code elements, as GitHub's markdown knows them."""
    text = re.sub(r"^(`{3,})diff\n.*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<code>[^<]*</code>", "", text)
    return re.sub(r"(?<!`)(`+)(?!`)(.*?)(?<!`)\1(?!`)", "", text)


def test_a_comment_that_only_differs_in_its_line_ends_is_the_same():
    assert same("a\r\nb\r\n", "a\nb")
    assert not same("a\nb", "a\nc")
