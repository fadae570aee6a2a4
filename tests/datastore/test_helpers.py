"""Facts that other processes ask for are those that this one would have found."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest

from reconciler.data import Watched
from reconciler.datastore import helpers, local, stats
from reconciler.datastore.helpers import helped
from reconciler.datastore.local import LocalDatastore
from tests.processes import until

HOSTILE = [b"\xff\xfe", b"new\nline", b"-rf", b"a", b"n" * 255]


@pytest.fixture
def folder(tmp_path):
    for number in range(40):
        (tmp_path / f"{number:02}").write_bytes(b"x" * number)
    (tmp_path / "07").unlink()
    (tmp_path / "08").unlink()
    (tmp_path / "08").mkdir()
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


BATCHES = [[b"%02d" % number for number in range(start, start + 4)] for start in range(0, 40, 4)]


def answers(folder, count):
    return list(helped(folder, BATCHES, count))


@pytest.mark.parametrize("count", [0, 1, 3, 20])
def test_any_number_of_helpers_gives_the_same_facts_in_the_same_order(folder, count):
    assert answers(folder, count) == [(names, stats.facts(folder, names)) for names in BATCHES]


def test_what_is_no_file_has_no_facts(folder):
    found = dict(zip(BATCHES[1], answers(folder, 2)[1][1], strict=True))
    assert found[b"07"] == b""
    found = dict(zip(BATCHES[2], answers(folder, 2)[2][1], strict=True))
    assert found[b"08"] == b""
    assert found[b"09"].startswith(b"9 ")


def test_a_folder_of_many_files_is_listed_with_helpers(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "_MANY", 3)
    monkeypatch.setattr(local, "_BATCH", 2)
    for name in HOSTILE:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    (tmp_path / "b").symlink_to("nowhere")
    store, watched = LocalDatastore(tmp_path.as_uri()), Watched(datastore="x", path="")
    with_them = list(store.scan(watched))
    monkeypatch.setattr(local, "_MANY", 1000)
    assert with_them == list(store.scan(watched))
    assert [name for files in with_them for name in files.names] == sorted(HOSTILE)


@contextmanager
def helper_that(program, monkeypatch):
    """Let another program be the helper."""
    real = subprocess.Popen

    def start(command, **more):
        return real([sys.executable, "-c", program], **more)

    with monkeypatch.context() as patch:
        patch.setattr(helpers.subprocess, "Popen", start)
        yield


@pytest.mark.parametrize(
    "program",
    [
        "",
        "import os; os.read(0, 5)",
        "import sys; sys.stdout.buffer.write(bytes(7) + b'\\x63' + b'x')",
        "import sys; sys.stdout.buffer.write(bytes(8))",
        "import os; os.kill(os.getpid(), 9)",
    ],
)
def test_a_helper_that_fails_makes_no_difference(folder, monkeypatch, program):
    expected = answers(folder, 0)
    with helper_that(program, monkeypatch):
        assert answers(folder, 2) == expected


def test_a_helper_that_cannot_be_started_makes_no_difference(folder, monkeypatch):
    expected = answers(folder, 0)
    monkeypatch.setattr(helpers.sys, "executable", "/nonexistent/python")
    assert answers(folder, 2) == expected


def test_what_the_system_refuses_is_raised_here(folder):
    with pytest.raises(OSError, match="File name too long"):
        list(helped(folder, [[b"n" * 300]], 1))


def test_helpers_end_with_the_listing_even_where_nobody_takes_it_all(folder, monkeypatch):
    started = []
    real = subprocess.Popen

    def start(*args, **more):
        started.append(real(*args, **more))
        return started[-1]

    monkeypatch.setattr(helpers.subprocess, "Popen", start)
    with closing(helped(folder, BATCHES, 3)) as found:
        next(found)
        assert len(started) == 3
    assert all(process.returncode is not None for process in started)


def test_a_helper_ends_with_the_process_that_started_it(tmp_path):
    program = (
        "import os, sys, signal\n"
        "from reconciler.datastore.helpers import helped\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "found = helped(fd, [[b'a'], [b'b'], [b'c']], 2)\n"
        "next(found)\n"
        "children = open(f'/proc/self/task/{os.getpid()}/children').read()\n"
        "print(children, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=False
    )
    children = done.stdout.split()
    assert len(children) == 2
    for child in children:
        until(lambda child=child: not runs(child))


def runs(process):
    try:
        with open(f"/proc/{process}/stat") as stat:  # noqa: PTH123  (it may vanish meanwhile)
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


# What a helper does


def test_a_helper_answers_each_message_with_one(folder):
    asked, answered = io.BytesIO(), io.BytesIO()
    for names in BATCHES:
        stats.send(asked, names)
    asked.seek(0)
    stats.serve(folder, asked, answered)
    answered.seek(0)
    for names in BATCHES:
        assert stats.receive(answered) == stats.facts(folder, names)
    with pytest.raises(EOFError):
        stats.receive(answered)


def test_a_helper_that_is_refused_just_ends(folder):
    asked, answered = io.BytesIO(), io.BytesIO()
    stats.send(asked, [b"n" * 300])
    asked.seek(0)
    stats.serve(folder, asked, answered)
    assert answered.getvalue() == b""
