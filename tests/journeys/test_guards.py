"""A plan judges itself: it is shown whole, blocked with its numbers, and says the way out."""

from pathlib import Path

import pytest

from tests.journeys.checkout import NIGHTLY, PIPELINE
from tests.journeys.golden import assert_plan


def schedule(name, trigger="{recurrence: {frequency: Day, first_run: aligned}}", **fields):
    more = "".join(f"{key}: {value}\n" for key, value in fields.items())
    return f"---\nkind: Schedule\nname: {name}\npipeline: scoring\ntrigger: {trigger}\n{more}"


@pytest.fixture
def fleet(shop):
    """An applied project with eight schedules more, in one file."""
    shop.write("schedules/fleet.yml", "".join(schedule(f"f{n}") for n in range(8)))
    shop.commit()
    shop.apply()
    return shop


def limit(shop, **limits):
    said = ", ".join(f"{name}: {value}" for name, value in limits.items())
    shop.edit("reconciler.yml", "targets:", f"limits: {{{said}}}\ntargets:")


def keep(shop, count):
    shop.write("schedules/fleet.yml", "".join(schedule(f"f{n}") for n in range(count)) or "# none")
    shop.commit()


def blocked(shop, *messages):
    """See that the plan is shown and blocked, by plan and apply alike, and nothing changes."""
    before = shop("list", "--all", "--output", "json").out
    plan = shop("plan")
    assert plan.code == 3
    assert plan.err == f"blocked: {'; '.join(messages)}\n"
    for message in messages:
        assert f"\nBlocked: {message} (guard " in plan.out
    assert plan.out.splitlines()[-1].startswith("Plan: ")
    assert shop("plan", "--detailed-exitcode").code == 3
    done = shop("apply", "--yes")
    assert (done.code, done.err) == (3, f"error: {'; '.join(messages)}\n")
    assert done.out.splitlines()[-1] == plan.out.splitlines()[-1]
    assert shop("list", "--all", "--output", "json").out == before
    return plan.out


def test_more_disables_than_the_limit_are_counted_and_named(fleet):
    limit(fleet, disables=5)
    keep(fleet, 2)
    out = blocked(
        fleet,
        "6 schedules would be disabled (f2, f3, f4, f5, f6, ...), more than the limit of 5; "
        "raise it in reconciler.yml or add --allow disables",
    )
    assert out.count("- disable  Schedule   f") == 6
    assert fleet("apply", "--yes", "--allow", "runs_per_day").code == 3
    assert fleet("apply", "--yes", "--allow", "disables").code == 0
    assert len(fleet("list", "--output", "json").data) == 4


def test_as_many_disables_as_the_limit_pass(fleet):
    limit(fleet, disables=5)
    keep(fleet, 3)
    assert fleet("plan").code == 0


def test_without_a_word_the_limit_is_twenty(shop):
    many = [schedule(f"f{n}") for n in range(21)]
    shop.write("schedules/fleet.yml", "".join(many))
    shop.commit()
    shop.apply()
    shop.write("schedules/fleet.yml", "".join(one + "status: Disabled\n" for one in many))
    shop.commit()
    assert "21 schedules would be disabled" in shop("plan").err
    shop.write(
        "schedules/fleet.yml", "".join([*[m + "status: Disabled\n" for m in many[:20]], many[20]])
    )
    shop.commit()
    assert shop("plan").code == 0


def test_a_share_of_disables_counts_from_the_first_object_on(fleet):
    limit(fleet, disabled_percent=50)
    keep(fleet, 2)
    blocked(
        fleet,
        "6 of 10 Active schedules would be disabled, 60.0 %, more than the limit of 50 %; "
        "raise it in reconciler.yml or add --allow disabled_percent",
    )
    keep(fleet, 3)
    assert fleet("plan").code == 0


