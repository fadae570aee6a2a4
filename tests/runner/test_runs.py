"""From a due time to the end of a run: real programs, a real ledger, a clock the test moves."""

import json
import os

import pytest

from reconciler.run import AttemptState, Decision, Gate, RunState
from reconciler.runner import book
from reconciler.schedule import Status
from tests.site import HELLO, minutely, site


def test_a_due_schedule_fires_once_and_its_run_finishes(place):
    place.apply(a=HELLO, b=minutely())
    place.step()
    assert place.runs() == []
    place.forward(60)
    (run,) = place.finish()
    assert (run.state, run.schedule_name) == (RunState.FINISHED, "every-minute")
    assert place.log(run, "say") == "hello\n"
    place.step()
    assert len(place.runs()) == 1
    (fire,) = place.fires("every-minute")
    assert fire.occurrence_key == "r:2026-03-02T12:01:00Z"
    assert (fire.decision, fire.run_id) == (Decision.LAUNCH, run.id)


def test_a_recurrence_without_start_time_runs_once_at_once_on_creation(place):
    text = minutely().replace(", first_run: aligned", "")
    place.apply(a=HELLO, b=text)
    place.finish()
    assert [fire.occurrence_key for fire in place.fires("every-minute")] == ["i:"]
    place.apply(b=text + "description: edited\n")
    place.step()
    assert len(place.runs()) == 1


def test_steps_run_in_order_and_share_a_folder_with_the_code(place):
    code = place.project / "code"
    code.mkdir()
    (code / "make.sh").write_text('#!/bin/sh\necho "$1" > made\n')
    (code / "make.sh").chmod(0o755)
    place.apply(
        a="""
        kind: Pipeline
        name: chain
        code: ./code
        parameters: {what: {type: string, default: nothing}}
        steps:
          - {name: show, command: [cat, made], depends_on: [make]}
          - {name: make, command: [./make.sh, "${{ parameters.what }}"]}
        """,
        b=minutely(pipeline="chain", pipeline_parameters="{what: $(true) 'x'}"),
    )
    place.forward(60)
    (run,) = place.finish()
    assert run.state is RunState.FINISHED, run
    assert place.log(run, "show") == "$(true) 'x'\n"


def test_what_a_crash_left_of_a_half_made_folder_is_taken_away(place):
    code = place.project / "code"
    code.mkdir()
    (code / "x").write_text("one")
    place.apply(
        a="kind: Pipeline\nname: hello\ncode: code\nsteps: [{name: say, command: [ls]}]\n",
        b=minutely(),
    )
    place.forward(60)
    place.daemon._ticker.tick()
    (run,) = place.runs()
    for whole in (f"work/{run.id}", f"code/{place.registry.live().pipelines[0].code_digest}"):
        half = place.folder / whole
        half = half.with_name(f".new-{half.name}")
        half.mkdir(parents=True)
        (half / "junk").write_text("half")
    (run,) = place.finish()
    assert place.log(run, "say") == "x\n"
    assert [path.name for path in (place.folder / "work").iterdir()] == [run.id]
    assert len(list((place.folder / "code").iterdir())) == 1


def test_an_edit_of_the_code_alone_is_a_new_version_and_a_revert_binds_the_old_one(place):
    code = place.project / "code"
    code.mkdir()
    (code / "x").write_text("one")
    pipeline = HELLO.replace("name: hello", "name: hello\ncode: code")
    place.apply(a=pipeline, b=minutely())
    first = place.schedule("every-minute").pipeline_id
    (code / "x").write_text("two")
    made = place.apply()
    assert [(c.kind, c.action) for c in made.changes] == [
        ("Pipeline", "update"),
        ("Schedule", "update"),
    ]
    assert place.schedule("every-minute").pipeline_id != first
    (code / "x").write_text("one")
    place.apply()
    assert place.schedule("every-minute").pipeline_id == first
    assert place.apply().changes == ()


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("command: [no-such-program]", "program not found: no-such-program"),
        ("command: [sh, -c, exit 3]", "exit code 3"),
        (
            "command: [echo], env: {T: '${{ secret.TOKEN }}'}",
            "secret TOKEN is not declared in the runner's configuration",
        ),
    ],
)
def test_a_step_that_cannot_work_is_a_failed_run_with_the_reason(place, step, reason):
    place.apply(a=f"kind: Pipeline\nname: hello\nsteps:\n  - {{name: say, {step}}}\n", b=minutely())
    place.forward(60)
    (run,) = place.finish()
    assert run.state is RunState.FAILED
    assert run.reason == f"step say: {reason}"


