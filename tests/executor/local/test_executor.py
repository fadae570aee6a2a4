"""The local executor where it is killed, lied to or left without a server."""

import fcntl
import json
import os
import select
import shlex
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from time import monotonic

import psutil
import pytest

from reconciler.errors import ExecutorError
from reconciler.executor.base import Exited, Gone, Launch, NotStarted, Running
from reconciler.executor.local import LocalExecutor, server

ID = "run/step/1"
GONE = Gone("its process is gone and left no exit file")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "attempts"


@pytest.fixture
def executor(root):
    executor = LocalExecutor(str(root))
    yield executor
    ids = [str(token.parent.relative_to(root)) for token in root.glob("*/*/*/token")]
    executor.cancel(ids)
    see(executor, (Exited, Gone), *ids)
    executor.close()


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def shell(script, folder, attempt=ID):
    return Launch(id=attempt, argv=("/bin/sh", "-c", script), env=dict(os.environ), cwd=str(folder))


def until(condition):
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline
        select.select([], [], [], 0.01)


def see(executor, kinds, *ids):
    """Wait until all attempts are in such a state, and give the evidence of the last."""
    found = None
    for attempt in ids:
        deadline = monotonic() + 60
        while not isinstance(found := executor.look([attempt])[attempt], kinds):
            assert monotonic() < deadline, found
            select.select([executor.wakeup()], [], [], 0.02)
            executor.drain_wakeups()
    return found


def written(path):
    until(lambda: path.exists() and path.read_text()[-1:] == "\n")
    return path.read_text()


def dead(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def freeze_server(executor, folder):
    """Have a server that takes nothing more from its pipe."""
    executor.submit([shell("exit 0", folder, "warm/up/1")])
    see(executor, Exited, "warm/up/1")
    executor._server.send_signal(signal.SIGSTOP)
    until(lambda: psutil.Process(executor._server.pid).status() == psutil.STATUS_STOPPED)


# Killed


def test_killed_between_token_and_user_code_it_is_gone_and_never_starts(
    executor, tmp_path, monkeypatch
):
    monkeypatch.setenv("RECONCILER_KILL_AT", "TOKEN_TAKEN")
    launch = shell("echo started > starts", tmp_path)
    executor.submit([launch])
    assert see(executor, Gone, ID) == GONE
    monkeypatch.delenv("RECONCILER_KILL_AT")
    later = LocalExecutor(str(executor._root))
    later.submit([launch, shell("exit 0", tmp_path, "after/it/1")])
    see(later, Exited, "after/it/1")
    later.close()
    assert executor.look([ID]) == {ID: GONE}
    assert not (tmp_path / "starts").exists()


def test_killed_after_its_exit_file_it_has_ended(executor, tmp_path, monkeypatch):
    monkeypatch.setenv("RECONCILER_KILL_AT", "EXIT_WRITTEN")
    executor.submit([shell("echo started >> starts; exit 3", tmp_path)])
    assert see(executor, Exited, ID).exit_code == 3
    assert (tmp_path / "starts").read_text() == "started\n"


def test_a_killed_shim_is_gone_and_takes_user_code_with_it(executor, tmp_path, fifo):
    script = (
        "echo $$ > main; (echo > child.out; read x < fifo) > log & echo $! > child; read x < fifo"
    )
    executor.submit([shell(script, tmp_path)])
    pids = [int(written(tmp_path / name)) for name in ("main", "child")]
    written(tmp_path / "child.out")
    bystander = subprocess.Popen(["/bin/cat", fifo], stdout=subprocess.DEVNULL)
    os.kill(see(executor, Running, ID).pid, signal.SIGKILL)
    assert see(executor, Gone, ID) == GONE
    for pid in pids:
        until(lambda pid=pid: dead(pid))
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


@pytest.mark.parametrize("again", ["submit", "look"])
def test_what_a_killed_server_had_not_started_a_new_one_starts(executor, tmp_path, again):
    freeze_server(executor, tmp_path)
    lost = [shell(f"echo {n} >> starts", tmp_path, f"run/step/{n}") for n in range(5)]
    executor.submit(lost)
    assert set(executor.look(launch.id for launch in lost).values()) == {NotStarted()}
    executor._server.kill()
    executor._server.wait()
    if again == "submit":
        executor.submit(lost[:1])
    see(executor, Exited, *(launch.id for launch in lost))
    assert sorted((tmp_path / "starts").read_text().split()) == list("01234")


def test_a_server_killed_while_it_is_written_to_loses_and_repeats_nothing(executor, tmp_path):
    freeze_server(executor, tmp_path)
    filler = "x" * 100_000  # more than the pipe holds, so that submit blocks until the kill
    killer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import os, select; select.select([], [], [], .3); os.kill({executor._server.pid}, 9)",
        ]
    )
    many = [shell(f"echo {n} >> starts # {filler}", tmp_path, f"run/step/{n}") for n in range(5)]
    executor.submit(many)
    killer.wait()
    see(executor, Exited, *(launch.id for launch in many))
    assert sorted((tmp_path / "starts").read_text().split()) == list("01234")