def test_a_share_is_the_same_where_most_files_are_not_even_read(fleet):
    for number in range(8):
        fleet.write(f"schedules/g{number}.yml", schedule(f"g{number}"))
    limit(fleet, disabled_percent=5)
    fleet.commit()
    fleet.apply()
    fleet.delete("schedules/g0.yml")
    fleet.commit()
    short, full = fleet("plan"), fleet("plan", "--full")
    assert short == full
    assert "1 of 18 Active schedules would be disabled, 5.6 %" in short.err


@pytest.mark.parametrize("limits", [{"runs_per_day": 100}])
def test_a_change_of_the_load_is_limited_both_ways(shop, limits):
    shop.apply()
    limit(shop, **limits)
    shop.edit("schedules/nightly.yml", 'Day, time_of_day: "02:30"', "Minute, interval: 5")
    shop.commit()
    blocked(
        shop,
        "the changes take 1 runs a day to 288 (+287), more than the limit of 100; "
        "raise it in reconciler.yml or add --allow runs_per_day",
    )
    assert shop("apply", "--yes", "--allow", "runs_per_day").code == 0
    shop.edit("schedules/nightly.yml", "interval: 5", "interval: 60")
    shop.commit()
    assert "take 288 runs a day to 24 (-264), more than the limit of 100" in shop("plan").err


def test_fires_at_once_are_limited_and_counted(shop):
    limit(shop, fires_on_apply=2)
    every = "{recurrence: {frequency: Hour, interval: 6}}"
    shop.write("schedules/now.yml", "".join(schedule(f"now{n}", every) for n in range(3)))
    shop.commit()
    out = blocked(
        shop,
        "3 schedules would run at once, more than the limit of 2; give them first_run: aligned, "
        "raise it in reconciler.yml or add --allow fires_on_apply",
    )
    assert "3 fire at once." in out
    assert shop("apply", "--yes", "--allow", "fires_on_apply").code == 0


def test_several_guards_are_told_together_and_lifted_one_by_one(fleet):
    limit(fleet, disables=5, runs_per_day=3)
    keep(fleet, 2)
    done = fleet("plan")
    assert done.code == 3
    assert done.err.count("--allow") == 2
    assert fleet("plan", "--allow", "disables").err.count("--allow") == 1
    assert fleet("plan", "--allow", "disables", "--allow", "runs_per_day").code == 0
    ids = [guard["id"] for guard in fleet("plan", "--output", "json").data["guards"]]
    assert ids == ["disables", "runs_per_day"]


def test_a_plan_that_guards_block_is_this(shop):
    shop.edit("reconciler.yml", "targets:", "protected: [Schedule.nightly]\ntargets:")
    noon = "{recurrence: {frequency: Day, time_of_day: '12:00', first_run: aligned}}"
    shop.write("schedules/fleet.yml", schedule("first", noon) + schedule("second", noon))
    shop.commit()
    shop.apply()
    limit(shop, disables=1, disabled_percent=25, runs_per_day=3, fires_on_apply=0)
    for file in ("fleet", "nightly"):
        shop.delete(f"schedules/{file}.yml")
    shop.write("schedules/now.yml", schedule("now", "{recurrence: {frequency: Hour}}"))
    shop.commit()
    assert_plan("guarded", shop, code=3)


# Protected


@pytest.fixture
def protected(shop):
    shop.edit(
        "reconciler.yml", "targets:", 'protected: ["Schedule.night*", Pipeline.scoring]\ntargets:'
    )
    shop.commit()
    shop.apply()
    return shop


SAID = (
    "Schedule 'nightly' is protected and would be disabled; "
    "take it out of `protected` in reconciler.yml and apply that first"
)


def test_a_protected_object_may_change_but_not_go(protected):
    protected.edit("schedules/nightly.yml", "512", "1024")
    protected.commit()
    protected.apply()
    protected.delete("schedules/nightly.yml")
    protected.commit()
    blocked(protected, SAID)


