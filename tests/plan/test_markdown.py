import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

# It comes with rich.
from markdown_it import MarkdownIt

from reconciler.live import Hold, Owner
from reconciler.plan.change import (
    Action,
    FieldChange,
    Guard,
    Held,
    PlanWarning,
    Reason,
    Suppressed,
)
from reconciler.plan.codec import approval_digest
from reconciler.plan.markdown import LIMIT, code, plan_markdown
from tests.journeys.golden import assert_golden
from tests.plan.told import WHOLE, changed, created, disabled, plan_of, plans
from tests.strategies import examples

READER = MarkdownIt("commonmark", {"html": True}).enable("table")


def marker(text):
    found = re.fullmatch(r"<!-- reconciler (\{.*\}) -->", text.split("\n")[0])
    return json.loads(found[1])


def level(text):
    return marker(text)["level"]


def outside_code(text):
    """Give the words of a comment that are neither code nor HTML, and the HTML."""
    words, markup = [], []
    for token in READER.parse(text):
        if token.type == "html_block":
            markup.append(token.content)
        for child in token.children or ():
            if child.type == "html_inline":
                markup.append(child.content)
            elif child.type != "code_inline":
                words.append(child.content)
                words += (child.attrs or {}).values()
    return words, markup


def many(count, prefix="job", **members):
    return [changed(f"{prefix}{number:05}", **members) for number in range(count)]


def test_a_plan_with_everything_in_it():
    assert_golden("plan-whole.md", plan_markdown(WHOLE))


def test_the_first_line_tells_which_plan_it_is():
    plan = plan_of(changed())
    assert marker(plan_markdown(plan)) == {
        "v": 1,
        "project": "risk",
        "target": "prod",
        "commit": plan.commit,
        "approval": approval_digest(plan),
        "level": 0,
    }


def test_the_first_line_cannot_be_ended_from_within():
    plan = plan_of(owner=Owner("a--><b>--", "---"), commit=None)
    first = plan_markdown(plan).split("\n")[0]
    assert first.count("--") == 2
    assert first.count(">") == 1
    assert marker(first)["project"] == "a--><b>--"
    assert marker(first)["target"] == "---"


def test_an_empty_plan_says_so():
    text = plan_markdown(plan_of(commit=None))
    assert "No changes. The workspace is as declared." in text
    assert "not committed to Git." in text
    assert "Approval digest" not in text


def test_uncommitted_files_are_counted():
    assert "with 1 uncommitted file." in plan_markdown(plan_of(dirty=("a",)))
    assert "with 2 uncommitted files." in plan_markdown(plan_of(dirty=("a", "b")))


def test_the_digest_stands_with_the_command_that_applies_it():
    plan = plan_of(changed())
    said = f"`reconciler apply --target prod --approve {approval_digest(plan)}`"
    assert said in plan_markdown(plan)


def test_the_command_lifts_what_may_be_lifted_and_takes_over_what_the_plan_does():
    lifted = Guard("disables", "too many; add --allow disables", allowable=True)
    adopted = [changed(f"s{n:02}", action=Action.ADOPT, formerly="x/y") for n in range(11)]
    told = [
        plan_markdown(plan).splitlines()[-1].replace(approval_digest(plan), "D")
        for plan in (
            replace(plan_of(changed()), guards=(lifted,)),
            replace(plan_of(changed()), guards=(lifted, Guard("protected", "it stays"))),
            plan_of(*adopted[:2]),
            plan_of(*adopted),
        )
    ]
    command = "`reconciler apply --target prod --approve D"
    assert told == [
        f"Apply exactly this, lifting what blocks it, with {command} --allow disables`",
        "It cannot be applied while it is blocked.",
        f"Apply exactly this with {command} --adopt Schedule.s00 --adopt Schedule.s01`",
        f"Apply exactly this with {command}` and the 11 options `--adopt` of this plan",
    ]


def test_what_was_carried_out_is_not_offered_again():
    text = plan_markdown(plan_of(changed()), record="### Apply 7")
    assert text.startswith("### Apply 7\n\n### Plan for `risk`, target `prod`\n")
    assert "reconciler apply" not in text
    assert text.splitlines()[-1] == f"Approval digest `{approval_digest(plan_of(changed()))}`"
    long = plan_markdown(plan_of(*many(400)), record="### Apply 7")
    assert "The whole plan is what `reconciler history` prints" in long