def test_a_program_started_by_a_killed_server_runs_on(executor, tmp_path, fifo):
    executor.submit([shell("read x < fifo; exit 4", tmp_path)])
    see(executor, Running, ID)
    executor._server.kill()
    fifo.write_text("go\n")
    assert see(executor, Exited, ID).exit_code == 4


# Out of order


def submit_twice(executor, launch):
    executor.submit([launch])  # a server that cannot run may die before or after it is written to
    executor._server.wait()
    executor.submit([launch])


def test_a_server_that_cannot_run_is_an_error_each_time_it_is_asked(
    executor, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ExecutorError, match="broke down"):
        submit_twice(executor, shell("exit 0", tmp_path))
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with pytest.raises(ExecutorError, match="cannot start"):
        executor.submit([shell("exit 0", tmp_path)])
    assert executor.look([ID]) == {ID: NotStarted()}


def test_a_root_that_cannot_be_made_is_an_error_and_starts_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    executor = LocalExecutor(str(tmp_path / "file"))
    with pytest.raises(ExecutorError, match="Not a directory"):
        executor.submit([shell("exit 0", tmp_path)])
    with pytest.raises(ExecutorError, match="Not a directory"):
        executor.cancel([ID])
    executor.close()


def test_a_shim_that_cannot_take_the_token_leaves_the_attempt_startable(executor, root, tmp_path):
    (root / ID).mkdir(parents=True)
    (root / ID / server.LOG).mkdir()  # so that its log cannot be opened
    executor.submit([shell("exit 0", tmp_path)])
    until(lambda: "IsADirectoryError" in (root / "executor.log").read_text())
    assert executor.look([ID]) == {ID: NotStarted()}
    (root / ID / server.LOG).rmdir()
    executor.submit([shell("exit 0", tmp_path)])
    assert see(executor, Exited, ID).exit_code == 0


def test_a_token_that_cannot_be_written_is_an_error_of_cancel(executor, root):
    (root / ID / server.TOKEN).mkdir(parents=True)
    with pytest.raises(ExecutorError, match="Is a directory"):
        executor.cancel([ID])
    (root / ID / server.TOKEN).rmdir()


def test_a_token_left_blank_by_a_shim_that_died_is_free(executor, root, tmp_path):
    (root / ID).mkdir(parents=True)
    (root / ID / server.TOKEN).touch()
    assert executor.look([ID]) == {ID: NotStarted()}
    executor.submit([shell("exit 3", tmp_path)])
    assert see(executor, Exited, ID).exit_code == 3


def test_cancel_waits_for_a_shim_that_is_about_to_sign_the_token(executor, root):
    token(root)
    path = root / ID / server.TOKEN
    content = json.loads(path.read_text())
    path.write_text("")
    program = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE)
    with path.open("r+") as file, ThreadPoolExecutor(1) as pool:
        fcntl.flock(file, fcntl.LOCK_EX)
        canceled = pool.submit(executor.cancel, [ID])
        assert not wait([canceled], timeout=0.05).done
        file.write(json.dumps({**content, "pid": program.pid}))
        file.flush()
        canceled.result(60)
    assert program.wait(60) == -signal.SIGTERM
    program.stdin.close()


# Lied to


def token(root, **changes):
    folder = root / ID
    folder.mkdir(parents=True)
    content = {"pid": 1, **server.here(), "started_at": 1, **changes}
    (folder / server.TOKEN).write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"host": "elsewhere"}, "it ran on elsewhere and left no exit file"),
        ({"boot": "before"}, "the machine restarted while it ran"),
        ({}, GONE.reason),
    ],
)
def test_a_token_without_lock_and_exit_file_is_gone(executor, root, changes, reason):
    token(root, **changes)
    assert executor.look([ID]) == {ID: Gone(reason)}
    executor.cancel([ID])  # whoever has that pid now is left alone
    assert executor.look([ID]) == {ID: Gone(reason)}


