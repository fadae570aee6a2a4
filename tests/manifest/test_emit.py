from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.data import Datastore, DatastoreChange
from reconciler.errors import InvalidValue
from reconciler.manifest.emit import from_data, to_data, to_yaml
from reconciler.manifest.load import Document, load
from reconciler.manifest.project import Project, load_project
from reconciler.pipeline import Parameter, ParameterType, Pipeline, Step
from reconciler.retries import Retries
from reconciler.schedule import Cron, FirstRun, Frequency, Recurrence, Schedule, Status, WeekDay
from tests.manifest.strategies import HOSTILE, UNHURRIED, projects, texts, values

NIGHTLY = Schedule(
    name="nightly",
    pipeline="batch-scoring",
    status=Status.DISABLED,
    trigger=Recurrence(
        frequency=Frequency.WEEK,
        start_time=datetime.fromisoformat("2026-01-31T09:00:00.250"),
        time_zone="Europe/Paris",
        week_days=(WeekDay.THURSDAY, WeekDay.MONDAY),
        time_of_day="06:30",
        first_run=FirstRun.ALIGNED,
    ),
    pipeline_parameters={"batch_size": 512, "rate": 5e-05, "text": "1", "flag": True},
    catchup_window=timedelta(minutes=90),
)


def exact(value) -> str:
    """Tell 1 from 1.0 and True, which are equal; a fold means nothing to a wall clock."""
    return repr(value).replace(", fold=1)", ")")


def loaded(text: str):
    result = load([Document("f.yml", text.encode())])
    assert result.problems == ()
    (declared,) = (
        *result.schedules.values(),
        *result.pipelines.values(),
        *result.datastores.values(),
    )
    return declared.value


@given(values)
@settings(UNHURRIED, max_examples=150)
def test_what_is_written_as_yaml_loads_as_the_same_value_down_to_its_types(value):
    assert exact(loaded(to_yaml(value))) == exact(value)


@given(values)
@settings(UNHURRIED, max_examples=100)
def test_plain_data_that_went_through_json_is_the_same_value_again(value):
    stored = json.dumps(to_data(value))
    again = from_data(type(value), json.loads(stored))
    assert exact(again) == exact(value)
    assert json.dumps(to_data(again)) == stored


@given(projects())
@settings(UNHURRIED, max_examples=40)
def test_a_project_file_is_written_and_read_the_same_way(project):
    assert load_project("reconciler.yml", to_yaml(project).encode()) == (project, ())


@given(st.dictionaries(texts, texts, max_size=4))
@settings(UNHURRIED)
def test_other_yaml_readers_see_the_same_texts(tags):
    text = to_yaml(Datastore(name="a", url="file:b", tags=tags))
    try:
        seen = yaml.safe_load(text)
    except yaml.YAMLError:
        seen = yaml.load(text, yaml.CSafeLoader)
    assert seen.get("tags", {}) == tags


@pytest.mark.parametrize("text", HOSTILE)
def test_every_hostile_text_comes_back(text):
    step = Step(name="s", command=(text,) if "${{" not in text else ("x",))
    value = Pipeline(name="p", description=text, tags={text: text}, steps=(step,))
    assert loaded(to_yaml(value)) == value


def test_the_canonical_data_of_a_schedule():
    assert to_data(NIGHTLY) == {
        "name": "nightly",
        "pipeline": "batch-scoring",
        "experiment_name": "nightly",
        "status": "Disabled",
        "trigger": {
            "recurrence": {
                "frequency": "Week",
                "start_time": "2026-01-31T09:00:00.250000",
                "time_zone": "Europe/Paris",
                "week_days": ["Monday", "Thursday"],
                "time_of_day": "06:30",
                "first_run": "aligned",
            }
        },
        "pipeline_parameters": {"batch_size": 512, "rate": 5e-05, "text": "1", "flag": True},
        "overlap": "skip",
        "catchup_window": "1h30m",
    }


def test_plain_data_may_keep_its_defaults():
    data = to_data(NIGHTLY, defaults=True)
    assert data["max_catchup"] == 100
    assert data["trigger"]["recurrence"]["end_time"] is None
    assert from_data(Schedule, data) == NIGHTLY


