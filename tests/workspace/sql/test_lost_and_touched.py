"""The short ways to what is lost or touched find what the long way finds, whatever happened."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.errors import NotFound, StalePlan
from reconciler.workspace.records import Declaration, Owner, OwnerRecord
from tests.workspace.make import OWNER, Sqlite, edit, hold, schedule

OWNERS = (OWNER, Owner("shop", "dev"))
NAMES = ("a", "b", "c")
STEPS = st.tuples(
    st.sampled_from(
        ["create", "apply", "edit", "touch", "rename", "delete", "forget", "give", "claim", "hold"]
    ),
    st.sampled_from(OWNERS),
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)),
)


def find(live, owner, name):
    for each in live.schedules:
        if (each.owner, each.name) == (owner, name):
            return each
    raise NotFound(name)


def step(workspaces, workspace, what, owner, names):
    name, other = names
    registry = workspace.registry
    if what == "forget":
        with registry.transaction() as write:
            write.undeclare(owner, "Schedule", [name])
        return
    if what == "create":
        with registry.transaction() as write:
            schedule(write, name, owner)
        return
    found = find(registry.live(), owner, name)
    by_hand = {
        "touch": "UPDATE schedules SET spec = spec || ' ' WHERE id = :id",
        "rename": "UPDATE schedules SET name = :other WHERE id = :id",
        "delete": "DELETE FROM schedules WHERE id = :id",
        "give": "UPDATE schedules SET owner_project = 'lab' WHERE id = :id",
    }
    if what in by_hand:
        with closing(sqlite3.connect(workspaces.path)) as raw, raw:
            raw.execute("DELETE FROM holds")
            raw.execute(by_hand[what], {"id": found.id, "other": other})
        return
    if what == "hold":
        hold(workspace, found.id)
        return
    with registry.transaction() as write:
        if what == "apply":
            write.declare(owner, [declaration(name, found.revision)])
        elif what == "edit":
            edit(write, found.id, found.revision, name=other)
        else:
            write.claim("Schedule", found.id, found.revision, OWNERS[owner == OWNERS[0]])


def declaration(name, revision):
    return Declaration(
        kind="Schedule", name=name, file=f"{name}.yml", line=1, spec="{}", revision=revision
    )


@given(st.lists(STEPS, max_size=14))
@settings(max_examples=60, deadline=None)
def test_nothing_lost_or_touched_is_overlooked(steps):
    with tempfile.TemporaryDirectory() as folder:
        workspaces = Sqlite(Path(folder))
        workspace = workspaces.open()
        with closing(workspaces):
            with workspace.registry.transaction() as write:
                for owner in OWNERS:
                    for name in NAMES[:2]:
                        schedule(write, name, owner)
                        write.declare(owner, [declaration(name, 1)])
                    write.record_owner(OwnerRecord(owner=owner))
            for each in steps:
                with suppress(NotFound, StalePlan, sqlite3.IntegrityError):
                    step(workspaces, workspace, *each)
            compare(workspace.registry)


def compare(registry):
    live = registry.live()
    present = {(each.owner, each.name): each for each in live.schedules}
    for owner in OWNERS:
        declared = {each.name: each for each in registry.declarations(owner)}
        lost = {name for name in declared if (owner, name) not in present}
        assert {each.name for each in live.lost if each.owner == owner} == lost
        touched = {
            name
            for name, each in declared.items()
            if name not in lost and present[owner, name].applied
        }
        held = {name for name in declared if name not in lost and present[owner, name].hold}
        unsettled = set(registry.glance(owner).unsettled)
        assert {f"{name}.yml" for name in lost | touched | held} <= unsettled
        for name in declared.keys() - lost - touched:
            assert present[owner, name].revision == declared[name].revision
        part = registry.live_part(
            owner,
            files=[f"{name}.yml" for name in NAMES],
            schedules=[],
            pipelines=[],
            datastores=[],
        )
        assert {each.name for each in part.lost} == lost
        assert {each.name for each in part.schedules} >= declared.keys() - lost
