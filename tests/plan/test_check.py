import pytest

from reconciler.live import Live
from reconciler.plan.check import problems
from reconciler.schedule import Status
from tests.plan.world import (
    ALL,
    ARRIVAL,
    LANDING,
    NIGHTLY,
    OTHER,
    PIPELINE,
    applied,
    desired,
    said,
    with_pipelines,
    with_schedule,
)

UNKNOWN = "neither declared here nor registered in the workspace"
BUCKET = LANDING.replace("file:///landing", "s3://landing")
NO_FOLDER = (
    "datastore 'landing' is no folder, so no program can open its files; "
    "write data_path: datastore, and let the step run `reconciler get`"
)
CASES = {
    "an unknown pipeline": (
        (NIGHTLY,),
        [f"0.yml:4:11: pipeline 'score' is {UNKNOWN}"],
    ),
    "a misspelt pipeline": (
        (PIPELINE, LANDING, NIGHTLY.replace("pipeline: score", "pipeline: scor")),
        [f"2.yml:4:11: pipeline 'scor' is {UNKNOWN}; did you mean 'score'?"],
    ),
    "a version that is not there": (
        (PIPELINE, LANDING, NIGHTLY.replace("pipeline: score", "pipeline: score@7")),
        [f"2.yml:4:11: pipeline 'score@7' is {UNKNOWN}; did you mean 'score'?"],
    ),
    "an unknown datastore": (
        (PIPELINE.replace(", default: landing/x.csv", ""), ARRIVAL),
        [f"1.yml:5:43: datastore 'landing' is {UNKNOWN}"],
    ),
    "a path that no program can open": (
        (
            PIPELINE,
            BUCKET,
            ARRIVAL.replace("datastore: landing", "datastore: landing, data_path: local"),
        ),
        [f"2.yml:5:63: {NO_FOLDER}"],
    ),
    "a parameter the pipeline does not have": (
        (PIPELINE, LANDING, NIGHTLY.replace("{size: 2}", "{sise: 2}")),
        ["2.yml:6:30: pipeline 'score' has no parameter 'sise'; did you mean 'size'?"],
    ),
    "a parameter with nothing like it": (
        (PIPELINE, LANDING, NIGHTLY.replace("{size: 2}", "{q: 2}")),
        ["2.yml:6:26: pipeline 'score' has no parameter 'q' (known: input, size)"],
    ),
    "a parameter of another type": (
        (PIPELINE, LANDING, NIGHTLY.replace("{size: 2}", "{size: '2'}")),
        ["2.yml:6:30: parameter 'size' of 'score' is of type integer, not string"],
    ),
    "a parameter without any value": (
        (PIPELINE.replace(", default: 1", ""), LANDING, NIGHTLY.replace("{size: 2}", "{}")),
        [
            (
                "2.yml:6:22: parameter 'size' of pipeline 'score' has no default; "
                "give it in pipeline_parameters"
            )
        ],
    ),
    "a data path parameter that is not there": (
        (PIPELINE, LANDING, ARRIVAL.replace("name: input", "name: inputs")),
        ["2.yml:5:79: pipeline 'score' has no parameter 'inputs'; did you mean 'input'?"],
    ),
    "a data path parameter of another type": (
        (PIPELINE, LANDING, ARRIVAL.replace("name: input", "name: size")),
        [
            (
                "2.yml:5:79: parameter 'size' of 'score' is of type integer; "
                "it must be datapath to receive a file's path"
            )
        ],
    ),
    "a data path without a path": (
        (PIPELINE, LANDING, NIGHTLY.replace("{size: 2}", "{input: landing}")),
        ["2.yml:6:31: 'landing' is not a data path; write datastore/relative/path"],
    ),
    "a data path that leaves its datastore": (
        (PIPELINE, LANDING, NIGHTLY.replace("{size: 2}", "{input: landing/../x}")),
        ["2.yml:6:31: 'landing/../x' leaves its datastore; remove the '..'"],
    ),
    "a default data path in an unknown datastore": (
        (PIPELINE.replace("landing/x.csv", "landin/x.csv"), LANDING),
        [f"0.yml:6:36: datastore 'landin' is {UNKNOWN}; did you mean 'landing'?"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_reference_that_does_not_resolve_is_located(case):
    texts, expected = CASES[case]
    found = said(desired(*texts), Live())
    assert [line.split(": ", 1)[1] for line in found] == [e.split(": ", 1)[1] for e in expected]
    places = [line.split(": ", 1)[0].split(":")[:2] for line in found]
    assert places == [e.split(": ", 1)[0].split(":")[:2] for e in expected]


def test_a_data_path_into_a_known_datastore_is_fine():
    texts = (PIPELINE, LANDING, NIGHTLY.replace("{size: 2}", "{input: landing/y.csv}"))
    assert said(desired(*texts), Live()) == []


def test_everything_declared_together_fits():
    assert said(desired(*ALL), Live()) == []


def test_a_reference_may_be_to_what_is_registered():
    live = applied(PIPELINE, LANDING, owner=OTHER)
    assert said(desired(NIGHTLY, ARRIVAL), live) == []
    by_version = NIGHTLY.replace("pipeline: score", "pipeline: score@1")
    by_id = NIGHTLY.replace("pipeline: score", "pipeline: score-1")
    late = NIGHTLY.replace("pipeline: score", "pipeline: score@latest")
    for text in (by_version, by_id, late):
        assert said(desired(text), live) == []


def test_what_is_registered_and_cannot_be_run_is_not_called_unknown():
    live = applied(PIPELINE, LANDING, owner=OTHER)
    disabled = with_pipelines(live, status=Status.DISABLED)
    for reference in ("score", "score@latest", "score@1", "score-1"):
        text = NIGHTLY.replace("pipeline: score", f"pipeline: {reference}")
        (line,) = said(desired(text), disabled)
        assert line.endswith(
            "pipeline 'score@1' is Disabled; enable it first: reconciler enable pipeline score@1"
        )
    (line,) = said(desired(NIGHTLY.replace("pipeline: score", "pipeline: score@7")), live)
    assert line.endswith("pipeline 'score' has no such version; the newest is score@1")


def test_a_schedule_that_runs_a_version_its_operator_retired_is_left_alone():
    by_version = NIGHTLY.replace("pipeline: score", "pipeline: score@1")
    live = applied(by_version, live=applied(PIPELINE, LANDING, owner=OTHER))
    retired = with_pipelines(live, status=Status.DISABLED)
    assert said(desired(by_version), retired) == []
    assert said(desired(by_version + "status: Disabled\n"), retired) == []
    gone = with_schedule(retired, "nightly", status=Status.DISABLED)
    assert len(said(desired(by_version), gone)) == 1
    assert said(desired(by_version + "status: Disabled\n"), gone) == []


def test_a_version_that_this_apply_enables_again_may_be_named():
    by_version = NIGHTLY.replace("pipeline: score", "pipeline: score@1")
    retired = with_pipelines(applied(PIPELINE, LANDING), status=Status.DISABLED)
    assert said(desired(PIPELINE, LANDING, by_version), retired) == []


def test_a_pipeline_that_this_apply_would_take_away_cannot_be_used():
    (line,) = said(desired(LANDING, NIGHTLY), applied(*ALL))
    assert line.endswith(
        "pipeline 'score' is no longer declared, but this schedule uses it; "
        "declare it again or remove the schedule"
    )


def test_a_datastore_that_this_apply_would_remove_cannot_be_watched():
    plain = PIPELINE.replace(", default: landing/x.csv", "")
    (line,) = said(desired(plain, ARRIVAL), applied(*ALL))
    assert line.endswith(
        "datastore 'landing' is no longer declared, but this uses it; declare it again"
    )


def test_a_number_may_be_whole_and_a_flag_is_named():
    pipeline = PIPELINE.replace("type: integer, default: 1", "type: number, default: 0.5")
    assert said(desired(pipeline, LANDING, NIGHTLY), Live()) == []
    (line,) = said(desired(pipeline, LANDING, NIGHTLY.replace("2}", "true}")), Live())
    assert line.endswith("of type number, not boolean")
    (line,) = said(desired(PIPELINE, LANDING, NIGHTLY.replace("2}", "2.5}")), Live())
    assert line.endswith("of type integer, not number")


def test_a_reference_to_a_manifest_that_is_broken_itself_is_not_called_unknown():
    texts = (NIGHTLY, ARRIVAL)
    broken = frozenset({("Pipeline", "score"), ("Datastore", "landing")})
    assert problems(desired(*texts), Live(), broken) == ()
    assert len(problems(desired(*texts), Live(), frozenset({("Datastore", "landing")}))) == 2


def test_a_path_to_open_needs_a_folder_that_is_declared_or_registered():
    local = ARRIVAL.replace("datastore: landing", "datastore: landing, data_path: local")
    assert said(desired(PIPELINE, LANDING, local), Live()) == []
    others = applied(LANDING, owner=OTHER)
    assert said(desired(PIPELINE, local), others) == []
    remote = applied(BUCKET, owner=OTHER)
    assert said(desired(PIPELINE, local), remote) == [f"1.yml:5:61: {NO_FOLDER}"]
    there = local.replace("local", "datastore")
    assert said(desired(PIPELINE, there), remote) == []
