import pytest

from reconciler.live import Live
from reconciler.plan.bind import Bindings
from reconciler.plan.desired import Kept
from reconciler.schedule import Status
from tests.plan.world import LANDING, PIPELINE, applied, desired, with_pipelines

EDITED = PIPELINE.replace("[score]", "[fast]", 1)


def bindings(*texts, live=None, **kept):
    return Bindings(desired(*texts, kept=Kept(**kept)), (live or Live()).pipelines)


def two_versions():
    return applied(EDITED, live=applied(PIPELINE, LANDING))


def test_a_declared_pipeline_that_is_not_published_is_bound_by_its_content():
    found = bindings(PIPELINE, LANDING).bind("score")
    assert (found.label, found.published) == ("score@new", None)
    assert found.digest == desired(PIPELINE).digest("score")


def test_a_declared_pipeline_is_bound_to_the_version_of_its_content():
    found = bindings(PIPELINE, live=two_versions()).bind("score")
    assert (found.label, found.published.id) == ("score@1", "score-1")
    assert found.pipeline.steps[1].command == ("score",)


@pytest.mark.parametrize("reference", ["score", "score@2", "score-2"])
def test_a_pipeline_that_is_not_declared_is_bound_to_a_published_version(reference):
    found = bindings(live=two_versions()).bind(reference)
    assert (found.label, found.published.id) == ("score@2", "score-2")
    assert found.digest == found.published.digest


def test_the_latest_is_bound_to_none():
    found = bindings(live=two_versions()).bind("score@latest")
    assert (found.label, found.published, found.digest) == ("score@latest", None, None)
    assert found.pipeline.steps[1].command == ("fast",)


@pytest.mark.parametrize("reference", ["other", "other@1", "other@latest", "score@3"])
def test_what_is_not_there_is_bound_to_nothing(reference):
    assert bindings(live=two_versions()).bind(reference) is None


def test_a_disabled_version_is_not_the_newest_but_may_be_named():
    live = with_pipelines(two_versions(), status=Status.DISABLED)
    assert bindings(live=live).bind("score") is None
    assert bindings(live=live).bind("score@2").label == "score@2"


def test_a_pipeline_that_was_kept_is_bound_to_the_version_it_was_applied_as():
    digest = desired(PIPELINE).digest("score")
    found = bindings(live=two_versions(), pipelines={"score": digest})
    assert found.digest("score") == digest
    assert found.bind("score").label == "score@1"
    gone = bindings(live=two_versions(), pipelines={"score": "f" * 64})
    assert gone.bind("score").label == "score@2"


def test_each_reference_is_worked_out_once():
    found = bindings(PIPELINE, live=two_versions())
    assert found.bind("score") is found.bind("score")
    assert found.bind("other") is found.bind("other") is None
