"""Why did it (not) run? What will run? And running it for times that have passed."""

from pathlib import Path

import pytest

from tests.processes import RunnerProcess, until

MANIFESTS = """
kind: Pipeline
name: hello
parameters: {size: {type: integer, default: 1}}
steps: [{name: greet, command: [echo, hi]}]
---
kind: Schedule
name: nightly
pipeline: hello
trigger: {cron: {expression: "30 2 * * *", time_zone: Europe/Paris}}
---
kind: Datastore
name: landing
url: file:landing
---
kind: Schedule
name: arrivals
pipeline: hello
trigger: {datastore_change: {datastore: landing}}
"""
MARCH = ("--from", "2026-03-28", "--to", "2026-03-31")
NO_RUNNER = "note: no runner is active; start one: reconciler runner start --workspace sqlite:/"


@pytest.fixture
def desk(empty):
    empty.write("reconciler.yml", "project: desk\n")
    empty.write("schedules/all.yml", MANIFESTS)
    Path("landing").mkdir()
    empty.apply()
    return empty


def test_an_answer_in_one_sentence_is_followed_by_the_gates(desk):
    desk("hold", "nightly", "--reason", "audit")
    done = desk("explain", "nightly")
    lines = done.out.splitlines()
    assert lines[0].startswith("It does not fire now: it is held by ")
    assert lines[0].endswith(": audit.")
    assert [line.split()[:2] for line in lines[2:5]] == [
        ["status", "passed"], ["hold", "decided"], ["window", "not"],
    ]  # fmt: skip
    assert all(line == line.rstrip() for line in lines)
    assert NO_RUNNER in done.err
    facts = desk("explain", "nightly", "--output", "json").data
    assert facts["answer"] == lines[0]
    assert facts["gates"][0] == {"gate": "status", "passage": "passed", "text": ""}
    assert (facts["condition"], facts["runner"]) == ("Held", False)
    assert (facts["at"], facts["time_zone"]) == (None, "Europe/Paris")


def test_a_time_is_asked_for_on_the_schedules_clock(desk):
    done = desk("explain", "nightly", "--at", "2026-03-29T02:30", "--output", "json").data
    assert done["at"] == "2026-03-29T01:30:00Z"
    assert done["answer"].startswith(
        "It did not run at 02:30 on 2026-03-29 because that time did not exist in Europe/Paris "
        "that day. It did not run at 2026-03-29 03:30 CEST: the schedule was created later, at "
    )
    alone = desk("explain", "nightly", "--at", "02:30")
    assert "the schedule was created later" in alone.out or "is not decided yet" in alone.out
    wrong = desk("explain", "nightly", "--at", "yesterday")
    assert wrong.code == 1
    assert wrong.err.startswith("error: 'yesterday' is not a time; write for example 2026-03-08T")
    assert desk("explain", "nothing").err.startswith("error: no schedule 'nothing'")


def test_a_runner_that_did_the_work_is_quoted_and_no_one_else(desk):
    desk("run", "nightly", "--token", "t")
    log = Path("runner.log")
    runner = RunnerProcess(desk.path / ".reconciler/workspace.db", log)
    (row,) = until(lambda: desk("runs", "--state", "Finished", "--output", "json").data)
    facts = until(
        lambda: (found := desk("explain", "arrivals", "--output", "json").data)["polls"] and found
    )
    runner.stop()
    assert (facts["watch"]["state"], facts["polls"][-1]["listed"]) == ("ready", 0)
    done = desk("explain", "nightly", "--at", row["due_at"])
    assert done.out.startswith("It ran: the fire of ")
    assert "  asked    decided      asked for by hand\n" in done.out
    assert "Attempts\n" in done.out
    assert "greet" in done.out
    assert "Last looks\n" in desk("explain", "arrivals").out
    assert "\nlanding is ready; last look 2" in desk("explain", "arrivals").out


