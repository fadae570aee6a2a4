"""What watches knew before their snapshots lay in pages is known afterwards, on every database."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from reconciler.clock import FixedClock
from reconciler.data import Depth
from reconciler.workspace.records import Arrival, LoggedChange, Poll, WatchState
from reconciler.workspace.sql import open_workspace
from reconciler.workspace.sql.connection import driver
from reconciler.workspace.sql.migrate import migrate, upgrade
from reconciler.workspace.sql.open import open_database
from reconciler.workspace.sql.schema import HEAD
from tests.workspace.make import NOW, on_data, watched

CLOCK = FixedClock(NOW)
# Out of order, with a name that is no text and facts that no SQL integer holds.
FILES = [
    (1, b"\xff\n", 3, str(2**65), str(2**64 - 1)),
    *((1, b"%04d" % number, number, "17", "7") for number in reversed(range(300))),
    (2, b"a", 0, "-1", "0"),
]
BEFORE = {
    "schedules (id, name, spec, status, created_at, updated_at, revision)": [
        ("s-1", "one", "{}", "Active", 1, 1, 1)
    ],
    "watches (id, datastore, path, state, poll_seq, change_seq, next_poll, failures, fence)": [
        (1, "landing", "in", "ready", 4, 4, NOW, 0, 9),
        (2, "landing", "", "baselining", 0, 0, NOW, 2, None),
    ],
    "cursors (schedule_id, watch_id, cursor)": [("s-1", 1, 2)],
    "files (watch_id, name, size, mtime_ns, inode)": FILES,
    "changes (watch_id, seq, poll_seq, change, name, size, mtime_ns, inode)": [
        (1, 1, 3, "added", b"\xff\n", 3, "5", "6"),
        (1, 2, 3, "added", b"b", 3, "5", "6"),
        (1, 3, 3, "deleted", b"c", 3, "5", "6"),
        (1, 4, 4, "modified", b"b", 4, str(2**65), "6"),
    ],
    "polls (watch_id, poll_seq, polled_at, listed, changed, state, next_poll, note, error)": [
        (1, 1, NOW, 9, 2, "ready", NOW, "its lines were pruned", ""),
        (1, 2, NOW, 0, 0, "ready", NOW, "", "permission denied"),
        (1, 3, NOW, 9, 3, "ready", NOW, "", ""),
        (1, 4, NOW, 9, 1, "ready", NOW, "", ""),
    ],
}


@pytest.fixture(params=["sqlite", "postgres"])
def place(request, tmp_path):
    if request.param == "sqlite":
        place = str(tmp_path / "workspace.db")
        sqlite3.connect(place).close()
        yield place
    else:
        databases = request.getfixturevalue("databases")
        place = databases.empty()
        yield place
        databases.drop(place)


@pytest.fixture
def migrated(place):
    with closing(open_database(place, CLOCK)) as database, database.migrating() as connection:
        upgrade(connection, "0004")
        for columns, rows in BEFORE.items():
            marks = ", ".join("?" * len(rows[0]))
            driver(connection).executemany(f"INSERT INTO {columns} VALUES ({marks})", rows)
    assert migrate(place) == ("0004", HEAD)
    with closing(open_workspace(place, CLOCK, create=False)) as workspace:
        yield workspace


def test_files_are_in_pages_in_order(migrated):
    pages = list(migrated.ledger.snapshot(1))
    assert [page.partition(b"\0")[0] for page in pages] == [b"0000", b"0128", b"0256"]
    names, facts = zip(*[page.split(b"\0\0") for page in pages], strict=True)
    assert b"\0".join(names).split(b"\0") == sorted(name for watch, name, *_ in FILES if watch == 1)
    told = b"\0".join(facts).split(b"\0")
    assert told[:2] == [b"0 17@7", b"1 17@7"]
    assert told[-1] == b"3 %d@%d" % (2**65, 2**64 - 1)
    assert list(migrated.ledger.snapshot(2)) == [b"a\0\x000 -1@0"]
    assert migrated.ledger.pages(1, [b"0200"]) == [pages[1]]


def test_watches_go_on_from_where_they_were(migrated):
    (watch,) = migrated.ledger.watches()
    assert (watch.id, watch.watched, watch.state) == (1, watched(), WatchState.READY)
    assert watch.watched.depth is Depth.DIRECTORY
    assert (watch.poll_seq, watch.change_seq, watch.next_poll, watch.failures) == (4, 4, NOW, 0)
    assert (watch.place, watch.existing, watch.schedule_ids) == ("", False, ("s-1",))
    assert migrated.ledger.arrival("s-1") == Arrival(
        schedule_id="s-1", revision=1, watch_id=1, cursor=2
    )
    on_data(migrated, "root", "")
    on_data(migrated, "new", "new")
    assert [watch.id for watch in migrated.ledger.watches()] == [1, 2, 3]


def test_the_log_stays_as_it_was(migrated):
    def line(seq, poll_seq, change, name, facts):
        return LoggedChange(
            watch_id=1, seq=seq, poll_seq=poll_seq, change=change, name=name, facts=facts
        )

    with migrated.ledger.transaction() as write:
        assert write.changes(1, 0, 9) == [
            line(1, 3, "added", b"\xff\n", b"3 5@6"),
            line(2, 3, "added", b"b", b"3 5@6"),
            line(3, 3, "deleted", b"c", b"3 5@6"),
            line(4, 4, "modified", b"b", b"4 %d@6" % 2**65),
        ]


def test_the_log_tells_what_the_changes_of_a_poll_were(migrated):
    def poll(poll_seq, **values):
        return Poll(
            watch_id=1,
            poll_seq=poll_seq,
            polled_at=NOW,
            state=WatchState.READY,
            next_poll=NOW,
            **values,
        )

    assert migrated.ledger.polls(1) == [
        poll(4, listed=9, modified=1),
        poll(3, listed=9, added=2, deleted=1),
        poll(2, listed=0, error="permission denied"),
        poll(1, listed=9, modified=2, note="its lines were pruned"),
    ]


def test_nothing_of_the_old_tables_is_left(place, migrated):
    looked_for = {
        True: "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
        False: "SELECT name FROM sqlite_master",
    }[place.startswith("postgres")]
    with migrated._database.reading() as connection:
        found = {name for (name,) in driver(connection).execute(looked_for)}
    assert "pages" in found
    assert not {name for name in found if name == "files" or name.startswith("old_")}
