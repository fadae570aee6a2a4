"""From an edit in Git to the workspace, and what stands in the way."""

from pathlib import Path

from tests.journeys.checkout import NIGHTLY, PIPELINE
from tests.journeys.golden import assert_golden


def test_a_new_project_plans_twice_the_same_bytes_and_applies_once(shop):
    assert shop("validate").out == "OK: 2 schedules, 1 pipeline, 1 datastore in 4 files\n"
    first, again = shop("plan"), shop("plan")
    assert first == again
    assert first.code == 0
    assert shop("plan", "--detailed-exitcode").code == 2
    assert not Path(".reconciler").exists()
    done = shop.apply()
    assert "Applied: 4 added, 0 changed, 0 disabled, 0 unchanged." in done.out
    assert (
        "no runner is active; start one: reconciler runner start --workspace sqlite:/" in done.err
    )
    after = shop("plan", "--detailed-exitcode")
    assert after.code == 0
    assert "No changes. The workspace is as declared." in after.out
    assert "Nothing to apply." in shop("apply").out


# Later than any machine on which an apply of these tests makes its schedules.
NOW = ("--now", "2090-03-01T12:00:00Z")


def test_the_first_plan_is_this_text_and_this_json(shop):
    assert_golden("plan-create.txt", shop("plan", *NOW).out)
    assert_golden("plan-create.json", shop("plan", "--output", "json", *NOW).out)


def test_an_edited_field_is_shown_with_its_old_and_new_value_and_nothing_else(shop):
    shop.apply()
    shop.edit("schedules/nightly.yml", "batch_size: 512", "batch_size: 1024")
    shop.commit()
    assert_golden("plan-update.txt", shop("plan", *NOW).out)
    (change,) = shop("plan", "--output", "json").data["resource_changes"]
    assert change["fields"] == [
        {
            "path": "pipeline_parameters.batch_size",
            "last_applied": 512,
            "desired": 1024,
            "live": 512,
            "cause": "git",
        }
    ]
    shop.apply()
    assert shop("show", "nightly", "--output", "json").data["spec"]["pipeline_parameters"] == {
        "batch_size": 1024
    }
    assert shop("plan", "--detailed-exitcode").code == 0


def test_a_deleted_file_is_one_disable_and_put_back_one_enable(shop):
    shop.apply()
    shop.delete("schedules/nightly.yml")
    shop.commit()
    assert_golden("plan-disable.txt", shop("plan", *NOW).out)
    assert "Applied: 0 added, 0 changed, 1 disabled, 3 unchanged." in shop.apply().out
    assert shop("plan", "--detailed-exitcode").code == 0
    assert "nightly" not in shop("list").out
    shop.write("schedules/nightly.yml", NIGHTLY)
    shop.commit()
    assert_golden("plan-enable.txt", shop("plan", *NOW).out)
    shop.apply()
    assert "nightly" in shop("list").out


def test_edited_code_makes_a_new_version_and_reverted_code_binds_to_the_old_one(shop):
    shop.apply()
    shop.edit("schedules/code/score.py", "scored", "rated")
    shop.commit()
    assert_golden("plan-code.txt", shop("plan", *NOW).out)
    shop.apply()
    bound = shop("list", "--output", "json").data
    assert {one["pipeline"] for one in bound} == {"scoring@2"}
    shop.edit("schedules/code/score.py", "rated", "scored")
    shop.commit()
    shop.apply()
    assert {one["pipeline"] for one in shop("list", "--output", "json").data} == {"scoring@1"}
    assert shop("plan", "--detailed-exitcode").code == 0


def test_unknown_references_are_told_with_their_places(shop):
    shop.edit("schedules/nightly.yml", "pipeline: scoring", "pipeline: scorign")
    shop.edit("schedules/arrivals.yml", "datastore: landing", "datastore: landign")
    done = shop("plan")
    assert done.code == 1
    assert done.out == ""
    assert done.err == (
        "schedules/arrivals.yml:5:33: datastore 'landign' is neither declared here nor registered in the workspace; did you mean 'landing'?\n"
        "schedules/nightly.yml:3:11: pipeline 'scorign' is neither declared here nor registered in the workspace; did you mean 'scoring'?\n"
        "error: 2 problems in 2 files\n"
    )


def test_a_typing_mistake_gives_a_line_per_problem_and_writes_nothing(shop):
    shop.edit("schedules/nightly.yml", "pipeline:", "pipline:")
    shop.edit("schedules/arrivals.yml", "kind: Schedule", "kind: Shedule")
    for words in (("validate",), ("plan",), ("apply", "--yes"), ("render",)):
        done = shop(*words)
        assert done.code == 1
        assert done.out == ""
        lines = done.err.splitlines()
        assert lines[-1] == "error: 2 problems in 2 files"
        assert all(line.startswith("schedules/") for line in lines[:-1])
        assert "Traceback" not in done.err
    assert not Path(".reconciler").exists()


