"""The short way from plain data to values ends where the builder's does, or nowhere."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.data import Datastore
from reconciler.fields import field
from reconciler.manifest.build import builder
from reconciler.manifest.direct import Detour, direct
from reconciler.manifest.emit import _node, to_data
from reconciler.manifest.project import Project
from reconciler.schedule import Schedule
from tests.manifest.strategies import UNHURRIED, values

DETOURS = (Detour, KeyError, TypeError, ValueError)
NIGHTLY = {"name": "a", "pipeline": "p", "trigger": {"cron": {"expression": "0 6 * * *"}}}
WEEKLY = {"frequency": "Week", "week_days": ["Monday"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    books: tuple[str, ...] = field("At least one.", default=("a",), non_empty=True)


@st.composite
def spoilt(draw):
    """Draw a value's class and its plain data, one part of it replaced by something else."""
    value = draw(values)
    data = to_data(value)
    holder = part = data
    while isinstance(part, dict | list) and part and (part is data or draw(st.booleans())):
        holder = part
        key = draw(st.sampled_from(list(part) if isinstance(part, dict) else range(len(part))))
        part = part[key]
    holder[key] = draw(st.sampled_from([None, True, 0, -1, 2.5, "", "x", "1h", [], ["x"], {}]))
    return type(value), data


@given(values)
@settings(UNHURRIED, max_examples=100)
def test_what_the_emitter_writes_needs_no_detour(value):
    assert repr(direct(type(value))(to_data(value))) == repr(value).replace(", fold=1)", ")")


@given(spoilt())
@settings(UNHURRIED, max_examples=300)
def test_what_is_read_is_what_the_builder_makes_of_it(drawn):
    cls, data = drawn
    try:
        value = direct(cls)(data)
    except DETOURS:
        return
    faults = []
    assert repr(builder(cls)(_node(data, (), []), faults)) == repr(value)
    assert faults == []


@pytest.mark.parametrize(
    ("cls", "data"),
    [
        (Datastore, []),
        (Datastore, {"name": "a"}),
        (Datastore, {"name": "a", "url": "file:b", "kind": "Datastore"}),
        (Datastore, {"name": "a", "url": "file:b", "tags": []}),
        (Datastore, {"name": "a", "url": "file:b", "tags": {1: "x"}}),
        (Datastore, {"name": "a b", "url": "file:b"}),
        (Schedule, NIGHTLY | {"trigger": "cron"}),
        (Schedule, NIGHTLY | {"trigger": {}}),
        (Schedule, NIGHTLY | {"trigger": {"cron": {}, "recurrence": {}}}),
        (Schedule, NIGHTLY | {"status": "active"}),
        (Schedule, NIGHTLY | {"trigger": {"recurrence": WEEKLY | {"week_days": "Monday"}}}),
        (Schedule, NIGHTLY | {"trigger": {"recurrence": WEEKLY | {"week_days": ["Monday"] * 2}}}),
        (Schedule, NIGHTLY | {"trigger": {"recurrence": WEEKLY | {"hours": [25]}}}),
        (Shelf, {"books": []}),
        (Project, {"project": "a", "defaults": {"Schedule": {"status": "Disabled"}}}),
    ],
)
def test_anything_unusual_is_left_to_the_builder(cls, data):
    with pytest.raises(DETOURS):
        direct(cls)(data)
