"""What a waiting run waits for: its pool, room on the machine, or somebody to look at it."""

import os

from reconciler.clock import MINUTE
from reconciler.reconcile.operate import release_schedule
from reconciler.run import RunState
from reconciler.runner.admit import Limits, Minutes, Starts
from reconciler.runner.room import Amounts
from reconciler.trigger.admission import RUNNER
from tests.processes import until
from tests.site import HELLO, minutely, site

SECOND = 1_000_000
SLEEP = "kind: Pipeline\nname: hello\nsteps: [{name: say, command: [sleep, '1000']}]\n"


def sized(name, command, **resources):
    needs = ", ".join(f"{key}: {value}" for key, value in resources.items())
    return f"""
        kind: Pipeline
        name: {name}
        steps: [{{name: say, command: {command}, resources: {{{needs}}}}}]
        """


def states(place, name):
    return [run.state.value for run in place.runs(name)]


def pass_until(place, condition):
    def met():
        place.step()
        return condition()

    return until(met)


def test_runs_of_different_schedules_share_the_places_of_a_pool(place):
    place.ledger.set_pool("one", 1)
    place.apply(a=SLEEP, b=minutely("x", pool="one"), c=minutely("y", pool="one"))
    place.forward(60)
    place.step()
    assert sorted(states(place, "x") + states(place, "y")) == ["NotStarted", "Running"]
    (run,) = [run for run in place.runs() if run.state is RunState.RUNNING]
    with place.ledger.transaction() as tx:
        tx.request_cancel([run.id], "canceled by ann")
    pass_until(
        place,
        lambda: sorted(states(place, "x") + states(place, "y")) == ["Canceled", "Running"],
    )


def test_a_pool_that_is_not_defined_has_no_place_and_is_told_once(place, caplog):
    place.apply(a=HELLO, b=minutely(pool="one"), c=minutely("other"))
    for _ in range(3):
        place.forward(60)
        pass_until(place, lambda: {"Finished"} == set(states(place, "other")))
    assert states(place, "every-minute") == ["NotStarted"]
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "waits: pool 'one' is not defined; `reconciler pool one --slots N` does" in error.message
    (alert,) = place.ledger.alerts()
    assert (alert.alarm, alert.run_id) == ("waiting", place.runs("every-minute")[0].id)
    place.restart()
    place.step()
    assert len(place.ledger.alerts()) == 1
    place.ledger.set_pool("one", 1)
    pass_until(place, lambda: states(place, "every-minute") == ["Finished"])


def test_a_run_by_hand_is_not_hidden_behind_those_that_wait_for_something_else(tmp_path):
    with site(tmp_path, max_steps=1) as place:
        place.apply(
            a=HELLO,
            b=minutely(overlap="allow", missed="all", pool="none"),
            c=minutely("later", overlap="allow"),
        )
        place.forward(600)
        pass_until(place, lambda: "Finished" in states(place, "later"))


def test_steps_take_what_they_declare_and_wait_for_it(tmp_path):
    with site(tmp_path, capacity=Amounts(8, 2_000, 1 << 30, 0)) as place:
        os.mkfifo(tmp_path / "gate")
        place.apply(
            a=f"""
            kind: Pipeline
            name: hello
            steps:
              - {{name: one, command: [cat, {tmp_path}/gate], resources: {{cpus: 2}}}}
              - {{name: two, command: [cat, {tmp_path}/gate], resources: {{cpus: 2}}}}
              - {{name: free, command: [echo], resources: {{memory: 1Gi}}}}
            """,
            b=minutely(),
        )
        place.forward(60)
        (run,) = pass_until(place, place.runs)

        def tries():
            return {a.step: a.state.value for a in place.ledger.attempts([run.id]).get(run.id, [])}

        pass_until(place, lambda: tries() == {"one": "Running", "free": "Finished"})
        (tmp_path / "gate").write_text("")
        pass_until(place, lambda: tries().get("two") == "Running")
        (tmp_path / "gate").write_text("")
        (run,) = place.finish()
        assert run.state is RunState.FINISHED


def test_a_big_step_that_waits_longest_is_not_overtaken_for_ever(tmp_path):
    with site(tmp_path, capacity=Amounts(8, 2_000, 1 << 30, 0)) as place:
        os.mkfifo(tmp_path / "gate")
        place.apply(
            a=sized("small", f"[cat, {tmp_path}/gate]", cpus=1),
            b=sized("big", "[echo]", cpus=2),
            c=sized("none", "[echo]"),
            d=minutely("first", "small"),
        )
        place.forward(60)
        pass_until(place, lambda: states(place, "first") == ["Running"])
        place.apply(e=minutely("second", "big"))
        place.forward(60)
        place.step()
        assert states(place, "second") == ["NotStarted"]
        place.apply(f=minutely("third", "small"), g=minutely("fourth", "none"))
        place.forward(60)
        pass_until(place, lambda: "Finished" in states(place, "fourth"))
        assert states(place, "third") == ["NotStarted"]
        (tmp_path / "gate").write_text("")
        pass_until(place, lambda: "Finished" in states(place, "second"))
        pass_until(place, lambda: states(place, "third") == ["Running"])


