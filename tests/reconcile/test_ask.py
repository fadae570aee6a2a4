"""What somebody asks for by hand, and what asking twice means."""

import pytest

from reconciler.errors import NotFound, Refused
from reconciler.reconcile import ask, operate
from reconciler.run import Gate, RunState
from reconciler.schedule import OnUnknown
from tests.site import HELLO, minutely

MINUTE = 60_000_000
PARAMETERS = """
kind: Pipeline
name: hello
parameters: {word: {type: string}, size: {type: integer, default: 1}}
steps: [{name: say, command: [echo, "${{ parameters.word }}"]}]
"""


def run(place, name="every-minute", token="t1", **given):
    return ask.run_schedule(place.registry, place.ledger, name, given, token)


def test_a_run_by_hand_is_asked_for_once_per_token(place):
    place.apply(a=HELLO, b=minutely())
    first, again = run(place), run(place)
    assert (first.again, again.again) == (False, True)
    assert first.run == again.run
    (done,) = place.finish()
    assert (done.state, done.schedule_name) == (RunState.FINISHED, "every-minute")
    (fire,) = place.fires("every-minute")
    assert (fire.occurrence_key, fire.reason) == ("m:t1", "asked for by hand")
    assert (fire.gate, fire.run_id) == (Gate.ASKED, done.id)
    assert run(place).run.state is RunState.FINISHED


@pytest.mark.parametrize("token", ["", "a\0b", "a\udcffb", "a\nb", "x" * 201])
def test_a_token_is_something_that_every_database_can_keep(place, token):
    place.apply(a=HELLO, b=minutely())
    with pytest.raises(Refused, match="is no token; use printable characters, at most 200"):
        run(place, token=token)
    with pytest.raises(Refused, match="is no token"):
        ask.run_pipeline(place.registry, place.ledger, "hello", "e", {}, token)
    assert run(place, token="Montag, früh" + "x" * 188).run.state is RunState.NOT_STARTED


def test_one_token_means_a_run_of_each_schedule(place):
    place.apply(a=HELLO, b=minutely(), c=minutely("other"))
    assert run(place).run.id != run(place, "other").run.id
    assert len(place.finish()) == 2


def test_a_token_is_not_used_for_other_parameters(place):
    place.apply(a=PARAMETERS, b=minutely(pipeline_parameters="{word: hi}"))
    run(place, size=2)
    with pytest.raises(
        Refused, match=r"token 't1' was used for run .* with other parameters; choose a new"
    ):
        run(place, size=3)
    with pytest.raises(Refused, match="with other parameters"):
        run(place)
    assert run(place, size=2).again


def test_a_token_stays_that_of_its_run_when_the_pipeline_has_moved_on(place):
    place.apply(a=PARAMETERS, b=minutely(pipeline_parameters="{word: hi}"))
    first = run(place, size=2)
    place.apply(a=PARAMETERS.replace("default: 1", "default: 7"))
    assert run(place, size=2).run == first.run
    assert run(place).run == first.run
    with pytest.raises(Refused, match="with another pipeline"):
        run(place, size=3)


def test_a_run_by_hand_freezes_how_its_schedule_wants_runs_to_go(place):
    place.apply(
        a=HELLO,
        b=minutely(
            pool="gpu",
            retries="{max: 2, backoff: 5m}",
            on_unknown="wait",
            deadline="{start: 10m, finish: 2h}",
            continue_on_step_failure="true",
        ),
    )
    made, now = run(place).run, place.clock.now()
    assert (made.pool, made.retries.max, made.on_unknown) == ("gpu", 2, OnUnknown.WAIT)
    assert (made.start_by, made.finish_by) == (now + 10 * MINUTE, now + 120 * MINUTE)
    assert made.continue_on_step_failure


def test_a_pipeline_is_run_by_hand_with_parameters(place):
    place.apply(a=PARAMETERS)
    with pytest.raises(Refused, match="needs a value for: word"):
        ask.run_pipeline(place.registry, place.ledger, "hello", "e", {}, "t")
    asked = ask.run_pipeline(place.registry, place.ledger, "hello@1", "e", {"word": "hi"}, "t")
    (done,) = place.finish()
    assert place.log(done, "say") == "hi\n"
    assert (done.experiment_name, done.schedule_id) == ("e", None)
    assert [experiment.name for experiment in place.registry.experiments()] == ["e"]
    assert done.id == asked.run.id


def test_a_token_is_not_used_for_another_pipeline(place):
    place.apply(a=HELLO, b=HELLO.replace("hello", "other"))
    ask.run_pipeline(place.registry, place.ledger, "hello", "e", {}, "t")
    with pytest.raises(Refused, match="with another pipeline"):
        ask.run_pipeline(place.registry, place.ledger, "other", "e", {}, "t")


def test_what_a_schedule_runs_may_be_gone(place):
    place.apply(a=HELLO, b=minutely())
    with pytest.raises(NotFound, match="no schedule 'nothing'"):
        run(place, "nothing")
    with pytest.raises(NotFound, match="no parameter 'x'"):
        run(place, x=1)
    here = place.schedule("every-minute")
    assert ask.bound(place.registry.live(), here).name == "hello"
    assert operate.find_schedule(place.registry.live(), here.id) == here


@pytest.mark.parametrize("pipeline", ["hello", "hello@latest"])
def test_what_is_asked_for_by_name_is_read_without_all_the_rest(place, pipeline):
    place.apply(a=HELLO, b=minutely(pipeline=pipeline), c=minutely("other"))
    here = place.schedule("every-minute")
    for name in (here.name, here.id):
        found = operate.registered(place.registry, name)
        assert found.schedules == (here,)
        assert [version.name for version in found.pipelines] == ["hello"]
        assert run(place, name, token=name).run.schedule_id == here.id
    for name in ("hello", "hello@1", found.pipelines[0].id):
        assert operate.registered(place.registry, name).pipelines == found.pipelines
    nothing = operate.registered(place.registry, "nothing")
    assert (nothing.schedules, nothing.pipelines) == ((), ())