def test_a_missing_data_folder_is_a_failed_run_with_the_reason(place):
    place.apply(
        a="""
        kind: Pipeline
        name: hello
        parameters: {data: {type: datapath, default: store/x.csv}}
        steps: [{name: say, command: [cat, "${{ parameters.data }}"]}]
        """,
        b=minutely(),
        c="kind: Datastore\nname: store\nurl: file:no/such/folder\n",
    )
    place.forward(60)
    (run,) = place.finish()
    assert run.state is RunState.FAILED


def test_a_failed_step_is_tried_again(place):
    place.apply(
        a="""
        kind: Pipeline
        name: hello
        steps:
          - name: say
            command: [sh, -c, 'test -e tried || { touch tried; exit 1; }']
            retries: {max: 2, backoff: 5s}
        """,
        b=minutely(),
    )
    place.forward(60)
    for _ in range(1_000):
        place.step()
        place.daemon.wait(0.2)
        (run,) = place.runs()
        (attempt,) = place.ledger.attempts([run.id]).get(run.id, [None])
        if attempt is not None and attempt.over:
            break
    assert attempt.state is AttemptState.FAILED
    place.clock.instant = max(place.clock.instant, attempt.ended_at) + 5_000_000
    (run,) = [one for one in place.finish() if one.id == run.id]
    assert run.state is RunState.FINISHED
    states = [attempt.state for attempt in place.ledger.attempts([run.id])[run.id]]
    assert states == [AttemptState.FAILED, AttemptState.FINISHED]


def test_independent_steps_go_on_where_the_schedule_says_so(place):
    place.apply(
        a="""
        kind: Pipeline
        name: hello
        steps:
          - {name: bad, command: ["false"]}
          - {name: after, command: [echo], depends_on: [bad]}
          - {name: good, command: [echo, still here]}
          - {name: better, command: [echo, and on], depends_on: [good]}
        """,
        b=minutely(continue_on_step_failure="true"),
    )
    place.forward(60)
    (run,) = place.finish()
    assert (run.state, run.reason) == (RunState.FAILED, "step bad: exit code 1")
    ran = {attempt.step: attempt.state for attempt in place.ledger.attempts([run.id])[run.id]}
    assert ran == {"bad": "Failed", "good": "Finished", "better": "Finished"}


def test_a_failure_cancels_the_running_steps(place, tmp_path):
    place.apply(
        a=f"""
        kind: Pipeline
        name: hello
        steps:
          - {{name: bad, command: [sh, -c, "cat {tmp_path}/gate; exit 1"]}}
          - {{name: slow, command: [sh, -c, "echo started > {tmp_path}/gate; exec sleep 1000"]}}
        """,
        b=minutely(),
    )
    os.mkfifo(tmp_path / "gate")  # so that one fails only once the other runs
    place.forward(60)
    (run,) = place.finish()
    assert (run.state, run.reason) == (RunState.FAILED, "step bad: exit code 1")
    (slow,) = [a for a in place.ledger.attempts([run.id])[run.id] if a.step == "slow"]
    assert slow.state is AttemptState.CANCELED


def test_a_canceled_run_stops_and_says_why(place):
    place.apply(
        a="kind: Pipeline\nname: hello\nsteps: [{name: say, command: [sleep, '1000']}]\n",
        b=minutely(),
    )
    place.forward(60)
    place.step()
    (run,) = place.runs()
    with place.ledger.transaction() as tx:
        tx.request_cancel([run.id], "canceled by ann")
    (run,) = place.finish()
    assert (run.state, run.reason) == (RunState.CANCELED, "canceled by ann")


