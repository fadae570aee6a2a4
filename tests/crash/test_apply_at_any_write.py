"""An apply that is stopped or fails at any statement leaves all of it or nothing; the next heals."""

import json
import os
import random
import re
import shutil
import sqlite3
from contextlib import closing, contextmanager

import pytest

from reconciler.clock import FixedClock
from reconciler.data import Datastore
from reconciler.errors import WorkspaceBusy
from reconciler.live import Provenance
from reconciler.pipeline import Pipeline, Step
from reconciler.plan.change import Action
from reconciler.plan.spec import content_digest, spec_text
from reconciler.reconcile import operate
from reconciler.reconcile.apply import BACKOFF, How, apply_plan
from reconciler.reconcile.lease import SECONDS
from reconciler.reconcile.read import plan, read, read_project
from reconciler.schedule import Recurrence, Schedule
from reconciler.settings import open_folder
from reconciler.workspace.sql import open_workspace, sqlite
from tests.site import minutely, site

ADOPT = frozenset({"Schedule.stranger", "Pipeline.strange", "Datastore.lake"})
TAKEN = 42  # how a child says that it was stopped


def hello(name, **fields):
    extra = "".join(f"{key}: {value}\n" for key, value in fields.items())
    return f"kind: Pipeline\nname: {name}\nsteps: [{{name: say, command: ['true']}}]\n{extra}"


def store(name, folder):
    return f"kind: Datastore\nname: {name}\nurl: file:{folder}\n"


def watching(name, datastore):
    return f"""
kind: Schedule
name: {name}
pipeline: hello
trigger: {{datastore_change: {{datastore: {datastore}, settle: 0s}}}}
"""


def strangers(registry):
    """Make what nobody manages: a pipeline, a datastore and a schedule, to be adopted."""
    step = Step(name="say", command=("true",))
    spec = spec_text(Pipeline(name="strange", steps=(step,)))
    with registry.transaction() as tx:
        version = tx.publish(
            owner=None, name="strange", spec=spec, digest=content_digest(spec, None), code=None,
            provenance=Provenance(),
        )  # fmt: skip
        tx.put_datastore(
            owner=None, name="lake", spec=spec_text(Datastore(name="lake", url="file:///lake")),
            provenance=Provenance(), revision=None,
        )  # fmt: skip
    trigger = Recurrence(frequency="Day", interval=1)
    made = Schedule(name="stranger", pipeline="strange", trigger=trigger)
    operate.create_schedule(registry, made, version.id)


def prepare(place):
    """Apply, run and edit a project so that the next apply does something of every sort."""
    for folder in ("landing", "elsewhere", "code"):
        (place.project / folder).mkdir()
    (place.project / "code/run.py").write_text("print(1)\n")
    place.apply(
        a=hello("hello", code="./code"),
        b=hello("going"),
        c=store("moved", "landing"),
        d=store("leaving", "landing"),
        e=minutely("edited"),
        f=minutely("resting", status="Disabled"),
        g=minutely("going", pipeline="going"),
        h=minutely("former"),
        i=watching("arrivals", "moved"),
        j=minutely("first", missed="all"),
    )
    place.poll()
    place.forward(61)
    place.finish()
    place.forward(130)  # some are overdue
    strangers(place.registry)
    (place.project / "code/run.py").write_text("print(2)\n")
    for name in "bdgh":
        place.remove(name)
    place.write(
        c=store("moved", "elsewhere"),
        e=minutely("edited").replace("interval: 1", "interval: 2"),
        f=minutely("resting"),
        h=minutely("latter", renamed_from="former"),
        k="kind: Schedule\nname: new\npipeline: hello\n"
        "trigger: {recurrence: {frequency: Day, interval: 1}}\n",
        l=hello("strange"),
        m=store("lake", "lake"),
        n=minutely("stranger", pipeline="strange"),
    )


def make(project, registry, now):
    source = open_folder(str(project))
    reading = read(source, read_project(source), "dev", registry, adopt=ADOPT)
    return plan(reading, "ws", now), reading


def apply_as(actor, project, workspace, now, pause=lambda _: None):
    made, reading = make(project, workspace.registry, now)
    apply_plan(made, reading, workspace.registry, How(actor=actor, pause=pause))
    return made


