import dataclasses
from datetime import datetime, timedelta

import pytest
from deepdiff import DeepDiff
from hypothesis import given

from reconciler.data import Batch, DataPath, Datastore, DatastoreChange, FileChange, Initial
from reconciler.errors import InvalidValue
from reconciler.manifest.emit import to_data
from reconciler.manifest.shape import record_of
from reconciler.pipeline import Parameter, ParameterType, Pipeline, Resources, Step
from reconciler.plan.change import FieldChange, Reason, Side
from reconciler.plan.diff import field_changes, leave, settled
from reconciler.retries import Retries
from reconciler.schedule import (
    Cron,
    Deadline,
    Dst,
    FirstRun,
    Frequency,
    Missed,
    OnUnknown,
    Overlap,
    Recurrence,
    Schedule,
    Status,
    WallGap,
    WallOverlap,
    WeekDay,
)
from tests.manifest.strategies import datastores, pipelines, schedules
from tests.strategies import examples

DAILY = Recurrence(frequency=Frequency.DAY, hours=(6,))
NIGHTLY = Schedule(name="nightly", pipeline="score", trigger=DAILY)
WATCH = DatastoreChange(datastore="landing", include=("*.csv", "*.txt"))
ARRIVAL = Schedule(name="arrival", pipeline="score", trigger=WATCH)
STEP = Step(name="score", command=("score", "--fast"))
PREPARE = Step(name="prepare", command=("prepare",))
SCORE = Pipeline(name="score", steps=(STEP,))
LANDING = Datastore(name="landing", url="file:///landing")


def edited(value, **fields):
    return dataclasses.replace(value, **fields)


def paths(old, new):
    return [change.path for change in field_changes(old, new)]


def timed(**fields):
    return edited(NIGHTLY, trigger=edited(DAILY, **fields))


@pytest.mark.parametrize(
    ("applied", "live", "desired", "found"),
    [
        ("a", "a", "a", []),
        ("a", "a", "b", [("a", "b", "a", Side.GIT)]),
        ("a", "b", "a", [("b", "a", "a", Side.LIVE)]),
        ("a", "b", "c", [("b", "c", "a", Side.BOTH)]),
        ("a", "b", "b", []),
    ],
)
def test_the_third_side_tells_who_made_a_field_differ(applied, live, desired, found):
    sides = (edited(NIGHTLY, description=text) for text in (live, desired, applied))
    expected = tuple(FieldChange("description", *one) for one in found)
    assert field_changes(*sides) == expected


def test_what_git_says_now_and_somebody_had_set_is_settled():
    applied, live = NIGHTLY, edited(NIGHTLY, description="b", tags={"a": "b"})
    desired = edited(NIGHTLY, description="b", tags={"a": "c"})
    found = ("description", Reason.ALREADY_LIVE, "b", "b")
    assert list(settled(live, desired, applied)) == [found]
    (change,) = field_changes(live, desired, applied)
    assert (change.path, change.applied, change.side) == ("tags.a", None, Side.BOTH)


def test_a_command_is_ordered():
    swapped = edited(SCORE, steps=(edited(STEP, command=("--fast", "score")),))
    assert paths(SCORE, swapped) == ["steps.score.command"]


def test_a_list_without_repeats_is_a_set():
    assert paths(ARRIVAL, edited(ARRIVAL, trigger=edited(WATCH, include=("*.txt", "*.csv")))) == []
    fewer = edited(ARRIVAL, trigger=edited(WATCH, include=("*.txt",)))
    (change,) = field_changes(ARRIVAL, fewer)
    assert change.path == "trigger.datastore_change.include"
    assert change.old == ["*.txt", "*.csv"]
    assert change.old != ["*.txt"]
    needs = [edited(STEP, depends_on=names) for names in (("a", "b"), ("b", "a"), ("a",))]
    a, b = Step(name="a", command=("x",)), Step(name="b", command=("x",))
    one, two, three = (edited(SCORE, steps=(a, b, step)) for step in needs)
    assert paths(one, two) == []
    assert paths(one, three) == ["steps.score.depends_on"]
    hours = timed(hours=(6, 18)), timed(hours=(18, 6)), timed(hours=(6,))
    assert [paths(hours[0], hour) for hour in hours] == [[], [], ["trigger.recurrence.hours"]]


def test_the_order_of_a_mapping_says_nothing():
    one, two = (edited(NIGHTLY, tags=tags) for tags in ({"a": "1", "b": "2"}, {"b": "2", "a": "1"}))
    assert paths(one, two) == []


