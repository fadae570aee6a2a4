import os
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given

from reconciler.clock import DAY, MINUTE, parse_instant
from reconciler.live import Hold, Live
from reconciler.plan.build import build_plan
from reconciler.plan.change import (
    Action,
    Cause,
    FieldChange,
    Files,
    Guard,
    Held,
    Reason,
    Side,
    Suppressed,
)
from reconciler.plan.impact import Impact, Timing
from reconciler.plan.render import fires, moment, number, plan_text, printable, shown
from tests.journeys.golden import assert_golden
from tests.plan.told import (
    CLOCK,
    DAILY,
    FIRES,
    NEW_YORK,
    OFTEN,
    WHOLE,
    changed,
    created,
    disabled,
    plan_of,
    plans,
    schedule,
    spec,
)
from tests.plan.world import (
    ALL,
    LANDING,
    NIGHTLY,
    PIPELINE,
    applied,
    desired,
    planned,
    with_schedule,
)
from tests.strategies import examples

FIRST = """\
Project risk, target dev, workspace sqlite:ws.db
Commit c0ffeec0ffee

+ create   Datastore  landing  (1.yml:1)
      url: "file:///landing"

+ create   Pipeline   score  (0.yml:2)
      parameters.input.default: "landing/x.csv"
      parameters.input.type: "datapath"
      parameters.size.default: 1
      parameters.size.type: "integer"
      steps.prepare.command: ["prepare", "${{ parameters.input }}"]
      steps.score.command: ["score"]
      steps.score.depends_on: ["prepare"]

+ create   Schedule   nightly  (2.yml:2)
      experiment_name: "nightly"
      overlap: "skip"
      pipeline: "score"
      pipeline_parameters.size: 2
      trigger.recurrence.frequency: "Day"
      trigger.recurrence.time_of_day: "06:30"
      next    Thu 1970-01-01 06:30 UTC, Fri 01-02 06:30, Sat 01-03 06:30
      runs    1 a day
      runs    at once when applied

Runs a day of what changes: 0 -> 1 (+1). 1 fires at once.

Plan: 3 to add, 0 to change, 0 to disable, 0 unchanged.
"""
SECOND = """\
Project risk, target dev, workspace sqlite:ws.db
Commit c0ffeec0ffee with 1 uncommitted: a.yml

~ update   Pipeline   score  (0.yml:2)
      steps.score.command: ["score"] -> ["score", "--fast"]
      version: "score@1" -> "score@new"

- disable  Schedule   arrival, its manifest was removed  (3.yml:2)
      held by ann: audit
      status: "Active" -> "Disabled"

~ update   Schedule   nightly, its pipeline has another version  (2.yml:2)
      pipeline version: "score@1" -> "score@new"
      next    Thu 1970-01-01 06:30 UTC, Fri 01-02 06:30, Sat 01-03 06:30, as before

Held: arrival by ann without end, "audit"; an apply leaves it so

Plan: 0 to add, 2 to change, 1 to disable, 1 unchanged.
"""


def second():
    edited = PIPELINE.replace("[score]", "[score, --fast]", 1)
    live = with_schedule(applied(*ALL), "arrival", hold=Hold(who="ann", why="audit", since=0))
    return replace(planned(desired(edited, LANDING, NIGHTLY), live), dirty=("a.yml",))


def test_a_first_plan_as_text():
    assert plan_text(planned(desired(PIPELINE, LANDING, NIGHTLY), Live())) == FIRST


def test_a_plan_of_changes_as_text():
    assert plan_text(second()) == SECOND


def test_an_empty_plan_says_so():
    text = plan_text(planned(desired(*ALL), applied(*ALL)))
    assert "No changes. The workspace is as declared." in text
    assert text.endswith("Plan: 0 to add, 0 to change, 0 to disable, 4 unchanged.\n")


def test_a_plan_outside_a_repository_says_so_and_a_blocked_one_too():
    plan = build_plan(desired(LANDING), applied(LANDING, owner=None))
    text = plan_text(plan)
    assert "Not committed to Git; objects will carry no commit and no author." in text
    assert "Blocked: Datastore 'landing' was made through the SDK" in text


def lines(change):
    """Give what a plan says below the head line of its only change."""
    return [line.strip() for line in plan_text(plan_of(change)).split("\n\n")[1].splitlines()[1:]]