def test_a_step_sees_what_is_declared_and_nothing_of_the_runners_environment(place, monkeypatch):
    monkeypatch.setenv("RUNNERS_OWN", "secret")
    place.apply(
        a="""
        kind: Pipeline
        name: hello
        parameters: {size: {type: integer, default: 3}, on: {type: boolean, default: true}}
        steps:
          - name: say
            command: [python, -c, "import json, os; print(json.dumps(dict(os.environ)))"]
            env: {SIZE: "<${{ parameters.size }}>"}
        """,
        b=minutely(),
    )
    place.forward(60)
    (run,) = place.finish()
    seen = json.loads(place.log(run, "say"))
    assert "RUNNERS_OWN" not in seen
    assert seen["SIZE"] == "<3>"
    assert seen["RECONCILER_PARAM_on"] == "true"
    assert seen["RECONCILER_DUE"] == "2026-03-02T12:01:00Z"
    assert (seen["RECONCILER_RUN_ID"], seen["RECONCILER_STEP"]) == (run.id, "say")


def test_a_fire_while_a_run_is_under_way_is_skipped_with_the_run_named(place):
    place.apply(
        a="kind: Pipeline\nname: hello\nsteps: [{name: say, command: [sleep, '1000']}]\n",
        b=minutely(),
    )
    place.forward(60)
    place.step()
    (run,) = place.runs()
    place.forward(60)
    place.step()
    assert len(place.runs()) == 1
    newest = place.fires("every-minute")[0]
    assert newest.decision is Decision.SKIP
    assert run.id in newest.reason


def test_queued_runs_start_one_after_the_other(place):
    place.apply(a=HELLO, b=minutely(overlap="queue", missed="all"))
    place.forward(180)
    runs = place.finish()
    assert [run.state for run in runs] == [RunState.FINISHED] * 3
    spans = sorted((run.started_at, run.due_at) for run in runs)
    assert [due for _, due in spans] == sorted(run.due_at for run in runs)


def test_the_last_missed_fire_is_made_up_for_and_the_others_have_their_rows(place):
    place.apply(a=HELLO, b=minutely(catchup_window="10m"))
    place.forward(5 * 60 + 30)
    place.finish()
    decisions = [fire.decision for fire in place.fires("every-minute")]
    assert decisions == ["launch", "miss", "miss", "miss", "miss"]


def test_a_disabled_pipeline_skips_with_the_reason_and_never_launches(place):
    place.apply(a=HELLO, b=minutely())
    (pipeline,) = place.registry.live().pipelines
    with place.registry.transaction() as tx:
        tx.set_pipeline_status(pipeline.id, pipeline.revision, Status.DISABLED, None)
    place.forward(60)
    place.step()
    (fire,) = place.fires("every-minute")
    assert (fire.decision, fire.reason) == ("skip", "skipped: pipeline hello has no Active version")


def test_a_fire_that_starts_nothing_replaces_nothing(place):
    place.apply(
        a="kind: Pipeline\nname: hello\nsteps: [{name: say, command: [sleep, '1000']}]\n",
        b=minutely(overlap="cancel_running"),
    )
    place.forward(60)
    place.step()
    (pipeline,) = place.registry.live().pipelines
    with place.registry.transaction() as tx:
        tx.set_pipeline_status(pipeline.id, pipeline.revision, Status.DISABLED, None)
    place.forward(60)
    place.step()
    assert [fire.decision for fire in place.fires("every-minute")] == ["skip", "launch"]
    assert place.runs()[0].cancel_requested is None


def test_latest_is_bound_at_each_fire(place):
    place.apply(a=HELLO, b=minutely(pipeline="hello@latest"))
    place.forward(60)
    place.finish()
    place.apply(a=HELLO.replace("hello]", "hullo]"))
    place.forward(60)
    new, old = place.finish()
    assert (place.log(old, "say"), place.log(new, "say")) == ("hello\n", "hullo\n")


