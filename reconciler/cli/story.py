"""What the demo tells its story with: commands that are really run, and claims that are checked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from reconciler import settings
from reconciler.errors import ReconcilerError
from reconciler.reconcile.operate import find_schedule
from reconciler.run import RunState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reconciler.live import RegisteredSchedule
    from reconciler.run import Run

T = TypeVar("T")
Change = tuple[str, str, list[tuple[str, Any, Any]]]

WORKSPACE = "sqlite:.reconciler/workspace.db"
PROGRAM = (sys.executable, "-P", "-m", "reconciler")
# Seconds. What the runner is waited for takes it two or three.
PATIENCE = 60.0
COMMAND_TIMEOUT = 120.0
STOPPING = 15.0
RUNNER_CONFIG = "drain: 5s\n"
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put off the signals that end the story: one that came while a process is made orphans it."""
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: came.append(number)) for number in ENDINGS
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


class StoryError(ReconcilerError):
    """Something that the story tells did not happen."""


class Story:
    """A project in a folder, the runner on it, and how far the story was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / ".reconciler"
        self.runner: subprocess.Popen[bytes] | None = None
        self.slowest = 0.0
        self._step = 0
        self._title = ""
        self._family: list[Any] = []
        # Neither the user's Git nor a workspace of theirs has a part in the story.
        self._env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "RECONCILER_"))},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "RECONCILER_RUNNER_CONFIG": str(self.state / "runner.yml"),
        }
        for who in ("AUTHOR", "COMMITTER"):
            self._env |= {f"GIT_{who}_NAME": "Demo", f"GIT_{who}_EMAIL": "demo@example.org"}

    @cached_property
    def workspace(self) -> settings.Workspace:
        """The workspace, to read back what happened; it is there from the first apply on."""
        return settings.open_workspace(WORKSPACE, str(self.folder))

    @property
    def runner_pid(self) -> int:
        """The process id of the runner started last; 0 before."""
        return self.runner.pid if self.runner else 0

    def begin(self, title: str, text: str) -> None:
        """Begin a step."""
        self._step, self._title = self._step + 1, title
        click.echo("")
        click.secho(f"{self._step}. {title}", bold=True)
        click.echo(f"   {text}\n")

    def fail(self, what: str) -> NoReturn:
        """End the story here.

        Raises:
            StoryError: always, with the step and ``what`` is wrong.
        """
        raise StoryError(f"step {self._step}, {self._title}: {what}")

    def check(self, claim: str, expected: object, found: object) -> None:
        """Say ``claim`` if it is true, else end the story."""
        if found != expected:
            self.fail(f"'{claim}' is not so; expected {expected}, found {found}")
        click.echo(f"   {click.style('ok', fg='green', bold=True)} {claim}")

    def say(self, *arguments: str, code: int = 0, **shown: int) -> str:
        """Run a command of this program, show it with its output, and give the output.

        ``code`` is the exit code it must have; how much is shown is as in :func:`show`.
        """
        prompt(f"reconciler {' '.join(arguments)}")
        done, text = self._run((*PROGRAM, *arguments), subprocess.STDOUT)
        show(text, **shown)
        if done != code:
            self.fail(f"reconciler {arguments[0]} exited with {done}, expected {code}")
        return text

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401  (any JSON)
        """Run a command without telling, and give its JSON."""
        command = (*PROGRAM, *arguments, "--output", "json")
        code, text = self._run(command, subprocess.DEVNULL)
        if code:
            self.fail(f"{' '.join(command[3:])} exited with {code}, expected 0")
        return json.loads(text)

    def git(self, *arguments: str) -> str:
        """Run a git command without telling, and give its output."""
        code, text = self._run(("git", *arguments), subprocess.STDOUT)
        if code:
            self.fail(f"git {arguments[0]} exited with {code}: {text.strip()}")
        return text.strip()

    def commit(self, message: str) -> None:
        """Commit everything, and show it as a user would do it."""
        prompt(f"git add --all && git commit --message '{message}'")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def _run(self, command: tuple[str, ...], stderr: int) -> tuple[int, str]:
        begun = time.monotonic()
        process: subprocess.Popen[bytes] | None = None
        try:
            with _undisturbed():
                process = subprocess.Popen(  # noqa: S603  (this program or git, with words of our own)
                    command,
                    cwd=self.folder,
                    env=self._env,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                )
            printed, _ = process.communicate(timeout=COMMAND_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.fail(f"{' '.join(command)} did not end within {COMMAND_TIMEOUT:.0f} s")
        finally:
            if process is not None and process.poll() is None:
                process.kill()
                process.communicate()
        self.slowest = max(self.slowest, time.monotonic() - begun)
        return process.returncode, printed.decode(errors="replace")

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that stands once in a file of the project."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            self.fail(f"'{old.strip()}' does not stand once in {file}")
        path.write_text(text.replace(old, new), encoding="utf-8")
        prompt(f"edit {file}")
        diff = self.git("diff", "--unified=0", "--no-color", "--no-ext-diff").splitlines()
        show("\n".join(line for line in diff[4:] if line.startswith(("-", "+"))))

    def planned(self) -> list[Change]:
        """Ask what an apply would do, as (action, address, [(field, old, new)])."""
        return [
            (
                one["action"],
                one["address"],
                [(field["path"], field["live"], field["desired"]) for field in one["fields"]],
            )
            for one in self.ask("plan")["resource_changes"]
        ]

    def schedule(self, name: str) -> RegisteredSchedule:
        """Read how a schedule stands in the registry."""
        return find_schedule(self.workspace.registry.live(), name)

    def runs(self, schedule: str) -> list[Run]:
        """Read the runs of a schedule, newest first."""
        return self.workspace.ledger.runs(schedule_id=self.schedule(schedule).id)

    def wait(self, what: str, look: Callable[[], T | None]) -> T:
        """Look until there is something; a runner that ends meanwhile ends the story."""
        runner, log = self.runner, f"see {self.state / 'runner.log'}"
        if runner is None:
            self.fail(f"no runner is there to wait for {what}")
        deadline = time.monotonic() + PATIENCE
        while (found := look()) is None:
            if time.monotonic() > deadline:
                self.fail(f"waited {PATIENCE:.0f} s in vain for {what}; {log}")
            with suppress(subprocess.TimeoutExpired):
                code = runner.wait(timeout=0.1)
                self.fail(f"the runner ended with {code} before there was {what}; {log}")
        return found

    def finished(self, schedule: str, cause: str) -> Run:
        """Wait for the end of a run, show its log and check that it finished.

        ``cause`` is the run's occurrence key, or the name of the file it is for.
        """

        def over() -> Run | None:
            for run in self.runs(schedule):
                if run.state.over and cause in {run.occurrence_key, (run.facts or {}).get("path")}:
                    return run
            return None

        run = self.wait(f"a run of {schedule} for {cause}", over)
        log = self.say("logs", run.id[:8])
        found = f"{run.state}, {run.reason}" if run.reason else run.state.value
        self.check(f"its run {run.id[:8]} is Finished", RunState.FINISHED.value, found)
        scores = [line for line in log.splitlines() if line.startswith(("accuracy ", "scored "))]
        self.check(f"its log says: {'; '.join(scores) or 'a score'}", True, bool(scores))  # noqa: FBT003  (a claim)
        return run

    def start_runner(self) -> None:
        """Start the runner in a session of its own, so that Ctrl-C is for the story alone."""
        prompt("reconciler runner start 2>> .reconciler/runner.log &")
        click.echo("")
        (self.state / "runner.yml").write_text(RUNNER_CONFIG, encoding="utf-8")
        with (self.state / "runner.log").open("ab") as log, _undisturbed():
            self.runner = subprocess.Popen(  # noqa: S603  (this program)
                (*PROGRAM, "runner", "start"),
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop_runner(self, number: signal.Signals) -> int | None:
        """Send the runner a signal; give its exit code, None if it does not end in time."""
        import psutil  # noqa: PLC0415  (it is slow, and the story is long)

        if self.runner is None or self.runner.poll() is not None:
            return None
        with suppress(psutil.NoSuchProcess):
            self._family += psutil.Process(self.runner.pid).children(recursive=True)
        self.runner.send_signal(number)
        try:
            return self.runner.wait(STOPPING)
        except subprocess.TimeoutExpired:
            return None

    def leave_nothing_running(self) -> None:
        """Stop the runner and whatever it started, whatever happened."""
        import psutil  # noqa: PLC0415  (the same)

        if self.stop_runner(signal.SIGTERM) is None:
            self.stop_runner(signal.SIGKILL)
        for process in self._family:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def prompt(command: str) -> None:
    """Show a command."""
    click.echo(f"   {click.style(f'$ {command}', fg='cyan')}")


def show(text: str, head: int = 3, tail: int = 13) -> None:
    """Show an output, indented; of a long one so many lines from its beginning and its end."""
    lines = text.splitlines()
    left_out = len(lines) - head - tail
    if left_out > 1:
        lines = [*lines[:head], f"... {left_out} more lines ...", *lines[len(lines) - tail :]]
    for line in lines:
        click.echo(f"     {line}".rstrip())
    click.echo("")
