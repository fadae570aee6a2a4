"""Runners as processes of their own, and waiting for what they do."""

import contextlib
import signal
import subprocess
import sys
import threading


def until(condition, seconds=60):
    """Wait until ``condition()`` is true and return it; fail after far longer than it can take."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        found = condition()
        if found:
            return found
        pause.wait(0.05)
    raise AssertionError(f"not within {seconds} s: {condition}")


class RunnerProcess:
    """``reconciler runner start`` on a workspace, a file or a URL, with its log in a file."""

    def __init__(self, workspace, log, *arguments, env=None, errors=None):
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "reconciler",
                    "runner",
                    "start",
                    "--workspace",
                    workspace if isinstance(workspace, str) else f"sqlite:{workspace}",
                    *arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=errors or file,
                env=env,
            )

    def said(self, text):
        return text in self.log.read_text(errors="replace")

    def wait(self, seconds):
        """Let it run for so long, or until it ends."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=seconds)
        return self.process.returncode

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=60):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=seconds)


@contextlib.contextmanager
def runner(workspace, log, *arguments, **settings):
    started = RunnerProcess(workspace, log, *arguments, **settings)
    try:
        yield started
    finally:
        started.kill()
