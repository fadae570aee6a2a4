"""Whose an object is: projects side by side, taking over, and renaming without losing anything."""

import shutil
from pathlib import Path

import pytest

from reconciler.sdk import Workspace
from tests.journeys.checkout import ARRIVALS, NIGHTLY, PIPELINE, Checkout
from tests.journeys.golden import assert_plan
from tests.journeys.outofband import loose, schedule, sql, store


@pytest.fixture
def two(shop, tmp_path, monkeypatch, capfd):
    """Two projects in two repositories on one workspace, the first one applied; gives both."""
    monkeypatch.setenv("RECONCILER_WORKSPACE", f"sqlite:{tmp_path}/ws.db")
    other = Checkout(tmp_path / "lab", capfd)
    other.path.mkdir()
    other.write("reconciler.yml", "project: lab\n")
    shop.apply()
    return In(shop, monkeypatch), In(other, monkeypatch)


class In:
    """A checkout whose commands run in its own folder."""

    def __init__(self, checkout, monkeypatch):
        self._checkout = checkout
        self._monkeypatch = monkeypatch

    def __call__(self, *words):
        self._monkeypatch.chdir(self._checkout.path)
        return self._checkout(*words)

    def __getattr__(self, name):
        return getattr(self._checkout, name)

    def apply(self):
        done = self("apply", "--yes")
        assert done.code == 0, done.err
        return done


def owners(shop):
    return {
        (one["kind"], one["name"]): one["owner"]
        for one in shop("list", "--all", "--output", "json").data
    }


def facts(shop, name, *kind):
    return shop("show", *kind, name, "--output", "json").data


# Side by side


def test_two_projects_leave_each_other_alone(two):
    shop, lab = two
    lab.write("schedules/a.yml", PIPELINE.replace("scoring", "lab").replace("./code", "."))
    lab.edit("schedules/a.yml", "  input_data: {type: datapath, default: landing/seed.csv}\n", "")
    lab.write("schedules/nightly.yml", NIGHTLY.replace("pipeline: scoring", "pipeline: lab"))
    assert "Plan: 2 to add, 0 to change, 0 to disable, 0 unchanged." in lab("plan").out
    lab.apply()
    # The same name twice, once for each project.
    assert (
        len([one for one in shop("list", "--output", "json").data if one["name"] == "nightly"]) == 2
    )
    assert "Plan: 0 to add, 0 to change, 0 to disable, 4 unchanged." in shop("plan").out
    lab.delete("schedules/nightly.yml")
    lab.apply()
    assert "No changes." in shop("plan").out
    shop.delete("schedules/nightly.yml")
    shop.commit()
    shop.apply()
    assert "No changes." in lab("plan").out


def test_one_project_uses_what_the_other_declares(two):
    shop, lab = two
    lab.write("schedules/mine.yml", NIGHTLY.replace("nightly", "mine"))
    lab.write("schedules/watch.yml", ARRIVALS.replace("arrivals", "watch"))
    assert "Plan: 2 to add, 0 to change, 0 to disable, 0 unchanged." in lab("plan").out
    lab.apply()
    shop.edit("schedules/code/score.py", "scored", "rated")
    shop.commit()
    shop.apply()
    moved = lab("plan").out
    assert "~ update   Schedule   mine, its pipeline has another version" in moved
    lab.apply()
    assert "No changes." in lab("plan").out


def test_a_revert_holds_for_whoever_runs_the_newest_version_here_and_elsewhere(two):
    shop, lab = two
    lab.write("schedules/mine.yml", NIGHTLY.replace("nightly", "mine"))
    late = NIGHTLY.replace("nightly", "late").replace(
        "pipeline: scoring", "pipeline: scoring@latest"
    )
    shop.write("schedules/late.yml", late)
    shop.commit()
    shop.edit("schedules/code/score.py", "scored", "rated")
    shop.commit()
    shop.apply()
    lab.apply()
    shop.git("revert", "--no-edit", "HEAD")
    assert 'version: "scoring@2" -> "scoring@1"' in shop.apply().out
    shop("run", "late")
    assert [run["pipeline"] for run in shop("runs", "--output", "json").data] == ["scoring@1"]
    assert "No changes." in shop("plan").out
    moved = lab("plan").out
    assert 'pipeline version: "scoring@2" -> "scoring@1"' in moved
    assert lab("plan", "--full").out == moved


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (PIPELINE, "Pipeline.scoring"),
        ("kind: Datastore\nname: landing\nurl: file:x\n", "Datastore.landing"),
    ],
)
def test_what_is_another_projects_is_refused_naming_it_and_the_way(two, text, address):
    _, lab = two
    lab.write("schedules/a.yml", text.replace("./code", "."))
    kind, _, name = address.partition(".")
    done = lab("apply", "--yes")
    assert done.code == 3
    assert done.err == (
        f"error: {kind} '{name}' belongs to shop/dev; give yours another name, "
        f"or take it over: --adopt {address}\n"
    )


