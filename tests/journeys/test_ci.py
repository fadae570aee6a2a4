"""A pull request from its plan to its apply, in jobs of GitHub and GitLab."""

import json
import re
from pathlib import Path

import pytest

from reconciler.notifier.comment import State, parse
from tests.journeys.forge_checkout import NOW, Jobs, edit_on_branch, merge_into_main
from tests.journeys.golden import assert_golden, masked_plan
from tests.journeys.outofband import change
from tests.servers.forge import GITLAB_BOT, TOKEN, Fault, ForgeServer


@pytest.fixture
def server():
    forge = ForgeServer()
    yield forge
    forge.close()


@pytest.fixture
def jobs(shop, server, tmp_path, monkeypatch):
    folder = tmp_path / "job"
    folder.mkdir()
    shop.apply()
    return Jobs(shop, server, folder, monkeypatch)


def batch_size(shop):
    return shop("show", "nightly", "--output", "json").data["spec"]["pipeline_parameters"]


def masked(jobs, text):
    text = re.sub(r"\b[0-9a-f]{40}\b", "COMMIT", masked_plan(text))
    text = re.sub(r"`[0-9a-f]{12}`", "`COMMIT`", text)
    return text.replace(jobs.server.url, "URL").replace(str(jobs.folder.parent), "/tmp")


def test_a_plan_is_told_to_the_job_and_to_the_request(shop, server, jobs):
    pull = server.pull(5, edit_on_branch(shop))
    done = jobs.plan("--labels")
    assert done.code == 0, done.out
    assert "::notice file=schedules/nightly.yml,line=1,title=update Schedule nightly::" in done.out
    assert_golden("ci-change.md", masked(jobs, pull.body()))
    assert "**0 to add, 1 to change, 0 to disable, 3 unchanged.**" in jobs.summary.read_text()
    output = jobs.output()
    assert output["changes"] == "true"
    assert (output["to_add"], output["to_change"], output["to_disable"]) == ("0", "1", "0")
    assert output["blocked"] == "false"
    saved = json.loads(Path(output["json_plan_path"]).read_text())
    assert output["approval_digest"] == saved["approval_digest"] == parse(pull.body()).approval
    gitlab = json.loads(Path(output["gitlab_plan_path"]).read_text())
    assert gitlab == {"create": 0, "update": 1, "delete": 0}
    assert pull.labels == ["dev: changes"]


def test_a_second_push_updates_the_same_comment_and_the_label(shop, server, jobs):
    pull = server.pull(5, edit_on_branch(shop))
    assert jobs.plan("--labels").code == 0
    first = pull.body()
    shop.edit("schedules/nightly.yml", "1024", "512")
    shop.commit("back")
    pull.head = jobs.head()
    assert jobs.plan("--labels").code == 0
    assert len(pull.comments) == 1
    assert pull.body() != first
    assert_golden("ci-no-change.md", masked(jobs, pull.body()))
    assert pull.labels == ["dev: no changes"]
    writes = len(server.writes)
    assert jobs.plan("--labels").code == 0
    assert len(server.writes) == writes  # nothing to say, nothing written


def test_a_blocked_plan_and_one_that_failed_are_told_and_labelled(shop, server, jobs):
    shop.git("checkout", "-q", "-b", "more")
    shop.edit("reconciler.yml", "targets:", "limits: {disables: 0}\ntargets:")
    shop.delete("schedules/arrivals.yml")
    shop.commit("less")
    pull = server.pull(5, jobs.head())
    done = jobs.plan("--labels")
    assert done.code == 3
    assert done.out.splitlines()[-2].startswith("blocked: 1 schedule would be disabled (arrivals)")
    assert_golden("ci-blocked.md", masked(jobs, pull.body()))
    assert pull.labels == ["dev: blocked"]
    shop.edit("schedules/nightly.yml", "frequency: Day", "frequency: Dya")
    shop.commit("typo")
    pull.head = jobs.head()
    done = jobs.plan("--labels")
    assert done.code == 1
    place = "file=schedules/nightly.yml,line=5,col=27,title=No plan"
    assert f"::error {place}::Invalid value for frequency" in done.out
    assert_golden("ci-failed.md", masked(jobs, pull.body()))
    assert "Invalid value for frequency" in jobs.summary.read_text()
    assert pull.labels == ["dev: failed"]
    assert parse(pull.body()).approval is None


