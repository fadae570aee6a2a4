"""The machinery on a class of its own, with every shape and bound a declaration can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from reconciler.errors import InvalidValue
from reconciler.fields import Scalar, field
from reconciler.manifest.build import builder, find
from reconciler.manifest.emit import from_data, to_data
from reconciler.manifest.scalars import ABSENT, FAILED, nearest
from reconciler.manifest.schema import json_schema
from reconciler.manifest.yaml12 import parse


class Colour(StrEnum):
    RED = "red"
    DARK_BLUE = "dark_blue"
    GREEN = "green"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    length: float = field("How long.")
    feet: tuple[str, ...] = field(
        "What it stands on.", default=(), non_empty=True, pattern="^[a-z]+$", hint="use a to z"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    places: int = field("How many sit at it.")
    height: float = field("In metres.", default=0.7, minimum=0, maximum=2)
    colour: Colour | None = field("Its paint.", default=None)
    wait: timedelta | None = field("Until it is dry.", default=None)
    legs: Mapping[str, Leg] = field(
        "By corner.", default_factory=dict, pattern="^[a-z]+$", hint="use a to z"
    )
    spare: tuple[Leg, ...] = field("In the cellar.", default=())
    notes: Mapping[str, Scalar] = field("Anything.", default_factory=dict)

    def __post_init__(self) -> None:
        if self.places < 0:
            raise InvalidValue(
                [(("places",), "places must not be negative"), (("legs", "x", 3), "far away")]
            )


def build(text: str) -> tuple[Any, list[str]]:
    ((root, _),), problems = parse("f", text.encode())
    assert problems == []
    faults: list[tuple[int, int, str]] = []
    value = builder(Table)(root, faults)
    return value, [f"{line}:{column} {message}" for line, column, message in faults]


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("places: four", ["1:9 places must be a whole number, not the text 'four'"]),
        ("places: 4.0", ["1:9 places must be a whole number, not 4.0"]),
        ("places: '04'", ["1:9 places must be a whole number, not text"]),
        ("places: 1\nheight: 2.5", ["2:9 Height must be between 0 and 2."]),
        ("places: 1\nheight: '1.5'", ["2:9 height must be a number, not text; remove the quotes"]),
        ("places: 1\ncolour: dark-blue", ["2:9 Invalid value for colour, only one of red, dark_blue, or green accepted. Did you mean dark_blue?"]),
        ("places: 1\ncolour: [red]", ["2:9 colour must be text, not a list"]),
        ("places: 1\nspare: 5", ["2:8 spare must be a list; write [5]"]),
        ("places: 1\nspare: [5]", ["2:9 each of spare must be a mapping; write {length: '5'}"]),
        ("places: 1\nspare: [[5]]", ["2:9 each of spare must be a mapping; its keys are length, feet"]),
        ("places: 1\nspare: [{length: 1, feet: []}]", ["2:27 feet must not be empty"]),
        ("places: 1\nspare: [{length: 1, feet: [a, B]}]", ["2:31 feet 'B' is not accepted; use a to z"]),
        ("places: 1\nlegs: {A: {length: 1}, b: 5}", ["2:8 'A' is not accepted as a name in legs; use a to z",
                                                    "2:27 each value of legs must be a mapping; write {length: '5'}"]),
        ("places: 1\nlegs: [x]", ["2:7 legs must be a mapping; write name: value lines under it"]),
        ("places: 1\nlegs: 007", ["2:7 legs must be a mapping; write name: value lines under it"]),
        ("places: 1\nwait: 5", ["2:7 wait must be a duration like 30s, 5m, 1h30m or 2d, not 5"]),
        ("places: -1", ["1:9 places must not be negative", "1:1 far away"]),
        ("places: -1\nlegs: {x: {length: 1}}", ["1:9 places must not be negative", "2:11 far away"]),
        ("place: 1", ["1:1 unknown key 'place'; did you mean 'places'?"]),
        ("height: 1", ["1:1 missing key 'places'; write places: and a whole number"]),
        ("[x]", ["1:1 table must be a mapping; its keys are places, height, colour, wait, legs, spare, notes"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_is(text, faults):
    assert build(text) == (FAILED, faults)


def test_null_is_absent():
    assert build("~") == (ABSENT, [])
    value, faults = build("places: 1\nheight:\ncolour: null\nlegs: ~\nspare:\nnotes: ~\n")
    assert (value, faults) == (Table(places=1), [])


def test_every_shape_goes_both_ways():
    value = Table(
        places=4,
        height=1.0,
        colour=Colour.GREEN,
        wait=timedelta(hours=2),
        legs={"left": Leg(length=0.5, feet=("rubber",))},
        spare=(Leg(length=1.0),),
        notes={"a": 1, "b": 1.0, "c": True, "d": "x"},
    )
    data = to_data(value)
    assert data == {
        "places": 4,
        "height": 1,
        "colour": "green",
        "wait": "2h",
        "legs": {"left": {"length": 0.5, "feet": ["rubber"]}},
        "spare": [{"length": 1}],
        "notes": {"a": 1, "b": 1.0, "c": True, "d": "x"},
    }
    assert repr(from_data(Table, data)) == repr(value)
    Draft202012Validator(json_schema(Table)).validate(data)


def test_a_path_that_leads_nowhere_ends_at_the_last_node_on_it():
    ((root, _),), _ = parse("f", b"a: [x]\n")
    assert find(root, ("a", 0)).value == "x"
    assert find(root, ("a", "b")).column == 4
    assert find(root, (0,)) is root


@pytest.mark.parametrize(
    ("text", "word"), [("weekDays", "week_days"), ("WEEK-DAYS", "week_days"), ("weakdays", "week_days"), ("zzz", None), ("", None)]
)  # fmt: skip
def test_the_nearest_word_ignores_case_and_separators(text, word):
    assert nearest(text, ["week_days", "hours"]) == word