def test_a_manifest_reads_as_a_person_would_write_it():
    assert (
        to_yaml(NIGHTLY, "../schemas/schedule.schema.json")
        == """\
# yaml-language-server: $schema=../schemas/schedule.schema.json
kind: Schedule
name: nightly
pipeline: batch-scoring
status: Disabled
trigger:
  recurrence:
    frequency: Week
    start_time: "2026-01-31T09:00:00.250000"
    time_zone: Europe/Paris
    week_days: [Monday, Thursday]
    time_of_day: "06:30"
    first_run: aligned
pipeline_parameters:
  batch_size: 512
  rate: 5e-05
  text: "1"
  flag: true
catchup_window: 1h30m
"""
    )


def test_steps_scripts_and_long_commands_stay_readable():
    value = Pipeline(
        name="p",
        parameters={"size": Parameter(type=ParameterType.INTEGER, default=3)},
        steps=(
            Step(
                name="prepare",
                shell="set -e\n  ./prepare.sh\n\n./check.sh\n",
                retries=Retries(max=2),
            ),
            Step(
                name="train",
                command=("python", "train.py", "--n", "${{ parameters.size }}"),
                depends_on=("prepare",),
            ),
            Step(name="long", command=("python", "x" * 60, "y" * 60), retries=Retries()),
        ),
    )
    assert (
        to_yaml(value)
        == f"""\
kind: Pipeline
name: p
parameters:
  size:
    type: integer
    default: 3
steps:
  - name: prepare
    shell: |
      set -e
        ./prepare.sh

      ./check.sh
    retries:
      max: 2
  - name: train
    command: [python, train.py, --n, "${{{{ parameters.size }}}}"]
    depends_on: [prepare]
  - name: long
    command:
      - python
      - {"x" * 60}
      - {"y" * 60}
    retries: {{}}
"""
    )


def test_a_number_has_one_spelling_and_an_empty_list_is_not_its_default():
    watch = DatastoreChange(datastore="landing", polling_interval=7.0, ignore=())
    assert (
        json.dumps(to_data(watch))
        == '{"datastore": "landing", "polling_interval": 7, "ignore": []}'
    )
    value = Schedule(name="s", pipeline="p", trigger=watch)
    assert "    polling_interval: 7\n    ignore: []\n" in to_yaml(value)


def test_what_another_field_forces_is_written_and_what_the_class_fills_in_is_not():
    recurrence = Recurrence(
        frequency=Frequency.DAY, start_time=datetime.fromisoformat("2026-01-01"), include_start=True
    )
    text = to_yaml(Schedule(name="s", pipeline="p", trigger=recurrence))
    assert "include_start: true" in text
    assert "experiment_name" not in text
    assert "overlap" not in text
    cron = Cron(expression="0 6 * * *")
    assert "experiment_name: x" in to_yaml(
        Schedule(name="s", pipeline="p", experiment_name="x", trigger=cron)
    )


@pytest.mark.parametrize(
    ("data", "faults"),
    [
        ({"name": "a"}, [((), "missing key 'url'; write for example url: file:///data/landing")]),
        ({"name": "a", "url": "file:b", "kind": "Datastore", "tags": {"x": 1}},
         [(("tags", "x"), "each value of tags must be text, not 1; put it in quotes")]),
        ({"name": "a", "url": "file:b", "colour": None},
         [(("colour",), ("unknown key 'colour'; known keys are name, description, url, "
          "account, endpoint, region, anonymous, credentials, tags"))]),
        ({"name": float("nan"), "url": float("inf"), "description": None},
         [(("name",), "name: '.nan' is not a finite number; quote it if it is text"),
          (("url",), "url must be text; put it in quotes")]),
        ({"name": "a", "url": "file:b", "kind": "Schedule"}, [(("kind",), "kind must be Datastore")]),
        ({"name": ["a"], "url": True},
         [(("name",), "name must be text, not a list"), (("url",), "url must be text; put it in quotes")]),
        ({"name": "a", "url": object}, [(("url",), "a type is not plain data; give text instead")]),
    ],
)  # fmt: skip
def test_wrong_plain_data_is_refused_with_the_path_of_each_fault(data, faults):
    with pytest.raises(InvalidValue) as caught:
        from_data(Datastore, data)
    assert list(caught.value.faults) == faults


def test_plain_data_without_end_is_refused():
    data = {"name": "a", "url": "file:b"}
    data["tags"] = data
    with pytest.raises(InvalidValue, match="nested more than 32 levels deep"):
        from_data(Datastore, data)


def test_plain_data_of_another_shape_is_refused():
    with pytest.raises(InvalidValue, match="Datastore must be a mapping"):
        from_data(Datastore, ["a"])
    with pytest.raises(InvalidValue, match="must be a mapping"):
        from_data(Project, None)