@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
def test_exactly_what_was_reviewed_is_applied_however_it_was_merged(shop, server, jobs, how):
    pull = server.pull(5, edit_on_branch(shop))
    assert jobs.plan().code == 0
    shop.git("checkout", "-q", "main")
    shop.write("README.md", "other work went on\n")
    shop.commit("meanwhile")
    pull.merge(merge_into_main(shop, "more", how))
    done = jobs.apply()
    assert done.code == 0, done.out
    assert "Applied: 0 added, 1 changed, 0 disabled, 3 unchanged." in done.out
    assert batch_size(shop) == {"batch_size": 1024}
    assert parse(pull.body()).state is State.APPLIED
    assert len(pull.comments) == 1
    if how == "merge":
        assert_golden("ci-applied.md", masked(jobs, pull.body()))
    again = jobs.apply()
    assert again.code == 0, again.out
    assert "Nothing to apply." in again.out
    assert parse(pull.body()).state is State.APPLIED


def refused(jobs, says):
    done = jobs.apply()
    assert done.code == 4, done.out
    assert says in done.out
    assert batch_size(jobs.shop) == {"batch_size": 512}
    return done


def test_another_plan_than_the_reviewed_one_is_refused_and_the_difference_shown(shop, server, jobs):
    pull = server.pull(5, edit_on_branch(shop))
    assert jobs.plan().code == 0
    approved = parse(pull.body()).approval
    change("nightly", description="by hand")
    pull.merge(merge_into_main(shop, "more", "merge"))
    done = refused(jobs, "What was reviewed, and what would be done now:\n--- reviewed\n+++ now\n")
    assert '+- description: "by hand"' in done.out
    assert f"the plan on request 5 was {approved}, this one is sha256:" in done.out
    assert "**Not applied**" in jobs.summary.read_text()
    marker = parse(pull.body())
    assert (marker.approval, marker.state) == (approved, State.PLANNED)
    assert pull.body().splitlines()[1] == (
        "**Not applied** by [this run](https://github.example/acme/shop/actions/runs/42): "
        "it is not what would be done now; the run says more."
    )


def test_a_racing_merge_is_refused_until_the_first_is_applied(shop, server, jobs):
    one = server.pull(5, edit_on_branch(shop, "one"))
    assert jobs.plan().code == 0
    shop.git("checkout", "-q", "main")
    shop.git("checkout", "-q", "-b", "two")
    shop.edit("schedules/arrivals.yml", "pipeline: scoring", "pipeline: scoring\ndescription: x")
    shop.commit("two")
    two = server.pull(6, jobs.head())
    assert jobs.plan(number=6).code == 0
    first = merge_into_main(shop, "one", "merge")
    one.merge(first)
    two.merge(merge_into_main(shop, "two", "merge"))
    refused(jobs, "the plan on request 6 was")  # would apply both
    shop.git("checkout", "-q", first)
    assert jobs.apply().code == 0
    shop.git("checkout", "-q", "main")
    assert jobs.apply().code == 0
    assert [parse(pull.body()).state for pull in (one, two)] == [State.APPLIED] * 2


def test_a_stale_approval_is_refused_after_a_force_push(shop, server, jobs):
    pull = server.pull(5, edit_on_branch(shop))
    assert jobs.plan().code == 0
    old = jobs.head()
    shop.git("commit", "-q", "--amend", "-m", "another")
    pull.head = jobs.head()
    pull.merge(merge_into_main(shop, "more", "merge"))
    refused(jobs, f"the plan on request 5 is of {old[:12]}, and {pull.head[:12]} was merged")