# Taking over


def test_a_datastore_a_pipeline_and_a_schedule_are_taken_over_and_not_given_back(two):
    shop, lab = two
    before = facts(shop, "nightly")
    shutil.copytree(shop.path / "schedules", lab.path / "schedules")
    addresses = ("Datastore.landing", "Pipeline.scoring", "Schedule.nightly", "Schedule.arrivals")
    adopt = [word for address in addresses for word in ("--adopt", address)]
    assert_plan("plan-adopt", lab, *adopt)
    comment = lab("plan", *adopt, "--output", "markdown").out
    command = comment.splitlines()[-1].removeprefix("Apply exactly this with `reconciler ")
    assert lab(*command.rstrip("`").split()).out.splitlines()[-1] == (
        "Applied: 0 added, 0 changed, 0 disabled, 4 adopted, 0 unchanged."
    )
    after = facts(lab, "nightly")
    assert after["owner"] == "lab/dev"
    assert (after["id"], after["next_due"]) == (before["id"], before["next_due"])
    assert "No changes." in lab("plan").out
    # The former owner sees that, and takes nothing back by itself.
    done = shop("plan")
    assert done.code == 3
    assert "Pipeline 'scoring' belongs to lab/dev" in done.err
    for file in ("nightly", "arrivals", "scoring", "landing"):
        shop.delete(f"schedules/{file}.yml")
    shop.write("schedules/none.yml", "# moved to the lab\n")
    shop.commit()
    done = shop("apply", "--yes")
    assert (done.code, "Nothing to apply." in done.out) == (0, True)
    assert "No changes." in lab("plan").out


def test_a_schedule_that_was_taken_over_is_not_quietly_made_anew(two):
    shop, lab = two
    lab.write("schedules/nightly.yml", NIGHTLY)
    assert lab("apply", "--yes", "--adopt", "Schedule.nightly").code == 0
    plan = shop("plan")
    assert plan.code == 3
    assert plan.err == (
        "blocked: Schedule 'nightly' is gone, and lab/dev has one of that name; if it was taken "
        "over, remove its manifest; to have one of your own as well add --allow taken_over\n"
    )
    assert shop("plan", "--full").err == plan.err
    assert shop("plan", "--allow", "taken_over").code == 0
    shop.delete("schedules/nightly.yml")
    shop.commit()
    assert "No changes." in shop("plan").out
    assert "Nothing to apply." in shop("apply", "--yes").out
    assert "0 missing" in shop("drift").out
    assert "No changes." in lab("plan").out


def test_what_was_made_by_hand_is_taken_over_with_its_history(shop):
    shop.apply()
    workspace = Workspace.from_config()
    made = schedule(workspace, "adhoc", pipeline_parameters={"batch_size": 7})
    loose(workspace)
    store(workspace)
    shop("run", "adhoc")
    due = facts(shop, "adhoc")["next_due"]
    for kind in ("Schedule", "Pipeline", "Datastore"):
        shop.write(f"schedules/{kind}.yml", "")
    shop.write(
        "schedules/Schedule.yml",
        "kind: Schedule\nname: adhoc\npipeline: scoring\nexperiment_name: by-hand\n"
        "trigger: {recurrence: {frequency: Day, interval: 2, hours: [3], minutes: [15]}}\n"
        "pipeline_parameters: {batch_size: 7}\n",
    )
    shop.write("schedules/Datastore.yml", "kind: Datastore\nname: lake\nurl: file:///lake\n")
    shop.write(
        "schedules/Pipeline.yml",
        "kind: Pipeline\nname: loose\nsteps: [{name: run, command: [python, run.py]}]\n",
    )
    shop.commit()
    done = shop("plan")
    assert done.code == 3
    assert "Datastore 'lake' was made through the SDK" in done.err
    assert "the SDK made a schedule of that name too (id " in done.out
    adopt = ("--adopt", "Schedule.adhoc", "--adopt", "Datastore.lake", "--adopt", "Pipeline.loose")
    done = shop("apply", "--yes", *adopt)
    assert done.code == 0, done.err
    assert "Applied: 0 added, 0 changed, 0 disabled, 3 adopted, 4 unchanged." in done.out
    now = facts(shop, "adhoc")
    assert (now["id"], now["next_due"], now["owner"]) == (made.id, due, "shop/dev")
    assert [run["schedule_name"] for run in shop("runs", "--output", "json").data] == ["adhoc"]
    assert "No changes." in shop("plan").out


