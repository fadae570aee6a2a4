"""Real Git repositories for tests, made with the real git and nobody's configuration."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

WHO = "Ada <ada@example.org>"
ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


def steady(monkeypatch) -> None:
    """Let git, the tests' and the product's, see no configuration but the repository's own."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def write(folder: Path, path: str, content: bytes | str = b"", mode: int = 0o644) -> Path:
    """Write a file and the folders above it."""
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    file.chmod(mode)
    return file


class Repository:
    """A repository at ``folder``; each commit is a minute later than the one before."""

    def __init__(self, folder: Path, *, new: bool = True) -> None:
        self.folder = folder
        self.minute = 0
        if new:
            folder.mkdir(parents=True, exist_ok=True)
            self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        """Run a git command in it and return what it prints."""
        dates = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), self.date)
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**os.environ, **dates},
            check=False,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    @property
    def seconds(self) -> int:
        """The date of the last commit, in seconds since the epoch."""
        return 1_760_000_000 + 60 * self.minute

    @property
    def date(self) -> str:
        """The same, as git reads it."""
        return f"{self.seconds} +0100"

    def write(self, path: str, content: bytes | str = b"", mode: int = 0o644) -> Path:
        """Write a file without committing it."""
        return write(self.folder, path, content, mode)

    def commit(self, files: dict[str, str] | None = None) -> str:
        """Commit everything that changed, after writing ``files``; return the commit's id."""
        for path, content in (files or {}).items():
            self.write(path, content)
        self.minute += 1
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", f"--message=commit {self.minute}")
        return self.git("rev-parse", "HEAD")
