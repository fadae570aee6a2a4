"""What is one statement for many rows does what the statements would have done one by one."""

import pytest

from reconciler.clock import FixedClock
from reconciler.workspace.sql.at_once import at_once, copied, encoded
from reconciler.workspace.sql.open import open_workspace
from reconciler.workspace.sql.postgres import PostgresDriver, connect

INSERT = "INSERT INTO pools (name, slots) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
UPDATE = "UPDATE timers SET next_due = ?, initial = FALSE WHERE schedule_id = ?"


def test_an_insert_of_plain_values_and_an_update_by_one_column_are_one_statement():
    assert at_once(INSERT) == (
        (
            "INSERT INTO pools (name, slots) SELECT name, slots FROM"
            " json_populate_recordset(NULL::pools, ?::json)  ON CONFLICT (name) DO NOTHING"
        ),
        ("name", "slots"),
    )
    assert at_once(UPDATE) == (
        (
            "UPDATE timers SET next_due = given.next_due, initial = FALSE FROM"
            " json_populate_recordset(NULL::timers, ?::json) AS given"
            " WHERE timers.schedule_id = given.schedule_id"
        ),
        ("next_due", "schedule_id"),
    )


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM pools WHERE name = ?",
        "UPDATE pools SET slots = ? WHERE name = ? AND slots = ?",
        "UPDATE pools SET slots = coalesce(slots, ?) WHERE name = ?",
        "INSERT INTO pools (name, slots) SELECT ?, ?",
    ],
)
def test_anything_else_is_not(statement):
    assert at_once(statement) is None


def test_an_insert_of_rows_that_can_only_be_new_is_a_copy():
    assert copied("INSERT INTO pools (name, slots) VALUES (?, ?)\n") == (
        "COPY pools (name, slots) FROM STDIN"
    )
    assert copied(INSERT) is None
    assert copied(UPDATE) is None


def test_rows_are_copied_whatever_they_hold(driver):
    statement = "INSERT INTO runs_copied (name, size, known, data) VALUES (?, ?, ?, ?)"
    driver.execute(
        "CREATE TEMPORARY TABLE runs_copied (name text, size int, known bool, data bytea)"
    )
    rows = [("a\tb\n\\N", 1, True, b"\0\\"), (None, None, False, b"\t\n")]
    assert driver.executemany(statement, iter(rows)).rowcount == 2
    driver.executemany(statement, [])
    assert driver.execute("SELECT name, size, known, data FROM runs_copied").fetchall() == rows


def test_what_is_null_is_left_out_and_bytes_are_refused():
    assert encoded(("a", "b"), [(1, None), ("ü", True)]) == '[{"a":1},{"a":"\\u00fc","b":true}]'
    with pytest.raises(TypeError):
        encoded(("a",), [(b"x",)])


@pytest.fixture
def driver(databases):
    url = databases.workspace()
    open_workspace(url, FixedClock(0), create=False).close()
    connection = connect(url)
    yield PostgresDriver(connection)
    connection.close()


def test_rows_come_and_change_as_one_by_one(driver):
    assert driver.executemany(INSERT, [("a", 1), ("b", 2), ("a", 3)]).rowcount == 2
    assert driver.executemany(INSERT, [("a", 4), ("c", 5)]).rowcount == 1
    changed = driver.executemany("UPDATE pools SET slots = ? WHERE name = ?", [(7, "a"), (8, "x")])
    assert changed.rowcount == 1
    assert driver.execute("SELECT name, slots FROM pools ORDER BY name").fetchall() == [
        ("a", 7), ("b", 2), ("c", 5),
    ]  # fmt: skip
    driver.executemany(INSERT, [])


@pytest.mark.parametrize("rest", ["", " ON CONFLICT (digest) DO NOTHING"])
def test_bytes_come_as_they_are_copied_and_one_by_one(driver, rest):
    statement = f"INSERT INTO blobs (digest, data) VALUES (?, ?){rest}"
    driver.executemany(statement, [("1", b"\0\xff"), ("2", b"")])
    assert driver.execute("SELECT data FROM blobs ORDER BY digest").fetchall() == [
        (b"\0\xff",), (b"",),
    ]  # fmt: skip