def test_a_window_is_replayed_as_declared_as_applied_and_as_of_a_commit(desk):
    desk.git("init", "-q", "-b", "main")
    desk.write(".gitignore", ".reconciler/\nlanding/\n")
    desk.commit()
    done = desk("simulate", "nightly", *MARCH)
    assert (
        done.out
        == """\
nightly as in the project; a run takes no time
DUE                    DECISION  GATE  COUNT  STARTS                ENDS                  REASON
2026-03-28 02:30 CET   launch    due          2026-03-28T01:30:00Z  2026-03-28T01:30:00Z  on time
2026-03-29 03:30 CEST  launch    due          2026-03-29T01:30:00Z  2026-03-29T01:30:00Z  on time (02:30 does not exist that day)
2026-03-30 02:30 CEST  launch    due          2026-03-30T00:30:00Z  2026-03-30T00:30:00Z  on time
Total: 3 launch.
"""
    )
    desk.edit("schedules/all.yml", "30 2 * * *", "0 */12 * * *")

    def dues(*arguments):
        facts = desk("simulate", "nightly", *MARCH, *arguments, "--output", "json").data
        return facts["of"], facts["totals"]["launch"]

    assert dues() == ("project", 7)
    assert dues("--live") == ("workspace", 3)
    assert dues("--ref", "HEAD") == ("commit HEAD", 3)
    down = ("--down", "2026-03-29T00:00/2026-03-29T09:00", "--duration", "20h")
    facts = desk("simulate", "nightly", *MARCH, *down, "--output", "json").data
    assert facts["totals"] == {"launch": 3, "miss": 1, "skip": 3}
    assert facts["fires"][1]["gate"] == "overlap"
    assert facts["down"] == [{"from": "2026-03-28T23:00:00Z", "to": "2026-03-29T07:00:00Z"}]


def test_all_active_schedules_are_replayed_together_up_to_a_limit(desk):
    desk.edit("schedules/all.yml", "name: arrivals", "name: arrivals\nstatus: Active")
    done = desk("simulate", "--all", *MARCH, "--limit", "2")
    assert done.out.splitlines()[-1] == (
        "Cut off after 2 rows; give a shorter window, or a higher --limit."
    )
    assert done.err == "note: arrivals is left out: it goes by files, not by the clock\n"
    desk.edit("schedules/all.yml", "Paris}}", "Paris}}\nstatus: Disabled")
    assert desk("simulate", "--all", *MARCH).out == "Nothing is decided in that window.\n"
    assert "  it is Disabled; this is what it would do\n" in desk("simulate", "nightly", *MARCH).out
    desk("hold", "nightly", "--reason", "audit")
    assert "  held by " in desk("simulate", "nightly", *MARCH).out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*MARCH], "Give a schedule, or --all."),
        (["nightly", *MARCH, "--ref", "x", "--live"], "Give --ref or --live, not both."),
        (["nightly", *MARCH, "--duration", "x"], "'x' is not a duration; write for example 90s"),
        (["nightly", *MARCH, "--down", "x"], "'x' is not TIME/TIME: when no runner ran"),
        (["nightly", *MARCH, "--down", "2026-03-29/2026-03-28"], "ends before it begins"),
        (["nothing", *MARCH], "no schedule 'nothing' is declared; --live replays an applied one"),
        (["nothing", *MARCH, "--live"], "no schedule 'nothing'; `reconciler list"),
        (["arrivals", *MARCH], "cannot be replayed: it goes by files, not by the clock"),
        (["nightly", "--from", "2026-04-01", "--to", "2026-03-01"], "the window is empty"),
    ],
)
def test_what_cannot_be_replayed_is_an_error_in_one_line(desk, arguments, message):
    done = desk("simulate", *arguments)
    assert done.code == 1
    assert message in done.err
    assert done.err.count("\n") == 1


def test_a_project_that_is_applied_nowhere_is_replayed_too(empty):
    empty.write("reconciler.yml", "project: desk\n")
    empty.write("schedules/all.yml", MANIFESTS)
    assert "Total: 3 launch." in empty("simulate", "nightly", *MARCH).out
    done = empty("simulate", "nightly", *MARCH, "--live")
    assert done.code == 1
    empty.edit("schedules/all.yml", "name: nightly", "name: nightly\nbad: 1")
    assert "unknown key" in empty("simulate", "nightly", *MARCH).err


def test_a_backfill_is_looked_at_written_continued_and_stopped(desk):
    dry = desk("backfill", "nightly", *MARCH, "--token", "march", "--dry-run")
    assert (
        dry.out
        == """\
  2026-03-28 02:30 CET  2026-03-28T01:30:00Z
  2026-03-29 03:30 CEST  2026-03-29T01:30:00Z
  2026-03-30 02:30 CEST  2026-03-30T00:30:00Z
3 runs to make; nothing was written
"""
    )
    assert desk("runs").out == "No runs.\n"
    done = desk("backfill", "nightly", *MARCH, "--token", "march")
    assert done.out.splitlines()[:2] == [
        "backfill march of nightly: 3 times, 2026-03-28 02:30 CET to 2026-03-30 02:30 CEST",
        "  3 new, 0 known before; 3 waiting, 0 running",
    ]
    assert NO_RUNNER in done.err
    again = desk("backfill", "nightly", *MARCH, "--token", "march", "--output", "json")
    assert (again.err, again.data["written"], again.data["known"]) == ("", 0, 3)
    assert again.data["due"][0] == "2026-03-28T01:30:00Z"
    assert (
        "(known to march)"
        in desk("backfill", "nightly", *MARCH, "--token", "march", "--dry-run").out
    )
    assert (
        "was not due in that window"
        in desk("backfill", "nightly", "--from", "2026-03-28T03:00", "--to", "2026-03-28T04:00").out
    )
    refused = desk("backfill", "nightly", *MARCH, "--max", "2")
    assert (refused.code, "3 fires of 'nightly' were due" in refused.err) == (3, True)
    stopped = desk("cancel", "--backfill", "march", "--output", "json").data
    assert (stopped["token"], len(stopped["runs"])) == ("march", 3)
    assert desk("cancel", "--backfill", "april").err == (
        "error: backfill 'april' has no run that is not over; `reconciler runs` lists all\n"
    )
    assert desk("cancel").err.startswith("error: Give a run, or --backfill TOKEN.")
    shown = desk("show", "nightly").out
    assert "backfill march by " in shown