def head(change):
    return plan_text(plan_of(change)).splitlines()[3]


def timed(was, now, **members):
    return changed(fields=(), impact=Impact(before=was, after=now), **members)


def test_a_plan_with_everything_in_it():
    assert_golden("plan-whole.txt", plan_text(WHOLE))


@examples(20)
@given(plans)
def test_every_plan_is_told_line_by_line_and_printable(plan):
    text = plan_text(plan)
    assert text.splitlines()[-1] == f"Plan: {plan.summary}"
    assert all(line.isprintable() for line in text.split("\n"))


def test_long_values_are_cut_in_text():
    assert shown("x" * 300).endswith("... (302 characters)")
    assert shown(None) == "(none)"


def test_what_a_terminal_would_act_upon_is_written_out():
    assert printable("a\x1b[31mb\u202e\ud800") == "a\\x1b[31mb\\u202e\\ud800"
    assert shown("\x9b\u2028") == '"\\x9b\\u2028"'


def test_many_uncommitted_files_are_counted():
    text = plan_text(plan_of(dirty=tuple("abcdefg")))
    assert "with 7 uncommitted: a, b, c, d, e, ..." in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (changed(), ""),
        (changed(cause=Cause.LOST, action=Action.CREATE), ", somebody deleted it"),
        (changed(cause=Cause.DRIFTED), ", somebody changed it"),
        (changed(cause=Cause.DRIFTED, action=Action.ENABLE), ", somebody disabled it"),
        (changed(cause=Cause.DRIFTED, action=Action.DISABLE), ", somebody enabled it"),
        (changed(cause=Cause.RESTORED, action=Action.ENABLE), ", its manifest is back"),
        (changed(action=Action.RENAME, formerly="former"), ", formerly former"),
        (changed(action=Action.ADOPT, formerly="a/b"), ", until now of a/b"),
        (changed(action=Action.ADOPT), ", until now of no project"),
    ],
)
def test_a_change_says_why(change, said):
    assert head(change).endswith(f" nightly{said}  (schedules/nightly.yml:3)")


def test_a_change_says_where_it_stands_as_far_as_that_is_known():
    assert head(changed(line=None)).endswith(" nightly  (schedules/nightly.yml)")
    assert head(changed(file=None)).endswith(" nightly")
    assert head(changed(file="a\n.yml")).endswith('  ("a\\n.yml":3)')


def test_a_field_that_somebody_set_says_so():
    field = FieldChange("time", "06:30", "02:35", "02:30", Side.BOTH)
    assert lines(changed(fields=(field,))) == [
        'time: "06:30" -> "02:35"  (somebody set "06:30"; "02:30" was applied)'
    ]


NEXT = "Mon 2026-03-09 02:30 EDT [06:30 UTC], Tue 03-10 02:30, Wed 03-11 02:30"


def test_a_change_that_leaves_the_fires_says_so():
    assert lines(timed(DAILY, DAILY)) == [f"next    {NEXT}, as before"]


def test_a_change_of_the_fires_says_what_was_and_what_will_be():
    assert lines(timed(DAILY, OFTEN)) == [
        f"next    was {NEXT}",
        "now     Mon 2026-03-09 02:30 EDT [06:30 UTC], 02:35, 02:40",
        "runs    1 a day -> 288 a day (+287 a day)",
    ]


def test_each_side_is_told_in_its_own_zone():
    utc = spec(trigger={"cron": {"expression": "30 6 * * *"}})
    found = lines(timed(DAILY, OFTEN, after=utc))
    assert found[0] == f"next    was {NEXT}"
    assert found[1] == "now     Mon 2026-03-09 06:30 UTC, 06:35, 06:40"


def test_a_change_that_ends_all_fires_says_so():
    was = [f"next    was {NEXT}", "now     none"]
    assert lines(timed(DAILY, None)) == [*was, "runs    1 a day -> none (-1 a day)"]
    over = Timing(next_fires=(), runs=0, days=28, whole=False)
    assert lines(timed(DAILY, over)) == [*was, "runs    1 a day -> none"]


