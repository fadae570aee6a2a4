"""What only the history of a repository tells; GitPython is imported with the question."""

from __future__ import annotations

import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.clock import SECOND
from reconciler.errors import SourceError
from reconciler.live import Provenance
from reconciler.source.base import Descent
from reconciler.source.process import ELSEWHERE, GIT, SETTINGS, refuse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from io import BufferedReader

    from git import Git

    from reconciler.source.process import Objects

# Beyond so many files one look at all of them is quicker than a look for each.
_MANY = 200
# So many commits are looked at one after the other before Git is asked to search.
_NEAR = 500
_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_PARENT = re.compile(rb"^parent ([0-9a-f]+)$", re.MULTILINE)
_LOG = ("log", "--encoding=UTF-8", "--format=/%H%x00%ct%x00%an <%ae>", "-z")


class History:
    """What led to ``commit``, asked in ``folder``."""

    def __init__(self, folder: str, objects: Objects, commit: str) -> None:
        self._folder = folder
        self._objects = objects
        self._commit = commit

    @cached_property
    def edge(self) -> frozenset[str]:
        """The oldest commits of a shallow clone; what came before them is not known.

        Raises:
            SourceError: Git cannot tell.
        """
        file = os.fsdecode(self._ask("rev-parse", "--git-path", "shallow")).rstrip("\n")
        try:
            return frozenset(Path(self._folder, file).read_text("ascii").split())
        except FileNotFoundError:
            return frozenset()

    def root(self) -> str | None:
        """Tell the first commit of the main line; None in a shallow clone.

        Raises:
            SourceError: Git cannot tell.
        """
        if self.edge:
            return None
        first = self._ask("rev-list", "--max-parents=0", "--first-parent", self._commit)
        return os.fsdecode(first).strip()

    def since(self, base: str) -> tuple[str, ...]:
        """Name the commits that this one has and ``base``, given by its full id, has not.

        Those of merged branches are among them; the newest comes first.

        Raises:
            SourceError: some of them are not here, or Git cannot tell.
        """
        if self.descent(base) is Descent.UNKNOWN:
            way = "fetch all history (actions/checkout: fetch-depth: 0)"
            if not self.edge:
                way = "was history rewritten?"
            raise SourceError(f"what came after commit {base[:12]} is not known here; {way}")
        found = self._ask("rev-list", self._commit, f"^{base}").decode().split()
        if self.edge.intersection(found):
            text = f"some of what came after commit {base[:12]} is not in this shallow clone"
            raise SourceError(f"{text}; fetch all history (actions/checkout: fetch-depth: 0)")
        return tuple(found)

    def provenance(self, blobs: Mapping[str, str]) -> Iterator[Provenance]:
        """Tell the last commit that gave each file the blob it has; nothing of a file with none.

        Raises:
            SourceError: Git cannot tell.
        """
        sought = dict(blobs)
        paths = list(sought) if len(sought) <= _MANY else ["."]
        for commit, committed_at, author, path, blob in self._changes(paths) if sought else ():
            # A merge may have dropped what a branch did to the file; then the content differs.
            if sought.get(path) != blob:
                continue
            del sought[path]
            if commit not in self.edge:
                at = int(committed_at) * SECOND
                yield Provenance(file=path, commit=commit, author=author, committed_at=at)
            if not sought:
                break

    def descent(self, other: str) -> Descent:
        """Tell how this commit stands to another one, given by its full id.

        Raises:
            SourceError: Git cannot tell.
        """
        if other == self._commit:
            return Descent.SAME
        found = self._objects.get(other) if _ID.fullmatch(other) else None
        if found is None or found.kind != "commit":
            return Descent.UNKNOWN
        back = _Walk(self._objects, self._commit)
        forth = _Walk(self._objects, other)
        while back.waiting or forth.waiting:
            back.step()
            forth.step()
            if other in back.seen:
                return Descent.DESCENDANT
            if self._commit in forth.seen:
                return Descent.ANCESTOR
            if len(back.seen) + len(forth.seen) > _NEAR:
                return self._search(other)
        return Descent.UNKNOWN if back.blind or forth.blind else Descent.DIVERGED

    def _search(self, other: str) -> Descent:
        for older, newer, descent in [
            (other, self._commit, Descent.DESCENDANT),
            (self._commit, other, Descent.ANCESTOR),
        ]:
            status, _, said = self._run("merge-base", "--is-ancestor", older, newer)
            # Some versions of Git take a commit they cannot read for one without parents.
            if status not in {0, 1} or "error:" in said:
                raise refuse(self._folder, said)
            if status == 0:
                return descent
        return Descent.UNKNOWN if self.edge else Descent.DIVERGED

    def _changes(self, paths: list[str]) -> Iterator[tuple[str, str, str, str, str]]:
        """Give (commit, seconds, author, path, blob) of every change to ``paths``, newest first."""
        options = ("-c", "--raw", "--no-abbrev", "--no-renames", "--relative")
        command = _command((*_LOG, *options, self._commit, "--", *paths))
        # The answer is read while it comes; GitPython stops Git once nobody listens any more.
        process: Any = self._git().execute(command, as_process=True, env=SETTINGS)
        fields = _stream(process.stdout)
        commit = committed_at = author = ""
        for field in fields:
            # A commit's own fields open with a slash, a changed file's row with a colon.
            if field.startswith("/"):
                commit, committed_at, author = field[1:], next(fields), next(fields)
            elif field.lstrip("\n").startswith(":"):
                yield commit, committed_at, author, next(fields), field.split()[-2]
        said = os.fsdecode(process.stderr.read())
        if process.proc.wait():
            raise refuse(self._folder, said)

    def _ask(self, *arguments: str) -> bytes:
        status, output, said = self._run(*arguments)
        if status:
            raise refuse(self._folder, said)
        return output

    def _run(self, *arguments: str) -> tuple[int, bytes, str]:
        return self._git().execute(
            _command(arguments),
            with_extended_output=True,
            with_exceptions=False,
            stdout_as_string=False,
            strip_newline_in_stdout=False,
            env=SETTINGS,
        )

    def _git(self) -> Git:
        from git import Git  # noqa: PLC0415  (0.1 s that most commands need not pay)

        return Git(self._folder)


class _Walk:
    """A walk from a commit to those before it, nearest first."""

    def __init__(self, objects: Objects, start: str) -> None:
        self._objects = objects
        self.waiting = [start]
        self.seen = {start}
        self.blind = False

    def step(self) -> None:
        """Go one generation back; ``blind`` is set where one of its commits is not here."""
        found = list(self._objects.each(self.waiting))
        self.blind = self.blind or None in found
        heads = [commit.content.partition(b"\n\n")[0] for commit in found if commit]
        parents = {parent.decode() for head in heads for parent in _PARENT.findall(head)}
        self.waiting = sorted(parents - self.seen)
        self.seen |= parents


def _command(arguments: tuple[str, ...]) -> list[str]:
    unset = [f"-u{name}" for name in ELSEWHERE if name in os.environ]
    return [*(["env", *unset] if unset else []), *GIT, *arguments]


def _stream(pipe: BufferedReader) -> Iterator[str]:
    rest = b""
    while chunk := pipe.read1(1 << 16):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from map(os.fsdecode, whole)
