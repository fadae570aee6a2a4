"""A restored workspace runs nothing twice and goes on from now."""

from contextlib import closing

import pytest

from reconciler.clock import DAY, HOUR, iso
from reconciler.reconcile.restore import begin_anew
from reconciler.run import Decision, Gate, RunState
from reconciler.workspace.sql.backup import open_upkeep
from reconciler.workspace.sql.connection import driver
from tests.site import HELLO, minutely, site

WATCHED = """
kind: Datastore
name: landing
url: file://{folder}
---
kind: Schedule
name: arrivals
pipeline: hello
trigger: {{datastore_change: {{datastore: landing, polling_interval: 1, settle: 0s}}}}
"""


@pytest.fixture
def place(tmp_path, workspaces):
    with site(tmp_path, workspaces=workspaces) as made:
        yield made


@pytest.fixture
def anew(place):
    """Begin anew, as if what is there was a backup of its newest instant."""

    def begin():
        place.ledger.end_session()
        with closing(open_upkeep(place.workspaces.path, place.clock)) as upkeep:
            taken = upkeep.taken()
            seen = place.folder / "attempts"
            counts = begin_anew(upkeep, lambda run_id: (seen / run_id).is_dir())
        place.ledger.begin_session(host="here", pid=2, node=place.node)
        place.restart()
        return taken, counts

    return begin


def test_what_came_due_since_the_backup_is_one_row_and_does_not_run(place, anew):
    place.apply(p=HELLO, s=minutely(missed="all", catchup_window="2h"))
    place.forward(90)
    place.finish()
    place.forward(3_600)
    taken, counts = anew()
    assert counts == {"schedules": 1, "canceled": 0, "failed": 0, "adopted": 0}
    place.step()
    gap, first = place.fires("every-minute")
    assert (gap.decision, gap.gate, gap.count) == (Decision.GAP, Gate.RESTORE, 60)
    assert gap.reason == f"restored from a backup of {iso(taken)}: what ran since then is not known"
    assert (iso(gap.due_at), iso(first.due_at)) == ("2026-03-02T12:02:00Z", "2026-03-02T12:01:00Z")
    place.forward(60)
    assert len(place.finish()) == 2
    assert place.fires("every-minute")[0].decision is Decision.LAUNCH


def test_the_one_immediate_run_of_a_new_schedule_may_have_run_since(place, anew):
    place.apply(
        p=HELLO,
        s="kind: Schedule\nname: new\npipeline: hello\ntrigger: {recurrence: {frequency: Day}}\n",
    )
    anew()
    place.step()
    (gap,) = place.fires("new")
    assert (gap.gate, gap.count) == (Gate.RESTORE, 1)
    assert place.runs() == []


def test_a_schedule_without_anything_due_since_has_no_row(place, anew):
    place.apply(p=HELLO, s=minutely())
    assert anew()[1]["schedules"] == 0
    assert place.fires("every-minute") == []


def test_waiting_runs_are_canceled_and_running_ones_asked_about(place, anew):
    place.apply(p=HELLO.replace("[echo, hello]", "[sleep, '600']"), s=minutely(overlap="queue"))
    place.forward(60)
    place.step()
    place.forward(60)
    place.step()
    counts = anew()[1]
    assert (counts["canceled"], counts["adopted"], counts["failed"]) == (1, 1, 0)
    place.step()
    waiting, running = place.runs()
    assert waiting.state is RunState.CANCELED
    assert "it may have run since" in waiting.reason
    assert running.state is RunState.RUNNING


def test_a_running_run_whose_evidence_is_not_here_fails_with_the_reason(place, anew):
    place.apply(p=HELLO.replace("[echo, hello]", "[sleep, '600']"), s=minutely())
    place.forward(60)
    place.step()
    (run,) = place.runs()
    (place.folder / "attempts" / run.id).rename(place.folder / "elsewhere")
    assert anew()[1]["failed"] == 1
    (run,) = place.runs()
    (place.folder / "elsewhere").rename(place.folder / "attempts" / run.id)
    tries = place.ledger.attempts([run.id])[run.id]
    place.executor.cancel([attempt.id for attempt in tries])
    assert run.state is RunState.FAILED
    assert run.reason.startswith("outcome unknown: restored from a backup")


def test_files_that_came_since_the_backup_belong_to_the_new_baseline(place, anew):
    landing = place.folder / "landing"
    landing.mkdir()
    place.apply(p=HELLO, s=WATCHED.format(folder=landing))
    place.poll()
    (landing / "since").touch()
    anew()
    place.poll()
    assert place.runs() == []
    (landing / "new").touch()
    place.forward(61)
    place.poll()
    place.finish()
    (run,) = place.runs()
    assert run.facts["path"] == "new"


def test_changes_that_were_logged_and_not_decided_are_one_row(place, anew):
    landing = place.folder / "landing"
    landing.mkdir()
    place.apply(p=HELLO, s=WATCHED.format(folder=landing))
    place.poll()
    with place.registry.transaction() as write:
        from reconciler.workspace.records import Hold

        here = place.schedule("arrivals")
        write.hold(here.id, Hold(who="ann", why="audit", since=place.clock.instant, until=None))
    for name in ("a", "b"):
        (landing / name).touch()
    place.forward(61)
    place.poll()
    assert anew()[1]["schedules"] == 1
    (gap,) = place.fires("arrivals")
    assert (gap.gate, gap.count) == (Gate.RESTORE, 2)


def test_a_schedule_that_cannot_be_read_here_is_left_to_the_runner(place, anew):
    place.apply(p=HELLO, s=minutely())
    with place.registry.transaction() as write:
        here = place.schedule("every-minute")
        spec = here.spec.replace('"frequency":"Minute"', '"frequency":"Minute","time_zone":"Mars"')
        write.update_schedule(
            here.id,
            here.revision,
            spec=spec,
            pipeline_id=here.pipeline_id,
            status=here.status,
            disabled_by=None,
            provenance=here.provenance,
        )
    place.forward(90)
    assert anew()[1]["schedules"] == 0
    place.step()
    assert place.runs() == []


def test_a_schedule_that_is_over_stays_over(place, anew):
    place.apply(p=HELLO, s=minutely(name="late"))
    place.clock.instant += 400 * DAY + HOUR
    assert anew()[1]["schedules"] == 1
    place.step()
    assert place.fires("late")[0].count == 400 * 24 * 60 + 60


def test_the_runs_of_another_epoch_have_other_ids(place, anew):
    landing = place.folder / "landing"
    landing.mkdir()
    place.apply(p=HELLO, s=WATCHED.format(folder=landing))
    place.poll()
    (landing / "a").touch()
    place.forward(61)
    place.poll()
    (before,) = place.finish()
    anew()
    place.poll()
    # As if the backup had been taken before the first file came.
    watch = place.ledger.watches()[0].id
    with place.workspace._database.writing() as connection:
        raw = driver(connection)
        raw.execute("UPDATE watches SET change_seq = 0 WHERE id = ?", (watch,))
        raw.execute("UPDATE cursors SET cursor = 0 WHERE watch_id = ?", (watch,))
        raw.execute("DELETE FROM changes")
        raw.execute("DELETE FROM fires")
    assert place.ledger.epoch() > 0
    (landing / "b").touch()
    place.forward(61)
    place.poll()
    after, _ = place.finish()
    assert after.occurrence_key == before.occurrence_key
    assert after.id != before.id
    assert place.log(after, "say") == "hello\n"