def test_a_diff_starts_its_lines_with_a_sign():
    text = plan_markdown(WHOLE)
    blocks = re.findall(r"^```diff\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == len(WHOLE.changes)
    assert all(
        line[0] in "+-!" and line[1] == " " for block in blocks for line in block.split("\n")
    )


def test_a_small_plan_is_whole():
    text = plan_markdown(WHOLE)
    assert level(text) == 0
    assert "The whole plan is" not in text


def test_first_long_values_are_cut():
    long = FieldChange.by_git("description", "x" * 40_000, "y" * 40_000)
    text = plan_markdown(plan_of(changed(fields=(long,))))
    assert level(text) == 1
    assert len(text) < 2_000
    assert "(40002 characters)" in text
    assert "**Long values are cut.** The whole plan is what `reconciler plan` prints" in text


def test_then_the_details_of_the_largest_groups_go():
    plan = plan_of(*many(400), *(disabled(f"old{number}") for number in range(3)))
    text = plan_markdown(plan)
    assert level(text) == 2
    assert text.count("<details>") == 3
    assert text.count("\n| `~` update | Schedule") == 400
    assert "Only the table has all changes; the details of some are left out." in text


def test_then_the_rows_are_folded_by_folder():
    far = many(700, "far", file="b/c/x.yml")
    plan = plan_of(*many(700), *far, *many(2, "here", file="x.yml"), *many(1, "sdk", file=None))
    text = plan_markdown(plan)
    assert level(text) == 3
    assert "<details>" not in text
    rows = [line for line in text.split("\n") if line.startswith("| `~`")]
    assert rows == [
        "| `~` update | Schedule | `.` | 3 |",
        "| `~` update | Schedule | `b/c` | 700 |",
        "| `~` update | Schedule | `schedules` | 700 |",
    ]
    assert "The table is folded; the details are left out." in text


def test_at_last_there_are_counts_only():
    changes = [changed(f"s{n}", file=f"team-{n}/{'d' * 200}/s.yml") for n in range(2_000)]
    guards = tuple(Guard(f"guard{n:02}", "x" * 2_000) for n in range(12))
    warnings = (
        PlanWarning(
            file="a.yml", line=1, column=1, id="loop", message="it feeds itself", objects=("a",)
        ),
    )
    made = replace(plan_of(*changes), guards=guards, held=WHOLE.held, warnings=warnings)
    text = plan_markdown(made)
    assert level(text) == 4
    assert "**Warnings**: 1\n" in text
    assert "| `~` update | Schedule | 2000 |" in text
    assert "**Blocked** by 12 guards: `guard00`, `guard01`" in text
    assert "`guard09`, ..." in text
    assert "Held; an apply leaves them so: 2 schedules" in text
    assert len(text) < 2_000
    one = plan_markdown(replace(plan_of(*changes), guards=guards[:1]))
    assert "**Blocked** by 1 guard: `guard00`\n" in one
    assert "Held" not in one


def test_long_lists_beside_the_changes_are_counted():
    held = tuple(Held(f"s{n}", Hold(who="a", why="b" * 90, since=0)) for n in range(1_000))
    left = tuple(
        Suppressed("Schedule.x", f"tags.t{n:04}", Reason.IGNORED, "a" * 50, "b") for n in range(500)
    )
    guards = tuple(Guard("foreign", f"Schedule '{n}' belongs to others") for n in range(12))
    text = plan_markdown(plan_of(changed(), held=held, suppressed=left, guards=guards))
    assert level(text) == 2
    assert text.count("- and 990 more\n") == 1
    assert text.count("- and 490 more\n") == 1
    assert text.count("- and 2 more\n") == 1
    assert text.count("<details open>") == 1


def test_a_few_changes_are_unfolded_and_many_are_not():
    few = plan_markdown(plan_of(*(changed(f"s{n}") for n in range(10))))
    many = plan_markdown(plan_of(*(changed(f"s{n}") for n in range(11))))
    assert (few.count("<details open>"), few.count("<details>")) == (10, 0)
    assert (many.count("<details open>"), many.count("<details>")) == (0, 11)


def test_the_table_names_the_edited_fields_and_no_more_than_fit():
    fields = tuple(FieldChange.by_git(f"tags.t{n}", None, "x") for n in range(4))
    assert "| edited: `interval` |" in plan_markdown(plan_of(changed()))
    assert "| edited: `t0`, `t1`, `t2`, ... |" in plan_markdown(plan_of(changed(fields=fields)))
    assert "| edited |" in plan_markdown(plan_of(changed(fields=())))


def test_what_cannot_even_be_counted_is_cut_off():
    text = plan_markdown(plan_of(changed()), limit=300)
    assert len(text) == 300


@pytest.mark.parametrize("count", [10, 100, 150, 200, 400, 500, 1_000, 3_000])
def test_no_comment_is_longer_than_github_takes(count):
    text = plan_markdown(plan_of(*many(count), *many(count // 10, "new", action=Action.CREATE)))
    assert len(text) <= LIMIT
    assert level(text) == 0 or len(text) > 100


@examples(60)
@given(plans, st.sampled_from([LIMIT, 8_000, 3_000, 1_500]))
def test_a_comment_is_never_longer_than_its_limit_and_says_what_it_leaves_out(plan, limit):
    text = plan_markdown(plan, limit)
    assert len(text) <= limit
    if limit == LIMIT:
        assert ("The whole plan is" in text) == (level(text) > 0)


@examples(60)
@given(plans)
def test_nothing_that_somebody_wrote_becomes_markup_or_a_mention(plan):
    text = plan_markdown(plan)
    assert all(line.isprintable() for line in text.split("\n"))
    assert text.isascii() or text.encode()
    tokens = Counter(token.type for token in READER.parse(text))
    count = len(plan.changes) if level(text) < 2 else 0
    assert tokens["fence"] == count
    assert tokens["table_open"] == (1 if plan.changes else 0)
    assert tokens["tr_open"] == (1 + count if count else tokens["tr_open"])
    assert tokens["td_open"] == (5 * count if count else tokens["td_open"])
    assert tokens["heading_open"] == 1 + bool(plan.suppressed) + bool(plan.held)
    lists = sum(map(len, (plan.guards, plan.warnings, plan.suppressed, plan.held)))
    assert tokens["list_item_open"] == lists
    words, markup = outside_code(text)
    assert not any(re.search(r"[@<>#\[]|www|script|--.*--", word) for word in unaccented(words))
    first, *rest = markup
    assert first == text.split("\n")[0] + "\n"
    tags = Counter(tag for html in rest for tag in re.findall(r"<[^<>]*>", html))
    places = sum(1 for change in plan.changes if change.file)
    assert (
        tags
        == Counter(
            {
                "<details open>" if len(plan.changes) <= 10 else "<details>": count,
                "</details>": count,
                "<summary>": count,
                "</summary>": count,
                "<code>": count + places if count else 0,
                "</code>": count + places if count else 0,
            }
        )
        - Counter()
    )
    for html in rest:
        assert "@" not in re.sub(r"<code>.*?</code>", "", html)


def unaccented(words):
    """Leave out what the program itself writes with these signs: arrows and the first UTC time."""
    for word in words:
        yield re.sub(r" -> | \[[0-9: UTC-]+\]", " ", word)


@pytest.mark.parametrize("text", ["", " ", "`", "``", "a`b", "`a", "a``b`", "a\nb", "@x", "<b>"])
def test_code_is_code_whatever_it_holds(text):
    (token,) = (token for token in READER.parse(f"x {code(text)} y") if token.type == "inline")
    assert [child.type for child in token.children] == ["text", "code_inline", "text"]
    shown = text.strip().replace("\n", "\\n")
    assert token.children[1].content.strip() == shown


def test_a_pipe_does_not_end_a_cell():
    text = plan_markdown(plan_of(created("a|b\\|c"), changed(formerly="x|y", action=Action.RENAME)))
    rows = Counter(token.type for token in READER.parse(text))
    assert rows["td_open"] == 10
    assert "<code>a|b\\|c</code>" in text
