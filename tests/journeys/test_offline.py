"""A plan of two commits: what a merge would change, without a workspace and without credentials."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.journeys.checkout import ARRIVALS, NIGHTLY, PIPELINE, Checkout
from tests.journeys.golden import NOW, assert_golden, assert_plan

SCHEMA = Path(__file__).parents[2] / "schemas/plan.schema.json"
BOTH = ("--from", "HEAD~1", "--to", "HEAD")
# What only a workspace knows.
_LIVE = ("id", "revision", "fingerprint", "pipeline_id")


@pytest.fixture
def merged(shop):
    """A project of which the last commit makes, edits, renames and takes away."""
    shop.write(
        "schedules/monthly.yml",
        NIGHTLY.replace("nightly", "monthly").replace(
            'Day, time_of_day: "02:30"', 'Month, month_days: [1], time_of_day: "09:00"'
        ),
    )
    shop.commit("more")
    shop.edit("schedules/nightly.yml", "02:30", "02:45")
    shop.edit("schedules/code/score.py", "scored", "rated")
    shop.delete("schedules/arrivals.yml")
    shop.edit("schedules/monthly.yml", "name: monthly", "name: invoices\nrenamed_from: monthly")
    shop.write("schedules/raw.yml", "kind: Datastore\nname: raw\nurl: file:///data/raw\n")
    shop.write(
        "schedules/raw-arrivals.yml",
        ARRIVALS.replace("arrivals", "raw-arrivals").replace("landing", "raw"),
    )
    shop.commit("a change")
    return shop


def head(shop, name="HEAD"):
    return shop.git("rev-parse", name)[:12]


def offline(shop, *words, base="HEAD~1", to="HEAD"):
    done = shop("plan", "--from", base, "--to", to, "--output", "json", *NOW, *words)
    assert done.code in {0, 3}, done.err
    return done.data


def changes(data):
    return {one["address"]: one["action"] for one in data["resource_changes"]}


def refused(done, line):
    assert (done.code, done.out, done.err) == (1, "", f"error: {line}\n")


def test_it_is_told_in_each_form(merged):
    assert_plan("offline", merged, *BOTH)
    for form, ending in (("github", "annotations"), ("gitlab", "gitlab.json")):
        done = merged("plan", *BOTH, "--output", form, *NOW)
        assert done.code == 0
        assert_golden(f"offline.{ending}", done.out)


def test_it_asks_no_workspace_and_leaves_the_files_alone(merged, monkeypatch):
    monkeypatch.setenv("RECONCILER_WORKSPACE", "postgresql://nobody@nowhere.invalid/none")
    merged.write("schedules/nightly.yml", "not yet: {")
    merged.delete("schedules/scoring.yml")
    before = merged.git("status", "--porcelain", "--ignored")
    assert changes(offline(merged))["Schedule.nightly"] == "update"
    assert merged.git("status", "--porcelain", "--ignored") == before


def test_it_is_the_plan_that_there_is_once_the_base_was_applied(merged):
    """But for what only a workspace knows."""
    found = offline(merged)
    assert merged("apply", "--yes", "--commit", "HEAD~1").code == 0
    done = merged("plan", "--ref", "HEAD", "--output", "json", *NOW)
    assert done.code == 0, done.err
    for data in (found, live := done.data):
        for one in data["resource_changes"]:
            one.update(dict.fromkeys(_LIVE))
            if one["files"]:
                one["files"] = None
    # Nobody here numbers versions.
    text = re.sub(r"scoring@[0-9a-f]{12}", "scoring@1", json.dumps(found))
    found = json.loads(text)
    assert found["resource_changes"] == live["resource_changes"]
    assert found["summary"] == live["summary"]
    assert found["warnings"] == live["warnings"]
    assert found["guards"] == live["guards"]


def test_it_says_that_there_are_changes_where_that_is_asked(merged):
    assert merged("plan", *BOTH, "--detailed-exitcode").code == 2
    assert merged("plan", "--from", "HEAD", "--to", "HEAD", "--detailed-exitcode").code == 0


def test_two_commits_that_declare_the_same_differ_in_nothing(merged):
    done = merged("plan", "--from", "HEAD", "--to", "HEAD")
    assert "No changes. Both declare the same.\n" in done.out
    assert done.out.endswith("0 to add, 0 to change, 0 to disable, 6 unchanged.\n")


def test_guards_block_it_as_they_would_block_the_merge(merged):
    merged.edit("reconciler.yml", "targets:", "limits: {disables: 0}\ntargets:")
    merged.commit("a limit")
    done = merged("plan", "--from", "HEAD~2", "--to", "HEAD")
    assert done.code == 3
    assert "1 schedule would be disabled (arrivals), more than the limit of 0" in done.err
    assert merged("plan", "--from", "HEAD~2", "--to", "HEAD", "--allow", "disables").code == 0


def test_what_is_protected_in_the_base_stays_protected(merged):
    merged.git("checkout", "-q", "HEAD~1")
    merged.edit("reconciler.yml", "targets:", "protected: [Schedule.arrivals]\ntargets:")
    merged.commit("protected")
    merged.delete("schedules/arrivals.yml")
    merged.edit("reconciler.yml", "protected: [Schedule.arrivals]\n", "")
    merged.commit("gone")
    done = merged("plan", *BOTH)
    assert done.code == 3
    assert "Schedule 'arrivals' is protected and would be disabled" in done.err


def test_a_commit_that_lacks_the_base_is_told_that_it_would_undo_it(merged):
    merged.git("checkout", "-q", "-b", "aside", "HEAD~1")
    merged.edit("schedules/nightly.yml", "512", "1024")
    merged.commit("aside")
    done = merged("plan", "--from", "main", "--to", "aside")
    assert done.code == 3
    assert done.err == (
        f"blocked: commit {head(merged)} does not contain {head(merged, 'main')} and would undo "
        "it; merge or rebase, or compare with the commit that they share, else add "
        "--allow-diverged\n"
    )
    assert merged("plan", "--from", "main", "--to", "aside", "--allow-diverged").code == 0


def test_an_older_commit_is_told_from_a_newer_one(merged):
    done = merged("plan", "--from", "HEAD", "--to", "HEAD~1")
    older, newer = head(merged, "HEAD~1"), head(merged)
    said = f"commit {older} is older than {newer}; to go back to it add --rollback"
    assert (done.code, done.err) == (3, f"blocked: {said}\n")
    assert merged("plan", "--from", "HEAD", "--to", "HEAD~1", "--rollback").code == 0


class TestAnOfflinePlanIsNoneThatAnybodyCanApply:
    def test_it_has_no_approval_digest(self, merged):
        data = offline(merged)
        assert data["approval_digest"] is None
        assert data["base"] == merged.git("rev-parse", "HEAD~1").strip()
        schema = json.loads(SCHEMA.read_text())
        Draft202012Validator(schema).validate(data)
        markdown = merged("plan", *BOTH, "--output", "markdown").out
        assert "pproval" not in markdown
        assert "reconciler apply" not in markdown

    def test_it_is_not_saved(self, merged):
        done = merged("plan", *BOTH, "--out", "plan.json")
        said = "Nobody can apply an offline plan; leave out --out, or plan on the workspace: --ref."
        assert done.code == 1
        assert said in done.err
        assert not (merged.path / "plan.json").exists()

    def test_it_is_neither_applied_nor_approved_where_it_was_kept(self, merged, tmp_path):
        file = str(tmp_path / "plan.json")
        assert merged("plan", *BOTH, "--output", f"json={file}").code == 0
        said = f"{file} is an offline plan, of two commits, which nobody can approve or apply"
        way = "plan against the workspace: reconciler plan --out FILE"
        refused(merged("apply", file), f"{said}; {way}")
        refused(merged("apply", "--approve", file, "--yes"), f"{said}; {way}")


class TestACommitThatIsNotThere:
    def test_is_told(self, merged):
        refused(
            merged("plan", "--from", "nobody", "--to", "HEAD"),
            "'nobody' names no commit here; correct it, or run: git fetch",
        )

    def test_is_one_to_fetch_in_a_shallow_clone(self, merged, tmp_path, capfd, monkeypatch):
        base, top = merged.git("rev-parse", "HEAD~1").strip(), merged.path
        whole, clone = changes(offline(merged)), tmp_path / "clone"
        subprocess.run(["git", "clone", "-q", "--depth=1", f"file://{top}", str(clone)], check=True)
        monkeypatch.chdir(clone)
        shallow = Checkout(clone, capfd)
        refused(
            shallow("plan", "--from", base, "--to", "HEAD"),
            f"'{base}' names no commit here; this clone is shallow: fetch all history "
            "(actions/checkout: fetch-depth: 0)",
        )
        # Both are enough, whatever lies between them.
        shallow.git("fetch", "-q", "--depth=1", "origin", base)
        assert changes(offline(shallow, base=base)) == whole


class TestWhatTheBaseDoesNotHave:
    def test_a_project_is_new_as_a_whole(self, shop):
        shop.git("checkout", "-q", "--orphan", "bare")
        shop.git("rm", "-q", "-r", "--cached", ".")
        shop.git("commit", "-q", "--allow-empty", "-m", "nothing")
        shop.git("checkout", "-q", "-f", "main")
        found = changes(offline(shop, "--allow-diverged", base="bare"))
        assert set(found.values()) == {"create"}
        assert len(found) == 4

    def test_a_target_is_new_as_a_whole(self, shop):
        shop.edit("reconciler.yml", "targets:", "targets:\n  prod: {workspace: 'sqlite:prod.db'}")
        shop.commit("prod")
        data = offline(shop, "--target", "prod")
        assert set(changes(data).values()) == {"create"}
        assert data["workspace"] == "sqlite:prod.db"
        assert changes(offline(shop, "--target", "dev")) == {}

    def test_a_first_manifest_is_new(self, empty):
        project = "project: shop\ninclude: [jobs/*.yml, more/*.yml]\n"
        empty.write("reconciler.yml", project + "targets: {dev: {workspace: 'sqlite:x.db'}}\n")
        empty.git("init", "-q", "-b", "main")
        empty.commit("begin")
        for file in ("jobs/raw.yml", "more/land.yml"):
            name = Path(file).stem
            empty.write(file, f"kind: Datastore\nname: {name}\nurl: file:///data/{name}\n")
        empty.commit("first")
        found = changes(offline(empty))
        assert found == {"Datastore.raw": "create", "Datastore.land": "create"}

    def test_a_part_of_its_manifests_is_too_much_to_conclude_anything(self, shop):
        shop.edit("reconciler.yml", "targets:", "include: [schedules/**/*.yml, x/*.yml]\ntargets:")
        shop.commit("x")
        shop.write("x/raw.yml", "kind: Datastore\nname: raw\nurl: file:///data/raw\n")
        shop.commit("first of x")
        done = shop("plan", *BOTH)
        said = f"commit {head(shop, 'HEAD~1')}, which is compared with: include 'x/*.yml' matches"
        assert done.code == 1
        assert said in done.err

    @pytest.mark.parametrize(
        ("file", "old", "new", "said"),
        [
            ("schedules/nightly.yml", "512", "x", "schedules/nightly.yml:6:35: parameter"),
            ("schedules/nightly.yml", "kind:", "knd:", "schedules/nightly.yml:1:1: "),
            ("reconciler.yml", "project:", "projct:", "reconciler.yml:1:1: "),
        ],
    )
    def test_sense_is_told_with_the_commit_that_lacks_it(self, shop, file, old, new, said):
        shop.edit(file, old, new)
        shop.commit("broken")
        shop.edit(file, new, old)
        shop.commit("mended")
        done = shop("plan", *BOTH)
        assert done.code == 1
        first, *_, last = done.err.splitlines()
        assert first.startswith(said)
        assert first.endswith(f"(in commit {head(shop, 'HEAD~1')}, which is compared with)")
        assert last == "error: 1 problem in 1 file" or "problems" in last


class TestWhatNeitherDeclares:
    """Only the workspace can have it: it is taken to be there, and told."""

    def warned(self, shop, *words):
        return [one["message"] for one in offline(shop, *words)["warnings"]]

    def unseen(self, what):
        return f"{what} is not declared here; whether the workspace has it is not known offline"

    @pytest.mark.parametrize("reference", ["lake", "lake@latest", "lake@3"])
    def test_a_pipeline_may_be_anybodys(self, shop, reference):
        shop.edit("schedules/nightly.yml", "pipeline: scoring", f"pipeline: {reference}")
        shop.commit("theirs")
        name = reference.removesuffix("@latest")
        assert self.warned(shop) == [self.unseen(f"pipeline '{name}'")]
        (one,) = offline(shop)["resource_changes"]
        assert one["fields"][0]["desired"] == reference
        assert one["digest"] is None

    def test_it_may_be_declared_from_now_on(self, shop):
        shop.edit("schedules/nightly.yml", "pipeline: scoring", "pipeline: lake")
        shop.commit("theirs")
        shop.write("schedules/lake.yml", PIPELINE.replace("name: scoring", "name: lake"))
        shop.commit("ours")
        data = offline(shop)
        assert changes(data) == {"Pipeline.lake": "create", "Schedule.nightly": "update"}
        assert data["warnings"] == data["guards"] == []

    def test_what_was_declared_must_stay_declared_while_it_is_used(self, shop):
        shop.delete("schedules/scoring.yml")
        shop.delete("schedules/landing.yml")
        shop.commit("gone")
        done = shop("plan", *BOTH)
        assert done.code == 1
        assert "pipeline 'scoring' is no longer declared, but this schedule uses it" in done.err
        assert "datastore 'landing' is no longer declared, but this uses it" in done.err

    def test_a_version_of_ones_own_may_be_there(self, shop):
        shop.edit("schedules/nightly.yml", "pipeline: scoring", "pipeline: scoring@2")
        shop.commit("pinned")
        data = offline(shop)
        assert changes(data) == {"Schedule.nightly": "update"}
        assert self.warned(shop) == [self.unseen("pipeline 'scoring@2'")]
        shop.edit("schedules/nightly.yml", "scoring@2", "scoring")
        shop.commit("unpinned")
        data = offline(shop)
        assert changes(data) == {"Schedule.nightly": "update"}
        assert data["warnings"] == data["guards"] == []

    def test_a_datastore_may_be_anybodys(self, shop):
        shop.edit("schedules/arrivals.yml", "datastore: landing", "datastore: lake")
        shop.edit("schedules/scoring.yml", "landing/seed.csv", "lake/seed.csv")
        shop.edit("schedules/nightly.yml", "512", "512, input_data: pool/x.csv")
        shop.commit("theirs")
        assert self.warned(shop) == [self.unseen("datastore 'lake'")]
        assert changes(offline(shop))["Schedule.arrivals"] == "update"

    def test_several_schedules_may_give_it_what_one_type_takes(self, shop):
        given = ("1", "2.5", "3", "2.5", '"/abs"', '"https://x/y"', "true")
        for number, value in enumerate(given):
            name = "n" if number < 4 else f"p{number}"
            shop.write(
                f"schedules/s{number}.yml",
                NIGHTLY.replace("nightly", f"s{number}")
                .replace("pipeline: scoring", "pipeline: lake")
                .replace("batch_size: 512", f"{name}: {value}"),
            )
        shop.write(
            "schedules/s9.yml", ARRIVALS.replace("arrivals", "s9").replace("scoring", "lake")
        )
        shop.commit("theirs")
        found = changes(offline(shop))
        assert found == {f"Schedule.s{number}": "create" for number in (0, 1, 2, 3, 4, 5, 6, 9)}
        assert self.warned(shop) == [self.unseen("pipeline 'lake'")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "HEAD"), "Offline two commits are compared: give both --from and --to."),
        (("--to", "HEAD"), "Offline two commits are compared: give both --from and --to."),
        ((*BOTH, "--ref", "HEAD"), "Offline --to is what is planned; leave out --ref."),
    ],
)
def test_what_makes_no_sense_is_told(shop, words, said):
    done = shop("plan", *words)
    assert (done.code, done.out) == (1, "")
    assert said in done.err
