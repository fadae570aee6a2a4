"""What somebody changed beside Git is told, never touched, and can go back into the manifests."""

import stat
from pathlib import Path

import pytest

from tests.journeys.checkout import NIGHTLY
from tests.journeys.golden import assert_golden
from tests.journeys.outofband import by_hand, change, delete, masked, sql

IGNORING = """
project: shop
ignore_drift:
  - {objects: Schedule.nightly, fields: [description]}
targets:
  dev: {workspace: "sqlite:.reconciler/workspace.db"}
"""
TARGETS = """
project: shop
defaults:
  Schedule: {tags: {team: risk}}
variables:
  size: {type: integer, default: 512}
targets:
  dev:
    workspace: "sqlite:.reconciler/workspace.db"
    overrides:
      Schedule:
        nightly: {max_catchup: 3}
"""


@pytest.fixture
def applied(shop):
    shop.apply()
    return shop


def touch_everything():
    """Leave an object of every class."""
    change("nightly", pipeline_parameters={"batch_size": 1024}, description="by hand")
    delete("arrivals")
    by_hand()
    sql("UPDATE schedules SET owner_project = 'other', owner_target = 'prod' WHERE name = 'watch'")


def snapshot():
    # SQLite notes its readers in the -shm file.
    files = (p for p in Path(".reconciler").iterdir() if not p.name.endswith("-shm"))
    return {path: path.read_bytes() for path in files}


def test_without_drift_it_says_so_and_exits_0(applied):
    done = applied("drift")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("\nDrift: 0 changed, 0 missing, 0 unmanaged, 0 held.\n")
    done = applied("drift", "--output", "markdown")
    assert (done.code, done.out.splitlines()[2]) == (
        0, "**0 changed, 0 missing, 0 unmanaged, 0 held.**",
    )  # fmt: skip
    assert applied("drift", "--output", "json").data["drifted"] is False


def test_before_a_first_apply_there_is_no_drift_and_no_workspace(shop):
    done = shop("drift")
    assert done.code == 0
    assert "Nothing was applied yet." in done.out
    comment = shop("drift", "--output", "markdown").out
    assert comment.endswith(
        "Workspace `sqlite:.reconciler/workspace.db`, nothing was applied yet.\n"
    )
    assert not Path(".reconciler").exists()


def test_every_class_of_object_is_told_once_in_each_form(applied):
    applied.write("schedules/other.yml", NIGHTLY.replace("nightly", "paused"))
    applied.write("reconciler.yml", IGNORING)
    applied.commit()
    applied.apply()
    touch_everything()
    applied("hold", "paused", "--reason", "audit")
    text, told = applied("drift"), applied("drift", "--output", "json")
    assert (text.code, told.code) == (2, 2)
    assert_golden("drift.txt", masked(text.out))
    assert_golden("drift.json", masked(told.out))
    comment = applied("drift", "--output", "markdown")
    assert comment.code == 2
    assert_golden("drift.md", masked(comment.out))
    classes = {one["address"]: one["class"] for one in told.data["objects"]}
    assert classes == {
        "Datastore.lake": "unmanaged",
        "Pipeline.loose": "unmanaged",
        "Schedule.adhoc": "unmanaged",
        "Schedule.arrivals": "missing",
        "Schedule.nightly": "changed",
        "Schedule.paused": "held",
        "Schedule.watch": "foreign",
    }


def test_what_others_may_set_is_told_as_ignored_and_is_no_drift(applied):
    applied.write("reconciler.yml", IGNORING)
    applied.commit()
    applied.apply()
    change("nightly", description="by hand")
    done = applied("drift")
    assert done.code == 0
    assert (
        'Ignored: Schedule.nightly description: "" -> "by hand" (ignore_drift)\n\n'
        "Drift: 0 changed, 0 missing, 0 unmanaged, 0 held, 1 ignored.\n"
    ) in done.out
    applied("hold", "nightly", "--reason", "audit")
    (nightly,) = applied("drift", "--output", "json").data["objects"]
    assert (nightly["class"], len(nightly["ignored"])) == ("held", 1)