def test_validate_lists_problems_as_json(shop):
    shop.edit("schedules/nightly.yml", "batch_size: 512", "batch_size: many")
    done = shop("validate", "--output", "json")
    assert done.code == 1
    assert done.data == {
        "ok": False,
        "problems": [
            {
                "file": "schedules/nightly.yml",
                "line": 6,
                "column": 35,
                "message": "parameter 'batch_size' of 'scoring' is of type integer, not string",
            }
        ],
    }
    shop.edit("schedules/nightly.yml", "batch_size: many", "batch_size: 1")
    assert shop("validate", "--output", "json").data == {
        "ok": True, "problems": [], "warnings": [], "files": 4, "schedules": 2, "pipelines": 1, "datastores": 1,
    }  # fmt: skip


def test_uncommitted_files_are_applied_only_when_allowed(shop):
    shop.edit("schedules/nightly.yml", "512", "1024")
    shop.write("schedules/new.yml", NIGHTLY.replace("nightly", "another"))
    plan = shop("plan")
    assert plan.code == 0
    assert "with 2 uncommitted: schedules/new.yml, schedules/nightly.yml" in plan.out
    refused = shop("apply", "--yes")
    assert refused.code == 3
    assert refused.err == (
        "error: 2 uncommitted files (schedules/new.yml, schedules/nightly.yml); "
        "commit them or add --allow-dirty\n"
    )
    assert not Path(".reconciler").exists()
    assert shop("apply", "--yes", "--allow-dirty").code == 0
    assert len(shop("list", "--output", "json").data) == 3


def test_a_project_that_declares_nothing_any_more_takes_nothing_away_by_mistake(shop):
    shop.apply()
    for file in ("scoring", "nightly", "arrivals", "landing"):
        shop.write(f"schedules/{file}.yml", "# to be written\n")
    shop.commit()
    plan = shop("plan")
    assert plan.code == 3
    assert "0 to add, 0 to change, 3 to disable, 1 to remove" in plan.out
    done = shop("apply", "--yes")
    assert done.code == 3
    assert done.err == (
        "error: nothing is declared any more, and all 4 objects would be taken away; "
        "put the manifests back or add --allow empty\n"
    )
    assert "nightly" in shop("list").out
    assert "3 disabled, 1 removed" in shop("apply", "--yes", "--allow-empty").out
    assert shop("apply", "--yes").out.endswith("Nothing to apply.\n")


def test_outside_a_repository_everything_works_and_says_so(empty):
    assert empty("init").code == 0
    plan = empty("plan")
    assert plan.code == 0
    assert "Not committed to Git; objects will carry no commit and no author." in plan.out
    empty.apply()
    facts = empty("show", "hello-every-morning", "--output", "json").data
    assert facts["provenance"] == {
        "file": "schedules/hello.yml", "line": 17, "commit": None, "author": None, "committed_at": None,
    }  # fmt: skip


def test_an_applied_object_tells_where_it_comes_from(shop):
    shop.apply()
    origin = shop("show", "nightly", "--output", "json").data["provenance"]
    assert origin == {
        "file": "schedules/nightly.yml",
        "line": 1,
        "commit": shop.git("rev-parse", "HEAD").strip(),
        "author": "Ada Lovelace <ada@example.com>",
        "committed_at": "2026-03-01T12:00:00Z",
    }
    shown = shop("show", "nightly").out
    assert "declared at  schedules/nightly.yml:1" in shown
    assert "Ada Lovelace <ada@example.com>" in shown


def test_what_belongs_to_another_project_is_refused_naming_it(shop):
    shop.apply()
    shop.edit("reconciler.yml", "project: shop", "project: other")
    shop.commit()
    plan = shop("plan", "--detailed-exitcode")
    assert plan.code == 3
    assert "Blocked: Pipeline 'scoring' belongs to shop/dev; give yours another name" in plan.out
    assert plan.err.startswith("blocked: ")
    done = shop("apply", "--yes")
    assert done.code == 3
    assert "belongs to shop/dev" in done.err
    assert shop("plan", "--output", "json").data["guards"]


def test_a_removed_pipeline_that_a_schedule_still_uses_is_refused_naming_it(shop):
    shop.apply()
    shop.delete("schedules/scoring.yml")
    shop.commit()
    done = shop("apply", "--yes")
    assert done.code == 1
    assert done.err.splitlines() == [
        "schedules/arrivals.yml:3:11: pipeline 'scoring' is no longer declared, but this schedule uses it; declare it again or remove the schedule",
        "schedules/nightly.yml:3:11: pipeline 'scoring' is no longer declared, but this schedule uses it; declare it again or remove the schedule",
        "error: 2 problems in 2 files",
    ]