def test_one_degraded_schedule_alerts_once_and_stops_no_other(place, caplog):
    place.apply(a=HELLO, b=minutely(), c=minutely("broken"))
    broken = place.schedule("broken")
    with place.registry.transaction() as tx:
        tx.update_schedule(
            broken.id,
            broken.revision,
            spec=broken.spec.replace('"frequency"', '"time_zone":"Mars/Olympus","frequency"'),
            pipeline_id=broken.pipeline_id,
            status=broken.status,
            disabled_by=None,
            provenance=broken.provenance,
        )
    for _ in range(3):
        place.forward(60)
        place.finish()
    assert len(place.fires("every-minute")) == 3
    assert place.fires("broken") == []
    alerts = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(alerts) == 1
    assert "degraded" in alerts[0].message
    (alert,) = place.ledger.alerts(broken.id)
    assert (alert.alarm, alert.text) == ("degraded", alerts[0].message)
    place.restart()
    place.forward(60)
    place.finish()
    assert len(place.ledger.alerts()) == 1
    place.apply(c=minutely("broken", description="mended"))
    place.forward(120)
    place.finish()
    assert {fire.decision for fire in place.fires("broken")} >= {Decision.LAUNCH}


def test_each_row_says_which_gate_decided(place):
    place.apply(
        a=HELLO,
        b=minutely("plain"),
        c=minutely("first").replace(", first_run: aligned", ""),
        d=minutely("late", missed="skip"),
        e=minutely("one", missed="all", catchup_window="1h"),
    )
    place.forward(60)
    place.finish()
    assert [fire.gate for fire in place.fires("plain")] == [Gate.DUE]
    assert [fire.gate for fire in place.fires("first")][-1] is Gate.FIRST
    place.forward(300)
    place.finish()
    assert {fire.gate for fire in place.fires("late")} >= {Gate.DUE, Gate.MISSED}
    assert {fire.gate for fire in place.fires("one")} >= {Gate.DUE, Gate.OVERLAP}


def test_disabled_time_is_one_row_when_a_schedule_is_enabled_again(place):
    place.apply(a=HELLO, b=minutely())
    place.apply(b=minutely(status="Disabled"))
    place.forward(600)
    place.step()
    assert place.fires("every-minute") == []
    place.apply(b=minutely())
    (gap,) = place.fires("every-minute")
    assert (gap.decision, gap.gate, gap.count) == (Decision.GAP, Gate.STATUS, 10)


def test_steps_beyond_the_runners_limit_wait(tmp_path):
    with site(tmp_path, max_steps=1) as place:
        steps = ", ".join(f"{{name: s{n}, command: [echo]}}" for n in range(4))
        place.apply(a=f"kind: Pipeline\nname: hello\nsteps: [{steps}]\n", b=minutely())
        place.forward(60)
        (run,) = place.finish()
        assert run.state is RunState.FINISHED
        assert len(place.ledger.attempts([run.id])[run.id]) == 4


def test_what_was_decided_starts_before_the_rest_is_when_very_much_is_due(place, monkeypatch):
    monkeypatch.setattr("reconciler.runner.tick.BATCH", 1)
    monkeypatch.setattr("reconciler.runner.daemon.BATCHES", 2)
    place.apply(a=HELLO, **{name: minutely(name) for name in "bcd"})
    place.forward(60)
    assert place.step() == place.clock.now()
    assert [run.state for run in place.runs()] == [RunState.RUNNING] * 2
    assert len(place.finish()) == 3


def test_programs_start_while_the_next_ones_are_made_ready(place, monkeypatch):
    monkeypatch.setattr("reconciler.runner.launch.BATCH", 2)
    place.apply(a=HELLO, **{name: minutely(name) for name in "bcd"})
    place.forward(60)
    place.step()
    assert [run.state for run in place.runs()] == [RunState.RUNNING] * 3
    assert [run.state for run in place.finish()] == [RunState.FINISHED] * 3


def test_what_is_due_soon_is_read_before_it_is_due(place, monkeypatch):
    read = []
    compiled = book.compile_trigger
    monkeypatch.setattr(
        book, "compile_trigger", lambda *given: read.append(given) or compiled(*given)
    )
    place.apply(a=HELLO, b=minutely("b"), c=minutely("c"))
    place.forward(57)
    place.step()
    assert not read
    place.forward(2)
    place.step()
    place.step()
    assert len(read) == 2
    assert not place.runs()
    place.forward(1)
    assert len(place.finish()) == 2
    assert len(read) == 2
