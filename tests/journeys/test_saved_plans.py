"""A saved plan is what is applied, or nothing is."""

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.journeys.checkout import NIGHTLY
from tests.journeys.golden import NOW, assert_golden, assert_plan, masked_plan
from tests.journeys.outofband import DATABASE, change, delete, sql

AGAIN = "make a new one: reconciler plan --out"


@pytest.fixture
def edited(shop):
    """An applied project with one committed edit that is planned and not applied."""
    shop.apply()
    shop.edit("schedules/nightly.yml", "512", "1024")
    shop.commit("more at a time")
    save(shop)
    return shop


def save(shop, *options):
    done = shop("plan", "--out", "plan.json", *options)
    assert (done.code, done.err) == (0, "saved; apply it with: reconciler apply plan.json\n")
    return json.loads(Path("plan.json").read_text())


def forge(change):
    """Change a saved plan and write the digest that its new content has."""
    data = json.loads(Path("plan.json").read_text())
    del data["plan_digest"]
    change(data)
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    data["plan_digest"] = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    Path("plan.json").write_text(json.dumps(data))


def everything():
    """Every row of the workspace."""
    with closing(sqlite3.connect(DATABASE)) as raw:
        return list(raw.iterdump())


def refused(shop, code, *words, file="plan.json"):
    """Apply, see that it ends with one line before any write, and give the line."""
    before = everything()
    done = shop("apply", file, *words)
    assert done.code == code, done.err
    assert done.out == ""
    assert everything() == before
    (line,) = done.err.splitlines()
    return line


def batch_size(shop):
    spec = shop("show", "nightly", "--output", "json").data["spec"]
    return spec["pipeline_parameters"]["batch_size"]


# What a saved plan does


def test_a_saved_plan_is_carried_out_without_a_question_and_only_once(edited):
    done = edited("apply", "plan.json")
    assert done.code == 0, done.err
    assert "Applied: 0 added, 1 changed, 0 disabled, 3 unchanged." in done.out
    assert batch_size(edited) == 1024
    assert refused(edited, 4) == (
        "error: plan.json is stale: nothing of it is left to do (was it applied already?); "
        f"{AGAIN} plan.json"
    )


def test_a_saved_plan_is_the_plan_as_json(edited):
    assert_plan("saved", edited)
    save(edited, *NOW)
    assert_golden("saved.json", masked_plan(Path("plan.json").read_text()))


def test_a_plan_without_changes_can_be_saved_and_applied(shop):
    shop.apply()
    save(shop)
    done = shop("apply", "plan.json")
    assert (done.code, done.out.splitlines()[-1]) == (0, "Nothing to apply.")


def test_what_lies_beside_the_manifests_has_no_say(shop):
    shop.write("schedules/code/__pycache__/score.cpython-311.pyc", "compiled")
    shop.write("notes.txt", "remember the milk")
    plan = save(shop)
    assert plan["dirty"] == []
    assert shop("apply", "plan.json").code == 0


def test_the_files_that_lie_here_now_have_no_say_in_a_plan_of_a_commit(edited):
    edited.edit("schedules/nightly.yml", "1024", "2048")
    edited.write("schedules/new.yml", NIGHTLY.replace("nightly", "new"))
    assert edited("apply", "plan.json").code == 0
    assert batch_size(edited) == 1024


def test_a_plan_of_a_commit_that_is_no_longer_checked_out_applies_that_commit(edited):
    planned = edited.git("rev-parse", "HEAD").strip()
    edited.edit("schedules/nightly.yml", "1024", "2048")
    edited.commit("and more")
    done = edited("apply", "plan.json")
    assert done.code == 0, done.err
    assert batch_size(edited) == 1024
    assert edited("show", "nightly", "--output", "json").data["provenance"]["commit"] == planned


def test_an_adoption_is_part_of_the_saved_plan(shop):
    shop.apply()
    shop.edit("reconciler.yml", "project: shop", "project: other")
    shop.commit()
    objects = ("Datastore.landing", "Pipeline.scoring", "Schedule.nightly", "Schedule.arrivals")
    options = [word for name in objects for word in ("--adopt", name)]
    save(shop, *options)
    done = shop("apply", "plan.json")
    assert done.code == 0, done.err
    assert "4 adopted" in done.out


def test_a_blocked_plan_is_saved_too_and_needs_its_word_again(edited):
    edited.edit("reconciler.yml", "targets:", "limits: {disables: 0}\ntargets:")
    edited.delete("schedules/nightly.yml")
    edited.commit()
    assert edited("plan", "--out", "plan.json").code == 3
    done = edited("apply", "plan.json")
    assert done.code == 3
    assert "Blocked: 1 schedule would be disabled (nightly)" in done.out
    assert edited("apply", "plan.json", "--allow", "disables").code == 0


