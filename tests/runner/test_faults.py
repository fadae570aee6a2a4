"""One broken thing degrades itself: the loop goes on, and so does everything else."""

import json

import pytest

from reconciler.live import Provenance
from reconciler.run import RunState
from reconciler.settings import open_datastore
from tests.processes import until
from tests.runner.test_data import LANDING, SHOW, on_arrival
from tests.site import HELLO, minutely

SPECS = {"Schedule": "schedules", "Pipeline": "pipelines", "Datastore": "datastores"}


def newer(place, kind, name, *, remove=False):
    """Give an object a spec as a newer version of the program might write it."""
    spec = "json_remove(spec, '$.invented')" if remove else "json_set(spec, '$.invented', 1)"
    with place.workspace._database.writing() as connection:
        connection.exec_driver_sql(
            f"UPDATE {SPECS[kind]} SET spec = {spec} WHERE name = ?", (name,)
        )


def until_finished(place, name, count):
    """Pass until so many of a schedule's runs have finished, whatever others do."""
    for _ in range(1_000):
        place.step()
        if [run.state for run in place.runs(name)] == [RunState.FINISHED] * count:
            return
        place.daemon.wait(0.1)
    raise AssertionError(place.runs())


@pytest.fixture
def landing(place):
    folder = place.project / "landing" / "in"
    folder.mkdir(parents=True)
    return folder


def replaced_meanwhile(place, name, spec, digest="other"):
    """Publish another version of a pipeline that no project declares."""
    with place.registry.transaction() as tx:
        tx.publish(
            owner=None, name=name, spec=spec, digest=digest, code=None, provenance=Provenance()
        )


@pytest.mark.parametrize("pipeline", ["hello", "hello@latest"])
def test_a_schedule_that_cannot_be_read_stops_no_other(place, caplog, pipeline):
    place.apply(a=HELLO, b=minutely(), c=minutely("broken", pipeline))
    newer(place, "Schedule", "broken")
    place.forward(60)
    (run,) = place.finish()
    assert (run.schedule_name, run.state) == ("every-minute", RunState.FINISHED)
    (alert,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "schedule broken" in alert.getMessage()


def test_a_data_schedule_that_cannot_be_read_stops_no_other_on_its_folder(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival(settle="0s"), d=on_arrival("broken", settle="0s"))
    place.poll()
    newer(place, "Schedule", "broken")
    place.restart()
    (landing / "x.csv").write_text("data")
    place.forward(60)
    place.poll()
    (run,) = place.finish()
    assert (run.schedule_name, run.state) == ("on-arrival", RunState.FINISHED)


def test_a_waiting_run_of_a_schedule_that_cannot_be_read_waits_on_and_stops_no_other(place):
    place.apply(a=HELLO, b=minutely(), c=minutely("broken"))
    place.forward(60)
    place.daemon._ticker.tick()
    newer(place, "Schedule", "broken")
    place.restart()
    until_finished(place, "every-minute", 1)
    (run,) = place.runs("broken")
    assert run.state is RunState.NOT_STARTED


def test_what_a_pipeline_that_cannot_be_read_should_do_waits_for_a_program_that_can(place, caplog):
    place.apply(
        a=HELLO,
        b=minutely(),
        c=HELLO.replace("hello", "other"),
        d=minutely("o", "other", missed="all", overlap="allow"),
    )
    place.forward(60)
    place.daemon._ticker.tick()
    newer(place, "Pipeline", "other")
    place.restart()
    until_finished(place, "every-minute", 1)
    place.forward(60)
    until_finished(place, "every-minute", 2)
    (run,) = place.runs("o")
    assert not run.state.over
    alerts = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(alerts) == 2  # the run that was there, and the schedule
    newer(place, "Pipeline", "other", remove=True)
    place.restart()
    place.forward(60)
    place.finish()
    assert [run.state for run in place.runs("o")] == [RunState.FINISHED] * 3


def test_a_datastore_that_cannot_be_read_is_a_failed_poll(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival(), d=minutely(), e=HELLO)
    place.poll()
    newer(place, "Datastore", "landing")
    place.datastore = lambda name: open_datastore(place.ledger, name, place.secrets)
    place.restart()
    place.forward(60)
    place.poll()
    place.finish()
    assert len(place.runs("every-minute")) == 1
    assert "invented" in place.ledger.polls(1)[0].error


def test_a_listing_that_breaks_down_is_a_failed_poll(place, landing, caplog):
    place.apply(a=SHOW, b=LANDING, c=on_arrival())
    place.poll()
    place.datastore = {}.__getitem__
    place.restart()
    place.forward(60)
    place.poll()
    assert place.ledger.polls(1)[0].error == "KeyError('landing')"
    (alert,) = [record for record in caplog.records if record.levelname == "ERROR"]
    assert alert.exc_info


def test_a_trigger_edited_away_while_its_folder_is_listed_stops_nothing(place, landing):
    place.apply(a=SHOW, b=LANDING, c=on_arrival(), d=HELLO)
    place.step()
    until(lambda: place.daemon._observer._sights[1].looking.done)
    place.apply(c=minutely("on-arrival"))
    place.forward(60)
    (run,) = place.finish()
    assert run.state is RunState.FINISHED


def test_a_newer_version_that_needs_more_than_the_schedule_gives_fails_the_run(place):
    theirs = {"name": "theirs", "steps": [{"name": "say", "command": ["true"]}]}
    replaced_meanwhile(place, "theirs", json.dumps(theirs), digest="first")
    place.apply(b=minutely(pipeline="theirs@latest"))
    spec = json.dumps(
        {
            "name": "theirs",
            "parameters": {"who": {"type": "string"}},
            "steps": [{"name": "say", "command": ["echo", "${{ parameters.who }}"]}],
        }
    )
    replaced_meanwhile(place, "theirs", spec)
    place.forward(60)
    (run,) = place.finish()
    assert run.state is RunState.FAILED
    assert run.reason == "step say: pipeline 'theirs' needs a value for: who"


def test_a_clock_that_goes_back_is_told_and_decides_nothing_twice(place, caplog):
    place.apply(a=HELLO, b=minutely())
    place.forward(60)
    place.finish()
    place.forward(-45)
    place.step()
    (warning,) = [r for r in caplog.records if r.levelname == "WARNING"]
    assert warning.getMessage() == (
        "the clock went back by 45s; what was decided stays decided, "
        "and nothing more is due until 2026-03-02T12:01:00Z"
    )
    place.forward(45)
    place.finish()
    assert len(place.fires("every-minute")) == 1
    place.forward(60)
    place.finish()
    assert len(place.fires("every-minute")) == 2
