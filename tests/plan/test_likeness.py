from reconciler.plan.change import Action
from reconciler.plan.likeness import ALIKE, suggest
from reconciler.plan.render import plan_text
from tests.plan.world import LANDING, NIGHTLY, PIPELINE, applied, desired, planned

LATE = NIGHTLY.replace("name: nightly", "name: late")
TEXT = (
    "100% like 'nightly', which would be disabled; "
    "if it is the same under a new name, add: renamed_from: nightly"
)
HOURLY = """
kind: Schedule
name: hourly
pipeline: score
description: another
trigger: {cron: {expression: "0 * * * *"}}
tags: {a: b}
"""


def notes(before, after):
    plan = planned(desired(PIPELINE, LANDING, *after), applied(PIPELINE, LANDING, *before))
    return {change.name: change.notes for change in plan.changes if change.action is Action.CREATE}


def test_the_same_under_another_name_gets_a_suggestion():
    assert notes([NIGHTLY], [LATE]) == {"late": (TEXT,)}


def test_the_suggestion_is_printed():
    plan = planned(desired(PIPELINE, LANDING, LATE), applied(PIPELINE, LANDING, NIGHTLY))
    assert "add: renamed_from: nightly" in plan_text(plan)


def test_taking_the_suggestion_leaves_one_rename():
    wanted = desired(PIPELINE, LANDING, LATE + "renamed_from: nightly\n")
    plan = planned(wanted, applied(PIPELINE, LANDING, NIGHTLY))
    assert [change.action for change in plan.changes] == [Action.RENAME]


def test_another_schedule_gets_none():
    assert notes([NIGHTLY], [HOURLY]) == {"hourly": ()}


def test_without_a_schedule_that_goes_nothing_is_suggested():
    assert notes([NIGHTLY], [NIGHTLY, LATE]) == {"late": ()}
    assert suggest(()) == []


def tagged(text, count, other=0):
    tags = [f"t{n}: {'x' if n < other else 'y'}" for n in range(count)]
    return f"{text}tags: {{{', '.join(tags)}}}\n"


def test_nearly_the_same_is_enough_and_less_is_not():
    # Twenty facts each: pipeline, overlap, two of the trigger, the parameter and fifteen tags.
    assert ALIKE == 0.9
    assert notes([tagged(NIGHTLY, 15)], [tagged(LATE, 15, other=2)])["late"][0].startswith("90% ")
    assert notes([tagged(NIGHTLY, 15)], [tagged(LATE, 15, other=3)]) == {"late": ()}


def test_the_most_alike_is_suggested_and_of_two_the_first():
    near, far = tagged(NIGHTLY, 15), tagged(NIGHTLY.replace("name: nightly", "name: a"), 15, 1)
    (note,) = notes([near, far], [tagged(LATE, 15)])["late"]
    assert "like 'nightly'" in note
    twin = near.replace("name: nightly", "name: b")
    (note,) = notes([near, twin], [tagged(LATE, 15)])["late"]
    assert "like 'b'" in note


def test_an_experiment_of_its_own_counts():
    own, other = (f"{text}experiment_name: scoring\n" for text in (NIGHTLY, LATE))
    assert notes([own], [other]) == {"late": (TEXT,)}
    (note,) = notes([tagged(own, 15)], [tagged(LATE, 15)])["late"]
    assert note.startswith("98% like")


def test_a_list_counts_item_by_item():
    hours = [
        tagged(text.replace('time_of_day: "06:30"', f"hours: [{of}]"), 12)
        for text, of in ((NIGHTLY, "6, 12, 18"), (LATE, "6, 12, 19"))
    ]
    (note,) = notes(hours[:1], hours[1:])["late"]
    assert note.startswith("95% like")