@pytest.mark.parametrize("forged", ["author", "later", "level", "twice", "state"])
def test_only_a_whole_plan_in_our_own_first_line_approves(shop, server, jobs, forged):
    pull = server.pull(5, edit_on_branch(shop))
    assert jobs.plan().code == 0
    comment = pull.comments[0]
    says = "has no comment of github-actions[bot] with a plan of this target"
    if forged == "author":
        comment["author"] = "mallory"
    elif forged == "later":
        comment["body"] = f"hello\n{comment['body']}"
    elif forged == "level":
        comment["body"] = comment["body"].replace('"level":0', '"level":1')
        says = "was too large to be shown whole, so it approves nothing"
    elif forged == "twice":
        pull.comments.append({**comment, "id": 1})
        says = "has several plans of this target; delete all comments but one"
    else:
        comment["body"] = comment["body"].replace('"planned"', '"claimed"')
    pull.merge(merge_into_main(shop, "more", "merge"))
    refused(jobs, says)


def test_what_came_with_no_request_is_not_applied(shop, server, jobs):
    edit_on_branch(shop)
    merge_into_main(shop, "more", "merge")
    done = refused(jobs, "came with no pull request, so nothing of it was reviewed; if it is right")
    command = re.search(r"reconciler (apply --target dev --approve sha256:[0-9a-f]{64})", done.out)
    assert shop(*command[1].split()).code == 0
    assert batch_size(shop) == {"batch_size": 1024}


def test_what_came_with_two_requests_is_asked_about(shop, server, jobs):
    edit_on_branch(shop)
    commit = merge_into_main(shop, "more", "merge")
    for number in (5, 6):
        server.pull(number, "a" * 40).merge(commit)
    done = jobs.apply()
    assert done.code == 1
    assert "came with several requests (5, 6); name one: --request" in done.out
    server.pulls[5].state = "open"
    done = jobs.apply("--request", "5")
    assert done.code == 4
    assert "request 5 is not merged; nothing of it is applied" in done.out


def test_a_guard_blocks_the_apply_of_what_was_reviewed_until_it_is_lifted(shop, server, jobs):
    shop.git("checkout", "-q", "-b", "more")
    shop.edit("reconciler.yml", "targets:", "limits: {disables: 0}\ntargets:")
    shop.delete("schedules/arrivals.yml")
    shop.commit("less")
    pull = server.pull(5, jobs.head())
    assert jobs.plan().code == 3
    pull.merge(merge_into_main(shop, "more", "merge"))
    done = jobs.apply()
    assert done.code == 3
    assert ": a guard blocks it; the run says more." in pull.body().splitlines()[1]
    assert jobs.apply("--allow", "disables").code == 0
    assert parse(pull.body()).state is State.APPLIED


def test_applying_counts_though_the_comment_cannot_be_written(shop, server, jobs):
    pull = server.pull(5, edit_on_branch(shop))
    assert jobs.plan().code == 0
    pull.merge(merge_into_main(shop, "more", "merge"))
    server.may_write = False
    done = jobs.apply()
    assert done.code == 0, done.out
    assert "warning: the comment is not up to date: GitHub answers PATCH" in done.out
    assert batch_size(shop) == {"batch_size": 1024}


def test_a_slow_job_does_not_write_over_a_newer_plan(shop, server, jobs):
    pull = server.pull(5, edit_on_branch(shop))
    assert jobs.plan().code == 0
    old = jobs.head()
    shop.edit("schedules/nightly.yml", "1024", "2048")
    shop.commit("more still")
    pull.head = jobs.head()
    shop.git("checkout", "-q", old)
    assert jobs.plan().code == 0  # the plan of the newer commit is not there yet
    assert pull.body().splitlines()[1] == (
        f"**Outdated**: this is of `{old[:12]}`, and the head is `{pull.head[:12]}`."
    )
    assert parse(pull.body()).approval is None
    shop.git("checkout", "-q", "more")
    assert jobs.plan().code == 0
    newer = pull.body()
    shop.git("checkout", "-q", old)
    done = jobs.plan()
    assert "warning: the request has a newer commit, whose plan is there already" in done.out
    assert pull.body() == newer


def test_a_comment_whose_fate_is_unknown_is_not_made_twice(shop, server, jobs):
    pull = server.pull(5, edit_on_branch(shop))
    server.faults.append(Fault("POST", "comments", 502, after=True))
    assert jobs.plan().code == 0
    assert len(pull.comments) == 1