def test_a_workspace_that_moves_while_a_plan_is_read_makes_it_stale(shop, monkeypatch):
    shop.apply()
    shop.edit("schedules/nightly.yml", "512", "1024")
    shop.commit()
    import reconciler.cli.apply as module

    plain = module.refuse

    def meanwhile(plan, allowed):
        plain(plan, allowed)
        monkeypatch.setattr(module, "refuse", plain)
        scope = module.Scope(None, None, None)
        module._carry_out(module.make_plan(scope, scope.source(), module.Asked()))

    monkeypatch.setattr(module, "refuse", meanwhile)
    done = shop("apply", "--yes")
    assert done.code == 4
    assert done.err == (
        "error: the workspace moved since the plan was made: "
        "Schedule 'nightly' is no longer updated; plan again\n"
    )


def test_without_a_terminal_apply_asks_for_yes(shop):
    done = shop("apply")
    assert done.code == 1
    assert done.err == "error: there is no terminal to ask on; add --yes to apply\n"
    assert "Plan: 4 to add" in done.out
    assert not Path(".reconciler").exists()


def test_apply_as_json_is_one_document(shop):
    done = shop("apply", "--yes", "--output", "json")
    assert done.data["applied"] is True
    assert done.data["summary"]["create"] == 4
    assert shop("apply", "--yes", "--output", "json").data["applied"] is False


def test_targets_are_chosen_by_name_and_have_their_own_workspaces(shop):
    shop.write("reconciler.yml", """
        project: shop
        targets:
          dev: {workspace: "sqlite:.reconciler/dev.db"}
          prod: {workspace: "sqlite:.reconciler/prod.db"}
        """)  # fmt: skip
    shop.commit()
    done = shop("plan")
    assert done.code == 1
    assert (
        done.err == "error: the project has several targets; choose one with --target (dev, prod)\n"
    )
    assert shop("validate").code == 0
    assert shop("apply", "--yes", "--target", "prod").code == 0
    assert shop("plan", "--target", "prod", "--detailed-exitcode").code == 0
    assert shop("plan", "--target", "dev", "--detailed-exitcode").code == 2
    assert "target 'test' is not in reconciler.yml" in shop("plan", "--target", "test").err


def test_a_project_is_found_upward_and_by_option(shop, monkeypatch):
    shop.apply()
    monkeypatch.chdir(shop.path / "schedules" / "code")
    assert shop("plan", "--detailed-exitcode").code == 0
    monkeypatch.chdir("/")
    assert shop("plan", "--detailed-exitcode", "--project", str(shop.path)).code == 0
    done = shop("plan", "--project", "/proc")
    assert done.code == 1
    assert (
        done.err
        == "error: no reconciler.yml in '/proc' or a folder above it; run: reconciler init\n"
    )


def test_a_workspace_is_named_by_option_or_environment_also_outside_a_project(
    shop, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    assert shop("apply", "--yes", "--project", "shop", "--workspace", "sqlite:here.db").code == 0
    assert Path("here.db").exists()
    assert "nightly" in shop("list", "--workspace", "sqlite:here.db").out
    monkeypatch.setenv("RECONCILER_WORKSPACE", f"sqlite:{tmp_path}/here.db")
    assert "nightly" in shop("list").out
    monkeypatch.delenv("RECONCILER_WORKSPACE")
    done = shop("list")
    assert done.code == 1
    assert done.err.endswith("or name a workspace: --workspace URL or $RECONCILER_WORKSPACE\n")
    assert "write sqlite:PATH" in shop("list", "--workspace", "mysql://x").err


def test_an_untracked_repository_can_be_planned_before_its_first_commit(shop):
    Path(".git/refs/heads/main").unlink()
    plan = shop("plan")
    assert plan.code == 0
    assert "Not committed to Git" in plan.out
    assert PIPELINE.splitlines()[1] in shop("render", "pipeline").out


def test_render_prints_one_canonical_form(shop):
    nightly = shop("render", "schedule", "nightly").out
    assert (
        nightly
        == """\
kind: Schedule
name: nightly
pipeline: scoring
trigger:
  recurrence:
    frequency: Day
    time_zone: America/New_York
    time_of_day: "02:30"
    first_run: aligned
pipeline_parameters:
  batch_size: 512
"""
    )
    whole = shop("render").out
    assert whole.split("---\n")[-1] == nightly
    assert len(whole.split("---\n")) == 4
    (data,) = shop("render", "schedule", "nightly", "--output", "json", "--defaults").data
    assert data["trigger"]["recurrence"]["interval"] == 1
    done = shop("render", "schedule", "nobody")
    assert (done.code, done.err) == (1, "error: no schedule 'nobody' is declared\n")
