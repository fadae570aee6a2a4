"""Where the commit stands to what was applied last: never back, aside or from a copy by mistake."""

import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler.cli import execute
from tests.journeys.checkout import Checkout
from tests.journeys.golden import assert_plan


def head(shop, name="HEAD"):
    return shop.git("rev-parse", name)[:12]


def batch_size(shop):
    spec = shop("show", "nightly", "--output", "json").data["spec"]
    return spec["pipeline_parameters"]["batch_size"]


def blocked(shop, guard, message):
    """See that plan and apply tell the guard, that the plan is shown, and that nothing changes."""
    before = shop("list", "--output", "json").out
    plan = shop("plan")
    assert plan.code == 3
    assert f"Blocked: {message}" in plan.out
    assert "~ update   Schedule   nightly" in plan.out
    assert plan.err == f"blocked: {message}\n"
    (found,) = shop("plan", "--output", "json").data["guards"]
    assert found == {"id": guard, "message": message, "allowable": True}
    done = shop("apply", "--yes")
    assert (done.code, done.err) == (3, f"error: {message}\n")
    assert shop("list", "--output", "json").out == before


@pytest.fixture
def twice(shop):
    """A project of which a second commit was applied."""
    shop.apply()
    shop.edit("schedules/nightly.yml", "512", "1024")
    shop.commit("more")
    shop.apply()
    return shop


def test_an_older_commit_is_applied_only_on_purpose(twice):
    newer = head(twice)
    twice.git("checkout", "-q", "HEAD~1")
    message = (
        f"commit {head(twice)} is older than the last applied {newer}; "
        "to go back to it add --rollback"
    )
    blocked(twice, "rollback", message)
    assert twice("apply", "--yes", "--allow-diverged").code == 3
    assert twice("apply", "--yes", "--rollback").code == 0
    assert batch_size(twice) == 512
    # From there the way forward is open.
    twice.git("checkout", "-q", "main")
    twice.apply()
    assert batch_size(twice) == 1024


def test_a_commit_by_name_is_planned_like_any_other_and_leaves_the_files_alone(twice):
    twice.write("schedules/draft.yml", "not yet: {")
    refused = twice("apply", "--commit", "HEAD~1", "--yes")
    assert refused.code == 3
    assert "to go back to it add --rollback" in refused.err
    assert twice("plan", "--ref", "HEAD~1").code == 3
    done = twice("apply", "--commit", "HEAD~1", "--yes", "--rollback")
    assert done.code == 0, done.err
    assert batch_size(twice) == 512
    assert Path("schedules/draft.yml").read_text() == "not yet: {"
    assert twice.git("status", "--short") == "?? schedules/draft.yml\n"


def test_a_branch_that_lacks_what_was_applied_is_merged_first(twice):
    applied = head(twice)
    twice.git("checkout", "-q", "-b", "aside", "HEAD~1")
    twice.edit("schedules/nightly.yml", "02:30", "04:30")
    twice.commit("later")
    message = (
        f"commit {head(twice)} does not contain the last applied {applied} and would undo it; "
        "merge or rebase, else add --allow-diverged"
    )
    blocked(twice, "diverged", message)
    assert_plan("diverged", twice, code=3)
    assert twice("apply", "--yes", "--rollback").code == 3
    assert twice("apply", "--yes", "--allow-diverged").code == 0
    assert batch_size(twice) == 512


def test_a_merge_of_the_applied_commit_goes_on(twice):
    twice.git("checkout", "-q", "-b", "aside", "HEAD~1")
    twice.write("notes.txt", "later\n")
    twice.commit("noted")
    twice.git("merge", "-q", "-m", "merged", "main")
    twice.apply()
    assert batch_size(twice) == 1024


def clone(shop, place, *options):
    """Clone the repository; the clone works on the same workspace."""
    subprocess.run(
        ["git", "clone", "-q", *options, f"file://{shop.path}", str(place)],
        check=True,
        capture_output=True,
    )


@pytest.fixture
def elsewhere(twice, tmp_path, monkeypatch, capfd):
    """Commands for another checkout, on the workspace of the first."""
    monkeypatch.setenv("RECONCILER_WORKSPACE", f"sqlite:{twice.path}/.reconciler/workspace.db")

    def go(place):
        monkeypatch.chdir(place)
        return Checkout(place, capfd)

    return go


def test_a_shallow_clone_that_cannot_tell_names_the_setting_that_fetches_all(
    twice, elsewhere, tmp_path
):
    applied = head(twice)
    twice.edit("schedules/nightly.yml", "1024", "2048")
    twice.commit("even more")
    clone(twice, tmp_path / "shallow", "--depth", "1")
    shallow = elsewhere(tmp_path / "shallow")
    message = (
        f"the last applied commit {applied} is not in this shallow clone; fetch all history "
        "(actions/checkout: fetch-depth: 0), else add --allow-diverged"
    )
    blocked(shallow, "diverged", message)
    shallow.git("fetch", "-q", "--unshallow")
    shallow.apply()
    assert batch_size(shallow) == 2048


