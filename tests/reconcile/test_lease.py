"""One apply at a time: leases that are kept alive, races, busy databases, and zombies."""

import json
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, contextmanager

import pytest

from reconciler.clock import SECOND
from reconciler.errors import ReconcilerError, StalePlan, WorkspaceBusy
from reconciler.live import Owner
from reconciler.reconcile import lease as leases
from reconciler.reconcile.apply import BACKOFF, How, apply_plan
from reconciler.reconcile.lease import SECONDS, leased
from reconciler.reconcile.read import plan, read, read_project
from reconciler.settings import open_folder
from reconciler.workspace.records import Outcome
from reconciler.workspace.sql import open_workspace, sqlite
from tests.processes import until
from tests.site import HELLO, minutely

OWNER = Owner("test", "dev")


def made(place, registry=None):
    source = open_folder(str(place.project))
    reading = read(source, read_project(source), "dev", registry or place.registry)
    return plan(reading, "ws", place.clock.now()), reading


@contextmanager
def locked(place):
    """Write from elsewhere, for as long as the block takes."""
    with closing(sqlite3.connect(place.folder / "ws.db", isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        yield raw
        raw.execute("ROLLBACK")


@pytest.fixture
def hasty(place, monkeypatch):
    """The site with another connection to its workspace that does not wait for a lock."""
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0)
    workspace = open_workspace(str(place.folder / "ws.db"), place.clock, create=False)
    yield workspace.registry
    workspace.close()


def test_a_lease_is_given_back_also_after_an_error(place):
    with (
        leased(place.registry, OWNER, "ann"),
        pytest.raises(WorkspaceBusy, match=r"ann is applying for test/dev .* until 2026"),
    ):
        place.registry.acquire_lease(OWNER, "bob", SECONDS)
    place.registry.release_lease(place.registry.acquire_lease(OWNER, "bob", SECONDS))
    with pytest.raises(ZeroDivisionError), leased(place.registry, OWNER, "ann"):
        raise ZeroDivisionError
    place.registry.acquire_lease(OWNER, "bob", SECONDS)


def test_a_lease_is_renewed_while_it_is_used(place, monkeypatch):
    monkeypatch.setattr(leases, "_BEATS", 100 * SECONDS)
    with leased(place.registry, OWNER, "ann"):
        place.forward(SECONDS - 1)

        def until_when():
            with closing(sqlite3.connect(place.folder / "ws.db")) as raw:
                return raw.execute("SELECT lease_until FROM owners").fetchone()[0]

        until(lambda: until_when() == place.clock.now() + SECONDS * SECOND)
        with pytest.raises(WorkspaceBusy, match="ann is applying"):
            place.registry.acquire_lease(OWNER, "bob", SECONDS)


class Slow:
    """A registry whose user falls asleep before a transaction, while ``meanwhile`` goes on."""

    def __init__(self, port, meanwhile):
        self.port = port
        self.meanwhile = meanwhile

    def __getattr__(self, name):
        return getattr(self.port, name)

    def transaction(self):
        self.meanwhile()
        return self.port.transaction()


def test_who_oversleeps_the_lease_writes_nothing_once_somebody_took_it(place):
    place.write(a=HELLO, b=minutely())
    ours = made(place)
    taken = []

    def meanwhile():
        place.forward(SECONDS + 1)
        taken.append(place.registry.acquire_lease(OWNER, "bob", SECONDS))

    with pytest.raises(StalePlan, match=r"^zombie no longer holds the right to apply for test/dev"):
        apply_plan(*ours, Slow(place.registry, meanwhile), How(actor="zombie"))
    assert place.registry.live().schedules == ()
    assert place.registry.applies() == ()
    with place.registry.transaction() as tx:
        tx.check_lease(taken[0])  # the zombie gave back nothing that was not its own


def test_who_oversleeps_the_lease_and_nobody_took_it_goes_on(place):
    place.write(a=HELLO, b=minutely())
    ours = made(place)
    slow = Slow(place.registry, lambda: place.forward(SECONDS + 1))
    apply_plan(*ours, slow, How(actor="ann"))
    assert len(place.registry.live().schedules) == 1


def test_a_database_that_is_busy_for_two_tries_is_waited_for(place, hasty):
    place.write(a=HELLO, b=minutely())
    ours = made(place)
    waited = []
    with closing(sqlite3.connect(place.folder / "ws.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        def pause(seconds):
            waited.append(seconds)
            if len(waited) == 2:
                other.execute("ROLLBACK")

        apply_plan(*ours, hasty, How(actor="ann", pause=pause))
    assert waited == list(BACKOFF[:2])
    (line,) = place.registry.applies()
    assert line.outcome is Outcome.APPLIED
    assert len(place.registry.live().schedules) == 1


def test_a_database_that_stays_busy_is_an_error_and_nothing_is_written(place, hasty):
    place.write(a=HELLO, b=minutely())
    ours = made(place)
    waited = []
    with locked(place), pytest.raises(WorkspaceBusy, match=r"^[^\n]*is being written by somebody"):
        apply_plan(*ours, hasty, How(actor="ann", pause=waited.append))
    assert waited == list(BACKOFF)
    assert place.registry.live().schedules == ()
    assert place.registry.applies() == ()


def test_what_ends_an_apply_once_it_began_is_kept_in_the_history(place, hasty):
    place.write(a=HELLO, b=minutely())
    ours = made(place)

    def fail(change):
        raise WorkspaceBusy(f"{change.name} does not fit")

    with pytest.raises(WorkspaceBusy, match="does not fit"):
        apply_plan(*ours, hasty, How(actor="ann", done=fail, pause=lambda _: None))
    (line,) = place.registry.applies()
    assert (line.outcome, line.error, line.actor) == (Outcome.FAILED, "hello does not fit", "ann")
    assert place.registry.live().schedules == ()


def test_who_finds_somebody_applying_waits_and_then_says_who_it_is(place):
    place.write(a=HELLO, b=minutely())
    ours = made(place)
    waited = []
    held = place.registry.acquire_lease(OWNER, "bob", SECONDS)
    with pytest.raises(WorkspaceBusy, match=r"^bob is applying for test/dev"):
        apply_plan(*ours, place.registry, How(actor="ann", pause=waited.append))
    assert waited == list(BACKOFF)
    assert place.registry.applies() == ()
    place.registry.release_lease(held)
    apply_plan(*ours, place.registry, How(actor="ann"))
    assert len(place.registry.applies()) == 1


def test_of_two_threads_that_apply_the_same_plan_one_wins(place):
    place.write(a=HELLO, **{f"s{n}": minutely(f"s{n}") for n in range(20)})
    plans = [made(place) for _ in range(2)]
    ended = {}
    together = threading.Barrier(2)

    def run(name, ours):
        together.wait()
        try:
            apply_plan(*ours, place.registry, How(actor=name))
            ended[name] = None
        except ReconcilerError as error:
            ended[name] = error

    threads = [
        threading.Thread(target=run, args=(name, ours))
        for name, ours in zip(("ann", "bob"), plans, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (lost,) = [error for error in ended.values() if error is not None]
    assert isinstance(lost, StalePlan)
    assert "the workspace moved since the plan was made" in str(lost)
    assert len(place.registry.applies()) == 1
    assert len(place.registry.live().schedules) == 20


def test_of_processes_that_apply_at_once_each_writes_all_of_its_own_or_nothing(place, tmp_path):
    """Each project declares the same names otherwise; whoever comes later finds a stale plan."""
    started = []
    for name in ("red", "blue", "green"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "reconciler.yml").write_text("project: test\ninclude: ['*.yml']\n")
        (folder / "all.yml").write_text(
            "---".join([HELLO, *(minutely(f"s{n}", description=name) for n in range(30))])
        )
        started.append(
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "reconciler", "apply", "--yes"),
                    *("--project", str(folder), "--workspace", f"sqlite:{place.folder}/ws.db"),
                ],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    said = [process.communicate()[1] for process in started]
    codes = [process.returncode for process in started]
    assert codes.count(0) >= 1, said
    assert set(codes) <= {0, 1, 4}, said
    for code, error in zip(codes, said, strict=True):
        if code:
            assert error.count("\n") == 1
            assert "is applying for" in error or "the workspace moved" in error
    live = place.registry.live()
    colours = {json.loads(one.spec)["description"] for one in live.schedules}
    assert len(colours) == 1
    assert len(live.schedules) == 30
    assert len(place.registry.applies()) == codes.count(0)
    assert place.registry.broken_chain() is None