def test_a_change_to_files_says_so():
    after = spec(trigger={"datastore_change": {}})
    assert lines(timed(DAILY, None, after=after))[1:] == [
        "now     when files arrive",
        "runs    1 a day -> when files arrive (-1 a day)",
    ]
    off = spec(trigger={"datastore_change": {}}, status="Disabled")
    assert lines(timed(DAILY, None, after=off))[1] == "now     none"


def test_what_starts_to_fire_says_so():
    assert lines(timed(None, DAILY)) == [f"next    {NEXT}", "runs    none -> 1 a day (+1 a day)"]
    made = created(after=spec(x=1), impact=Impact())
    assert lines(made) == ["x: 1"]
    soon = created(after=spec(x=1), impact=Impact(after=DAILY, fires_on_apply=1))
    assert lines(soon)[2:] == ["runs    1 a day", "runs    at once when applied"]


def test_a_spread_of_the_starts_is_told_beside_the_nominal_times():
    spread = {"fields": (), "after": spec(jitter="5m")}
    told = lines(changed(**spread, impact=Impact(before=DAILY, after=DAILY)))
    assert told[0].endswith(", as before")
    assert told[1:] == ["starts  up to 5m after each due time (jitter)"]
    assert lines(changed(**spread, impact=Impact(before=DAILY)))[1:] == [
        "now     none",
        "runs    1 a day -> none (-1 a day)",
    ]


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((4, 28), (8, 28), "1 a week -> 2 a week (+1 a week)"),
        ((28, 28), (8, 28), "1 a day -> 2 a week (-5 a week)"),
        ((13, 364), (28, 28), "1 every 4 weeks -> 1 a day (+0.96 a day)"),
        ((28 * 24, 28), (28, 28), "24 a day -> 1 a day (-23 a day)"),
        ((28, 28), (42, 28), "1 a day -> 1.5 a day (+0.5 a day)"),
    ],
)
def test_two_rates_have_a_difference(before, after, said):
    was, now = (Timing(next_fires=FIRES, runs=r, days=d) for r, d in (before, after))
    assert lines(timed(was, now, after=schedule()))[-1] == f"runs    {said}"


def test_a_change_of_spelling_only_says_so():
    until = parse_instant("2030-03-01T12:00:00Z")
    impact = Impact(before=DAILY, after=DAILY, same_fires_until=until)
    assert lines(changed(fields=(), impact=impact))[1:] == [
        "same    spelling only: the same fires until 2030-03-01"
    ]


def test_a_difference_after_the_next_fires_is_told():
    impact = Impact(before=DAILY, after=DAILY, first_difference=FIRES[0] + 30 * DAY)
    found = lines(changed(fields=(), impact=impact))
    assert found[1:] == ["differs first on Wed 2026-04-08 02:30 EDT"]
    other = Impact(before=DAILY, after=OFTEN, first_difference=FIRES[0])
    assert not any(line.startswith("differs") for line in lines(changed(impact=other)))


def test_days_of_clock_changes_are_told_and_many_are_counted():
    some = Impact(clock_changes=(CLOCK,))
    said = "clock   2026-03-08: 02:30 does not exist; runs at 03:30"
    assert lines(changed(fields=(), impact=some)) == [said]
    many = Impact(clock_changes=(CLOCK,) * 7)
    assert lines(changed(fields=(), impact=many)) == [said] * 5 + ["clock   and 2 more such days"]


@pytest.mark.parametrize(
    ("matching", "said"),
    [
        (412, "412 files match in landing/in already, none of them fires"),
        (0, "no file matches in landing/in yet"),
        (1, "1 file matches in landing/in already, none of them fires"),
        (None, "landing/in is not visible from here; what is there already does not fire"),
    ],
)
def test_files_that_are_there_already_are_counted(matching, said):
    change = changed(fields=(), files=Files("landing/in", matching))
    assert lines(change) == [f"files   {said}"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ((412, False, 412), "412 files match in landing/in already, each fires when applied"),
        ((412, False, 1), "412 files match in landing/in already, one run for all of them when applied"),
        ((1, False, 1), "1 file matches in landing/in already, it fires when applied"),
        ((1, True, 1), "more than 1 files match in landing/in already, they fire when applied"),
        ((9, True, 9), "more than 9 files match in landing/in already, each fires when applied"),
        ((0, True, None), "too many files in landing/in to count those that match, which fire when applied"),
        ((0, False, 0), "no file matches in landing/in yet"),
        ((None, False, None), "landing/in is not visible from here; what is there already fires when applied"),
    ],
)  # fmt: skip
def test_files_that_fire_when_applied_are_told(files, said):
    matching, more, runs = files
    change = changed(fields=(), files=Files("landing/in", matching, more, initial=True, fires=runs))
    assert lines(change) == [f"files   {said}"]