def test_steps_go_by_name_and_their_order_is_one_change():
    report = Step(name="report", command=("report",))
    both = edited(SCORE, steps=(PREPARE, STEP))
    (change,) = field_changes(both, edited(SCORE, steps=(STEP, PREPARE)))
    names = ["prepare", "score"]
    assert change == FieldChange.by_git("steps (order)", names, names[::-1])
    assert paths(both, edited(SCORE, steps=(PREPARE, report, STEP))) == ["steps.report"]
    moved = edited(SCORE, steps=(STEP, report, PREPARE))
    assert paths(both, moved) == ["steps.report", "steps (order)"]


def test_true_is_no_number_and_a_number_field_knows_only_values():
    given_ = [edited(NIGHTLY, pipeline_parameters={"x": value}) for value in (True, 1, "1", 1.0)]
    for one in given_:
        for other in given_:
            expected = [] if one is other else ["pipeline_parameters.x"]
            assert paths(one, other) == expected
    whole, point = (edited(ARRIVAL, trigger=edited(WATCH, polling_interval=n)) for n in (5, 5.0))
    assert paths(whole, point) == []


def test_what_only_says_what_to_do_once_is_no_difference():
    assert paths(NIGHTLY, edited(NIGHTLY, renamed_from="old")) == []


# Another valid value for every field of every kind, over a value in which it can be changed.
MONTHLY = edited(DAILY, frequency=Frequency.MONTH, hours=(), month_days=(1,))
WEEKLY = edited(DAILY, frequency=Frequency.WEEK)
STARTED = edited(DAILY, start_time=datetime(2026, 1, 1))  # noqa: DTZ001  (wall clock)
CRON = Cron(expression="0 6 * * *")
TYPED = Parameter(type=ParameterType.STRING)
DUE = Deadline(start=timedelta(hours=1), finish=timedelta(days=2))
TWICE = Dst(gap=WallGap.END)
SMALL = Resources(cpus=1)
KEYS = {"access_key_id": "${{ secret.ID }}", "secret_access_key": "${{ secret.KEY }}"}
BUCKET = Datastore(name="landing", url="s3://landing")
RETRIED = edited(STEP, retries=Retries(max=1))
LATER = datetime(2027, 1, 1)  # noqa: DTZ001  (wall clock)
FIELDS = [
    (DAILY, {"frequency": Frequency.WEEK, "interval": 2, "end_time": LATER, "time_zone": "Asia/Tokyo"}),
    (DAILY, {"hours": (7,), "minutes": (5,), "first_run": FirstRun.ALIGNED, "start_time": LATER}),
    (edited(DAILY, hours=()), {"time_of_day": "06:30"}),
    (WEEKLY, {"week_days": (WeekDay.MONDAY,)}),
    (MONTHLY, {"month_days": (1, -1)}),
    (STARTED, {"include_start": True}),
    (CRON, {"expression": "1 6 * * *", "time_zone": "Asia/Tokyo", "start_time": LATER, "end_time": LATER}),
    (WATCH, {"datastore": "x", "path_on_datastore": "x", "polling_interval": 6.5, "settle": timedelta(1)}),
    (WATCH, {"data_path_parameter_name": "x", "include": ("*.csv",), "ignore": ()}),
    (WATCH, {"recursive": True, "data_path": DataPath.DATASTORE, "changes": (FileChange.ADDED,)}),
    (WATCH, {"batch": Batch.PER_POLL, "initial": Initial.TRIGGER, "done_marker": "x", "min_size": 7}),
    (edited(WATCH, include=()), {"file": "x"}),
    (LANDING, {"name": "x", "description": "x", "url": "file:///x"}),
    (BUCKET, {"anonymous": True, "endpoint": "http://x", "region": "eu-north-1"}),
    (edited(BUCKET, url="az://x", account="abc"), {"account": "def"}),
    (NIGHTLY, {"name": "x", "description": "x", "pipeline": "x", "experiment_name": "x"}),
    (NIGHTLY, {"status": Status.DISABLED, "continue_on_step_failure": True, "overlap": Overlap.QUEUE}),
    (NIGHTLY, {"missed": Missed.ALL, "catchup_window": timedelta(1), "max_catchup": 7, "max_active_runs": 7}),
    (NIGHTLY, {"jitter": timedelta(1), "on_unknown": OnUnknown.WAIT, "pause_after_failures": 7, "pool": "x"}),
    (DUE, {"start": timedelta(1), "finish": timedelta(3)}),
    (TWICE, {"gap": WallGap.SKIP, "overlap": WallOverlap.BOTH}),
    (edited(STEP, resources=SMALL).resources, {"cpus": 2.0, "memory": "2Gi", "gpus": 1}),
    (SCORE, {"name": "x", "description": "x", "code": "x", "environment": "x", "continue_on_step_failure": True}),
    (SCORE, {"writes": ("landing/out",)}),
    (TYPED, {"type": ParameterType.DATAPATH, "default": "x", "description": "x"}),
    (STEP, {"command": ("x",), "timeout": timedelta(1), "env": {"A": "b"}}),
    (edited(STEP, command=(), shell="x"), {"shell": "y"}),
    (RETRIED.retries, {"max": 2, "backoff": timedelta(1)}),
]  # fmt: skip
NEST = {
    Recurrence: (lambda one: edited(NIGHTLY, trigger=one), "trigger.recurrence."),
    Cron: (lambda one: edited(NIGHTLY, trigger=one), "trigger.cron."),
    DatastoreChange: (lambda one: edited(ARRIVAL, trigger=one), "trigger.datastore_change."),
    Parameter: (lambda one: edited(SCORE, parameters={"p": one}), "parameters.p."),
    Step: (lambda one: edited(SCORE, steps=(one,)), "steps.score."),
    Deadline: (lambda one: edited(NIGHTLY, deadline=one), "deadline."),
    Dst: (
        lambda one: edited(NIGHTLY, trigger=edited(DAILY, dst=one)),
        "trigger.recurrence.dst.",
    ),
    Resources: (
        lambda one: edited(SCORE, steps=(edited(STEP, resources=one),)),
        "steps.score.resources.",
    ),
    Retries: (
        lambda one: edited(SCORE, steps=(edited(STEP, retries=one),)),
        "steps.score.retries.",
    ),
}
CASES = [(value, key, other) for value, others in FIELDS for key, other in others.items()]
# What a path cannot end with: the records and mappings above, and a name that goes elsewhere.
WHOLE = {
    (Schedule, "trigger"), (Schedule, "pipeline_parameters"), (Schedule, "tags"), (Datastore, "tags"),
    (Datastore, "credentials"), (Schedule, "renamed_from"), (Pipeline, "tags"), (Pipeline, "parameters"), (Pipeline, "steps"),
    (Step, "name"), (Step, "depends_on"), (Step, "retries"), (Step, "resources"),
    (Schedule, "retries"), (Schedule, "deadline"), (Recurrence, "dst"), (Cron, "dst"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "key", "other"), CASES, ids=lambda one: one if isinstance(one, str) else ""
)
def test_each_field_is_seen_as_itself(value, key, other):
    whole, prefix = NEST.get(type(value), (lambda one: one, ""))
    path = f"{prefix}{key}" + (".A" if key == "env" else "")
    (change,) = field_changes(whole(value), whole(edited(value, **{key: other})))
    assert change.path == path
    assert (change.applied, change.side) == (change.old, Side.GIT)