def test_a_protected_schedule_is_not_turned_off_either(protected):
    protected.write("schedules/nightly.yml", NIGHTLY + "status: Disabled\n")
    protected.commit()
    blocked(protected, SAID)


def test_protection_outlives_the_commit_that_takes_it_away_with_the_object(protected):
    protected.delete("schedules/nightly.yml")
    protected.edit("reconciler.yml", '"Schedule.night*", ', "")
    protected.commit()
    blocked(protected, SAID)
    assert protected("apply", "--yes", "--allow-empty").code == 3


def test_two_commits_take_a_protected_object_away(protected):
    protected.edit("reconciler.yml", '"Schedule.night*", ', "")
    protected.commit()
    assert "protected: true -> false" in protected.apply().out
    protected.delete("schedules/nightly.yml")
    protected.commit()
    assert "1 disabled" in protected.apply().out


def test_a_protected_pipeline_and_datastore_stay(shop):
    shop.edit("reconciler.yml", "targets:", "protected: ['*.landing', '*.scoring']\ntargets:")
    shop.commit()
    shop.apply()
    for file in ("landing", "arrivals", "scoring", "nightly"):
        shop.delete(f"schedules/{file}.yml")
    other = PIPELINE.replace("scoring", "other").replace(", default: landing/seed.csv", "")
    shop.write("schedules/other.yml", other)
    shop.commit()
    message = "{0} is protected and would be {1}; take it out of `protected` in reconciler.yml and apply that first"
    blocked(
        shop,
        message.format("Datastore 'landing'", "removed"),
        message.format("Pipeline 'scoring'", "disabled"),
    )


# Empty and incomplete sources


def test_a_glob_that_matches_nothing_disables_nothing_and_is_named(fleet):
    Path("schedules").rename("manifests")
    fleet.commit("moved")
    done = fleet("plan")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "error: include 'schedules/**/*.yml' matches no file; "
        "correct it in reconciler.yml, or leave an empty file there\n"
    )
    assert fleet("apply", "--yes", "--allow-empty").code == 1
    assert len(fleet("list", "--output", "json").data) == 10


def test_a_glob_that_matches_nothing_beside_one_that_does_disables_nothing(fleet):
    fleet.edit("reconciler.yml", "targets:", "include: [schedules/*.yml, more/*.yml]\ntargets:")
    fleet.commit()
    done = fleet("apply", "--yes")
    assert done.code == 1
    assert "more/*.yml" in done.err


def test_a_file_that_does_not_parse_disables_nothing(fleet):
    fleet.write("schedules/fleet.yml", schedule("f0") + "---\nkind: Schedule\nname: [f1\n")
    fleet.commit()
    done = fleet("apply", "--yes")
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith("schedules/fleet.yml:")
    assert done.err.endswith("error: 1 problem in 1 file\n")
    assert len(fleet("list", "--output", "json").data) == 10


def test_a_symbolic_link_in_place_of_a_manifest_disables_nothing(fleet):
    Path("schedules/fleet.yml").rename("fleet.yml")
    Path("schedules/fleet.yml").symlink_to("../fleet.yml")
    fleet.commit()
    for words in (("plan",), ("plan", "--full"), ("apply", "--yes", "--allow-empty")):
        done = fleet(*words)
        assert (done.code, done.out) == (1, "")
        assert "schedules/fleet.yml" in done.err
        assert "symbolic link" in done.err
    assert len(fleet("list", "--output", "json").data) == 10


def test_a_large_file_that_git_lfs_keeps_elsewhere_disables_nothing(fleet):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 9\n"
    fleet.write("schedules/fleet.yml", pointer)
    fleet.commit()
    done = fleet("apply", "--yes")
    assert done.code == 1
    assert "LFS" in done.err
    assert len(done.err.splitlines()) <= 2