def test_a_run_that_no_machine_has_room_for_is_told_with_the_numbers(place, caplog):
    place.apply(a=sized("hello", "[echo]", gpus=2, cpus=1), b=minutely(), c=minutely("other"))
    place.apply(d=HELLO.replace("hello", "plain"), c=minutely("other", "plain"))
    place.forward(60)
    pass_until(place, lambda: states(place, "other") == ["Finished"])
    assert place.ledger.alerts() == []  # another runner may take it
    for _ in range(2):
        place.forward(60)
        place.step()
    assert states(place, "every-minute") == ["NotStarted"]
    (alert,) = place.ledger.alerts()
    assert alert.text.endswith(
        "waits: step say needs cpus 1, memory 0 GiB, gpus 2, and the runner on here has cpus 4, "
        "memory 4 GiB, gpus 0; no other has taken it for 1m"
    )
    (error,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert error.message == alert.text


def test_a_run_that_began_on_a_larger_machine_is_told_where_it_cannot_go_on(tmp_path):
    with site(tmp_path) as place:
        place.apply(
            a="""
            kind: Pipeline
            name: hello
            steps:
              - {name: one, command: [echo]}
              - {name: two, command: [echo], depends_on: [one], resources: {cpus: 3}}
            """,
            b=minutely(),
            c=HELLO.replace("hello", "plain"),
            d=minutely("other", "plain"),
        )
        place.forward(60)
        place.step()
        place.limits = Limits(capacity=Amounts(8, 2_000, 1 << 30, 0))
        place.restart()
        pass_until(place, place.ledger.alerts)
        place.step()
        (alert,) = place.ledger.alerts()
        assert alert.text.endswith(
            "waits: step two needs cpus 3, memory 0 GiB, gpus 0, and the runner on here has cpus 2, "
            "memory 1 GiB, gpus 0"
        )
        place.forward(60)
        pass_until(place, lambda: len(place.runs("other")) == 2)
        pass_until(place, lambda: states(place, "other") == ["Finished"] * 2)


def test_a_schedule_whose_runs_start_too_often_is_paused(tmp_path, caplog):
    with site(tmp_path, max_starts=3) as place:
        place.apply(a=HELLO, b=minutely(overlap="allow", missed="all"), c=minutely("other"))
        place.forward(10 * 60)
        pass_until(place, lambda: states(place, "every-minute").count("Finished") == 3)
        assert states(place, "every-minute").count("NotStarted") == 7
        hold = place.schedule("every-minute").hold
        assert hold.who == RUNNER
        assert hold.why == "3 of its runs were started within a minute (max_starts_per_minute)"
        (alert,) = place.ledger.alerts()
        assert alert.alarm == "breaker"
        assert "`reconciler release every-minute` lets it go on" in alert.text
        place.forward(120)
        place.step()
        place.step()
        assert states(place, "every-minute").count("NotStarted") == 7
        assert states(place, "other")[0] in {"Running", "Finished"}
        release_schedule(place.registry, "every-minute")
        pass_until(place, lambda: states(place, "every-minute").count("Finished") == 6)
        assert len(place.ledger.alerts()) == 2


def test_starts_are_counted_for_a_minute_and_forgotten_when_the_clock_goes_back():
    starts = Starts()
    for at in (0, 10, 59):
        starts.add("s", at * SECOND)
    assert starts.count("s", 59 * SECOND) == 3
    assert starts.count("s", 60 * SECOND) == 2
    assert starts.count("t", 60 * SECOND) == 0
    assert starts.count("s", 5 * SECOND) == 0
    assert starts.count("s", 200 * SECOND) == 0
    assert (len(starts._times), len(starts._counts)) == (0, 0)


def test_runs_of_files_are_counted_by_the_minute_in_which_they_were_made():
    minutes = Minutes()
    for minute in range(8):
        assert not minutes.last("s", minute * MINUTE, 3)
        for _ in range(3 - (minute == 4)):
            minutes.add("s", minute * MINUTE)
        assert minutes.last("s", minute * MINUTE, 3) is (minute in {2, 3, 7})
    assert len(minutes._counts["s"]) == 6
    minutes.forget("s")
    assert not minutes.last("s", 7 * MINUTE, 3)


def test_a_run_spread_by_jitter_waits_for_its_time(place):
    place.apply(a=HELLO, b=minutely(jitter="50s"))
    place.forward(60)
    place.step()
    (run,) = place.runs()
    assert run.due_at < run.not_before < run.due_at + 50 * SECOND
    (fire,) = place.fires("every-minute")
    assert fire.due_at == run.due_at
    place.clock.instant = run.not_before - 1
    place.step()
    assert states(place, "every-minute") == ["NotStarted"]
    assert place.step() == run.not_before
    place.clock.instant = run.not_before
    pass_until(place, lambda: states(place, "every-minute") == ["Finished"])


def test_what_is_made_up_for_is_not_spread(place):
    place.apply(a=HELLO, b=minutely(jitter="50s", missed="all", overlap="allow"))
    place.forward(3 * 60 + 30)
    place.step()
    runs = sorted(place.runs(), key=lambda run: run.due_at)
    assert [run.not_before is None for run in runs] == [True, True, False]


def test_a_run_freezes_the_policies_of_its_schedule(place):
    place.apply(
        a=HELLO,
        b=minutely(
            retries="{max: 2, backoff: 5m}",
            on_unknown="wait",
            pool="one",
            deadline="{start: 10m, finish: 2h}",
        ),
    )
    place.forward(60)
    place.step()
    (run,) = place.runs()
    assert (run.retries.max, run.on_unknown, run.pool) == (2, "wait", "one")
    assert run.start_by == run.due_at + 600 * SECOND
    assert run.finish_by == run.due_at + 7_200 * SECOND