def test_no_field_of_any_kind_is_left_out():
    known = {(type(value), key) for value, key, _ in CASES} | WHOLE
    for cls in (Schedule, Datastore, Pipeline, *NEST):
        assert {(cls, one.name) for one in record_of(cls).members} <= known


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        (NIGHTLY, edited(NIGHTLY, tags={"a": "b"}), "tags.a"),
        (LANDING, edited(LANDING, tags={"a": "b"}), "tags.a"),
        (
            BUCKET,
            edited(BUCKET, credentials=KEYS),
            "credentials.access_key_id credentials.secret_access_key",
        ),
        (SCORE, edited(SCORE, tags={"a": "b"}), "tags.a"),
        (NIGHTLY, edited(NIGHTLY, pipeline_parameters={"a": 1}), "pipeline_parameters.a"),
        (SCORE, edited(SCORE, steps=(edited(STEP, name="x"),)), "steps.score steps.x"),
        (SCORE, edited(SCORE, steps=(RETRIED,)), "steps.score.retries"),
        (NIGHTLY, edited(NIGHTLY, trigger=CRON), "trigger.cron trigger.recurrence"),
    ],
)
def test_a_part_of_a_mapping_is_seen_as_itself(old, new, path):
    assert paths(old, new) == path.split()


def plain_leaves(data):
    """Write every list as text, for :mod:`deepdiff` to compare mappings and leaves alone."""
    if isinstance(data, dict):
        return {key: plain_leaves(value) for key, value in data.items()}
    return repr(data)


