"""Looking after a workspace, on every kind of database."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from reconciler.clock import DAY, HOUR, MINUTE, SECOND
from reconciler.errors import SchemaMismatch, WorkspaceBusy
from reconciler.run import AttemptState, Decision, Gate, RunState
from reconciler.schedule import Status
from reconciler.workspace.records import Alarm, Alert, DisabledBy, WatchState
from reconciler.workspace.sql.backup import open_upkeep
from reconciler.workspace.sql.connection import driver
from reconciler.workspace.sql.migrate import migrate
from reconciler.workspace.sql.schema import HEAD
from reconciler.workspace.upkeep import Anew, Cuts
from tests.workspace.make import (
    NOW,
    a_run,
    added,
    attempt,
    due,
    files,
    fire,
    hold,
    move,
    on_data,
    on_timer,
    page,
    pipeline,
    poll,
    record,
    record_poll,
    rewrite,
    run,
    tree,
    watched,
)

OLD = NOW - 100 * DAY
CUT = NOW - 90 * DAY
ALL = Cuts(fires=CUT, runs=CUT, polls=CUT)


@pytest.fixture
def upkeep(workspaces, workspace):
    opened = open_upkeep(workspaces.path, workspaces.clock)
    yield opened
    opened.close()


@contextmanager
def at(clock, instant):
    before, clock.instant = clock.instant, instant
    yield
    clock.instant = before


def pruned(upkeep, cuts=ALL, **options):
    counts = {}
    for kind, count in upkeep.prune(cuts, **options):
        counts[kind] = counts.get(kind, 0) + count
    return {kind: count for kind, count in counts.items() if count}


def over(ledger, run_id, ended=OLD, state=RunState.FINISHED):
    with ledger.transaction() as write:
        write.start_runs([run_id], ended)
        write.record_attempts([attempt(run_id, state=AttemptState.FINISHED)])
        write.finish_runs([(run_id, state, "")], ended)


def old(schedule_id, key, **values):
    return fire(schedule_id, key, due_at=OLD, decided_at=OLD, **values)


def test_old_runs_go_with_their_attempts_and_decisions_and_young_ones_stay(runner, upkeep):
    for run_id, then in (("old", OLD), ("young", NOW)):
        record(
            runner,
            (
                fire("s-1", f"r:{run_id}", run_id, due_at=then, decided_at=then),
                run(run_id, "s-1", f"r:{run_id}", due_at=then, created_at=then),
            ),
        )
        over(runner, run_id, then)
    record(runner, (old("s-1", "r:0"),))
    expected = {"runs": 1, "attempts": 1, "fires": 2}
    assert pruned(upkeep, dry_run=True) == expected
    assert [one.id for one in runner.runs()] == ["young", "old"]
    assert pruned(upkeep) == expected
    assert [one.id for one in runner.runs()] == ["young"]
    assert [one.occurrence_key for one in runner.fires("s-1")] == ["r:young"]
    assert list(runner.attempts(["old", "young"])) == ["young"]
    assert pruned(upkeep) == {}


def test_what_is_not_over_stays_however_old(runner, upkeep):
    for run_id in ("waiting", "running"):
        made = run(run_id, "s-1", f"r:{run_id}", created_at=OLD)
        record(runner, (old("s-1", f"r:{run_id}", run_id=run_id), made))
    with runner.transaction() as write:
        write.start_runs(["running"], OLD)
    assert pruned(upkeep) == {}


def test_a_decision_stays_as_long_as_its_run(runner, upkeep):
    made = run("r-1", "s-1", "r:1", created_at=OLD)
    record(runner, (old("s-1", "r:1", run_id="r-1"), made))
    over(runner, "r-1")
    assert pruned(upkeep, Cuts(fires=CUT, runs=OLD - DAY, polls=CUT)) == {}
    assert pruned(upkeep, Cuts(fires=OLD - DAY, runs=CUT, polls=CUT)) == {"runs": 1, "attempts": 1}


def test_a_run_stays_while_its_retry_is_of_interest(runner, upkeep):
    first = run("r-1", "s-1", "r:1", created_at=OLD, due_at=OLD)
    again = run("r-2", "s-1", "r:1", created_at=OLD, retry_of="r-1", number=2)
    record(runner, (old("s-1", "r:1", run_id="r-1"), first))
    with runner.transaction() as write:
        write.insert_runs([again])
    over(runner, "r-1", state=RunState.FAILED)
    assert pruned(upkeep) == {}
    over(runner, "r-2", OLD + DAY)
    assert pruned(upkeep) == {"runs": 2, "attempts": 2, "fires": 1}


def test_the_newest_of_each_schedule_can_be_kept(runner, upkeep):
    for schedule_id, count in (("s-1", 5), ("s-2", 2)):
        for number in range(count):
            run_id, then = f"{schedule_id}-{number}", OLD + number * HOUR
            made = run(run_id, schedule_id, f"r:{number}", created_at=OLD, due_at=then)
            decided = fire(schedule_id, f"r:{number}", run_id, due_at=then, decided_at=OLD)
            record(runner, (decided, made))
            over(runner, run_id)
    with runner.transaction() as write:
        write.insert_runs([run("by-hand", None, "m:1", created_at=OLD)])
    over(runner, "by-hand")
    cuts = Cuts(fires=CUT, runs=CUT, polls=CUT, keep=3)
    assert pruned(upkeep, cuts) == {"runs": 3, "attempts": 3, "fires": 2}
    assert [one.occurrence_key for one in runner.fires("s-1")] == ["r:4", "r:3", "r:2"]
    assert len(runner.fires("s-2")) == 2


def test_much_goes_in_small_transactions_and_can_be_stopped_between_them(ledger, upkeep):
    record(ledger, *((old("s-1", f"r:{number:05}"),) for number in range(800)))
    steps = upkeep.prune(ALL)
    assert next(steps) == ("fires", 250)
    steps.close()
    assert len(ledger.fires("s-1", 9_999)) == 550
    assert [count for kind, count in upkeep.prune(ALL) if kind == "fires"] == [250, 250, 50]


def test_a_pruned_occurrence_is_not_due_again(workspace, ledger, upkeep):
    schedule_id = on_timer(workspace, NOW)
    assert due(ledger) == [schedule_id]
    with ledger.transaction() as write:
        write.record_fires([fire(schedule_id, "r:1")], [])
        write.move_timers([move(schedule_id, NOW + HOUR)])
    assert pruned(upkeep, Cuts(fires=NOW + 1, runs=NOW, polls=NOW)) == {"fires": 1}
    assert due(ledger) == []
    (timer,) = workspace.registry.live().schedules
    assert timer.processed_to == NOW


def test_polls_and_changes_stay_until_every_schedule_has_passed_them(workspace, ledger, upkeep):
    ahead, behind = on_data(workspace, "ahead"), on_data(workspace, "behind")
    (watch,) = ledger.watches()
    record_poll(workspace, poll(watch.id, 1, polled_at=OLD), (), [rewrite(page(b"a"))])
    for number, name in enumerate((b"b", b"c", b"d"), 2):
        record_poll(workspace, poll(watch.id, number, polled_at=OLD, added=1), [added(name)])
    record_poll(workspace, poll(watch.id, 5, polled_at=NOW))
    with ledger.transaction() as write:
        write.move_cursors({ahead: 3, behind: 1})
    expected = {"polls": 2, "changes": 1}
    assert pruned(upkeep, dry_run=True) == expected
    assert pruned(upkeep) == expected
    with ledger.transaction() as write:
        assert [change.seq for change in write.changes(watch.id, 1, 9)] == [2, 3]
        write.move_cursors({behind: 3})
    assert pruned(upkeep) == {"polls": 2, "changes": 2}
    assert [one.poll_seq for one in ledger.polls(watch.id)] == [5]
    assert list(files(ledger)) == [b"a"]


def test_the_last_poll_of_a_watch_stays(workspace, ledger, upkeep):
    on_data(workspace)
    (watch,) = ledger.watches()
    record_poll(workspace, poll(watch.id, 1, polled_at=OLD), baseline=True)
    assert pruned(upkeep) == {}


def test_a_watch_that_nobody_is_on_goes_with_all_it_knows(workspace, ledger, upkeep):
    ids = [on_data(workspace, name, name) for name in ("gone", "young", "used", "newest")]
    for watch_id, then in enumerate((OLD, NOW, OLD, OLD), 1):
        known = [rewrite(page(b"a"), page(b"b"))]
        record_poll(workspace, poll(watch_id, 1, polled_at=then), (), known, baseline=True)
        record_poll(workspace, poll(watch_id, 2, polled_at=then), [added(b"c")])
    with ledger.transaction() as write:
        write.move_cursors(dict.fromkeys(ids, 1))
    with workspace.registry.transaction() as write:
        for schedule_id in (*ids[:2], ids[3]):
            write.arm(schedule_id, None)
    expected = {"changes": 2, "polls": 5, "pages": 4, "watches": 1}
    assert pruned(upkeep, dry_run=True) == expected
    assert list(ledger.snapshot(1)) == [page(b"a"), page(b"b")]
    assert pruned(upkeep) == expected
    assert pruned(upkeep) == {}
    left = [list(files(ledger, watch_id)) for watch_id in (1, 2, 3, 4)]
    assert left == [[], [b"a", b"b"], [b"a", b"b"], []]
    # What was decided about files bears the number of their watch: no number comes twice.
    on_data(workspace, "later", "gone")
    assert [watch.id for watch in ledger.watches()] == [3, 5]


def test_who_comes_back_to_a_watch_while_it_is_pruned_finds_all_or_nothing(
    workspace, ledger, upkeep
):
    (gone,) = [on_data(workspace, name, name) for name in ("gone", "newest")][:1]
    record_poll(workspace, poll(1, 1, polled_at=OLD), (), [rewrite(page(b"a"))], baseline=True)
    for number in range(2, 300):
        record_poll(workspace, poll(1, number, polled_at=OLD + number), [added(b"b")])
    with workspace.registry.transaction() as write:
        write.arm(gone, None)
    steps = upkeep.prune(ALL)
    assert next(step for step in steps if step[0] == "polls") == ("polls", 250)
    with workspace.registry.transaction() as write:
        assert write.resume(gone, watched("gone"), OLD) is None
        assert write.resume(gone, watched("gone"), OLD + 290) == 9
    assert not [step for step in steps if step[0] in {"changes", "pages", "watches"} and step[1]]
    assert list(files(ledger)) == [b"a"]
    assert ledger.arrival(gone).cursor == 289


def test_the_files_of_a_run_go_with_it(runner, upkeep):
    record(runner, (old("s-1", "r:1", run_id="r-1"), run("r-1", "s-1", "r:1", created_at=OLD)))
    with runner.transaction() as write:
        write.keep_files({"r-1": b"x"})
    over(runner, "r-1")
    assert pruned(upkeep) == {"runs": 1, "attempts": 1, "fires": 1}
    assert runner.files("r-1") is None


def test_alerts_and_sessions_go_but_not_those_that_somebody_may_look_for(workspaces, upkeep):
    with at(workspaces.clock, OLD):
        for _ in range(2):
            opened = workspaces.open()
            opened.ledger.begin_session(host="here", pid=1)
            a_run(opened.ledger, f"run-{opened.ledger._session.fence}")
            with opened.ledger.transaction() as write:
                alert = Alert(key=f"k-{id(opened)}", alarm=Alarm.BREAKER, at=OLD, text="x")
                write.alert([alert])
            opened.ledger.end_session()
        opened.ledger.begin_session(host="here", pid=1)
        with opened.ledger.transaction() as write:
            write.start_runs([opened.ledger.runs()[0].id], OLD)
        opened.ledger.end_session()
        opened.ledger.begin_session(host="here", pid=1)
        opened.ledger.end_session()
    assert len(upkeep.runners()) == 4
    assert pruned(upkeep) == {"alerts": 2, "sessions": 2}
    assert len(upkeep.runners()) == 2


def test_a_folder_of_a_run_may_go_once_it_is_over_for_long_or_not_known(runner, upkeep):
    for run_id, then in (("old", OLD), ("young", NOW), ("waiting", None)):
        record(runner, (fire("s-1", run_id, run_id), run(run_id, "s-1", run_id)))
        if then is not None:
            over(runner, run_id, then)
    assert upkeep.over(["old", "young", "waiting", "strange"], CUT) == {"old", "strange"}


def test_code_is_in_use_while_a_version_is_active_or_a_run_of_it_is_not_over(
    workspace, runner, upkeep
):
    with workspace.registry.transaction() as write:
        published = pipeline(write, code=tree(("a.py", 0o644, b"1")))
    assert upkeep.code_in_use() == {"tree-1"}
    with workspace.registry.transaction() as write:
        write.set_pipeline_status(published.id, 1, Status.DISABLED, DisabledBy.OPERATOR)
    assert upkeep.code_in_use() == set()
    a_run(runner, pipeline_id=published.id)
    assert upkeep.code_in_use() == {"tree-1"}


def test_what_is_under_way_is_counted(workspace, runner, upkeep):
    assert upkeep.standing().next_due is None
    held, first = on_timer(workspace, NOW - HOUR, "held"), on_timer(workspace, NOW + 5, "first")
    hold(workspace, held)
    a_run(runner, "run-1", first)
    a_run(runner, "run-2", first)
    with runner.transaction() as write:
        write.start_runs(["run-1"], NOW)
        write.record_attempts([attempt("run-1"), attempt("run-1", "b", state=AttemptState.FAILED)])
    seen = upkeep.standing()
    assert dict(seen.unfinished) == {"NotStarted": 1, "Running": 1}
    assert (seen.at, seen.steps, seen.held, seen.next_due) == (NOW, 1, 1, NOW + 5)


def test_the_doctor_is_told_of_sessions_zones_damage_and_the_newest_instant(
    workspace, runner, upkeep, ids
):
    (seen,) = upkeep.runners()
    assert (seen.host, seen.pid, seen.started_at, seen.ended_at) == ("here", 1, NOW, None)
    assert upkeep.damage() == []
    assert upkeep.zones() == {}
    assert upkeep.latest() == NOW
    assert upkeep.revision() == HEAD
    upkeep.check()


# A new beginning ------------------------------------------------------------------------------


def anew(upkeep, fires=(), moves=(), adopted=()):
    with upkeep.restoring() as restored:
        return restored.begin_anew(
            Anew(taken=NOW, at=NOW + DAY, fires=fires, moves=moves, adopted=adopted)
        )


def test_a_restored_ledger_cancels_what_waited_and_fails_what_ran_unseen(workspace, runner, upkeep):
    for run_id in ("waiting", "seen", "unseen"):
        a_run(runner, run_id)
    with runner.transaction() as write:
        write.start_runs(["seen", "unseen"], NOW)
        write.record_attempts([attempt("seen"), attempt("unseen")])
    runner.end_session()
    with upkeep.restoring() as restored:
        assert sorted(restored.running()) == ["seen", "unseen"]
    assert anew(upkeep, adopted=["seen"]) == {"canceled": 1, "failed": 1, "adopted": 1}
    said = "restored from a backup of 2026-05-28T20:26:40Z"
    assert {one.id: (one.state, one.reason) for one in runner.runs()} == {
        "waiting": (RunState.CANCELED, f"{said}; it may have run since"),
        "seen": (RunState.RUNNING, ""),
        "unseen": (RunState.FAILED, f"outcome unknown: {said}"),
    }
    tries = runner.attempts(["seen", "unseen"])
    assert tries["seen"][0].state is AttemptState.STARTING
    assert tries["unseen"][0].state is AttemptState.UNKNOWN
    assert runner.begin_session(host="here", pid=2)
    assert runner.take_over(0) == ["seen"]


def test_each_restore_begins_another_epoch(upkeep):
    assert upkeep.epoch() == 0
    anew(upkeep)
    first = upkeep.epoch()
    assert first == (NOW + DAY) // SECOND
    anew(upkeep)
    assert upkeep.epoch() == first + 1


def test_a_restored_timer_goes_on_from_now_with_one_row_about_the_gap(workspace, ledger, upkeep):
    schedule_id = on_timer(workspace, NOW - HOUR)
    with upkeep.restoring() as restored:
        ((here, timer),) = restored.armed()
    assert (here.id, timer.next_due, timer.processed_to) == (
        schedule_id,
        NOW - HOUR,
        NOW - MINUTE,
    )
    gap = fire(schedule_id, "g:1", decision=Decision.GAP, gate=Gate.RESTORE, count=9)
    anew(upkeep, [gap], [move(schedule_id, NOW + 2 * DAY)])
    assert due(ledger, NOW + DAY) == []
    assert ledger.fires(schedule_id) == [gap]


def test_a_restored_watch_begins_with_a_new_baseline_and_no_file_counts_twice(
    workspace, ledger, upkeep
):
    schedule_id = on_data(workspace)
    (watch,) = ledger.watches()
    record_poll(workspace, poll(watch.id, 1), (), [rewrite(page(b"a"))], place="ext4")
    record_poll(workspace, poll(watch.id, 2, added=1), [added(b"b")])
    with upkeep.restoring() as restored:
        ((behind, last),) = restored.behind()
    assert (behind.schedule_id, behind.cursor, last) == (schedule_id, 0, 1)
    anew(upkeep)
    (watch,) = ledger.watches()
    assert (watch.state, watch.poll_seq, watch.next_poll) == (
        WatchState.BASELINING,
        4,
        NOW + DAY,
    )
    assert (list(ledger.snapshot(watch.id)), watch.place) == ([], "")
    assert "restored from a backup" in ledger.polls(watch.id)[0].note
    with ledger.transaction() as write:
        assert write.arrivals(9) == []


def test_who_asked_for_the_files_that_are_there_asks_yet_after_a_restore(workspace, ledger, upkeep):
    on_data(workspace)
    record_poll(workspace, poll(1, 1), (), [rewrite(page(b"a"))], baseline=True)
    asking = on_data(workspace, "asking", existing=True)
    anew(upkeep)
    assert ledger.watches()[0].existing
    record_poll(workspace, poll(1, 4), (), [rewrite(page(b"b"))], baseline=True)
    with ledger.transaction() as write:
        (arrival,) = write.arrivals(9)
        assert (arrival.schedule_id, arrival.existing) == (asking, 4)
        assert [line.name for line in write.changes(1, arrival.cursor, 9)] == [b"b"]


def test_nobody_comes_back_to_where_a_watch_stood_before_a_restore(workspace, ledger, upkeep):
    gone = on_data(workspace)
    on_data(workspace, "stays")
    record_poll(workspace, poll(1, 1), baseline=True)
    with workspace.registry.transaction() as write:
        write.arm(gone, None)
    anew(upkeep)
    again = poll(1, 4, polled_at=NOW + 2 * DAY)
    assert record_poll(workspace, again, (), [rewrite(page(b"a"))], baseline=True)
    with workspace.registry.transaction() as write:
        assert write.resume(gone, watched(), NOW) is None


def test_a_ledger_is_not_made_usable_under_a_runner(runner, upkeep):
    with pytest.raises(WorkspaceBusy, match="a runner is at work"), upkeep.restoring():
        pass


def test_a_backup_tells_from_when_it_is(workspace, ledger, upkeep):
    a_run(ledger)
    assert upkeep.taken() == NOW
    upkeep.note_backup(NOW + HOUR)
    assert upkeep.taken() == NOW + HOUR


# The schema -----------------------------------------------------------------------------------


def test_the_schema_is_not_changed_under_a_runner_and_a_newer_one_never(workspaces, runner, upkeep):
    with pytest.raises(WorkspaceBusy, match="stop it first"):
        migrate(workspaces.path)
    runner.end_session()
    assert migrate(workspaces.path) == (HEAD, HEAD)
    with workspaces.open()._database.writing() as connection:
        driver(connection).execute("UPDATE alembic_version SET version_num = '9999'")
    for refused in (upkeep.check, workspaces.open, lambda: migrate(workspaces.path)):
        with pytest.raises(SchemaMismatch, match="written by a newer version of reconciler"):
            refused()
