from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from reconciler.errors import SourceError
from reconciler.source import process, status
from reconciler.source.git import open_commit
from reconciler.source.process import MissingError, Objects
from tests.source.opened import files, git, opened, repository
from tests.source.repositories import Repository

__all__ = ["git", "repository"]


@pytest.fixture
def started(monkeypatch):
    """The processes that were started since, in order."""
    made = []

    def start(*arguments):
        made.append(real(*arguments))
        return made[-1]

    real = process.start
    monkeypatch.setattr(process, "start", start)
    monkeypatch.setattr(status, "start", start)
    return made


def blob(repository, content):
    path = repository.write("blob", content)
    return repository.git("hash-object", "-w", str(path))


def test_two_processes_answer_everything_but_history(repository, started):
    repository.commit({f"m/{number}/a.yml": "x" for number in range(30)})
    repository.write("m/3/a.yml", "dirty")
    repository.write("m/new.yml", "untracked")
    source = opened(repository)
    source.state()
    source.folders().key("")
    source.folders().entries(["m", "m/3", "m/4"])
    source.read(["m/3/a.yml", "m/4/a.yml"])
    assert len(files(source.manifests(["m/**/*.yml"]))) == 31
    source.code("m")
    source.descent("0" * 40)
    assert len(started) == 2


def test_a_commit_takes_one_process(repository, started):
    repository.commit({"m/a.yml": "x"})
    source = open_commit(str(repository.folder), "HEAD")
    source.state()
    source.manifests(["m/*.yml"])
    assert len(started) == 1


def test_the_processes_end_with_a_source_that_nobody_closed(repository, started):
    repository.commit({"m/a.yml": "x"})
    source = opened(repository)
    source.manifests(["m/*.yml"])
    assert started[1].poll() is None
    del source
    assert [made.returncode is None for made in started] == [False, False]


def test_a_source_that_was_closed_can_be_asked_again(repository, started):
    repository.commit({"m/a.yml": "x"})
    source = open_commit(str(repository.folder), "HEAD")
    source.close()
    source.close()
    assert files(source.manifests(["m/*.yml"])) == ["m/a.yml"]
    assert len(started) == 2
    work_tree = opened(repository)
    work_tree.close()
    assert started[2].returncode is not None