def by_deepdiff(old, new):
    """Give the paths at which DeepDiff finds two specs to differ."""
    sides = (plain_leaves(to_data(value, defaults=True)) for value in (old, new))
    # It is not to call mappings of few common keys one difference, nor to pass over `__dict__`.
    always = {"threshold_to_diff_deeper": 0, "ignore_private_variables": False}
    found = DeepDiff(*sides, view="tree", **always)
    return sorted(
        tuple(map(str, level.path(output_format="list")))
        for group in found.values()
        for level in group
    )


def ordered(one):
    """Let lists that are sets have one order, which DeepDiff does not know of."""
    trigger = one.trigger
    if isinstance(trigger, DatastoreChange):
        sets = {key: tuple(sorted(getattr(trigger, key))) for key in ("include", "ignore")}
        one = edited(one, trigger=edited(trigger, **sets))
    return one


@given(schedules().map(ordered), schedules().map(ordered))
@examples(80)
def test_two_schedules_differ_where_deepdiff_says_so(old, new):
    assert paths(old, new) == [".".join(path) for path in by_deepdiff(old, new)]


@given(datastores, datastores)
@examples(50)
def test_two_datastores_differ_where_deepdiff_says_so(old, new):
    assert paths(old, new) == [".".join(path) for path in by_deepdiff(old, new)]


@given(schedules() | pipelines() | datastores)
@examples(80)
def test_equal_values_do_not_differ(value):
    assert field_changes(value, edited(value), value) == ()
    assert list(settled(value, value, value)) == []


@given(pipelines(), pipelines())
@examples(30)
def test_what_differs_between_pipelines_are_their_differing_fields(old, new):
    new = edited(new, name=old.name)
    found = {path.split(".")[0].split(" ")[0] for path in paths(old, new)}
    fields = [one.name for one in record_of(Pipeline).members]
    sides = [to_data(value, defaults=True) for value in (old, new)]
    differing = {name for name in fields if repr(sides[0][name]) != repr(sides[1][name])}
    # Only the order of a mapping or of a set may differ without being a difference.
    assert found <= differing
    assert differing - found <= {"tags", "parameters", "steps"}


def test_what_others_may_set_stays_as_it_is_live():
    live = edited(NIGHTLY, description="theirs", tags={"a.b": "theirs", "c": "theirs"})
    desired = edited(NIGHTLY, description="ours", tags={"a.b": "ours", "d": "ours"})
    merged, found = leave(live, desired, ["tags.d", "tags.a.b", "description", "overlap"])
    assert merged == edited(desired, description="theirs", tags={"a.b": "theirs"})
    assert found == (
        ("description", Reason.IGNORED, "theirs", "ours"),
        ("tags.a.b", Reason.IGNORED, "theirs", "ours"),
        ("tags.d", Reason.IGNORED, None, "ours"),
    )
    whole, _ = leave(live, desired, ["tags"])
    assert whole.tags == live.tags


def test_a_whole_trigger_may_be_left_to_others():
    merged, _ = leave(ARRIVAL, edited(NIGHTLY, name="arrival", overlap=Overlap.ALLOW), ["trigger"])
    assert merged.trigger == WATCH


def test_the_order_of_a_set_is_left_to_nobody():
    swapped = edited(ARRIVAL, trigger=edited(WATCH, include=WATCH.include[::-1]))
    assert leave(ARRIVAL, swapped, ["trigger.datastore_change.include"]) == (swapped, ())


@pytest.mark.parametrize(
    "path", ["nothing.of.it", "nothing", "description.x", "name", "renamed_from"]
)
def test_a_path_that_leads_nowhere_leaves_nothing(path):
    desired = edited(NIGHTLY, name="other", renamed_from="nightly")
    assert leave(NIGHTLY, desired, [path]) == (desired, ())


def test_a_field_of_a_trigger_that_is_not_there_is_git_s():
    live = edited(NIGHTLY, trigger=CRON)
    assert leave(live, NIGHTLY, ["trigger.recurrence.hours"]) == (NIGHTLY, ())


def test_what_does_not_fit_together_is_told():
    desired = edited(NIGHTLY, trigger=CRON)
    with pytest.raises(InvalidValue):
        leave(NIGHTLY, desired, ["trigger.recurrence.hours"])
