"""A runner stopped before or after any one of its effects: the next one loses and repeats nothing."""

import itertools
import random
from collections import Counter

import pytest

from reconciler.clock import MINUTE, SystemClock
from reconciler.reconcile import operate
from reconciler.run import Decision, RunState
from reconciler.schedule import Missed
from tests.site import minutely, site

EFFECTS = 200  # about as many as the story below has
LANDING = "kind: Datastore\nname: landing\nurl: file:landing\n"
ARRIVALS = """
kind: Schedule
name: arrivals
pipeline: mark
trigger:
  datastore_change:
    {datastore: landing, settle: 0s, polling_interval: 0.5, data_path_parameter_name: file}
"""


class StoppedError(BaseException):
    pass


def pipeline(started):
    said = f'echo "$RECONCILER_RUN_ID/$RECONCILER_STEP/$RECONCILER_ATTEMPT" >> {started}'
    return f"""
kind: Pipeline
name: mark
parameters: {{file: {{type: datapath, default: landing/none}}}}
steps:
  - name: first
    command: [sh, -c, '{said}; test $RECONCILER_ATTEMPT = 2']
    retries: {{max: 1, backoff: 0s}}
  - {{name: second, depends_on: [first], command: [sh, -c, '{said}']}}
"""


def over(place):
    """Pass until the runs of both schedules are over; a runner that is stopped is followed by one."""
    for passes in range(1_000):
        try:
            place.step()
        except StoppedError:
            place.restart()
        runs = place.runs()
        if len(runs) == 2 and all(run.state.over for run in runs):
            return runs
        place.daemon.wait(0.05)
        if passes % 50 == 49:
            place.forward(11)  # a submission that was lost is made again
    raise AssertionError(place.runs())


def stop_at(place, effect):
    """Go on with a runner that stops after the ``effect``-th thing it does through its ports."""
    counted = itertools.count(1)

    def tell(*_):
        if next(counted) == effect:
            raise StoppedError

    place.restart(tell)


def finished_once(place, started):
    """See both runs to their end, each attempt started once."""
    runs = over(place)
    assert {run.state for run in runs} == {RunState.FINISHED}
    made = [a.id for tries in place.ledger.attempts(r.id for r in runs).values() for a in tries]
    assert Counter(started.read_text().split()) == Counter(made)
    assert len(made) == 6


@pytest.mark.parametrize("part", range(8))
def test_a_runner_stopped_at_any_effect_is_followed_by_one_that_loses_and_repeats_nothing(
    tmp_path, part
):
    effect = random.randrange(1 + part * EFFECTS // 8, 1 + (part + 1) * EFFECTS // 8)
    print(f"stopped at effect {effect}")
    with site(tmp_path) as place:
        # The evidence of what ended bears the machine's time.
        place.clock.instant = SystemClock().now() // MINUTE * MINUTE + MINUTE
        (place.project / "landing").mkdir()
        started = tmp_path / "started"
        place.apply(
            a=pipeline(started), b=minutely(pipeline="mark", overlap="queue"), c=LANDING, d=ARRIVALS
        )
        place.poll()
        (place.project / "landing" / "x").write_text("x")
        place.forward(60)
        stop_at(place, effect)
        finished_once(place, started)
        assert len(place.fires("every-minute")) == len(place.fires("arrivals")) == 1


@pytest.mark.parametrize("part", range(4))
def test_the_end_of_a_hold_is_decided_once_wherever_the_runner_is_stopped(tmp_path, part):
    effect = random.randrange(1 + part * EFFECTS // 4, 1 + (part + 1) * EFFECTS // 4)
    print(f"stopped at effect {effect}")
    with site(tmp_path) as place:
        place.clock.instant = SystemClock().now() // MINUTE * MINUTE + MINUTE
        (place.project / "landing").mkdir()
        started = tmp_path / "started"
        place.apply(
            a=pipeline(started), b=minutely(pipeline="mark", overlap="queue"), c=LANDING, d=ARRIVALS
        )
        place.poll()
        for name, catchup in (("every-minute", Missed.LAST), ("arrivals", Missed.ALL)):
            operate.hold_schedule(
                place.registry, name, who="ann", why="audit", until=None, catchup=catchup
            )
        (place.project / "landing" / "x").write_text("x")
        place.forward(60)
        place.poll()
        place.forward(121)
        for name in ("every-minute", "arrivals"):
            operate.release_schedule(place.registry, name)
        stop_at(place, effect)
        finished_once(place, started)
        fires = [(fire.decision, fire.count) for fire in place.fires("every-minute")]
        assert sorted(fires) == [(Decision.GAP, 2), (Decision.LAUNCH, 1)]
        assert len(place.fires("arrivals")) == 1
        assert place.schedule("every-minute").hold is place.schedule("arrivals").hold is None