# What is no such plan


def test_a_changed_file_is_refused_whichever_byte_it_is(edited):
    text = Path("plan.json").read_bytes()
    for at in range(40, len(text), len(text) // 12):
        changed = bytes([text[at] ^ 1])
        Path("plan.json").write_bytes(text[:at] + changed + text[at + 1 :])
        line = refused(edited, 1)
        assert line.startswith("error: plan.json "), line
        assert line.endswith("reconciler plan --out FILE")
    assert batch_size(edited) == 512


NO_PLANS = [
    (b"", "is not JSON, perhaps it was cut off: "),
    (b"apply everything", "is not JSON, perhaps it was cut off: "),
    (b"[1, 2]", "is not a plan of reconciler: "),
    (b"{}", "is not a plan of reconciler: "),
    (b'{"format_version": 2}', "is not a plan of reconciler: "),
    (b'{"format_version": "2.0"}', "was changed after it was made: "),
    (b'{"format_version": "1.2", "terraform_version": "1.9"}', "has format '1.2', this"),
    (b"[" * 100_000, "is not JSON, perhaps it was cut off: "),
    (b"\xff\xfe\x00plan", "is not a plan, for it is no text; "),
]


def test_what_is_no_plan_is_refused_in_one_line(edited):
    for content, said in NO_PLANS:
        Path("plan.json").write_bytes(content)
        line = refused(edited, 1)
        assert line.startswith(f"error: plan.json {said}")
        assert line.endswith(f"{AGAIN} FILE")


def test_a_truncated_plan_is_refused(edited):
    text = Path("plan.json").read_text()
    for end in (1, len(text) // 2, len(text) - 3):
        Path("plan.json").write_text(text[:end])
        assert "is not JSON, perhaps it was cut off" in refused(edited, 1)


def test_a_folder_an_absent_file_and_one_that_may_not_be_read_are_named(edited):
    assert refused(edited, 1, file="schedules") == "error: schedules: Is a directory"
    assert refused(edited, 1, file="nobody.json") == "error: nobody.json: No such file or directory"
    Path("loop.json").symlink_to("loop.json")
    line = refused(edited, 1, file="loop.json")
    assert line == "error: loop.json: Too many levels of symbolic links"


def test_another_format_is_refused_naming_both(edited):
    for version in ("1.0", "3.0", "20.1"):
        forge(lambda plan, version=version: plan.update(format_version=version))
        assert refused(edited, 1) == (
            f"error: plan.json has format '{version}', this version reads 2.x: {AGAIN} FILE"
        )


def test_another_version_of_the_program_is_refused_naming_both(edited):
    forge(lambda plan: plan["tool"].update(version="9.9.9"))
    line = refused(edited, 1)
    assert line.startswith("error: plan.json was made by reconciler 9.9.9, this is ")
    assert line.endswith(f"{AGAIN} plan.json")


def test_a_plan_of_another_target_project_or_workspace_is_refused_naming_both(edited):
    edited.edit("reconciler.yml", "targets:", 'targets:\n  prod: {workspace: "sqlite:prod.db"}')
    edited.commit()
    save(edited, "--target", "dev")
    assert refused(edited, 1, "--target", "prod") == (
        "error: plan.json is a plan of target 'dev', this is 'prod'"
    )
    assert refused(edited, 1, "--workspace", "sqlite:there.db") == (
        "error: plan.json is a plan of workspace 'sqlite:.reconciler/workspace.db', "
        "this is 'sqlite:there.db'"
    )
    assert not Path("there.db").exists()
    # Nothing need be said twice: the plan knows its target.
    assert edited("apply", "plan.json").code == 0
    save(edited, "--target", "dev")
    forge(lambda plan: plan.update(project="other"))
    assert refused(edited, 1) == "error: plan.json is a plan of project 'other', this is 'shop'"
    forge(lambda plan: plan.update(project="shop", target="test"))
    assert refused(edited, 1) == (
        "error: target 'test' is not in reconciler.yml (known: dev, prod)"
    )


@pytest.mark.parametrize("words", [("--commit", "HEAD"), ("--adopt", "Schedule.nightly")])
def test_a_saved_plan_takes_no_other_source_and_adopts_no_more(edited, words):
    done = edited("apply", "plan.json", *words)
    assert (done.code, done.out) == (1, "")
    assert "A saved plan says itself what it is of and what it adopts" in done.err


def test_a_commit_that_is_not_in_this_repository_is_named(edited):
    forge(lambda plan: plan.update(commit="0" * 40))
    assert refused(edited, 1) == (
        f"error: '{'0' * 40}' names no commit here; correct it, or run: git fetch"
    )
    forge(lambda plan: plan.update(commit="main"))
    assert refused(edited, 1) == (
        f"error: plan.json names no commit by its full id; {AGAIN} plan.json"
    )


# A digest proves nothing: whoever changes the file can write a new one


def _change(plan):
    return plan["resource_changes"][0]


FORGED = [
    (lambda plan: plan["resource_changes"].clear(), "'nightly' would now be updated too"),
    (lambda plan: _change(plan).update(action="disable"), "would now be updated, not disabled"),
    (
        lambda plan: _change(plan)["change"]["after"]["pipeline_parameters"].update(batch_size=9),
        "pipeline_parameters.batch_size 9 -> 1024",
    ),
    (
        lambda plan: _change(plan)["change"]["before"].update(overlap="allow"),
        "moved: overlap allow -> skip since the plan was made",
    ),
    (lambda plan: _change(plan).update(fingerprint="0" * 64), "moved: somebody wrote it"),
    (lambda plan: _change(plan).update(pipeline_id="other"), "pipeline version other -> "),
    (lambda plan: _change(plan).update(name="other"), "'other' is no longer updated; "),
    (
        lambda plan: plan["guards"].append({"id": "x", "message": "", "allowable": True}),
        "Guard x no longer blocks",
    ),
    (lambda plan: plan.update(dirty=["schedules/a.yml"], commit="0" * 40), "on commit 000000"),
    (lambda plan: plan.update(commit=None), "was made of files on no commit, they are on "),
]


def test_a_forged_plan_with_a_right_digest_is_stale_and_never_applied(edited):
    true = Path("plan.json").read_text()
    for wrong, said in FORGED:
        Path("plan.json").write_text(true)
        forge(wrong)
        line = refused(edited, 4)
        assert line.startswith("error: plan.json ")
        assert said in line
    assert batch_size(edited) == 512


MISSHAPEN = [
    lambda plan: plan.pop("guards"),
    lambda plan: plan.update(resource_changes=7),
    lambda plan: plan.update(commit=7),
    lambda plan: plan.update(project=["shop"]),
    lambda plan: plan.update(as_of="yesterday"),
    lambda plan: _change(plan).update(action="destroy"),
    lambda plan: _change(plan).update(type="Secret"),
    lambda plan: _change(plan).update(name={"a": 1}),
    lambda plan: _change(plan).update(fingerprint=7),
    lambda plan: _change(plan).update(notes=[7]),
    lambda plan: _change(plan).update(file=7),
    lambda plan: _change(plan).update(files={"place": 7, "matching": 1}),
    lambda plan: _change(plan).update(impact=7),
    lambda plan: _change(plan)["impact"]["after"].update(runs=None),
    lambda plan: _change(plan)["change"].update(after=[]),
    lambda plan: _change(plan)["change"]["before"].update(trigger={"cron": 7}),
    lambda plan: _change(plan).pop("change"),
]


def test_a_forged_plan_of_another_shape_lacks_a_part(edited):
    true = Path("plan.json").read_text()
    for wrong in MISSHAPEN:
        Path("plan.json").write_text(true)
        forge(wrong)
        assert refused(edited, 1) == f"error: plan.json lacks a part of a plan: {AGAIN} FILE"


def test_what_a_plan_only_tells_may_be_forged_and_is_told_anew(edited):
    forge(lambda plan: plan["summary"].update(update=0, unchanged=4))
    done = edited("apply", "plan.json")
    assert done.code == 0
    assert "Plan: 0 to add, 1 to change, 0 to disable, 3 unchanged." in done.out


def test_what_a_plan_tells_people_cannot_be_edited_either(edited):
    forge(lambda plan: plan["resource_changes"][0].update(fields=[]))
    assert refused(edited, 1) == (
        "error: plan.json does not tell people what it would do; somebody edited it; "
        "make a new one: reconciler plan --out plan.json"
    )


# What went stale


def stale(shop):
    line = refused(shop, 4)
    assert line.startswith("error: plan.json is stale: ")
    assert line.endswith(f"; {AGAIN} plan.json")
    return line.removeprefix("error: plan.json is stale: ").removesuffix(f"; {AGAIN} plan.json")


def test_an_object_that_somebody_disabled_makes_it_stale(edited):
    sql("UPDATE schedules SET status = 'Disabled' WHERE name = 'nightly'")
    assert stale(edited) == (
        "Schedule 'nightly' moved: status Active -> Disabled since the plan was made; "
        "would now be enabled, not updated"
    )


@pytest.mark.parametrize(
    "words", [("hold", "nightly", "--until", "2d"), ("disable", "nightly")], ids=["hold", "disable"]
)
def test_what_an_operator_holds_can_be_applied_and_stays_held(edited, words):
    assert edited(*words, "--reason", "audit").code == 0
    done = edited("apply", "plan.json")
    assert done.code == 0, done.err
    assert "Held: nightly by " in done.out
    assert batch_size(edited) == 1024
    assert edited("show", "nightly", "--output", "json").data["hold"]["why"] == "audit"


def test_a_plan_that_is_stale_in_many_ways_tells_them_all_on_one_line(edited):
    edited.edit("schedules/scoring.yml", "default: 256", "default: 128")
    edited.git("commit", "-q", "-a", "-m", "meanwhile")
    edited.apply()
    change("landing", "datastores", url="file:///data/elsewhere")
    sql("UPDATE schedules SET status = 'Disabled' WHERE name = 'nightly'")
    delete("arrivals")
    assert_golden("stale.txt", f"{refused(edited, 4)}\n")


def test_another_apply_in_between_makes_it_stale(edited):
    edited.edit("schedules/nightly.yml", "1024", "2048")
    edited.commit()
    edited.apply()
    assert stale(edited) == (
        "Schedule 'nightly' moved: pipeline_parameters.batch_size 512 -> 2048 "
        "since the plan was made; Guard rollback blocks now: " + rollback(edited)
    )


def rollback(shop):
    older, newer = (shop.git("rev-parse", name)[:12] for name in ("HEAD~1", "HEAD"))
    text = f"commit {older} is older than the last applied {newer}"
    return f"{text}; to go back to it add --rollback"


def test_an_edit_by_hand_makes_it_stale_and_says_what_moved(edited):
    change("nightly", description="by hand")
    assert stale(edited).startswith("Schedule 'nightly' moved: description (none) -> \"by hand\"")


def test_a_deleted_object_makes_it_stale(edited):
    delete("nightly")
    assert "Schedule 'nightly' is gone since the plan was made" in stale(edited)


def test_a_workspace_that_is_gone_makes_it_stale(edited):
    for file in Path(".reconciler").iterdir():
        file.unlink()
    before = list(Path(".reconciler").iterdir())
    done = edited("apply", "plan.json")
    assert done.code == 4
    assert "Schedule 'nightly' is gone since the plan was made" in done.err
    assert list(Path(".reconciler").iterdir()) == before


def test_a_datastore_that_is_gone_makes_it_stale(shop):
    shop.apply()
    shop.edit("schedules/landing.yml", "/data/landing", "/data/landed")
    shop.commit()
    save(shop)
    sql("DELETE FROM datastores WHERE name = 'landing'")
    assert stale(shop).startswith("Datastore 'landing' is gone since the plan was made")


def test_a_plan_of_uncommitted_files_needs_its_word_and_those_files(shop):
    shop.apply()
    shop.edit("schedules/nightly.yml", "512", "1024")
    assert save(shop)["dirty"] == ["schedules/nightly.yml"]
    done = shop("apply", "plan.json")
    assert done.code == 3
    assert done.err == (
        "error: 1 uncommitted file (schedules/nightly.yml); commit it or add --allow-dirty\n"
    )
    shop.edit("schedules/nightly.yml", "1024", "2048")
    assert stale(shop) == "Schedule 'nightly': pipeline_parameters.batch_size 1024 -> 2048"
    shop.edit("schedules/code/score.py", "scored", "rated")
    assert "Pipeline 'scoring' would now be updated too" in stale(shop)
    shop.edit("schedules/code/score.py", "rated", "scored")
    shop.edit("schedules/nightly.yml", "2048", "1024")
    assert shop("apply", "plan.json", "--allow-dirty").code == 0
    assert batch_size(shop) == 1024


def test_a_plan_of_uncommitted_files_is_of_the_commit_they_lie_on(shop):
    shop.apply()
    shop.edit("schedules/nightly.yml", "512", "1024")
    save(shop)
    was = shop.git("rev-parse", "HEAD")[:12]
    shop.commit()
    now = shop.git("rev-parse", "HEAD")[:12]
    assert refused(shop, 4, "--allow-dirty") == (
        f"error: plan.json was made of files on commit {was}, they are on commit {now} now; "
        f"{AGAIN} plan.json"
    )