def test_a_pipeline_without_an_active_version_is_taken_over_at_an_older_content(two):
    shop, lab = two
    shop.edit("schedules/code/score.py", "scored", "rated")
    shop.commit()
    shop.apply()
    for file in ("nightly", "arrivals", "scoring"):
        shop.delete(f"schedules/{file}.yml")
    shop.commit()
    shop.apply()
    # The older version has changed more often than the newer one.
    for switch in ("enable", "disable"):
        assert shop(switch, "pipeline", "scoring@1").code == 0
    shutil.copytree(shop.path / "schedules/code", lab.path / "schedules/code")
    lab.write("schedules/scoring.yml", PIPELINE)
    lab.edit("schedules/code/score.py", "rated", "scored")
    done = lab("apply", "--yes", "--adopt", "Pipeline.scoring")
    assert done.code == 0, done.err
    assert "No changes." in lab("plan").out


# Renaming


@pytest.fixture
def renamed(shop):
    """A schedule with a run, renamed in Git and not yet applied; gives also what it was."""
    shop.apply()
    assert shop("run", "nightly").code == 0
    was = facts(shop, "nightly")
    shop.write(
        "schedules/nightly.yml", NIGHTLY.replace("nightly", "by-night") + "renamed_from: nightly\n"
    )
    shop.commit()
    return shop, was


def test_a_renamed_schedule_keeps_its_id_its_place_in_time_and_its_runs(renamed):
    shop, was = renamed
    assert_plan("plan-rename", shop)
    assert "1 renamed, 3 unchanged." in shop.apply().out
    now = facts(shop, "by-night")
    assert (now["id"], now["next_due"]) == (was["id"], was["next_due"])
    assert now["revision"] > was["revision"]
    (run,) = shop("runs", "by-night", "--output", "json").data
    assert (run["schedule_id"], run["schedule_name"]) == (was["id"], "nightly")
    assert shop("show", "nightly").code == 1
    # The key may stay or go.
    assert "No changes." in shop("plan").out
    shop.edit("schedules/nightly.yml", "renamed_from: nightly\n", "")
    shop.commit()
    assert "No changes." in shop("plan").out


def test_a_renamed_schedule_may_change_at_once_and_stays_held(renamed):
    shop, was = renamed
    shop.edit("schedules/nightly.yml", "02:30", "03:30")
    shop.commit()
    assert shop("hold", "nightly", "--reason", "audit").code == 0
    out = shop("plan").out
    assert "» rename   Schedule   by-night, formerly nightly" in out
    assert 'trigger.recurrence.time_of_day: "02:30" -> "03:30"' in out
    shop.apply()
    now = facts(shop, "by-night")
    assert now["id"] == was["id"]
    assert now["hold"]["why"] == "audit"


def test_a_rename_that_comes_too_late_says_so(shop):
    shop.apply()
    shop.write(
        "schedules/nightly.yml", NIGHTLY.replace("nightly", "by-night") + "renamed_from: evening\n"
    )
    shop.commit()
    out = shop("plan").out
    assert "+ create   Schedule   by-night" in out
    assert "there is no schedule 'evening' to be renamed" in out


def test_a_disable_and_a_create_that_are_alike_get_a_suggestion(shop):
    shop.apply()
    shop.write("schedules/nightly.yml", NIGHTLY.replace("nightly", "by-night"))
    shop.commit()
    out = shop("plan").out
    note = (
        "      100% like 'nightly', which would be disabled; "
        "if it is the same under a new name, add: renamed_from: nightly"
    )
    assert note in out.splitlines()
    assert "- disable  Schedule   nightly" in out


def test_a_disable_and_a_create_that_differ_get_none(shop):
    shop.apply()
    shop.write("schedules/nightly.yml", """
        kind: Schedule
        name: by-night
        pipeline: scoring
        trigger: {cron: {expression: "15 1 * * *"}}
        """)  # fmt: skip
    shop.commit()
    assert "would be disabled" not in shop("plan").out


def test_what_was_deleted_by_hand_is_made_anew(shop):
    shop.apply()
    sql("DELETE FROM datastores WHERE name = 'landing'")
    done = shop("plan")
    assert "+ create   Datastore  landing, somebody deleted it" in done.out
    shop.apply()
    assert "No changes." in shop("plan").out
    assert Path("schedules/landing.yml").exists()
