"""What somebody does to the tables with another program is seen."""

from __future__ import annotations

import pytest

from reconciler.workspace.records import Applied, Declaration, OwnerRecord
from tests.workspace.make import (
    GIT,
    NOW,
    OWNER,
    applied,
    clockwork,
    due,
    edit,
    pipeline,
    schedule,
)

TOUCHED = {
    "Schedule": Applied(spec='{"applied":1}', pipeline_id="p-1"),
    "Pipeline": Applied(spec='{"applied":1}'),
    "Datastore": Applied(spec='{"applied":1}'),
}


@pytest.fixture
def registry(workspaces):
    registry = workspaces.open().registry
    with registry.transaction() as write:
        pipeline(write)
        schedule(write, arming=clockwork())
        write.put_datastore(owner=OWNER, name="landing", spec="{}", provenance=GIT, revision=None)
        write.declare(
            OWNER,
            [
                Declaration(
                    kind=kind,
                    name=name,
                    file=f"{kind.lower()}.yml",
                    line=1,
                    spec='{"applied":1}',
                    revision=1,
                    pipeline_id="p-1" if kind == "Schedule" else None,
                    digest="d1" if kind == "Pipeline" else None,
                )
                for kind, name in (("Schedule", "s"), ("Pipeline", "p"), ("Datastore", "landing"))
            ],
        )
        write.record_owner(OwnerRecord(owner=OWNER))
    return registry


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE schedules SET spec = '{}'",
        "UPDATE schedules SET status = 'Disabled'",
        "UPDATE schedules SET disabled_by = 'operator'",
        "UPDATE schedules SET pipeline_id = (SELECT id FROM pipelines)",
        "UPDATE pipelines SET status = 'Disabled'",
        "UPDATE pipelines SET disabled_by = 'operator'",
        "UPDATE pipelines SET spec = '{}'",
        'UPDATE datastores SET spec = \'{"url":"file:///elsewhere"}\'',
    ],
)
def test_an_edit_by_hand_touches_the_object(workspaces, registry, statement):
    table = statement.split()[1]
    name = table.removesuffix("s")
    assert workspaces.by_hand(statement) == 1
    (touched,) = getattr(registry.live(), table)
    assert (touched.revision, touched.applied) == (2, TOUCHED[name.capitalize()])
    assert registry.glance(OWNER).unsettled == (f"{name}.yml",)
    assert due(workspaces.open().ledger, NOW) == [registry.live().schedules[0].id]


def test_a_timer_follows_an_edit_by_hand(workspaces, registry):
    workspaces.by_hand("UPDATE schedules SET spec = '{}'")
    with workspaces.open().ledger.transaction() as write:
        assert [timer.revision for timer in write.due_timers(NOW, 9)] == [2]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE schedules SET spec = spec, status = status, source_line = 99, updated_at = 1",
        "UPDATE datastores SET spec = spec",
        "UPDATE pipelines SET status = status, source_file = NULL",
    ],
)
def test_what_changes_nothing_that_counts_touches_nothing(workspaces, registry, statement):
    workspaces.by_hand(statement)
    assert registry.glance(OWNER).unsettled == ()


def test_whoever_counts_revisions_is_not_counted_twice(workspaces, registry):
    with registry.transaction() as write:
        edit(write, registry.live().schedules[0].id)
    assert registry.live().schedules[0].revision == 2


def test_a_schedule_deleted_by_hand_is_lost(workspaces, registry):
    workspaces.by_hand("DELETE FROM timers")
    workspaces.by_hand("DELETE FROM schedules")
    seen = registry.glance(OWNER)
    assert (seen.owned, seen.expected, seen.unsettled) == (0, 1, ("schedule.yml",))
    assert [lost.name for lost in registry.live().lost] == ["s"]


@pytest.mark.parametrize("table", ["schedules", "pipelines", "datastores"])
def test_an_object_made_anew_by_hand_is_touched(workspaces, registry, table):
    workspaces.by_hand(
        "DELETE FROM timers",
        f"CREATE TEMP TABLE copied AS SELECT * FROM {table}",
        "UPDATE copied SET declared_revision = NULL",
        f"DELETE FROM {table}",
        f"INSERT INTO {table} SELECT * FROM copied",
    )
    (anew,) = getattr(registry.live(), table)
    name = table.removesuffix("s")
    assert anew.applied == TOUCHED[name.capitalize()]
    assert registry.live().lost == ()
    assert registry.glance(OWNER).unsettled == (f"{name}.yml",)


@pytest.mark.parametrize(
    ("statement", "first"),
    [
        ("UPDATE applies SET summary = 'nothing' WHERE id = 3", 3),
        ("UPDATE applies SET plan = '[]' WHERE id = 4", 4),
        ("UPDATE applies SET actor = 'somebody else' WHERE id = 2", 2),
        ("UPDATE applies SET chain = '' WHERE id = 2", 2),
        ("UPDATE applies SET chain = 'abc' WHERE id = 4", 4),
        ("DELETE FROM applies WHERE id = 3", 4),
        ("DELETE FROM applies WHERE id = 1", 2),
        ("UPDATE applies SET id = 9 WHERE id = 2", 3),
    ],
)
def test_a_history_that_was_tampered_with_shows_where(workspaces, registry, statement, first):
    with registry.transaction() as write:
        for _ in range(4):
            write.record_apply(applied())
    assert registry.broken_chain() is None
    workspaces.by_hand(statement)
    assert registry.broken_chain() == first


def test_the_chain_begins_where_older_programs_end(workspaces, registry):
    workspaces.by_hand(
        """INSERT INTO applies (owner_project, owner_target, applied_at, summary, plan)
        VALUES ('shop', 'prod', 1, 'old', '{}')""",
    )
    with registry.transaction() as write:
        assert write.record_apply(applied()) == 2
        write.record_apply(applied())
    assert registry.broken_chain() is None
    assert registry.apply_record(1).chain == ""
    workspaces.by_hand("UPDATE applies SET summary = 'other' WHERE id = 2")
    assert registry.broken_chain() == 2
