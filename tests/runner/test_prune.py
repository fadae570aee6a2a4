"""Letting go of what is old, beside the workspace and in it."""

import logging
import os
import threading
from collections import Counter
from contextlib import closing
from datetime import timedelta

import pytest

from reconciler.clock import DAY, SECOND
from reconciler.errors import WorkspaceBusy
from reconciler.runner import prune as module
from reconciler.runner.prune import Janitor, Retention, prune
from reconciler.workspace.sql.backup import open_upkeep
from tests.site import HELLO, minutely

NOTHING = Retention(fires=timedelta(), runs=timedelta(), polls=timedelta(), logs=timedelta())


@pytest.fixture
def upkeep(place):
    with closing(open_upkeep(str(place.folder / "ws.db"), place.clock)) as opened:
        yield opened


def age(folder, instant):
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (instant / SECOND, instant / SECOND), follow_symlinks=False)


def test_all_that_a_run_left_goes_and_it_never_runs_again(place, upkeep):
    (place.project / "code").mkdir()
    (place.project / "code" / "say.py").write_text("print('hello')\n")
    place.apply(p=HELLO.replace("steps:", "code: ./code\nsteps:"), s=minutely())
    place.forward(90)
    (run,) = place.finish()
    folders = [place.folder / name / run.id for name in ("attempts", "work")]
    (code,) = (place.folder / "code").iterdir()
    for folder in [*folders, code]:
        age(folder, place.clock.instant)
    place.forward(1)
    expected = Counter(runs=1, attempts=1, fires=1, logs=1, workdirs=1)
    assert prune(upkeep, str(place.folder), NOTHING, dry_run=True) == expected
    assert all(folder.is_dir() for folder in folders)
    assert prune(upkeep, str(place.folder), NOTHING) == expected
    assert not any(folder.exists() for folder in folders)
    assert code.is_dir()
    place.restart()
    for _ in range(3):
        place.step()
    assert (place.runs(), place.fires("every-minute")) == ([], [])
    place.forward(60)
    assert len(place.finish()) == 1


def test_what_is_younger_or_not_over_stays(place, upkeep):
    place.apply(p=HELLO, s=minutely())
    place.forward(90)
    (run,) = place.finish()
    age(place.folder / "attempts" / run.id, place.clock.instant)
    place.forward(29 * 24 * 3_600)
    assert prune(upkeep, str(place.folder), Retention()) == Counter()
    assert place.log(run, "say") == "hello\n"


def test_folders_of_runs_that_nobody_knows_go_when_they_are_old(place, upkeep):
    strange = [place.folder / name for name in ("attempts/x", "work/.new-y", "code/.new-z")]
    for folder in strange:
        folder.mkdir(parents=True)
        (folder / "file").touch()
    (place.folder / "attempts" / "file").touch()
    (place.folder / "attempts" / "link").symlink_to(place.project)
    for folder in strange:
        age(folder, place.clock.instant)
    assert prune(upkeep, str(place.folder), Retention()) == Counter()
    place.forward(31 * 24 * 3_600)
    assert prune(upkeep, str(place.folder), Retention()) == Counter(logs=1, workdirs=1, code=1)
    assert not any(folder.exists() for folder in strange)
    assert place.project.is_dir()


def test_it_ends_where_it_is_told_to(place, upkeep):
    for name in ("x", "y"):
        (place.folder / "attempts" / name).mkdir(parents=True)
        age(place.folder / "attempts" / name, place.clock.instant - DAY)
    assert prune(upkeep, str(place.folder), NOTHING, stop=lambda: True) == Counter(logs=1)
    stops = iter([False, True])
    assert prune(upkeep, str(place.folder), NOTHING, stop=lambda: next(stops)) == Counter(logs=1)


def test_a_folder_that_somebody_else_takes_away_is_no_trouble(tmp_path):
    assert module._changed_at(tmp_path / "gone") > 1 << 60
    module._remove(tmp_path / "gone")


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(module, "FIRST", 0.0)


def test_the_janitor_works_beside_the_loop_and_tells_what_it_did(at_once, caplog):
    done = threading.Event()

    def work(*, stop, rest):
        done.set()
        return Counter(runs=2, fires=3)

    caplog.set_level(logging.INFO)
    janitor = Janitor(work)
    janitor.look()
    assert done.wait(60)
    done.clear()
    janitor.look()
    janitor.close()
    assert not done.is_set()
    assert caplog.messages == ["deleted what is old: 3 fires, 2 runs"]


def test_the_janitor_does_not_begin_at_once_nor_while_it_works(monkeypatch):
    janitor = Janitor(lambda **_: pytest.fail("too early"))
    janitor.look()
    janitor.close()
    monkeypatch.setattr(module, "FIRST", 0.0)
    monkeypatch.setattr(module, "EVERY", 0.0)
    begun, calls = threading.Event(), []

    def work(*, stop, rest):
        calls.append(1)
        begun.set()
        assert until_stopped(stop)
        return Counter()

    janitor = Janitor(work)
    janitor.look()
    assert begun.wait(60)
    janitor.look()
    janitor.close()
    assert calls == [1]


def until_stopped(stop):
    pause = threading.Event()
    return any(stop() or pause.wait(0.01) for _ in range(6_000))


@pytest.mark.parametrize("error", [WorkspaceBusy("busy"), ZeroDivisionError("defect")])
def test_the_runner_outlives_a_janitor_that_fails(at_once, caplog, error):
    def work(*, stop, rest):
        raise error

    janitor = Janitor(work)
    janitor.look()
    janitor.close()
    assert caplog.messages == [f"what is old stays: {error}"]
    assert (caplog.records[0].exc_info is None) == isinstance(error, WorkspaceBusy)


def test_the_runner_begins_it_and_ends_it(place, upkeep, at_once):
    done = threading.Event()
    place.apply(p=HELLO, s=minutely())
    place.daemon._janitor = Janitor(lambda **_: done.set() or Counter())
    place.step()
    assert done.wait(60)