def test_a_project_that_declares_nothing_needs_its_word(fleet):
    for file in Path("schedules").glob("*.yml"):
        file.write_text("# to be written\n")
    limit(fleet, disables=50)
    fleet.commit()
    blocked(
        fleet,
        "nothing is declared any more, and all 12 objects would be taken away; "
        "put the manifests back or add --allow empty",
    )
    assert fleet("plan", "--allow-empty").code == 0
    assert fleet("apply", "--yes", "--allow", "empty").code == 0
    assert fleet("list").out.strip().endswith("No schedules.") or "nightly" not in fleet("list").out


# Others, and what is missing


def test_what_somebody_else_uses_is_not_taken_away(shop):
    shop.apply()
    other = shop.path.parent / "other"
    other.mkdir()
    (other / "reconciler.yml").write_text("project: other\n")
    (other / "schedules").mkdir()
    (other / "schedules/a.yml").write_text(schedule("theirs"))
    url = f"sqlite:{shop.path}/.reconciler/workspace.db"
    assert shop("apply", "--yes", "--project", str(other), "--workspace", url).code == 0
    for file in ("arrivals", "scoring", "nightly"):
        shop.delete(f"schedules/{file}.yml")
    shop.commit()
    blocked(
        shop,
        "pipeline 'scoring' would be disabled, but schedule 'theirs' of other/dev uses it; "
        "disable that first",
    )


def test_a_missing_manifest_can_be_made_a_mistake(shop):
    shop.edit("reconciler.yml", "targets:", "on_missing: fail\ntargets:")
    shop.commit()
    shop.apply()
    shop.delete("schedules/nightly.yml")
    shop.commit()
    blocked(
        shop,
        "the manifest of Schedule 'nightly' is gone and on_missing is fail; "
        "put it back, or declare it Disabled",
    )
    shop.write("schedules/nightly.yml", NIGHTLY + "status: Disabled\n")
    shop.commit()
    shop.apply()


# The words themselves


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_mistyped_guard_is_answered_with_all_there_are(shop, command):
    done = shop(command, "--allow", "disable")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        "error: Invalid value for '--allow': 'disable' is not one of 'dirty', 'diverged', 'empty', "
        "'rollback', 'other_project', 'taken_over', 'disables', 'disabled_percent', "
        f"'runs_per_day', 'fires_on_apply'. See `reconciler {command} --help`.\n"
    )


@pytest.mark.parametrize("word", ["nightly", "Shedule.nightly", "schedule.nightly", "Schedule."])
def test_a_mistyped_address_is_answered_with_its_form(shop, word):
    done = shop("plan", "--adopt", word)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"error: Invalid value for '--adopt': '{word}' is none of Datastore.NAME, Pipeline.NAME, "
        "Schedule.NAME. See `reconciler plan --help`.\n"
    )


@pytest.mark.parametrize("address", ["Schedule.nobody", "Schedule.nightly", "Pipeline.scoring"])
def test_what_cannot_be_adopted_blocks_the_plan(shop, address):
    shop.apply()
    done = shop("plan", "--adopt", address)
    assert done.code == 3
    assert done.err == (
        f"blocked: {address} is to be adopted, but nothing of that name is both declared here "
        "and somebody else's; leave it out\n"
    )


def test_a_guard_that_is_lifted_needlessly_does_no_harm(shop):
    assert shop("apply", "--yes", "--allow", "disables", "--rollback", "--allow-empty").code == 0


def test_a_removed_datastore_that_is_still_used_is_refused_naming_it(shop):
    shop.apply()
    shop.delete("schedules/landing.yml")
    shop.commit()
    done = shop("apply", "--yes")
    assert (done.code, done.out) == (1, "")
    said = "'landing' is no longer declared, but this uses it; declare it again"
    assert done.err.splitlines() == [
        f"schedules/arrivals.yml:5:33: datastore {said}",
        f"schedules/scoring.yml:5:41: datastore {said}",
        "error: 2 problems in 2 files",
    ]