def test_a_token_that_repeats_is_told_and_other_parameters_are_refused(desk):
    first = desk("run", "nightly", "--token", "t", "--param", "size=2", "--output", "json")
    again = desk("run", "nightly", "--token", "t", "--param", "size=2", "--output", "json")
    assert (first.data["again"], again.data["again"]) == (False, True)
    assert first.data["id"] == again.data["id"]
    assert "note: token 't' was used before, for this run\n" in again.err
    refused = desk("run", "nightly", "--token", "t", "--param", "size=3")
    assert (refused.code, "with other parameters; choose a new one" in refused.err) == (3, True)


def test_pools_are_listed_defined_changed_and_removed(desk):
    assert desk("pool").out == "No pools; define one: reconciler pool NAME --slots N.\n"
    assert desk("pool", "gpu", "--slots", "1").out == "pool gpu has 1 place, 0 in use\n"
    assert desk("pool", "gpu", "--slots", "2", "--output", "json").data == {
        "name": "gpu", "slots": 2, "used": 0,
    }  # fmt: skip
    assert desk("pool", "gpu").out == "pool gpu has 2 places, 0 in use\n"
    assert desk("pool").out.splitlines() == ["POOL  SLOTS  USED", "gpu   2      0"]
    assert desk("pool", "--output", "json").data == [{"name": "gpu", "slots": 2, "used": 0}]
    assert desk("pool", "gpu", "--remove").out == "pool gpu is removed\n"
    for arguments, message in {
        ("gpu",): "no pool 'gpu'; define it: reconciler pool gpu --slots N",
        ("gpu", "--remove"): "no pool 'gpu'",
        ("gpu", "--remove", "--slots", "1"): "Give --slots or --remove, not both.",
        ("--slots", "1"): "Name the pool: reconciler pool NAME --slots N.",
        ("a b", "--slots", "1"): "'a b' is no name; start with a letter or digit",
    }.items():
        done = desk("pool", *arguments)
        assert (done.code, message in done.err) == (1, True), done.err


def test_enabling_can_make_up_for_what_came_due(desk):
    desk("disable", "nightly", "--reason", "audit")
    facts = desk("enable", "nightly", "--recover", "last", "--output", "json").data
    assert facts["name"] == "nightly"
    wrong = desk("enable", "pipeline", "hello", "--recover", "last")
    assert (wrong.code, "--recover is for a schedule" in wrong.err) == (1, True)


def test_alerts_are_listed_with_their_schedule(desk):
    assert desk("alerts").out == "No alerts.\n"
    desk.edit("schedules/all.yml", "Paris}}", "Paris}}\ndeadline: {start: 1ms}")
    desk.apply()
    run_id = desk("run", "nightly", "--output", "json").data["id"]
    runner = RunnerProcess(desk.path / ".reconciler/workspace.db", Path("runner.log"))
    (alert,) = until(lambda: desk("alerts", "nightly", "--output", "json").data)
    runner.stop()
    assert (alert["alarm"], alert["schedule"], alert["run_id"]) == ("late_start", "nightly", run_id)
    assert alert["at"].endswith("Z")
    assert desk("alerts", "--output", "json").data == [alert]
    assert f"late_start  nightly   {run_id[:8]}" in desk("alerts").out
    assert desk("alerts", "nothing").code == 1


def test_show_tells_how_a_run_goes(desk):
    desk.edit(
        "schedules/all.yml", "Paris}}",
        "Paris}}\ndeadline: {start: 1h, finish: 2h}\npool: gpu\non_unknown: wait",
    )  # fmt: skip
    desk.apply()
    run_id = desk("run", "nightly", "--output", "json").data["id"]
    shown = desk("show", "run", run_id).out
    assert "not started by 2" in shown
    assert "not over by 2" in shown
    assert any(line.split() == ["pool", "gpu"] for line in shown.splitlines())
    assert any(line.split() == ["on", "unknown", "wait"] for line in shown.splitlines())
    assert "gpu" in desk("runs").out
