import pytest

from reconciler.errors import (
    InvalidValue,
    ManifestError,
    Problem,
    ReconcilerError,
    Refused,
    StalePlan,
    WorkspaceBusy,
    WorkspaceFull,
)


def test_a_problem_reads_as_file_line_column_message():
    assert str(Problem("a.yml", 3, 5, "no")) == "a.yml:3:5: no"


def test_a_problem_of_a_whole_file_has_no_line():
    assert str(Problem("a.yml", 0, 0, "too large")) == "a.yml: too large"


def test_a_manifest_error_holds_every_problem_once_and_sorted():
    one, two = Problem("a.yml", 1, 1, "x"), Problem("b.yml", 1, 1, "y")
    error = ManifestError([two, one, two])
    assert error.problems == (one, two)
    assert str(error) == "a.yml:1:1: x\nb.yml:1:1: y"


def test_an_invalid_value_is_a_value_error_and_keeps_its_faults():
    error = InvalidValue([(("a", 0), "first"), ((), "second")])
    assert isinstance(error, ValueError)
    assert str(error) == "first; second"
    assert error.faults == ((("a", 0), "first"), ((), "second"))


@pytest.mark.parametrize(
    ("error", "code"), [(ReconcilerError, 1), (ManifestError, 1), (Refused, 3), (StalePlan, 4)]
)
def test_each_error_knows_its_exit_code(error, code):
    assert error.exit_code == code


def test_only_what_may_pass_by_itself_is_retriable():
    assert WorkspaceBusy.retriable
    assert WorkspaceFull.retriable
    assert not Refused.retriable