def test_a_shallow_clone_of_the_applied_commit_or_its_child_can_tell(twice, elsewhere, tmp_path):
    clone(twice, tmp_path / "one", "--depth", "1")
    assert elsewhere(tmp_path / "one")("plan").code == 0
    twice.edit("schedules/nightly.yml", "1024", "2048")
    twice.commit("even more")
    clone(twice, tmp_path / "two", "--depth", "2")
    elsewhere(tmp_path / "two").apply()


def test_rewritten_history_is_asked_about(twice):
    applied = head(twice)
    twice.git("reset", "-q", "--soft", "HEAD~1")
    twice.edit("schedules/nightly.yml", "1024", "2048")
    twice.commit("even more, in one")
    message = (
        f"commit {head(twice)} does not contain the last applied {applied} and would undo it; "
        "merge or rebase, else add --allow-diverged"
    )
    blocked(twice, "diverged", message)
    twice.git("reflog", "expire", "--expire=now", "--all")
    twice.git("gc", "-q", "--prune=now")
    message = (
        f"the last applied commit {applied} is not in this repository; was history rewritten? "
        "If so add --allow-diverged"
    )
    blocked(twice, "diverged", message)
    assert twice("apply", "--yes", "--allow-diverged").code == 0
    assert batch_size(twice) == 2048


def test_a_copy_in_another_repository_is_not_the_project(twice, elsewhere, tmp_path):
    shutil.copytree(
        twice.path, tmp_path / "copy", ignore=shutil.ignore_patterns(".git", ".reconciler")
    )
    copy = elsewhere(tmp_path / "copy")
    copy.edit("schedules/nightly.yml", "1024", "2048")
    copy.git("init", "-q", "-b", "main")
    copy.commit("a copy")
    message = (
        "shop/dev was applied from another repository, this one has another first commit; "
        "is it a copy? Give the project another name, or if it moved add --allow other_project"
    )
    blocked(copy, "other_project", message)
    assert copy("apply", "--yes", "--allow", "diverged").code == 3
    assert copy("apply", "--yes", "--allow", "other_project").code == 0
    # Now this is where the project lives.
    copy.edit("schedules/nightly.yml", "2048", "64")
    copy.commit("less")
    copy.apply()
    assert "shop/dev was applied from another repository" in elsewhere(twice.path)("plan").err


def test_a_fork_that_shares_the_first_commit_is_told_by_what_it_lacks(twice, elsewhere, tmp_path):
    applied = head(twice)
    clone(twice, tmp_path / "fork")
    fork = elsewhere(tmp_path / "fork")
    fork.git("reset", "-q", "--hard", "HEAD~1")
    fork.edit("schedules/nightly.yml", "512", "7")
    fork.commit("ours")
    plan = fork("plan")
    assert plan.code == 3
    assert f"does not contain the last applied {applied}" in plan.err


def test_a_copy_in_another_folder_of_the_repository_is_not_the_project(twice, elsewhere):
    shutil.copytree(twice.path / "schedules", twice.path / "team/schedules")
    shutil.copy(twice.path / "reconciler.yml", twice.path / "team")
    copy = elsewhere(twice.path / "team")
    copy.edit("schedules/nightly.yml", "1024", "2048")
    twice.commit("copied")
    message = (
        "shop/dev was applied from folder '.' of the repository, this is 'team'; is it a copy? "
        "Give the project another name, or if it moved add --allow other_project"
    )
    blocked(copy, "other_project", message)
    assert copy("apply", "--yes", "--allow", "other_project").code == 0
    assert copy("plan", "--detailed-exitcode").code == 0
    assert elsewhere(twice.path)("plan").code == 3


def test_a_project_first_applied_outside_git_is_taken_into_git_without_a_word(empty):
    assert execute(["init"]) == 0
    empty.apply()
    empty.git("init", "-q", "-b", "main")
    empty.commit("begin")
    assert empty("plan", "--detailed-exitcode").code == 0
    empty.apply()
    empty.git("checkout", "-q", "--orphan", "new")
    empty.commit("again")
    assert empty("plan").code == 3


def test_what_git_is_not_asked_of_does_not_pass_for_the_next_commit(twice):
    applied = head(twice)
    twice.edit("schedules/nightly.yml", "1024", "2048")
    Path(".git").rename(Path(twice.path).parent / "git")
    message = (
        f"the last applied was commit {applied}, and no commit is known of this; "
        "apply from a clone, with git installed, else add --allow-diverged"
    )
    blocked(twice, "diverged", message)
    assert twice("apply", "--yes", "--allow-diverged").code == 0
    assert batch_size(twice) == 2048


def test_the_first_apply_of_a_target_needs_no_history(shop, tmp_path):
    assert shop("plan").code == 0
    shop.git("checkout", "-q", "--orphan", "other")
    shop.commit("without a past")
    shop.apply()
