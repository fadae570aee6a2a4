from datetime import timedelta

import pytest

from reconciler.errors import InvalidValue
from reconciler.pipeline import (
    Parameter,
    ParameterType,
    Pipeline,
    Resources,
    Step,
    expand,
    parameters_in,
    secrets_in,
)
from reconciler.retries import Retries


def step(name, *depends_on, **fields):
    fields = {"command": ("true",), **fields}
    return Step(name=name, depends_on=depends_on, **fields)


def messages(make, **fields):
    with pytest.raises(InvalidValue) as caught:
        make(**fields)
    return [message for _, message in caught.value.faults]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", "x", 1),
        ("integer", 1, True),
        ("integer", 1, 1.5),
        ("number", 1.5, "1"),
        ("number", 1, True),
        ("number", 10**400, float("nan")),
        ("number", 1e300, float("inf")),
        ("boolean", True, 1),
        ("datapath", "a/b", 1),
    ],
)
def test_a_parameter_type_accepts_only_its_values(kind, good, bad):
    assert ParameterType(kind).accepts(good)
    assert not ParameterType(kind).accepts(bad)


def test_a_default_of_another_type_is_refused():
    assert messages(Parameter, type=ParameterType.INTEGER, default="1") == [
        "default '1' is not of type integer"
    ]


def test_retries_wait_twice_as_long_each_time_and_a_day_at_most():
    retries = Retries(max=3, backoff=timedelta(seconds=10))
    assert [retries.wait(n).total_seconds() for n in (1, 2, 3)] == [10, 20, 40]
    assert retries.wait(10_000) == timedelta(days=1)


@pytest.mark.parametrize("fields", [{"command": ()}, {"shell": "true"}])
def test_a_step_is_one_program(fields):
    assert messages(step, name="a", **fields) == ["step 'a' needs exactly one of command and shell"]


def test_a_shell_text_takes_no_reference_so_that_no_value_is_ever_interpreted():
    found = messages(Step, name="a", shell="cat ${{ parameters.path }}")
    assert found == ['a shell text takes no ${{ }}; use "$RECONCILER_PARAM_NAME" or command']


def test_a_secret_stands_only_in_the_environment():
    assert messages(Step, name="a", command=("x", "${{ secret.TOKEN }}")) == [
        "a secret may stand only in env, where no other program can read it"
    ]
    assert Step(name="a", command=("x",), env={"T": "${{ secret.TOKEN }}"})


def test_an_unknown_reference_says_what_is_known():
    (message,) = messages(Step, name="a", command=("x", "${{ run.id }}"))
    assert message == "'${{ run.id }}' is not known here; write ${{ parameters.NAME }}"
    (message,) = messages(Step, name="a", command=("x",), env={"A": "${{ nonsense }}"})
    assert message.endswith("or ${{ secret.NAME }}")


@pytest.mark.parametrize(
    ("memory", "size"), [(None, 0), ("1", 1), ("512Mi", 512 << 20), ("2Gi", 2 << 30)]
)
def test_memory_is_a_size(memory, size):
    assert Resources(memory=memory).bytes == size


@pytest.mark.parametrize("memory", ["", "0", "2G", "1.5Gi", "-1", " 1Gi", "Gi", "1Gi\n"])
def test_what_is_no_size_is_refused(memory):
    assert messages(Resources, memory=memory) == [
        f"'{memory}' is not a size; write for example 512Mi or 2Gi"
    ]


def test_a_timeout_is_longer_than_nothing():
    assert messages(step, name="a", timeout=timedelta()) == ["timeout must be longer than 0s"]


def test_references_are_found_in_order():
    text = "${{ parameters.a }}-${{secret.B}}-${{ parameters.c }}"
    assert parameters_in(text) == ("a", "c")
    assert secrets_in(text) == ("B",)


def test_a_value_that_looks_like_a_reference_is_not_expanded_again():
    given = {"a": "${{ parameters.b }}", "b": "no"}
    assert expand("<${{ parameters.a }}>", given, {}) == "<${{ parameters.b }}>"
    assert expand("${{ secret.S }}", {}, {"S": "x"}) == "x"


def test_a_pipeline_needs_a_step():
    assert messages(Pipeline, name="p", steps=()) == ["a pipeline needs at least one step"]


def test_a_step_name_is_used_once():
    assert messages(Pipeline, name="p", steps=(step("a"), step("a"))) == [
        "step 'a' is declared twice"
    ]


def test_a_step_depends_on_declared_steps():
    assert messages(Pipeline, name="p", steps=(step("a", "b"),)) == [
        "step 'a' depends on 'b', which is not declared"
    ]


def test_a_circle_is_shown_whole():
    steps = (step("a", "c"), step("b", "a"), step("c", "b"), step("d", "a"), step("e"))
    assert messages(Pipeline, name="p", steps=steps) == [
        "steps depend on each other in a circle: a -> c -> b -> a"
    ]


def test_a_reference_to_an_undeclared_parameter_is_refused_where_it_stands():
    with pytest.raises(InvalidValue) as caught:
        Pipeline(name="p", steps=(step("a", command=("x", "${{ parameters.y }}")),))
    ((path, message),) = caught.value.faults
    assert path == ("steps", 0, "command", 1)
    assert message == "parameter 'y' is not declared (known: none are declared)"


def test_references_in_command_and_environment_are_checked_against_the_parameters():
    uses = step("a", command=("x", "${{ parameters.y }}"), env={"Y": "${{ parameters.y }}"})
    parameters = {"y": Parameter(type=ParameterType.STRING)}
    assert Pipeline(name="p", steps=(uses,), parameters=parameters)
    with pytest.raises(InvalidValue) as caught:
        Pipeline(name="p", steps=(uses,), parameters={"z": parameters["y"]})
    assert [path for path, _ in caught.value.faults] == [
        ("steps", 0, "command", 1),
        ("steps", 0, "env", "Y"),
    ]


def test_parameters_are_resolved_from_what_is_given_and_the_defaults():
    pipeline = Pipeline(
        name="p",
        steps=(step("a"),),
        parameters={
            "a": Parameter(type=ParameterType.INTEGER, default=1),
            "b": Parameter(type=ParameterType.STRING),
            "c": Parameter(type=ParameterType.STRING),
        },
    )
    assert pipeline.resolve({"b": "x", "unknown": 1}) == {"a": 1, "b": "x"}
