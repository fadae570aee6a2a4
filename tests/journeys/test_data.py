"""Data schedules from the manifest to the plan: files that are there, loops, and keys kept quiet."""

from pathlib import Path

import pytest

SECRET = "aHVudGVyMmh1bnRlcjI="
LOOP = """
kind: Pipeline
name: clean
writes: [landing/incoming]
steps: [{name: clean, command: [clean]}]
---
kind: Schedule
name: again
pipeline: clean
trigger:
  datastore_change: {datastore: landing, path_on_datastore: incoming}
"""
SAID = (
    "schedules/loop.yml:10:21: warning: runs may start each other without end: 'again' runs clean, "
    "which writes landing/incoming; 'again' watches landing/incoming; see that include, ignore or "
    "file keep what is written from what is watched (loop)"
)


def test_validate_warns_of_every_loop_and_says_what_to_check(shop):
    shop.write("schedules/loop.yml", LOOP)
    done = shop("validate")
    assert (done.code, done.err.strip()) == (0, SAID)
    assert done.out.startswith("OK: ")
    (one,) = shop("validate", "--output", "json").data["warnings"]
    assert (one["id"], one["file"], one["line"]) == ("loop", "schedules/loop.yml", 10)
    assert one["objects"] == ["Schedule.again", "Pipeline.clean"]


def test_validate_warns_for_whichever_target_has_the_loop(shop):
    shop.write("schedules/loop.yml", LOOP)
    shop.write(
        "reconciler.yml",
        """
        project: shop
        targets:
          dev: {workspace: "sqlite:.reconciler/workspace.db", preset: paused}
          prod: {workspace: "sqlite:.reconciler/prod.db"}
        """,
    )
    assert shop("validate").err.strip() == SAID
    assert shop("validate", "--target", "dev").err == ""


def test_a_plan_warns_where_a_loop_begins_and_not_ever_after(shop):
    shop.apply()
    shop.write("schedules/loop.yml", LOOP)
    shop.commit()
    done = shop("plan")
    assert done.code == 0
    assert "\nWarning: runs may start each other without end: 'again' runs clean" in done.out
    assert "(warning loop, schedules/loop.yml:10)\n" in done.out
    annotations = shop("plan", "--output", "github").out
    assert "::warning file=schedules/loop.yml,line=10,title=loop::runs may start" in annotations
    assert "- **Warning**: `runs may start" in shop("plan", "--output", "markdown").out
    shop.apply()
    shop.edit("schedules/nightly.yml", "batch_size: 512", "batch_size: 7")
    shop.commit()
    assert shop("plan", "--output", "json").data["warnings"] == []
    assert "Warning" not in shop("plan", "--full").out


def test_an_apply_of_files_that_are_there_needs_leave_for_more_than_a_few(shop, tmp_path):
    incoming = tmp_path / "landing" / "incoming"
    incoming.mkdir(parents=True)
    for number in range(3):
        (incoming / f"{number}.csv").write_text("x")
    shop.edit("schedules/landing.yml", "file:///data/landing", f"file://{tmp_path}/landing")
    shop.edit("schedules/arrivals.yml", "incoming,", "incoming, initial: trigger,")
    shop.commit()
    said = "3 files match in landing/incoming already, each fires when applied"
    done = shop("plan")
    assert (done.code, said in done.out, "3 fire at once." in done.out) == (0, True, True)
    shop.edit("reconciler.yml", "targets:", "limits: {fires_on_apply: 2}\ntargets:")
    shop.commit()
    done = shop("apply", "--yes")
    assert done.code == 3
    assert "3 runs for files that are there would start at once, more than the limit" in done.err
    saved = shop("plan", "--out", "plan.json")
    assert saved.code == 3
    (incoming / "4.csv").write_text("x")
    done = shop("apply", "plan.json", "--allow", "fires_on_apply")
    assert done.code == 0, done.err
    assert shop("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("az://orders", "account: contosodata\ncredentials: {account_key: '${{ secret.KEY }}'}"),
        ("az://orders/new", "account: contosodata\nanonymous: true"),
        ("s3://orders", "region: eu-central-1\nendpoint: http://localhost:9000/"),
        (
            "s3://orders/new/",
            "credentials: {access_key_id: '${{secret.A}}', secret_access_key: '${{ secret.B }}'}",
        ),
        ("gs://orders", "credentials: {service_account_key: '${{ secret.KEY }}'}"),
    ],
)
def test_a_store_of_any_kind_once_applied_plans_nothing(shop, url, more):
    # Who watches it is Disabled, so that nobody is asked.
    shop.edit("schedules/arrivals.yml", "pipeline: scoring", "pipeline: scoring\nstatus: Disabled")
    shop.write("schedules/landing.yml", f"kind: Datastore\nname: landing\nurl: {url}\n{more}\n")
    shop.commit()
    shop.apply()
    assert shop("plan", "--detailed-exitcode", "--full").code == 0
    assert shop("drift").code == 0


def test_another_place_begins_anew_and_other_credentials_do_not(shop):
    store = "kind: Datastore\nname: landing\nurl: az://orders\naccount: contosodata\n"
    shop.edit("schedules/arrivals.yml", "pipeline: scoring", "pipeline: scoring\nstatus: Disabled")
    shop.write("schedules/landing.yml", store)
    shop.commit()
    shop.apply()
    anew = "whoever watches it begins anew: what is there already does not fire"
    shop.write(
        "schedules/landing.yml", f"{store}credentials: {{sas_token: '${{{{ secret.S }}}}'}}\n"
    )
    assert anew not in shop("plan").out
    assert 'credentials.sas_token: (none) -> "${{ secret.S }}"' in shop("plan").out
    for more in ("endpoint: http://localhost:1", "url: az://invoices", "account: fabrikam"):
        key = more.partition(":")[0]
        kept = "".join(f"{line}\n" for line in store.splitlines() if not line.startswith(key))
        shop.write("schedules/landing.yml", f"{kept}{more}\n")
        assert anew in shop("plan").out


LEAKS = {
    "a key": f"url: az://orders\naccount: contosodata\ncredentials: {{account_key: {SECRET}}}",
    "a number": "url: gs://orders\ncredentials: {service_account_key: 7355608}",
    "beside": f"url: az://orders\naccount: contosodata\naccount_key: {SECRET}",
    "no mapping": f"url: az://orders\naccount: contosodata\ncredentials: {SECRET}",
    "not YAML": f"url: az://orders\naccount: contosodata\ncredentials:\n  account_key: @{SECRET}",
    "a query": f"url: az://orders?sig={SECRET}\naccount: contosodata",
    "a user": f"url: s3://orders\nendpoint: https://key:{SECRET}@localhost",
}


@pytest.mark.parametrize("text", LEAKS.values(), ids=LEAKS)
def test_a_credential_that_is_written_out_is_told_without_a_word_of_it(shop, text):
    shop.apply()
    shop.write("schedules/landing.yml", f"kind: Datastore\nname: landing\n{text}\n")
    shop.commit()
    for line in (
        "validate",
        "validate --output json",
        "plan",
        "plan --output json",
        "apply --yes",
        "render",
        "render --explain Datastore.landing",
        "drift",
        "list schedules",
    ):
        done = shop(*line.split())
        assert done.code == (0 if line in {"drift", "list schedules"} else 1), line
        for said in (done.out, done.err):
            assert SECRET not in said, line
            assert "7355608" not in said, line
    problems = shop("validate", "--output", "json").data["problems"]
    (line,) = {one["line"] for one in problems if one["file"] == "schedules/landing.yml"}
    assert line > 2
    kept = [path for path in Path(".reconciler").rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in kept)