def test_a_fork_gets_a_plan_without_secrets_and_a_comment_that_approves_nothing(
    shop, server, jobs, monkeypatch
):
    pull = server.pull(5, edit_on_branch(shop), source="mallory/shop")
    done = jobs.plan(source="mallory/shop")
    assert done.code == 0, done.out
    assert server.asked == []
    assert jobs.output()["approval_digest"] == ""
    assert "batch_size: 512 -> 1024" in done.out
    run = {
        "head_sha": pull.head,
        "head_branch": "more",
        "head_repository": {"owner": {"login": "mallory"}},
    }
    jobs.github({"workflow_run": run})
    told = shop("ci", "comment", str(jobs.folder / "out"))
    assert told.code == 0, told.out
    assert told.out == "comment created on request 5\n"
    assert_golden("ci-fork.md", masked(jobs, pull.body()))
    assert parse(pull.body()).approval is None
    pull.head = "f" * 40
    told = shop("ci", "comment", str(jobs.folder / "out"))
    assert told.out == "the request is closed or has a newer commit; there is nothing to say\n"
    pull.head = jobs.head()
    pull.merge(merge_into_main(shop, "more", "merge"))
    refused(jobs, "so nothing was reviewed")


def test_an_offline_plan_of_a_new_project_creates_all(shop, server, jobs):
    shop.git("checkout", "-q", "--orphan", "empty")
    shop.git("commit", "-q", "--allow-empty", "-m", "empty")
    shop.git("rm", "-rqf", ".")
    shop.git("commit", "-q", "-m", "nothing")
    base = jobs.head()
    shop.git("checkout", "-q", "main")
    words = ("--out", str(jobs.folder / "out"), "--allow-diverged")
    done = shop("ci", "plan", "--offline", "--base", base, *words)
    assert done.code == 0, done.err
    assert "Plan: 4 to add, 0 to change" in done.out
    done = shop("ci", "plan", "--offline", "--out", str(jobs.folder / "out"))
    assert done.code == 1
    assert done.err == "error: there is no commit to compare with; name one: --base COMMIT\n"


def test_gitlab_from_its_plan_to_its_apply(shop, server, jobs):
    pull = server.pull(5, edit_on_branch(shop))
    jobs.gitlab(CI_MERGE_REQUEST_IID="5", CI_COMMIT_SHA=pull.head)
    words = ("--out", str(jobs.folder / "out"), *NOW)
    done = shop("ci", "plan", "--comment", "--labels", *words)
    assert done.code == 0, done.err
    assert "::" not in done.out
    assert pull.comments[0]["author"] == GITLAB_BOT
    assert pull.labels == ["dev: changes"]
    pull.merge(merge_into_main(shop, "more", "squash"))
    jobs.gitlab(CI_MERGE_REQUEST_IID="", CI_COMMIT_SHA=pull.merged_as, CI_COMMIT_BRANCH="main")
    done = shop("ci", "apply", *words)
    assert done.code == 0, done.err
    assert parse(pull.body()).state is State.APPLIED
    assert "[this run](https://gitlab.example/acme/shop/-/jobs/9)" in pull.body()


def test_a_plain_shell_plans_into_files_and_has_nothing_to_comment_on(shop, jobs):
    edit_on_branch(shop)
    done = shop("ci", "plan", "--out", str(jobs.folder / "out"))
    assert done.code == 0
    assert sorted(path.name for path in (jobs.folder / "out").iterdir()) == [
        "plan.json",
        "plan.md",
        "plan.txt",
        "plan_gitlab.json",
    ]
    done = shop("ci", "plan", "--comment", "--request", "5")
    assert done.code == 1
    assert (
        done.err == "error: this is no job of GitHub or GitLab, so there is nothing to comment on\n"
    )


def test_no_output_has_the_token(shop, server, jobs):
    pull = server.pull(5, edit_on_branch(shop))
    outs = [jobs.plan("--labels")]
    assert outs[0].code == 0
    server.may_write = False
    pull.comments.clear()
    outs.append(jobs.plan())
    assert outs[-1].code == 1
    pull.merge(merge_into_main(shop, "more", "merge"))
    outs.append(jobs.apply())
    kept = [path.read_text() for path in jobs.folder.rglob("*") if path.is_file()]
    told = [json.dumps(asked.body) for asked in server.asked]
    for text in (*(done.out + done.err for done in outs), *kept, *told):
        assert TOKEN not in text
