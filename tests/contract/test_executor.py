"""What every executor must do, proved on real processes.

A program that has to run until told otherwise blocks on reading a FIFO; nothing here waits for a
fixed time.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from time import monotonic

import psutil
import pytest

from reconciler.errors import ExecutorError
from reconciler.executor.base import Executor, Exited, Gone, Launch, NotStarted, Running
from reconciler.executor.local import LocalExecutor

PATH = os.environ["PATH"]
ADAPTERS = {"local": LocalExecutor}
RUNNER = """
import datetime, os, sys
from {module} import {name} as Adapter
from reconciler.executor.base import Launch, NotStarted
executor, launch = Adapter(sys.argv[1]), {launch!r}
executor.submit([launch])
while isinstance(executor.look([launch.id])[launch.id], NotStarted):
    pass
os.kill(os.getpid(), 9)
"""


class Site:
    """A root for attempts, the executors opened on it, and what was launched there."""

    def __init__(self, adapter: str, folder: Path) -> None:
        self.adapter = adapter
        self.folder = folder
        self.root = str(folder / "attempts")
        self.fifo = folder / "fifo"
        os.mkfifo(self.fifo)
        self.opened: list[Executor] = []
        self.ids: list[str] = []

    def open(self) -> Executor:
        self.opened.append(ADAPTERS[self.adapter](self.root))
        return self.opened[-1]

    def launch(self, *argv: str, id: str | None = None, **fields) -> Launch:  # noqa: A002
        self.ids.append(id or f"run/step/{len(self.ids) + 1}")
        fields = {"env": {"PATH": PATH}, "cwd": str(self.folder), "grace": 30.0, **fields}
        return Launch(id=self.ids[-1], argv=argv, **fields)

    def shell(self, script: str, **fields) -> Launch:
        return self.launch("sh", "-c", script, **fields)

    def run(self, launch: Launch) -> Exited | Gone:
        self.opened[0].submit([launch])
        return self.end(launch.id)

    def end(self, attempt: str, executor: Executor | None = None) -> Exited | Gone:
        return self.see(attempt, (Exited, Gone), executor)

    def see(self, attempt: str, kinds, executor: Executor | None = None):
        """Wait until the attempt is in such a state, and give the evidence."""
        executor = executor or self.opened[0]
        deadline = monotonic() + 60
        while not isinstance(found := executor.look([attempt])[attempt], kinds):
            assert monotonic() < deadline, found
            select.select([executor.wakeup()], [], [], 0.02)
            executor.drain_wakeups()
        return found

    def let_go(self, count: int = 1) -> None:
        """Wait until a program reads the FIFO, and let that many lines through."""
        with self.fifo.open("w") as file:
            file.write("go\n" * count)

    def text(self, name: str) -> str:
        """Wait until a program has written a line to that file, and give what is in it."""
        until(
            lambda: (self.folder / name).exists() and (self.folder / name).read_text()[-1:] == "\n"
        )
        return (self.folder / name).read_text()

    def log(self, launch: Launch) -> bytes:
        return Path(self.opened[0].log_path(launch.id)).read_bytes()

    def close(self) -> None:
        cleaner = self.open()
        cleaner.cancel(self.ids)
        for attempt in self.ids:
            self.end(attempt, cleaner)
        for executor in self.opened:
            executor.close()


def until(condition) -> None:
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline
        select.select([], [], [], 0.01)


def dead(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(params=ADAPTERS)
def site(request, tmp_path):
    site = Site(request.param, tmp_path)
    site.open()
    yield site
    site.close()


# How programs end


@pytest.mark.parametrize("code", [0, 1, 3, 255])
def test_the_exit_code_is_told(site, code):
    end = site.run(site.shell(f"exit {code}"))
    assert (end.exit_code, end.canceled) == (code, False)
    assert end.reason == (f"exit code {code}" if code else "")
    assert 0 < end.started_at <= end.ended_at


@pytest.mark.parametrize(
    ("number", "reason"),
    [(9, "killed by SIGKILL"), (15, "killed by SIGTERM"), (40, "killed by signal 40")],
)
def test_a_signal_that_killed_it_is_told_by_name(site, number, reason):
    end = site.run(site.launch(sys.executable, "-c", f"import os; os.kill(os.getpid(), {number})"))
    assert (end.exit_code, end.reason, end.canceled) == (-number, reason, False)


def test_what_cannot_start_ends_with_the_reason_and_never_hangs(site):
    def file(name: str, text: str, mode: int) -> str:
        path = site.folder / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    plain = file("plain", "echo no\n", 0o644)
    noise = file("noise", "\x00\x01\x02", 0o755)
    script = file("script", "#!/no/such/interpreter\n", 0o755)
    cases = [
        (site.launch("no-such-program"), "program not found: no-such-program"),
        (site.launch("no-\udcff"), r"program not found: no-\xff"),
        (site.launch(""), "program not found: "),
        (site.launch("/no/such/program"), "program not found: /no/such/program"),
        (site.launch("./no/such"), "program not found: ./no/such"),
        (site.launch(script), f"no interpreter for {script}"),
        (site.launch("true", cwd="/no/such/folder"), "folder not found: /no/such/folder"),
        (site.launch("true", cwd=plain), f"folder not found: {plain}"),
        (site.launch(plain), f"cannot start {plain}: Permission denied"),
        (site.launch(noise), f"cannot start {noise}: Exec format error"),
        (site.launch("/"), "cannot start /: Permission denied"),
        (site.launch("true", "x" * 3_000_000), "cannot start true: Argument list too long"),
        (site.launch("true", "a\0b"), "cannot start true: embedded null byte"),
        (site.launch("a\0b"), "cannot start a\0b: "),
        (site.launch("true", cwd="/\0"), "cannot start true: "),
        (site.launch("true", env={"A=B": ""}), "cannot start true: illegal environment variable"),
        (site.launch("true", "\ud800"), "cannot start 'true': "),
    ]
    site.opened[0].submit([launch for launch, _ in cases])
    for launch, reason in cases:
        end = site.end(launch.id)
        assert (end.exit_code, end.canceled) == (None, False)
        assert end.reason.startswith(reason)


def test_what_a_program_leaves_in_its_group_dies_with_it(site):
    end = site.run(site.shell("read x < fifo & echo $! > child"))
    assert end.exit_code == 0
    until(lambda: dead(int(site.text("child"))))


def test_a_wake_up_tells_of_the_end_and_can_be_drained(site):
    executor = site.opened[0]
    executor.submit([site.shell("exit 0")])
    assert select.select([executor.wakeup()], [], [], 60)[0]
    executor.drain_wakeups()
    assert not select.select([executor.wakeup()], [], [], 0)[0]


# What programs get


def test_the_log_holds_output_and_errors_in_order(site):
    launch = site.shell("echo 1; echo 2 >&2; echo 3; echo 4 >&2")
    site.run(launch)
    assert site.log(launch) == b"1\n2\n3\n4\n"


def test_the_environment_is_exactly_the_given_one(site):
    env = {"A": "1", "B": "two words\nand a line", "C": "$(id) `id` \udcff\udc80"}
    launch = site.launch(shutil.which("env"), "-0", env=env)
    site.run(launch)
    assert sorted(site.log(launch).split(b"\0")[:-1]) == [
        b"A=1",
        b"B=two words\nand a line",
        b"C=$(id) `id` \xff\x80",
    ]


def test_hostile_arguments_arrive_as_they_are(site):
    hostile = ["$(id)", "`id`", "a\nb", "'; ls /", '"', "*", "", "-n", "é", "\udcff\udc80", "\\0"]
    launch = site.shell('printf "%s\\0" "$@"')
    launch = Launch(
        id=launch.id, argv=(*launch.argv, "sh", *hostile), env=launch.env, cwd=launch.cwd
    )
    site.run(launch)
    assert site.log(launch).split(b"\0")[:-1] == [os.fsencode(text) for text in hostile]


def test_a_program_is_looked_up_in_its_own_path(site):
    tool = site.folder / "bin" / "tool"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\npwd\n")
    tool.chmod(0o755)
    launch = site.launch("tool", env={"PATH": f"/nowhere:{tool.parent}:{PATH}"})
    assert site.run(launch).exit_code == 0
    assert site.log(launch) == os.fsencode(site.folder.resolve()) + b"\n"


def test_standard_input_is_empty(site):
    assert site.run(site.launch("cat")).exit_code == 0


def test_signals_are_as_if_newly_logged_in(site):
    number = signal.SIGPIPE  # Python ignores it, and what is ignored is inherited
    assert site.run(site.shell("kill -PIPE $$")).exit_code == -number


def test_no_descriptor_but_the_three_is_inherited(site):
    launch = site.launch(sys.executable, "-c", "import os; print(os.listdir('/dev/fd'))")
    site.run(launch)
    assert len(eval(site.log(launch))) == 4  # the fourth is the listing itself


# Once


def test_an_attempt_never_heard_of_has_not_started(site):
    assert site.opened[0].look(["run/step/7"]) == {"run/step/7": NotStarted()}


def test_submitting_twice_starts_once(site):
    launch = site.shell("echo started >> starts; read x < fifo")
    other = site.open()
    site.opened[0].submit([launch, launch])
    other.submit([launch])
    site.let_go()
    assert site.end(launch.id).exit_code == 0
    site.opened[0].submit([launch])
    mark = site.shell("exit 0")  # by the time it is over, the one before it was dealt with
    site.run(mark)
    assert site.text("starts") == "started\n"


def test_executors_racing_for_many_attempts_start_each_once(site):
    launches = [site.shell(f"echo {number} >> starts") for number in range(40)]
    for executor in (site.opened[0], site.open(), site.open()):
        executor.submit(launches)
    for executor in site.opened:
        executor.close()
    site.opened.clear()
    site.open()
    assert {site.end(launch.id).exit_code for launch in launches} == {0}
    assert sorted(map(int, site.text("starts").split())) == list(range(40))


@pytest.mark.parametrize(
    "attempt",
    [
        "",
        "run",
        "/run/step/1",
        "../step/1",
        "run/../1",
        "run/step/..",
        "a/b/c/d",
        "a//1",
        "a/b/1\n",
    ],
)
def test_an_id_that_could_lead_elsewhere_is_refused(site, attempt):
    with pytest.raises(ExecutorError, match="not an attempt's id"):
        site.opened[0].submit([Launch(id=attempt, argv=("true",), env={}, cwd="/")])
    with pytest.raises(ExecutorError):
        site.opened[0].look([attempt])
    with pytest.raises(ExecutorError):
        site.opened[0].cancel([attempt])


# Stopping


def test_a_timeout_kills_the_whole_group_though_it_ignores_sigterm(site):
    script = "trap '' TERM; read x < fifo & echo $! > child; read x < fifo"
    end = site.run(site.shell(script, timeout=timedelta(seconds=2), grace=0.0))
    assert (end.exit_code, end.reason) == (-9, "timed out after 2s")
    assert end.canceled is False
    until(lambda: dead(int(site.text("child"))))


def test_a_program_that_ends_well_when_told_to_end_has_not_succeeded(site):
    launch = site.shell("trap 'echo saved; exit 0' TERM; echo ready > ready; read x < fifo")
    site.opened[0].submit([launch])
    site.text("ready")
    site.opened[0].cancel([launch.id])
    end = site.end(launch.id)
    assert (end.exit_code, end.reason, end.canceled) == (-15, "canceled", True)
    assert site.log(launch).endswith(b"saved\n")


def test_a_program_within_its_timeout_is_left_alone(site):
    assert (
        site.run(site.shell("exit 4", timeout=timedelta.max, grace=1e300)).reason == "exit code 4"
    )


def test_cancel_stops_the_program_and_every_descendant(site):
    daemon = "import os; os.setsid(); print(os.getpid(), flush=True); open('fifo').read()"
    launch = site.shell(
        f'(read x < fifo; true) & echo $! > child; "{sys.executable}" -c "{daemon}" > daemon & '
        "read x < fifo",
    )
    site.opened[0].submit([launch])
    pids = [int(site.text("child")), int(site.text("daemon"))]
    site.opened[0].cancel([launch.id])
    end = site.end(launch.id)
    assert (end.exit_code, end.reason, end.canceled) == (-15, "canceled", True)
    for pid in pids:
        until(lambda pid=pid: dead(pid))


def test_the_rest_of_the_group_has_until_the_end_of_the_grace(site):
    # Told to end, the shell goes at once; its child, busy saving, must not be killed for that.
    child = "trap 'read x < fifo; echo saved > saved; exit 0' TERM; echo ready > ready; while :; do :; done"
    launch = site.shell(f'sh -c "{child}" & wait; :', grace=60.0)
    site.opened[0].submit([launch])
    site.text("ready")
    site.opened[0].cancel([launch.id])
    site.let_go()
    assert site.end(launch.id).canceled
    assert site.text("saved") == "saved\n"


def test_a_descendant_that_leaves_the_group_when_told_to_end_is_killed_after_the_grace(site):
    leaver = (
        "import os, signal; signal.signal(signal.SIGTERM, lambda *_: os.setsid());"
        "print(os.getpid(), flush=True); [open('fifo').read() for _ in iter(int, 1)]"
    )
    launch = site.shell(f'"{sys.executable}" -c "{leaver}" > leaver & wait; :', grace=0.5)
    site.opened[0].submit([launch])
    pid = int(site.text("leaver"))
    site.opened[0].cancel([launch.id])
    assert site.end(launch.id).canceled
    until(lambda: dead(pid))


def test_cancel_from_another_executor_works_and_twice_is_as_once(site):
    launch = site.shell("read x < fifo")
    site.opened[0].submit([launch])
    site.see(launch.id, Running)
    other = site.open()
    other.cancel([launch.id])
    site.opened[0].cancel([launch.id])
    assert site.end(launch.id, other).canceled


def test_what_is_canceled_before_it_starts_never_starts(site):
    launch = site.shell("echo started > starts")
    site.opened[0].cancel([launch.id])
    end = site.end(launch.id)
    assert (end.exit_code, end.reason, end.canceled) == (None, "canceled", True)
    for executor in (site.opened[0], site.open()):
        executor.submit([launch])
    site.run(site.shell("exit 0"))
    assert site.end(launch.id) == end
    assert not (site.folder / "starts").exists()


def test_canceling_what_is_over_changes_nothing(site):
    launch = site.shell("exit 5")
    end = site.run(launch)
    site.opened[0].cancel([launch.id])
    assert site.end(launch.id) == end


# Outliving the runner


def killed_runner(site, launch: Launch) -> None:
    """Let another process submit the launch, see it started and die by SIGKILL."""
    adapter = ADAPTERS[site.adapter]
    script = RUNNER.format(module=adapter.__module__, name=adapter.__name__, launch=launch)
    argv = [sys.executable, "-c", script, site.root]
    done = subprocess.run(argv, check=False, cwd=Path(__file__).parents[2], timeout=60)
    assert done.returncode == -signal.SIGKILL


def test_a_restarted_runner_finds_what_still_runs_and_sees_it_end(site):
    launch = site.shell("echo started >> starts; read x < fifo; exit 6")
    killed_runner(site, launch)
    executor = site.open()
    found = executor.look([launch.id])[launch.id]
    assert isinstance(found, Running)
    assert psutil.pid_exists(found.pid)
    executor.submit([launch])
    site.let_go()
    end = site.end(launch.id, executor)
    assert (end.exit_code, end.started_at) == (6, found.started_at)
    assert site.text("starts") == "started\n"


def test_a_restarted_runner_can_cancel_what_still_runs(site):
    launch = site.shell("read x < fifo")
    killed_runner(site, launch)
    site.opened[0].cancel([launch.id])
    assert site.end(launch.id).canceled


def test_a_timeout_holds_though_the_runner_is_gone(site):
    launch = site.shell("read x < fifo", timeout=timedelta(milliseconds=500))
    killed_runner(site, launch)
    assert site.end(launch.id).reason == "timed out after 500ms"


def test_closing_leaves_programs_running(site):
    launch = site.shell("read x < fifo; exit 7")
    site.opened[0].submit([launch])
    site.opened.pop().close()
    site.open()
    site.let_go()
    assert site.end(launch.id).exit_code == 7
