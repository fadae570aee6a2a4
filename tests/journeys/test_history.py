"""Every apply is kept, can be read again, and gone back to."""

import re
from pathlib import Path

import pytest

from tests.journeys.checkout import NIGHTLY
from tests.journeys.golden import NOW, assert_golden, assert_plan, masked_plan
from tests.journeys.outofband import masked, sql

HOURLY = NIGHTLY.replace("nightly", "hourly").replace(
    'frequency: Day, time_of_day: "02:30", time_zone: America/New_York, first_run: aligned',
    "frequency: Hour",
)


@pytest.fixture
def twice(shop):
    """A project that was applied at one commit, then at a second."""
    shop.apply()
    shop.edit("schedules/nightly.yml", "batch_size: 512", "batch_size: 1024")
    shop.write("schedules/hourly.yml", HOURLY)
    shop.commit("more")
    shop.apply()
    return shop


def batch_size(shop):
    return shop("show", "nightly", "--output", "json").data["spec"]["pipeline_parameters"]


def commits(shop):
    return shop.git("rev-list", "HEAD").split()


def test_without_an_apply_there_is_no_history(shop):
    done = shop("history")
    assert (done.code, done.out) == (0, "Nothing was applied yet.\n")
    assert not Path(".reconciler").exists()
    done = shop("history", "1")
    assert (done.code, done.err[:24]) == (1, "error: no apply number 1")
    assert shop("history", "--output", "markdown").out == "Nothing was applied yet.\n"


def test_every_apply_is_a_line_in_each_form(twice):
    listed, told = twice("history"), twice("history", "--output", "json")
    assert (listed.code, listed.err, told.code) == (0, "", 0)
    lines = [" ".join(line.split()) for line in masked(listed.out).splitlines()]
    assert_golden("history.txt", "\n".join(lines) + "\n")
    assert_golden("history.json", masked(told.out))
    assert_golden("history.md", masked(twice("history", "--output", "markdown").out))
    assert [one["number"] for one in told.data["applies"]] == [2, 1]
    assert [one["commit"] for one in told.data["applies"]] == commits(twice)
    assert [one["number"] for one in twice("history", "--limit", "1", "--output", "json").data["applies"]] == [2]  # fmt: skip


def test_a_number_shows_the_plan_that_was_carried_out(twice):
    shown = twice("history", "2")
    assert shown.code == 0
    head, _, plan = masked(shown.out).partition("\n\n")
    assert head == (
        "Apply 2 of commit COMMIT, by Ada Lovelace <ada@example.com>\napplied TIME by SOMEBODY"
    )
    assert "pipeline_parameters.batch_size: 512 -> 1024" in plan
    assert plan.endswith("\nPlan: 1 to add, 1 to change, 0 to disable, 3 unchanged.\n")
    facts = twice("history", "2", "--output", "json").data["apply"]
    assert facts["plan"]["summary"]["create"] == 1
    assert facts["plan_digest"] == facts["plan"]["plan_digest"]
    assert "error: no apply number 9" in twice("history", "9").err


def test_what_an_apply_did_is_told_by_it_and_by_the_history_in_each_form(shop):
    done = shop("apply", "--yes", *NOW)
    assert_golden("applied.txt", masked_plan(done.out))
    shop.edit("schedules/nightly.yml", "02:30", "02:45")
    shop.write("schedules/hourly.yml", HOURLY)
    shop.delete("schedules/arrivals.yml")
    shop.commit("more")
    done = shop("apply", "--yes", "--output", "json", *NOW)
    assert_golden("applied.json", masked_plan(done.out))
    for form, ending in (("text", "txt"), ("markdown", "md"), ("json", "json")):
        told = shop("history", "2", "--output", form)
        assert told.code == 0
        assert_golden(f"history-2.{ending}", masked_plan(masked(told.out)))


def test_a_long_history_as_markdown_stays_within_what_github_takes(twice):
    sql("""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900)
        INSERT INTO applies (owner_project, owner_target, applied_at, summary, plan, outcome, error)
        SELECT owner_project, owner_target, applied_at, '', '', 'failed', 'a|b @all <b> ' || i
        FROM applies, n WHERE id = 2""")  # fmt: skip
    comment = twice("history", "--limit", "9999", "--output", "markdown").out
    assert 60_000 < len(comment) <= 65_536
    left = int(re.fullmatch(r"and (\d+) older", comment.splitlines()[-1])[1])
    assert comment.count("\n| ") - 1 + left == 902
    assert "| failed: `a¦b @all <b> 900` |" in comment


