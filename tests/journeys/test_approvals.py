"""What was approved is what is applied, or nothing is: by digest, or by a saved plan."""

import json
from pathlib import Path

import pytest

from tests.journeys.outofband import change


def batch_size(shop):
    spec = shop("show", "nightly", "--output", "json").data["spec"]
    return spec["pipeline_parameters"]["batch_size"]


def approval(shop):
    return shop("plan", "--output", "json").data["approval_digest"]


def branch(shop):
    """Edit on a branch, and give what a reviewer approves there."""
    shop.apply()
    shop.git("checkout", "-q", "-b", "more")
    shop.edit("schedules/nightly.yml", "512", "1024")
    shop.commit("more at a time")
    shop.write("notes.txt", "why it must be more\n")
    shop.commit("explained")
    assert shop("plan", "--out", "plan.json").code == 0
    approved = approval(shop)
    shop.git("checkout", "-q", "main")
    return approved


@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize("merge", [["--squash"], ["--no-ff", "-m", "merged"]])
def test_an_approval_holds_for_the_squash_and_the_merge_commit(shop, merge, as_file):
    digest = branch(shop)
    shop.write("README.md", "other work went on\n")
    shop.git("add", "README.md")
    shop.git("commit", "-q", "-m", "meanwhile")
    shop.git("merge", "-q", *merge, "more")
    if "--squash" in merge:
        shop.git("commit", "-q", "-m", "squashed")
    assert approval(shop) == digest
    done = shop("apply", "--approve", "plan.json" if as_file else digest)
    assert done.code == 0, done.err
    assert batch_size(shop) == 1024


def merge_with_more(shop):
    """Merge, but not before somebody else's work on the pipeline is there."""
    shop.edit("schedules/scoring.yml", "default: 256", "default: 128")
    shop.edit("schedules/code/score.py", "scored", "rated")
    shop.commit("meanwhile")
    shop.git("merge", "-q", "--no-ff", "-m", "merged", "more")


def test_an_approval_by_digest_is_refused_when_more_would_happen_and_the_plan_is_shown(shop):
    digest = branch(shop)
    merge_with_more(shop)
    done = shop("apply", "--approve", digest)
    assert done.code == 4
    assert "parameters.batch_size.default: 256 -> 128" in done.out
    assert done.err == (
        f"error: the approved plan is {digest}, this one is {approval(shop)}; "
        "review the plan above and approve it anew\n"
    )
    assert batch_size(shop) == 512


def test_an_approval_by_file_is_refused_with_what_differs(shop):
    branch(shop)
    merge_with_more(shop)
    was, now = (plan["resource_changes"][-1]["digest"][:12] for plan in both(shop))
    contents = f"{was} -> {now}"
    done = shop("apply", "--approve", "plan.json")
    assert done.code == 4
    assert done.err.splitlines() == [
        "Pipeline 'scoring' would now be updated too",
        "Schedule 'arrivals' would now be updated too",
        f"Schedule 'nightly': pipeline content {contents}, pipeline version scoring@1 -> scoring@new",
        "error: this is not the approved plan; review it and approve it anew",
    ]
    assert batch_size(shop) == 512


def both(shop):
    """The approved plan and the present one."""
    return json.loads(Path("plan.json").read_text()), shop("plan", "--output", "json").data


def test_an_approval_covers_the_live_side_and_what_blocks(shop):
    digest = branch(shop)
    shop.git("merge", "-q", "more")
    assert approval(shop) == digest
    change("nightly", description="by hand")
    moved = approval(shop)
    assert moved != digest
    shop.edit("reconciler.yml", "targets:", "limits: {disables: 0}\ntargets:")
    shop.delete("schedules/arrivals.yml")
    shop.commit()
    assert len({digest, moved, approval(shop)}) == 3


def test_neither_time_nor_author_nor_place_in_a_file_is_part_of_an_approval(shop):
    digest = approval(shop)
    text = Path("schedules/nightly.yml").read_text()
    Path("schedules/nightly.yml").write_text(f"# by night\n\n{text}")
    shop.commit("moved down")
    later = shop("plan", "--now", "2091-07-01T00:00:00Z", "--output", "json").data
    assert later["approval_digest"] == digest


def test_a_mistyped_approval_is_told_apart_from_one_that_no_longer_holds(shop):
    for word in ("sha256:abc", "nobody.json", "yes"):
        done = shop("apply", "--approve", word)
        assert done.code == 1, done.err
        assert done.out == ""
        assert done.err == (
            f"error: '{word}' is neither an approval digest (sha256: and 64 hex digits) "
            "nor a saved plan\n"
        )