@pytest.mark.parametrize(
    "changes", [{"reason": None}, {"exit_code": "0"}, {"started_at": 1 << 70}, {"ended_at": -1}]
)
def test_an_exit_file_whose_values_make_no_sense_is_damaged(executor, root, changes):
    token(root)
    ended = {"exit_code": 0, "reason": "", "started_at": 1, "ended_at": 2, "canceled": False}
    (root / ID / server.EXIT).write_text(json.dumps({**ended, **changes}))
    found = executor.look([ID])[ID]
    assert isinstance(found, Gone)
    assert "make no sense" in found.reason


@pytest.mark.parametrize("name", [server.TOKEN, server.EXIT])
@pytest.mark.parametrize("text", [b"\0" * 80, b"\xff", b"null", b"[]", b"12", b'"x"', b"{}"])
def test_damaged_evidence_is_gone_and_no_crash(executor, root, name, text):
    token(root)
    (root / ID / name).write_bytes(text)
    found = executor.look([ID])[ID]
    assert isinstance(found, Gone)
    assert "damaged" in found.reason


# The server itself


def test_a_server_loads_next_to_nothing(tmp_path):
    argv = [sys.executable, "-I", "-S", "-X", "importtime", server.__file__]
    done = subprocess.run(
        argv, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "marshal" in loaded
    assert not loaded & {
        "reconciler",
        "pathlib",
        "subprocess",
        "typing",
        "contextlib",
        "psutil",
        "threading",
    }
    assert len(loaded) < 60


RUNNER_UNDER_NOHUP = """
import signal, sys
from reconciler.executor.base import Launch
from reconciler.executor.local import LocalExecutor
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
script = "/bin/grep SigBlk /proc/self/status; kill -HUP $$"
executor = LocalExecutor(sys.argv[1])
executor.submit([Launch(id="run/step/1", argv=("/bin/sh", "-c", script), env={}, cwd="/")])
executor.close()
"""


def test_a_server_forgets_what_nohup_left_behind_and_the_mask_it_was_given(executor, root):
    argv = [sys.executable, "-c", RUNNER_UNDER_NOHUP, root]
    subprocess.run(argv, check=True, cwd=Path(__file__).parents[3])
    assert see(executor, Exited, ID).reason == "killed by SIGHUP"
    assert int(Path(executor.log_path(ID)).read_text().split()[1], 16) == 0


def test_a_server_told_to_end_goes_on_for_its_runner(executor, tmp_path, fifo):
    executor.submit([shell("read x < fifo", tmp_path)])
    see(executor, Running, ID)
    executor._server.terminate()
    executor.submit([shell("exit 0", tmp_path, "run/step/2")])
    assert see(executor, Exited, "run/step/2") == executor.look(["run/step/2"])["run/step/2"]
    assert executor.look(["run/step/2"])["run/step/2"].exit_code == 0
    assert isinstance(executor.look([ID])[ID], Running)


def test_shims_that_ended_are_reaped_while_others_live(executor, tmp_path, fifo):
    executor.submit([shell("read x < fifo", tmp_path), shell("exit 0", tmp_path, "run/step/2")])
    see(executor, Running, ID)
    see(executor, Exited, "run/step/2")
    server_process = psutil.Process(executor._server.pid)
    until(lambda: len(server_process.children()) == 1)


def test_orphans_of_a_program_are_reaped_while_it_runs(executor, tmp_path, fifo):
    script = "sh -c 'exit 0 & echo $! > orphan'; read x < fifo"
    executor.submit([shell(script, tmp_path)])
    orphan = int(written(tmp_path / "orphan"))
    see(executor, Running, ID)
    until(lambda: not psutil.pid_exists(orphan))


def test_an_exit_file_waits_for_room_on_a_full_disk(tmp_path, monkeypatch):
    naps = []
    full = iter([OSError(28, "No space left on device"), OSError(122, "Disk quota exceeded")])

    def fsync(_descriptor):
        for error in full:
            raise error

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(server.time, "sleep", naps.append)
    server.write_exit(str(tmp_path), b"{}")
    assert (tmp_path / server.EXIT).read_bytes() == b"{}"
    assert len(naps) == 2
    with pytest.raises(FileNotFoundError):
        server.write_exit(str(tmp_path / "nowhere"), b"{}")


def test_a_frame_cut_short_by_the_death_of_a_runner_is_not_started(tmp_path):
    done = subprocess.run(
        [sys.executable, "-I", server.__file__],
        input=b"\0\0\1\0" + b"half",
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0
    assert shlex.join(path.name for path in tmp_path.iterdir()) == ""
