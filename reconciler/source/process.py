"""Git as a process: how it is started, and what its refusals mean.

A process is bound to whoever asked for it and ends with them at the latest; one that reads requests
also ends by itself once nobody can write them any more, so that none outlives a killed program.
"""

from __future__ import annotations

import os
import subprocess
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from reconciler.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Set by a hook, they would speak of the hook's repository instead of the project's.
ELSEWHERE = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_SHALLOW_FILE",
    "GIT_GRAFT_FILE",
)
# Nothing is fetched, by a Git that knows the first of them or by any; an object's id is its content
# whatever `git replace` says; and what Git says is in the language that is looked for.
SETTINGS = {
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "LC_ALL": "C",
    "LANGUAGE": "C",
}
GIT = ("git", "--no-optional-locks", "--literal-pathspecs", "-c", "log.showSignature=false")
# Bytes of requests under way together: they fit into the smallest pipe, so that writing them never
# waits for answers that nobody reads yet.
_WINDOW = 2048


class NoGitError(SourceError):
    """There is no Git here, or no repository with a work tree; the text says which."""


class MissingError(SourceError):
    """An object that the repository refers to is not in this clone of it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not in this clone; run: git fetch --refetch --no-filter")


class Object(NamedTuple):
    """What the object database holds: ``kind`` is commit, tree, blob or tag.

    ``content`` is empty where ``size`` (in bytes) was beyond what was asked for.
    """

    id: str
    kind: str
    size: int
    content: bytes


def start(
    owner: object, folder: str, *arguments: str, further: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start Git in ``folder``, for as long as ``owner`` lives; ``further`` is environment.

    Raises:
        NoGitError: it is not installed.
    """
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    try:
        process = subprocess.Popen(  # noqa: S603  (no shell; its words are ours)
            [*GIT, "-C", folder, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**environment, **SETTINGS, **(further or {})},
        )
    except (FileNotFoundError, PermissionError):
        raise NoGitError("git is not installed, so no commit is known") from None
    weakref.finalize(owner, _forget, process, os.getpid())
    return process


def _forget(process: subprocess.Popen[bytes], starter: int) -> None:
    # What a process forked since then forgets is still in use where it was started.
    if os.getpid() == starter:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, also one that has ended."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):  # a request that was never sent
                pipe.close()


def refuse(folder: str, said: str) -> SourceError:
    """Make the error for what Git said on standard error when it gave up."""
    if "safe.directory" in said:
        # Git names the folder that it means, which may be above the project's.
        lines = [line.strip() for line in said.splitlines() if "git config" in line]
        command = lines[0] if lines else "see safe.directory in git help config"
        return SourceError(f"Git does not trust {folder!r}, another user's; if you do: {command}")
    if "not a git repository (or any" in said or "work tree" in said or "working tree" in said:
        return NoGitError("Git finds no work tree here, so no commit is known")
    # Said by a Git that would fetch what a partial clone left out, had it been allowed to.
    if "promisor remote" in said:
        return MissingError("a part of the commit")
    lines = [line for line in said.splitlines() if line.startswith(("fatal:", "warning:"))]
    lines = lines or said.strip().splitlines() or ["it stopped without a word"]
    return SourceError(f"Git cannot read {folder!r}: {lines[-1]}")


class Objects:
    """The object database of the repository around ``folder``, through one long-lived process.

    It is started with the first request. All requests of a call are under way together.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = False

    def close(self) -> None:
        """End the process; a later request starts another."""
        if self._process is not None:
            end(self._process)
            self._process = None
        self._unread = False

    def get(self, name: str, limit: int | None = None) -> Object | None:
        """Give one object; see :meth:`each`."""
        (found,) = self.each([name], limit)
        return found

    def each(self, names: Sequence[str], limit: int | None = None) -> Iterator[Object | None]:
        """Give the object of each name (an id, or anything Git resolves), None for an unknown one.

        Content of more than ``limit`` bytes is passed over.

        Raises:
            SourceError: Git cannot tell.
        """
        # Answers that nobody read would be taken for those to the next request.
        if self._unread:
            self.close()
        requests = [os.fsencode(name) + b"\n" for name in names]
        answered = 0
        while answered < len(requests):
            if self._process is None:
                self._process = start(self, self._folder, "cat-file", "--batch")
            self._unread = True
            try:
                for found in self._exchange(self._process, requests[answered:], limit):
                    answered += 1
                    yield found
            except MissingError:
                self.close()
                answered += 1
                yield None
            self._unread = False

    def _exchange(
        self, process: subprocess.Popen[bytes], requests: list[bytes], limit: int | None
    ) -> Iterator[Object | None]:
        sent = under_way = 0
        for request in requests:
            if under_way < _WINDOW // 2:
                first = sent
                while sent < len(requests) and (sent == first or under_way < _WINDOW):
                    under_way += len(requests[sent])
                    sent += 1
                self._send(process, b"".join(requests[first:sent]))
            yield self._answer(process, limit)
            under_way -= len(request)

    def _send(self, process: subprocess.Popen[bytes], requests: bytes) -> None:
        assert process.stdin is not None  # noqa: S101  (for the type checker)
        # Of a process that died meanwhile, what it answered before still counts.
        with suppress(BrokenPipeError):
            process.stdin.write(requests)
            process.stdin.flush()

    def _answer(self, process: subprocess.Popen[bytes], limit: int | None) -> Object | None:
        answers = process.stdout
        assert answers is not None  # noqa: S101  (for the type checker)
        head = answers.readline()
        if head.endswith((b" missing\n", b" ambiguous\n")):
            return None
        if not head:
            raise self._lost(process)
        name, kind, digits = head.split()
        size = rest = int(digits)
        content = b""
        if limit is not None and size > limit:
            while rest and answers.read(min(rest, 1 << 20)):
                rest -= min(rest, 1 << 20)
        else:
            content = answers.read(size)
        if answers.read(1) != b"\n":
            raise self._lost(process)
        return Object(name.decode(), kind.decode(), size, content)

    def _lost(self, process: subprocess.Popen[bytes]) -> SourceError:
        assert process.stderr is not None  # noqa: S101  (for the type checker)
        return refuse(self._folder, os.fsdecode(process.stderr.read()))