def test_more_files_than_a_plan_counts_are_not_said_to_be_none():
    said = "too many files in landing/in to count those that match, none of which fires"
    assert lines(changed(fields=(), files=Files("landing/in", 0, more=True))) == [f"files   {said}"]


def test_fires_are_told_shortly():
    first = parse_instant("2026-12-31T23:30:00Z")
    assert fires((), "UTC") == "none"
    assert fires((first,), "UTC") == "Thu 2026-12-31 23:30 UTC"
    assert fires((first,), "Asia/Kolkata") == "Fri 2027-01-01 05:00 IST [2026-12-31 23:30 UTC]"
    assert fires((first, first + DAY), "UTC").endswith(", Fri 2027-01-01 23:30")
    changing = parse_instant("2026-03-07T07:30:00Z")
    told = "Sat 2026-03-07 02:30 EST [07:30 UTC], Sun 03-08 03:30 EDT"
    assert fires((changing, changing + DAY), NEW_YORK) == told


def test_an_instant_between_minutes_is_told_to_the_second():
    assert moment(MINUTE + 5_500_000, "UTC") == "Thu 1970-01-01 00:01:05 UTC"
    later = fires((5_000_000, 65_000_000), "UTC")
    assert later == "Thu 1970-01-01 00:00:05 UTC, 00:01:05"


def test_what_is_left_alone_carries_its_reason():
    one = Suppressed("Schedule.nightly", "tags.owner", Reason.IGNORED, "ann", "bob")
    text = plan_text(plan_of(suppressed=(one,)))
    said = 'Left alone: Schedule.nightly tags.owner: "ann" stays, "bob" is declared (ignored)'
    assert f"{said}\n\nPlan: " in text


def test_a_held_schedule_says_until_when_and_why():
    until = Held("nightly", Hold(who="ann", why="audit", since=0, until=FIRES[0]))
    ever = Held("other", Hold(who="bob", why='"so"', since=0))
    text = plan_text(plan_of(held=(until, ever)))
    assert 'Held: nightly by ann until 2026-03-09T06:30:00Z, "audit"; an apply leaves it so' in text
    assert r'Held: other by bob without end, "\"so\""; an apply leaves it so' in text


def test_a_guard_says_its_id_and_what_lifts_it():
    guards = (Guard("foreign", "no"), Guard("disables", "41 of 60", allowable=True))
    text = plan_text(plan_of(guards=guards))
    assert "Blocked: no (guard foreign)\n" in text
    assert "Blocked: 41 of 60 (guard disables; --allow disables lifts it)\n" in text
    told = Guard("empty", "nothing is declared; add --allow empty", allowable=True)
    said = "Blocked: nothing is declared; add --allow empty (guard empty)\n"
    assert said in plan_text(plan_of(guards=(told,)))


def test_totals_are_told_where_anything_moves_in_time():
    assert "Runs a day of what changes: 1 -> 0 (-1).\n\nPlan:" in plan_text(plan_of(disabled()))
    two = plan_of(created("a"), created("b"))
    assert "Runs a day of what changes: 0 -> 2 (+2). 2 fire at once.\n" in plan_text(two)
    assert "Runs a day" not in plan_text(plan_of(changed()))
    assert number(0.125) == "0.12"


def test_the_same_inputs_give_the_same_bytes_whatever_the_hash_seed():
    program = (
        "from tests.plan.told import WHOLE\n"
        "from tests.plan.test_outputs import second\n"
        "from reconciler.plan.ci import github_annotations, gitlab_report\n"
        "from reconciler.plan.codec import plan_json\n"
        "from reconciler.plan.markdown import plan_markdown\n"
        "from reconciler.plan.render import plan_text\n"
        "for plan in (WHOLE, second()):\n"
        "    for write in (plan_json, plan_text, plan_markdown, github_annotations, gitlab_report):\n"
        "        print(write(plan))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1