def test_unmanaged_objects_are_no_drift(applied):
    by_hand()
    done = applied("drift")
    assert done.code == 0
    assert "To manage them here: reconciler import" in done.out
    assert "4 unmanaged" in done.out


def test_it_works_while_the_manifests_are_broken_and_writes_nothing(applied):
    change("nightly", description="by hand")
    applied.write("schedules/nightly.yml", "kind: {{{\n")
    before = snapshot()
    done = applied("drift")
    assert done.code == 2
    assert 'description: "" -> "by hand"' in done.out
    assert snapshot() == before


def test_an_object_that_is_broken_by_hand_is_drift_too(applied):
    sql("""UPDATE schedules SET spec = '{"name":"nightly"}' WHERE name = 'nightly'""")
    sql("UPDATE schedules SET spec = 'nonsense' WHERE name = 'arrivals'")
    done = applied("drift")
    assert (done.code, done.err) == (2, "")
    assert "Drift: 2 changed" in done.out
    assert "what is live is no valid manifest" in applied("drift", "--write").out


def test_written_back_the_manifests_keep_their_comments_and_the_plan_is_empty(applied):
    applied.edit(
        "schedules/nightly.yml",
        "pipeline_parameters: {batch_size: 512}",
        "# as large as the machine takes\npipeline_parameters: {batch_size: 512}   # rows",
    )
    applied.edit("schedules/landing.yml", "url:", "tags: {kept: here}\nurl:")
    Path("schedules/nightly.yml").chmod(0o640)
    applied.commit()
    applied.apply()
    change("nightly", pipeline_parameters={"batch_size": 1024}, description="by hand")
    change("landing", "datastores", url="file:///data/elsewhere", tags=None)
    sql("UPDATE schedules SET status = 'Disabled' WHERE name = 'arrivals'")
    done = applied("drift", "--write")
    assert (done.code, done.err) == (0, "")
    assert_golden("drift-write.txt", masked(done.out))
    nightly = Path("schedules/nightly.yml").read_text()
    assert (
        "# as large as the machine takes\npipeline_parameters: {batch_size: 1024}   # rows\n"
        in nightly
    )
    assert stat.S_IMODE(Path("schedules/nightly.yml").stat().st_mode) == 0o640
    assert "url: file:///data/elsewhere" in Path("schedules/landing.yml").read_text()
    assert applied("plan", "--detailed-exitcode").code == 0
    assert applied("plan", "--detailed-exitcode", "--full").code == 0
    applied.commit()
    applied.apply()
    assert "Drift: 0 changed" in applied("drift").out


def test_a_second_write_finds_everything_said_already(applied):
    change("nightly", description="by hand")
    applied("drift", "--write")
    applied.commit()
    done = applied("drift", "--write", "--output", "json")
    assert done.code == 0
    assert done.data["written"] == [
        {
            "address": "Schedule.nightly",
            "path": "description",
            "file": "schedules/nightly.yml",
            "value": "by hand",
        }
    ]
    assert applied.git("status", "--porcelain") == ""
    assert "Says so already: schedules/nightly.yml" in applied("drift", "--write").out


def test_a_trigger_of_another_kind_replaces_the_old_one(applied):
    change("nightly", trigger={"cron": {"expression": "0 4 * * *"}})
    assert applied("drift", "--write").code == 0
    text = Path("schedules/nightly.yml").read_text()
    assert "cron" in text
    assert "recurrence" not in text
    assert applied("plan", "--detailed-exitcode").code == 0


def test_values_that_come_from_elsewhere_are_left_and_named_with_their_place(applied):
    applied.write("reconciler.yml", TARGETS)
    applied.edit("schedules/nightly.yml", "512", "'${{ variables.size }}'")
    applied.commit()
    applied.apply()
    change(
        "nightly", pipeline_parameters={"batch_size": 1}, tags={"team": "ops"}, max_catchup=4,
        missed="all",
    )  # fmt: skip
    done = applied("drift", "--write")
    assert done.code == 2
    assert_golden("drift-left.txt", masked(done.out))
    applied.git("checkout", "-q", "schedules")
    assert_golden("drift-left.md", masked(applied("drift", "--write", "--output", "markdown").out))
    applied.git("checkout", "-q", "schedules")
    assert_golden("drift-left.json", masked(applied("drift", "--write", "--output", "json").out))
    assert "missed: all" in Path("schedules/nightly.yml").read_text()