class Database:
    """A workspace's file, to be put back and compared; ``kept`` is a copy of it as it began."""

    def __init__(self, path, kept):
        self.path, self.kept = path, kept

    def reset(self):
        for end in ("-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        shutil.copy(self.kept, self.path)

    @contextmanager
    def opened(self, instant):
        workspace = open_workspace(str(self.path), FixedClock(instant), create=False)
        try:
            yield workspace
        finally:
            workspace.close()

    def rows(self):
        """Give every row of every table, but for leases; random ids are told by their names."""
        with closing(sqlite3.connect(self.path)) as raw:
            raw.row_factory = sqlite3.Row
            ids = {}
            for table, name in (
                ("schedules", "name"),
                ("pipelines", "name || version"),
                ("experiments", "name"),
            ):
                found = raw.execute(f"SELECT id, {name} FROM {table}")
                ids |= {key: f"{table}:{said}" for key, said in found}
            pattern = re.compile("|".join(ids))
            tables = raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            return {
                table: sorted(
                    json.dumps(
                        {
                            key: pattern.sub(lambda id_: ids[id_[0]], str(row[key]))
                            for key in row.keys()  # noqa: SIM118  (of a row, not a dict)
                            if not key.startswith("lease_")
                        }
                    )
                    for row in raw.execute(f"SELECT * FROM {table}")
                )
                for (table,) in tables
            }

    def lease(self):
        with closing(sqlite3.connect(self.path)) as raw:
            return raw.execute("SELECT lease_holder, lease_until FROM owners").fetchone()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The project, its database, the instant, and how all rows are before and after an apply."""
    folder = tmp_path_factory.mktemp("site")
    with site(folder) as place:
        prepare(place)
        now = place.clock.now()
    shutil.copy(folder / "ws.db", folder / "kept.db")
    database = Database(folder / "ws.db", folder / "kept.db")
    return place.project, database, now


def undisturbed(project, database, now, actor):
    database.reset()
    with database.opened(now) as workspace:
        made = apply_as(actor, project, workspace, now)
    rows = database.rows()
    database.reset()
    return made, rows


def stopped(database, now, planned, statement):
    """Apply in a process that is killed before a statement; tells whether it came so far."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) in {0, TAKEN}
        return os.waitstatus_to_exitcode(status) == TAKEN
    try:
        left = [statement]

        def step(_):
            left[0] -= 1
            if left[0] == 0:
                os._exit(TAKEN)

        plain = sqlite.connect

        def connect(path, *, read_only):
            connection = plain(path, read_only=read_only)
            connection.set_trace_callback(step)
            return connection

        sqlite.connect = connect
        workspace = open_workspace(str(database.path), FixedClock(now), create=False)
        apply_plan(*planned, workspace.registry, How(actor="first"))
        os._exit(0)
    finally:
        os._exit(1)


def test_the_plan_does_something_of_every_sort(prepared):
    project, database, now = prepared
    made, _ = undisturbed(project, database, now, "first")
    assert {change.action for change in made.changes} == set(Action)
    assert any(
        c.kind == "Pipeline" and c.code_digest and c.action == "update" for c in made.changes
    )


def test_an_apply_killed_at_any_statement_is_healed_by_the_next(prepared):
    project, database, now = prepared
    later = now + SECONDS * 1_000_000
    before = database.rows()
    _, early = undisturbed(project, database, now, "first")
    _, late = undisturbed(project, database, later, "second")
    with database.opened(now) as workspace:
        planned = make(project, workspace.registry, now)
    healed = set()
    statement = 0
    alive = True
    while alive:
        statement += 1
        database.reset()
        alive = stopped(database, now, planned, statement)
        rows, lease = database.rows(), database.lease()
        whole = rows == early
        assert whole or rows == before, f"a mixture after statement {statement}"
        if (whole, lease) in healed:
            continue
        healed.add((whole, lease))
        heal(project, database, later, lease)
        assert database.rows() == (early if whole else late)
        assert len(database.rows()["applies"]) == 2
    assert statement > 100
    assert len(healed) == 4  # nothing or all of it written, with and without a lease left behind


def heal(project, database, later, lease):
    """Apply again, as soon as the lease of whoever died lets go."""
    if lease[0] is not None:
        assert lease == ("first", later)
        with (
            database.opened(later - 1) as workspace,
            pytest.raises(WorkspaceBusy, match="first is applying for test/dev"),
        ):
            apply_as("second", project, workspace, later)
    with database.opened(later) as workspace:
        made, reading = make(project, workspace.registry, later)
        if made.changes:
            apply_plan(made, reading, workspace.registry, How(actor="second"))
        assert make(project, workspace.registry, later)[0].changes == ()


class Failing(sqlite3.Connection):
    """A connection whose ``left``-th statement finds the disk full, once."""

    left = 0

    def cursor(self, *arguments):
        return super().cursor(FailingCursor)

    def execute(self, *arguments):
        return self.cursor().execute(*arguments)

    def executemany(self, *arguments):
        return self.cursor().executemany(*arguments)


class FailingCursor(sqlite3.Cursor):
    def execute(self, *arguments):
        self._point()
        return super().execute(*arguments)

    def executemany(self, *arguments):
        self._point()
        return super().executemany(*arguments)

    @staticmethod
    def _point():
        Failing.left -= 1
        if Failing.left == 0:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorname = "SQLITE_FULL"
            raise error


def test_an_apply_that_finds_the_disk_full_at_any_statement_is_tried_again(prepared, monkeypatch):
    project, database, now = prepared
    _, rows = undisturbed(project, database, now, "first")
    plain = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **named: plain(*a, factory=Failing, **named))

    def attempt(statement):
        """Fail at a statement; gives how many were begun, and how often it waited."""
        database.reset()
        waited = []
        with database.opened(now) as workspace:
            made, reading = make(project, workspace.registry, now)
            Failing.left = statement
            apply_plan(made, reading, workspace.registry, How(actor="first", pause=waited.append))
            begun = statement - Failing.left
        assert database.rows() == rows
        return begun, waited

    count, waited = attempt(100_000)
    assert waited == []
    for statement in random.sample(range(1, count + 1), 20):
        print(f"full at statement {statement} of {count}")
        begun, waited = attempt(statement)
        assert begun > count or statement > count - 3  # a lease need not be given back
        assert waited in ([], [BACKOFF[0]])
