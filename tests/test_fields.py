import dataclasses
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.fields import About, duration_text, field, parse_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0s", timedelta()),
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("2d", timedelta(days=2)),
        ("250ms", timedelta(milliseconds=250)),
        ("1m5ms", timedelta(minutes=1, milliseconds=5)),
    ],
)
def test_a_duration_is_read(text, duration):
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1m1h", "-5m", "1.5h", "5m5m", "PT5M"])
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="write for example 30s"):
        parse_duration(text)


def test_a_duration_beyond_all_calendars_is_refused():
    with pytest.raises(ValueError, match="longer than a calendar can hold"):
        parse_duration("9999999999999d")


@given(st.integers(min_value=0, max_value=10**12).map(lambda ms: timedelta(milliseconds=ms)))
def test_the_text_of_a_duration_reads_back(duration):
    assert parse_duration(duration_text(duration)) == duration


def test_a_declared_field_carries_its_description():
    @dataclasses.dataclass
    class Thing:
        size: int = field("How large.", default=3, minimum=1)
        parts: list = field("Of what.", default_factory=list)
        name: str = field("What.", default="x")

    size, parts, _ = dataclasses.fields(Thing)
    assert size.metadata["about"] == About(text="How large.", minimum=1)
    assert (Thing().size, Thing().parts) == (3, [])
    assert parts.metadata["about"].text == "Of what."