def test_a_value_that_an_override_would_take_away_again_is_left(applied):
    applied.write("reconciler.yml", TARGETS.replace("max_catchup: 3", "description: null"))
    applied.commit()
    applied.apply()
    change("nightly", description="by hand")
    done = applied("drift", "--write")
    assert done.code == 2
    assert (
        "Not written: Schedule.nightly description: schedules/nightly.yml: description would still "
        "come from reconciler.yml:11 (override of target dev removes it, over schedules/nightly.yml:"
    ) in done.out
    assert applied.git("status", "--porcelain") == ""


def test_a_default_that_somebody_took_away_is_said_outright(applied):
    applied.write(
        "reconciler.yml", TARGETS.replace("tags: {team: risk}", "description: from the project")
    )
    applied.edit("schedules/nightly.yml", "name: nightly", "name: nightly\ndescription: its own")
    applied.commit()
    applied.apply()
    change("nightly", description=None)
    assert applied("drift", "--write").code == 0
    assert 'description: ""' in Path("schedules/nightly.yml").read_text()
    assert applied("plan", "--detailed-exitcode").code == 0


def test_files_that_are_not_committed_are_left_alone(applied):
    change("nightly", description="by hand")
    applied.edit("schedules/nightly.yml", "512", "256")
    before = Path("schedules/nightly.yml").read_text()
    done = applied("drift", "--write")
    assert done.code == 3
    assert done.err == (
        "error: schedules/nightly.yml has changes that are not committed; "
        "commit them or add --allow-dirty\n"
    )
    assert Path("schedules/nightly.yml").read_text() == before
    assert applied("drift", "--write", "--allow-dirty").code == 0
    assert "description: by hand" in Path("schedules/nightly.yml").read_text()


def test_what_a_manifest_cannot_say_is_left_with_the_reason(applied):
    sql("UPDATE pipelines SET status = 'Disabled'")
    applied.delete("schedules/arrivals.yml")
    applied.commit()
    change("arrivals", description="by hand")
    sql("UPDATE schedules SET pipeline_id = NULL WHERE name = 'nightly'")
    done = applied("drift", "--write")
    assert done.code == 2
    lines = [line for line in done.out.splitlines() if line.startswith("Not written")]
    assert lines == [
        "Not written: Pipeline.scoring status: a manifest cannot say it; an apply publishes the version again, or: reconciler enable",
        "Not written: Schedule.arrivals description: no manifest declares it any more, or it has problems; run: reconciler validate",
        "Not written: Schedule.nightly pipeline version: an apply binds it to the declared version; write pipeline: NAME@N to pin another",
    ]
    assert applied.git("status", "--porcelain") == ""


def test_a_file_that_is_too_clever_to_edit_is_left_as_a_whole(applied):
    applied.edit(
        "schedules/nightly.yml",
        "pipeline_parameters: {batch_size: 512}",
        "description: &text one\ntags: {note: *text}",
    )
    applied.commit()
    applied.apply()
    change("nightly", description="two", max_catchup=7)
    before = Path("schedules/nightly.yml").read_text()
    done = applied("drift", "--write")
    assert done.code == 2
    assert "Not written: Schedule.nightly description: schedules/nightly.yml: line" in done.out
    assert "Not written: Schedule.nightly max_catchup: schedules/nightly.yml: line" in done.out
    assert Path("schedules/nightly.yml").read_text() == before


def test_a_manifest_that_moved_is_found_where_it_is_now(applied):
    change("nightly", description="by hand")
    applied.git("mv", "schedules/nightly.yml", "schedules/moved.yml")
    applied.commit()
    assert applied("drift", "--write").code == 0
    assert "description: by hand" in Path("schedules/moved.yml").read_text()
