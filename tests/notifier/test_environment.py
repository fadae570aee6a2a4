"""Which job this is."""

import json

import pytest

from reconciler.errors import ForgeError
from reconciler.notifier.environment import Ci, Kind, read_environment
from reconciler.notifier.job import fenced, set_outputs, summarize
from tests.servers.forge import TOKEN

HEAD, BASE = "a" * 40, "b" * 40


def github(tmp_path, event, **more):
    path = tmp_path / "event.json"
    path.write_text(event if isinstance(event, str) else json.dumps(event))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_RUN_ID": "42",
        "GITHUB_REF_NAME": "main",
        "GITHUB_EVENT_PATH": str(path),
        "GITHUB_TOKEN": TOKEN,
        **more,
    }


def pull(source="acme/shop"):
    repo = source and {"full_name": source}
    return {
        "pull_request": {"number": 5, "head": {"sha": HEAD, "repo": repo}, "base": {"sha": BASE}}
    }


def test_nobodys_job():
    assert read_environment({"GITHUB_ACTIONS": "false"}) == Ci()


def test_a_pull_request_on_github(tmp_path):
    ci = read_environment(github(tmp_path, pull()))
    assert (ci.kind, ci.api) == (Kind.GITHUB, "https://api.github.com")
    assert (ci.request, ci.head, ci.base, ci.foreign) == (5, HEAD, BASE, False)
    assert ci.run == "https://github.com/acme/shop/actions/runs/42"
    assert TOKEN not in repr(ci)


@pytest.mark.parametrize("source", ["mallory/shop", None])
def test_a_fork_is_foreign_and_one_that_is_gone_too(tmp_path, source):
    assert read_environment(github(tmp_path, pull(source))).foreign


def test_a_push_and_a_run_that_follows_another(tmp_path):
    push = read_environment(github(tmp_path, {"ref": "x"}))
    assert (push.request, push.branch) == (None, "main")
    run = {"head_sha": HEAD, "head_branch": "more", "head_repository": {"owner": {"login": "eve"}}}
    after = read_environment(github(tmp_path, {"workflow_run": run}))
    assert (after.head, after.proposed, after.branch) == (HEAD, ("eve", "more"), None)


@pytest.mark.parametrize(
    "event",
    [
        {"pull_request": {}},
        {"pull_request": None},
        {"pull_request": {"number": "x", "head": {"sha": 1, "repo": {}}, "base": {"sha": 1}}},
        {"workflow_run": {"head_repository": None}},
    ],
)
def test_an_event_that_is_none_of_githubs(tmp_path, event):
    with pytest.raises(ForgeError, match="is not one of GitHub's"):
        read_environment(github(tmp_path, event))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_an_event_that_cannot_be_read(tmp_path, text):
    with pytest.raises(ForgeError, match=r"the file that \$GITHUB_EVENT_PATH names cannot be read"):
        read_environment(github(tmp_path, text))


def test_an_event_of_another_form_or_none_says_nothing(tmp_path):
    assert read_environment(github(tmp_path, "[]")).request is None
    assert read_environment(github(tmp_path, {}, GITHUB_EVENT_PATH="")).request is None


def test_tokens_and_the_trusted_account(tmp_path):
    given = github(
        tmp_path, {}, GITHUB_TOKEN="", GH_TOKEN=f" {TOKEN}\n", RECONCILER_CI_AUTHOR="b[bot]"
    )
    ci = read_environment(given)
    assert (ci.token, ci.token_name, ci.author) == (TOKEN, "GH_TOKEN", "b[bot]")
    ci = read_environment(github(tmp_path, {}, GITHUB_TOKEN=""))
    assert (ci.token, ci.token_name, ci.author) == ("", "GITHUB_TOKEN", None)


def test_a_page_that_could_be_markup_is_left_out(tmp_path):
    given = github(tmp_path, {}, GITHUB_SERVER_URL="https://x) [y](z")
    assert read_environment(given).run is None


GITLAB = {
    "GITLAB_CI": "true", "CI_API_V4_URL": "https://gitlab.example/api/v4/", "CI_PROJECT_ID": "7",
    "CI_COMMIT_SHA": BASE, "GITLAB_TOKEN": TOKEN, "CI_JOB_URL": "https://gitlab.example/-/jobs/9",
}  # fmt: skip


def test_a_merge_request_on_gitlab_its_merged_result_and_a_fork():
    of = {"CI_MERGE_REQUEST_IID": "5", "CI_MERGE_REQUEST_PROJECT_ID": "7"}
    ci = read_environment({**GITLAB, **of, "CI_MERGE_REQUEST_DIFF_BASE_SHA": HEAD})
    assert (ci.kind, ci.api) == (Kind.GITLAB, "https://gitlab.example/api/v4")
    assert (ci.request, ci.head, ci.base, ci.foreign) == (5, BASE, HEAD, False)
    merged = {"CI_MERGE_REQUEST_SOURCE_BRANCH_SHA": HEAD}
    assert read_environment({**GITLAB, **of, **merged}).head == HEAD
    fork = {"CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "9", "CI_PROJECT_ID": "9"}
    ci = read_environment({**GITLAB, **of, **fork})
    assert (ci.repository, ci.foreign) == ("7", True)


def test_a_branch_on_gitlab():
    ci = read_environment({**GITLAB, "CI_COMMIT_BRANCH": "main"})
    assert (ci.request, ci.head, ci.branch, ci.foreign) == (None, None, "main", False)
    with pytest.raises(ForgeError, match="is not a number"):
        read_environment({**GITLAB, "CI_MERGE_REQUEST_IID": "5; x"})


def test_text_of_others_is_obeyed_by_no_runner():
    text = "::error::owned\n##[add-mask]x\n"
    assert fenced(Ci(kind=Kind.GITHUB), text, "w") == f"::stop-commands::w\n{text}::w::\n"
    assert fenced(Ci(), text, "w") == text


def test_outputs_and_the_summary_are_appended(tmp_path):
    out, summary = tmp_path / "out", tmp_path / "summary"
    ci = Ci(outputs=str(out), summary=str(summary))
    set_outputs(ci, {"a": True, "b": 0, "c": None})
    set_outputs(ci, {"d": "x\nchanges=false\r"})
    assert out.read_text() == "a=true\nb=0\nc=\nd=x changes=false \n"
    summarize(ci, "one\n\n\n")
    summarize(ci, "two")
    assert summary.read_text() == "one\n\ntwo\n\n"
    summarize(Ci(), "nowhere")
    with pytest.raises(ForgeError, match=r"cannot write .*: Is a directory"):
        summarize(Ci(summary=str(tmp_path)), "x")
