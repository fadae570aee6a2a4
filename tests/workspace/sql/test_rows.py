"""Any record that is written is read back equal."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from reconciler.data import Depth, Watched
from reconciler.run import Attempt, AttemptState, Decision, Fire, Run, RunState
from reconciler.workspace.records import LoggedChange, Poll, Watch, WatchState
from reconciler.workspace.sql import rows
from reconciler.workspace.sql.postgres import PostgresDriver, connect
from reconciler.workspace.sql.tables import metadata

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
ANY_TEXT = st.text(max_size=12)
INSTANT = st.integers(-(2**63), 2**63 - 1)
SCALAR = ANY_TEXT | st.integers() | st.floats(allow_nan=False) | st.booleans()
FACTS = st.dictionaries(ANY_TEXT, SCALAR, max_size=3)
SMALL = st.integers(0, 2**31 - 1)

FIRES = st.builds(
    Fire,
    schedule_id=TEXT,
    occurrence_key=TEXT,
    due_at=INSTANT,
    decided_at=INSTANT,
    decision=st.sampled_from(Decision),
    reason=TEXT,
    revision=SMALL,
    run_id=st.none() | TEXT,
    count=SMALL,
    facts=st.none() | FACTS,
)
RUNS = st.builds(
    Run,
    id=TEXT,
    schedule_id=st.none() | TEXT,
    schedule_name=TEXT,
    occurrence_key=TEXT,
    pipeline_id=TEXT,
    experiment_name=TEXT,
    parameters=FACTS,
    continue_on_step_failure=st.booleans(),
    state=st.sampled_from(RunState),
    reason=TEXT,
    due_at=INSTANT,
    created_at=INSTANT,
    started_at=st.none() | INSTANT,
    ended_at=st.none() | INSTANT,
    cancel_requested=st.none() | TEXT,
    facts=st.none() | FACTS,
)
ATTEMPTS = st.builds(
    Attempt,
    run_id=TEXT,
    step=TEXT,
    number=SMALL,
    state=st.sampled_from(AttemptState),
    reason=TEXT,
    exit_code=st.none() | st.integers(-64, 255),
    created_at=INSTANT,
    started_at=st.none() | INSTANT,
    ended_at=st.none() | INSTANT,
)
POLLS = st.builds(
    Poll,
    watch_id=SMALL,
    poll_seq=INSTANT,
    polled_at=INSTANT,
    listed=SMALL,
    state=st.sampled_from(WatchState),
    next_poll=INSTANT,
    added=SMALL,
    modified=SMALL,
    deleted=SMALL,
    waiting=SMALL,
    took=INSTANT,
    skipped=SMALL,
    note=TEXT,
    error=TEXT,
)
CHANGES = st.builds(
    LoggedChange,
    watch_id=SMALL,
    seq=INSTANT,
    poll_seq=INSTANT,
    change=st.sampled_from(["added", "modified", "deleted", "existing"]),
    name=st.binary(max_size=12),
    facts=st.binary(max_size=12),
)
WATCHES = st.builds(
    Watch,
    id=SMALL,
    watched=st.builds(
        Watched, datastore=TEXT, path=TEXT, depth=st.sampled_from(Depth), done_marker=TEXT
    ),
    state=st.sampled_from(WatchState),
    poll_seq=INSTANT,
    change_seq=INSTANT,
    next_poll=INSTANT,
    failures=SMALL,
    place=TEXT,
    schedule_ids=st.just(("s",)),
    existing=st.booleans(),
)

within_a_database = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def through(request):
    """A way through a table: write a row, read it back."""
    if request.param == "sqlite":
        engine = create_engine("sqlite://")
        metadata.create_all(engine)
        connection = engine.raw_connection()
        raw = connection.driver_connection
        close = engine.dispose
    else:
        databases = request.getfixturevalue("databases")
        url = databases.workspace()
        connection = connect(url)
        connection.execute("SET session_replication_role = replica")
        raw = PostgresDriver(connection)
        close = partial(databases.give_back, url)

    def through(table, names, values):
        marks = ", ".join("?" * len(names))
        raw.execute(f"DELETE FROM {table}")
        raw.execute(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", values)
        return raw.execute(f"SELECT {', '.join(names)} FROM {table}").fetchone()

    yield through
    connection.close()
    close()


@given(fire=FIRES)
@within_a_database
def test_a_fire_is_read_back(through, fire):
    assert rows.fire(through("fires", rows.FIRE_FIELDS, rows.fire_values(fire))) == fire


@given(run=RUNS)
@within_a_database
def test_a_run_is_read_back(through, run):
    assert rows.run(through("runs", rows.RUN_FIELDS, rows.run_values(run))) == run


@given(attempt=ATTEMPTS)
@within_a_database
def test_an_attempt_is_read_back(through, attempt):
    names = (*rows.ATTEMPT_FIELDS, "fence")
    found = through("attempts", names, (*rows.attempt_values(attempt), 1))
    assert rows.attempt(found[:-1]) == attempt


@given(poll=POLLS)
@within_a_database
def test_a_poll_is_read_back(through, poll):
    assert rows.poll(through("polls", rows.POLL_FIELDS, rows.poll_values(poll))) == poll


@given(change=CHANGES)
@within_a_database
def test_a_change_is_read_back(through, change):
    values = [getattr(change, name) for name in rows.CHANGE_FIELDS]
    assert rows.change(through("changes", rows.CHANGE_FIELDS, values)) == change


@given(watch=WATCHES)
@within_a_database
def test_a_watch_is_read_back(through, watch):
    written = {
        **{name: getattr(watch, name, None) for name in rows.WATCH_COLUMNS},
        **rows.watched_values(watch.watched),
        "state": watch.state.value,
    }
    found = through("watches", rows.WATCH_COLUMNS, tuple(written.values()))
    assert rows.watch(found, ("s",), existing=watch.existing) == watch


@given(reason=ANY_TEXT)
def test_any_text_can_be_made_storable_and_most_is_left_alone(reason):
    made = rows.plain(reason)
    made.encode()
    assert "\0" not in made
    assert made == reason or any(
        letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in reason
    )