def test_an_apply_that_failed_says_why(twice):
    sql("""INSERT INTO applies (owner_project, owner_target, applied_at, summary, plan, outcome, error)
        SELECT owner_project, owner_target, applied_at, summary, plan, 'failed', 'the disk is full'
        FROM applies WHERE id = 2""")  # fmt: skip
    done = twice("history", "3")
    assert "Nothing was written: the disk is full\n" in done.out
    assert "of no commit" in done.out
    assert " by unknown\n" in done.out
    assert "the disk is full" in twice("history").out
    comment = twice("history", "3", "--output", "markdown").out
    assert comment.startswith("### Apply 3 of no commit\n\n")
    assert "\n\n**Nothing was written:** `the disk is full`\n\n### Plan for" in comment
    assert "| failed: `the disk is full` |" in twice("history", "--output", "markdown").out


def test_a_line_that_was_changed_afterwards_is_told(twice):
    sql("UPDATE applies SET summary = 'nothing at all' WHERE id = 1")
    for words in (("history",), ("history", "2")):
        done = twice(*words)
        assert done.code == 1
        assert done.err == (
            "warning: line 1 of the history, or one before it, was changed after it was written; "
            "do not trust it from there on\n"
        )
    assert twice("history", "--output", "json").data["broken_at"] == 1
    for words in (("history",), ("history", "2")):
        comment = twice(*words, "--output", "markdown")
        assert comment.code == 1
        assert "**Warning:** line 1 of the history, or one before it, was changed" in comment.out


def test_a_plan_that_cannot_be_read_any_more_leaves_its_summary(twice):
    sql("UPDATE applies SET plan = 'x' WHERE id = 1")
    done = twice("history", "1")
    assert (
        "\n4 to add, 0 to change, 0 to disable, 0 unchanged. (its plan is of another version"
        in (done.out)
    )
    assert twice("history", "1", "--output", "json").data["apply"]["plan"] is None
    comment = twice("history", "1", "--output", "markdown").out
    assert "`4 to add, 0 to change, 0 to disable, 0 unchanged.` (its plan is of another" in comment


def test_the_way_back_needs_a_word_and_is_an_apply_like_any_other(twice):
    _, first = commits(twice)
    refused = twice("apply", "--commit", first, "--yes")
    assert refused.code == 3
    assert "is older than the last applied" in refused.err
    assert "add --rollback" in refused.err
    assert batch_size(twice) == {"batch_size": 1024}
    assert len(twice("history", "--output", "json").data["applies"]) == 2

    back = twice("apply", "--commit", first, "--rollback", "--yes")
    assert (back.code, batch_size(twice)) == (0, {"batch_size": 512})
    assert "- disable  Schedule   hourly, its manifest was removed" in back.out
    newest, *_ = twice("history", "--output", "json").data["applies"]
    assert (newest["number"], newest["commit"]) == (3, first)

    again = twice("apply", "--yes")
    assert (again.code, batch_size(twice)) == (0, {"batch_size": 1024})
    assert twice("plan", "--detailed-exitcode").code == 0
    assert len(twice("history", "--output", "json").data["applies"]) == 4


def test_the_plan_of_the_way_back_is_this(shop):
    shop.apply()
    shop.edit("schedules/nightly.yml", "02:30", "02:45")
    shop.write("schedules/weekly.yml", NIGHTLY.replace("nightly", "weekly").replace("Day", "Week"))
    shop.edit("schedules/weekly.yml", "frequency: Week", "frequency: Week, week_days: [Monday]")
    shop.commit("more")
    shop.apply()
    assert_plan("rollback", shop, "--ref", "HEAD~1", code=3)


def test_neither_a_rollback_nor_the_way_forward_gives_a_first_run_again(twice):
    def initial():
        return dict(sql("SELECT s.name, t.initial FROM schedules s JOIN timers t ON t.schedule_id = s.id"))  # fmt: skip

    _, first = commits(twice)
    assert initial()["hourly"] == 1  # Created Active and without a start time: it runs at once.
    sql("UPDATE timers SET initial = 0")  # It did.
    for words in (("--commit", first, "--rollback"), ()):
        done = twice("apply", "--yes", *words)
        assert done.code == 0
        assert "at once" not in done.out
        assert not any(initial().values())
    assert sql("SELECT id FROM runs") == []
