"""Signed commits: what nobody who counts has signed is not read, planned or applied."""

import json
import os
import subprocess

import pytest

from tests.journeys.checkout import IDENTITY
from tests.source.signing import signed_with, ssh_key


@pytest.fixture
def signed(shop, tmp_path, monkeypatch):
    """A project whose first commit is signed, and the file of those who may sign."""
    public, _ = ssh_key(tmp_path, "ada")
    ssh_key(tmp_path, "eve")
    shop.signers = tmp_path / "signers"
    shop.signers.write_text(f"ada@example.com {public}\n")
    shop.keys = tmp_path
    for name in ("GNUPGHOME", "RECONCILER_REQUIRE_SIGNED", "RECONCILER_ALLOWED_SIGNERS"):
        monkeypatch.delenv(name, raising=False)
    shop.git(*signed_with(tmp_path / "ada"), "commit", "-q", "--amend", "--no-edit", "-S")
    return shop


def rule(shop, required="head"):
    return ("--require-signed", required, "--allowed-signers", str(shop.signers))


def commit(shop, key=None):
    shop.git("add", "-A")
    sign = (*signed_with(shop.keys / key), "commit", "-S") if key else ("commit",)
    shop.git(*sign, "-q", "-m", "change")
    return shop.git("rev-parse", "HEAD")[:12]


def refused(done, *said):
    assert done.code == 1
    assert done.out == ""
    (line,) = done.err.splitlines()
    assert all(part in line for part in said), line


def test_a_signed_commit_is_planned_and_applied(signed):
    assert signed("plan", *rule(signed)).code == 0
    assert signed("apply", "--yes", *rule(signed)).code == 0
    assert signed("plan", "--ref", "HEAD", *rule(signed), "--detailed-exitcode").code == 0


def test_an_unsigned_commit_is_refused_before_anything_in_it_is_read(signed):
    signed.write("reconciler.yml", "project: [\n")
    signed.write("schedules/nightly.yml", "kind: [\n")
    head = commit(signed)
    for words in (
        ("plan",), ("plan", "--ref", "HEAD"), ("apply", "--yes"), ("apply", "--commit", "main"),
        ("plan", "--from", "HEAD~1", "--to", "HEAD"),
    ):  # fmt: skip
        refused(signed(*words, *rule(signed)), f"error: commit {head} is not signed; ")
    assert not (signed.path / ".reconciler").exists()


def test_another_ones_key_does_not_count(signed):
    signed.edit("schedules/nightly.yml", "512", "1024")
    head = commit(signed, "eve")
    refused(signed("apply", "--yes", *rule(signed)), f"commit {head} is signed with an unknown key")


def test_the_environment_may_ask_for_it(signed, monkeypatch):
    monkeypatch.setenv("RECONCILER_REQUIRE_SIGNED", "all")
    monkeypatch.setenv("RECONCILER_ALLOWED_SIGNERS", str(signed.signers))
    signed.apply()
    signed.edit("schedules/nightly.yml", "512", "1024")
    head = commit(signed)
    refused(signed("apply", "--yes"), f"commit {head} is not signed")


def test_what_is_not_committed_is_not_read_where_commits_must_be_signed(signed):
    signed.edit("schedules/nightly.yml", "512", "1024")
    signed.write("schedules/broken.yml", "kind: [\n")
    done = signed("apply", "--yes", *rule(signed))
    assert done.code == 0, done.err
    spec = signed("show", "nightly", "--output", "json").data["spec"]
    assert spec["pipeline_parameters"]["batch_size"] == 512


def test_all_commits_since_the_last_applied_one_must_be_signed_where_that_is_asked(signed):
    signed.apply()
    signed.edit("schedules/nightly.yml", "512", "1024")
    between = commit(signed)
    signed.edit("schedules/nightly.yml", "1024", "2048")
    commit(signed, "ada")
    said = f"commit {between}, made since the last applied "
    refused(signed("plan", *rule(signed, "all")), said, " is not signed; ")
    refused(signed("apply", "--yes", *rule(signed, "all")), said)
    offline = ("plan", "--from", "HEAD~2", "--to", "HEAD")
    refused(signed(*offline, *rule(signed, "all")), said)
    assert signed(*offline, *rule(signed)).code == 0
    assert signed("apply", "--yes", *rule(signed)).code == 0
    # It has been applied now, so nothing before it is asked about any more.
    assert signed("plan", *rule(signed, "all")).code == 0


def test_before_a_first_apply_the_commit_that_is_read_stands_for_all(signed):
    signed.edit("schedules/nightly.yml", "512", "1024")
    commit(signed)
    signed.edit("schedules/nightly.yml", "1024", "2048")
    commit(signed, "ada")
    assert signed("apply", "--yes", *rule(signed, "all")).code == 0


def test_a_change_cannot_name_a_signer_for_itself(signed):
    public = (signed.keys / "eve.pub").read_text()
    signed.write("allowed_signers", f"eve@example.com {public}")
    signed.git("config", "gpg.ssh.allowedSignersFile", "allowed_signers")
    head = commit(signed, "eve")
    refused(signed("plan", *rule(signed)), f"commit {head} is signed with an unknown key")
    own = ("--require-signed", "head", "--allowed-signers", "allowed_signers")
    refused(signed("plan", *own), "lies in the repository whose commits it is to judge")


def test_a_saved_plan_is_applied_only_of_a_signed_commit(signed):
    signed.edit("schedules/nightly.yml", "512", "1024")
    head = commit(signed)
    plan = str(signed.keys / "plan.json")
    assert signed("plan", "--out", plan).code == 0
    refused(signed("apply", plan, *rule(signed)), f"commit {head} is not signed")
    assert signed("apply", plan).code == 0


def test_outside_of_git_there_is_nothing_signed(empty, tmp_path):
    empty.write("reconciler.yml", "project: shop\ntargets: {dev: {workspace: 'sqlite:x.db'}}\n")
    done = empty("plan", "--require-signed", "head")
    assert done.code == 1
    assert "is in no Git repository, so it has no commits to read" in done.err


def test_whoever_forges_a_commit_is_told(signed):
    signed.edit("schedules/nightly.yml", "512", "1024")
    commit(signed, "ada")
    text = signed.git("cat-file", "commit", "HEAD").replace("\n\nchange", "\n\nother")
    forged = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        input=text, cwd=signed.path, env=os.environ | IDENTITY,
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    done = signed("plan", "--ref", forged, *rule(signed))
    refused(done, f"commit {forged[:12]} is not what was signed with the key SHA256:")


def test_a_plan_as_json_is_refused_without_a_word_on_standard_output(signed):
    signed.edit("schedules/nightly.yml", "512", "1024")
    commit(signed)
    done = signed("apply", "--yes", "--output", "json", *rule(signed))
    refused(done, "is not signed")
    assert json.loads(signed("plan", "--output", "json").out)["errored"] is False