def test_a_program_that_is_killed_leaves_no_process_behind(repository):
    repository.commit({"m/a.yml": "x"})
    program = (
        "import time\n"
        "from reconciler.source.git import open_commit\n"
        f"source = open_commit({str(repository.folder)!r}, 'HEAD')\n"
        "source.manifests(['m/*.yml'])\n"
        "print(source._objects._process.pid, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        child = psutil.Process(int(program.stdout.readline()))
        program.send_signal(signal.SIGKILL)
        psutil.wait_procs([child], timeout=30)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_forked_process_takes_nothing_from_the_one_that_it_comes_from(repository):
    repository.commit({"m/a.yml": "x"})
    source = open_commit(str(repository.folder), "HEAD")
    source.state()
    process._forget(source._objects._process, starter=os.getppid())
    assert source._objects._process.poll() is None
    assert files(source.manifests(["m/*.yml"])) == ["m/a.yml"]


def test_objects_are_given_in_the_order_they_are_asked_for(repository):
    ids = [blob(repository, f"{number}" * number) for number in range(1, 80)]
    objects = Objects(str(repository.folder))
    asked = [*ids, "0" * 40, *reversed(ids)] * 3
    found = list(objects.each(asked))
    assert [one and one.id for one in found] == [None if id_ == "0" * 40 else id_ for id_ in asked]
    assert found[4].content == b"55555"
    assert list(objects.each([])) == []


def test_answers_that_nobody_took_are_not_taken_for_others(repository):
    ids = [blob(repository, f"{number}") for number in range(9)]
    objects = Objects(str(repository.folder))
    assert next(objects.each(ids)).content == b"0"
    assert objects.get(ids[5]).content == b"5"


def test_content_beyond_the_limit_is_passed_over(repository):
    small, large = blob(repository, b"x" * 9), blob(repository, b"x\n" * (3 << 20))
    objects = Objects(str(repository.folder))
    found = list(objects.each([small, large, small], 9))
    assert [(one.size, one.content) for one in found] == [
        (9, b"x" * 9),
        (6 << 20, b""),
        (9, b"x" * 9),
    ]


def test_a_process_that_dies_is_an_error_in_one_line(repository, started):
    repository.commit({"m/a.yml": "x", "n/b.yml": "x"})
    source = open_commit(str(repository.folder), "HEAD")
    started[0].kill()
    started[0].wait()
    with pytest.raises(SourceError, match=r"it stopped without a word$"):
        source.manifests(["m/*.yml"])
    assert files(source.manifests(["m/*.yml"])) == ["m/a.yml"]


def test_a_process_that_dies_within_an_answer_is_an_error(repository):
    content = blob(repository, os.urandom(1 << 20))
    path = repository.folder / ".git/objects" / content[:2] / content[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[: 1 << 18])
    with pytest.raises(SourceError, match="Git cannot read"):
        Objects(str(repository.folder)).get(content)


@pytest.fixture
def partial(repository, tmp_path):
    """Make a clone that left out what a filter names, and fetches nothing by itself."""
    repository.commit({"m/a.yml": "a", "n/b.yml": "b", "n/c.yml": "c"})
    repository.git("config", "uploadpack.allowFilter", "true")

    def clone(what):
        url = repository.folder.as_uri()
        path = tmp_path / "clone"
        repository.git("clone", "--quiet", f"--filter={what}", "--no-checkout", url, str(path))
        return Repository(path, new=False)

    return clone


def test_what_a_partial_clone_left_out_is_not_fetched_and_the_way_out_is_named(partial):
    clone = partial("blob:none")
    clone.git("sparse-checkout", "set", "m")
    clone.git("checkout", "--quiet")
    source = opened(clone)
    assert source.read(["m/a.yml"])[0].text == b"a"
    assert set(source.folders().entries(["n"])["n"]) == {"b.yml", "c.yml"}
    for _ in range(2):
        with pytest.raises(MissingError) as caught:
            source.manifests(["n/*.yml"])
    assert str(caught.value) == (
        "the content of 'n/b.yml' is not in this clone; run: git fetch --refetch --no-filter"
    )
    entries = source.folders().entries(["m", "n"])
    here, gone = entries["m"]["a.yml"].split()[1], entries["n"]["b.yml"].split()[1]
    asked = [here] * 99 + [gone] + [here] * 99 + [gone, gone]
    found = list(source._objects.each(asked))
    assert [one and one.id for one in found] == [None if id_ == gone else id_ for id_ in asked]
    clone.git("fetch", "--quiet", "--refetch", "--no-filter")
    assert len(opened(clone).manifests(["n/*.yml"])) == 2


def test_trees_that_a_partial_clone_left_out_are_named_too(partial):
    clone = partial("tree:0")
    clone.write("reconciler.yml", "project: wine\n")
    with pytest.raises(MissingError, match="git fetch --refetch --no-filter"):
        opened(clone)
    with pytest.raises(MissingError, match=r"the tree [0-9a-f]{40} is not in this clone"):
        open_commit(str(clone.folder), "HEAD").manifests(["n/*.yml"])


def test_slow_libraries_are_loaded_by_those_who_need_them(repository):
    repository.commit({"m/a.yml": "x"})
    program = (
        "import sys\n"
        "from reconciler.source.git import open_source\n"
        f"source = open_source({str(repository.folder)!r})\n"
        "source.state(), source.code('m'), source.folders().key('')\n"
        "print('git' in sys.modules, 'yaml' in sys.modules)\n"
        "source.manifests(['m/*.yml'])\n"
        "print('git' in sys.modules, 'yaml' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("False False\nFalse True\n", "")
