"""A project in a Git work tree: HEAD, what was changed since, and new files Git does not ignore.

Git is asked through GitPython's command wrapper, and in plumbing commands: its objects walk a tree
eight times slower. GitPython is imported with the first question.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.clock import SECOND
from reconciler.errors import SourceError
from reconciler.live import Provenance
from reconciler.source.base import SourceState
from reconciler.source.directory import PROJECT_FILE, DirectorySource, Kind
from reconciler.source.snapshot import dropping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from io import BufferedReader

    from git import Git

    from reconciler.source.base import Source

# Beyond so many files one look at all of them is quicker than a look for each.
_MANY = 200
# Set by a hook, they would speak of the hook's repository instead of the project's.
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")
_GIT = ("git", "--no-optional-locks", "--literal-pathspecs", "-c", "log.showSignature=false")
_LIST = ("ls-files", "-z", "-t", "--stage", "--cached", "--others", "--exclude-standard")
_LOG = ("log", "--encoding=UTF-8", "--format=/%H%x00%ct%x00%an <%ae>", "-z")


def open_source(folder: str) -> Source:
    """Open the project that ``folder`` lies in, as a Git work tree where it is one.

    Raises:
        SourceError: no ``reconciler.yml`` in ``folder`` or above it, or Git refuses to read here.
    """
    project = find_project(folder)
    if not any(os.path.lexists(f"{above}/.git") for above in _upwards(project)):
        return DirectorySource(project)
    if shutil.which("git") is None:
        return DirectorySource(project, "git is not installed, so no commit is known")
    status, inside, said = _run(project, "rev-parse", "--is-inside-work-tree")
    if inside == b"false\n" or "not a git repository (or any" in said:
        return DirectorySource(project)
    _check(project, status, said)
    if not _ask(project, *_LIST, "--", PROJECT_FILE):
        return DirectorySource(project, f"Git ignores {PROJECT_FILE}, so no commit is known")
    return GitSource(project)


def find_project(folder: str) -> str:
    """Find the folder that holds ``reconciler.yml``: ``folder`` itself or the nearest above it.

    Raises:
        SourceError: there is none.
    """
    start = os.path.realpath(folder)
    for above in _upwards(start):
        if os.path.lexists(f"{above}/{PROJECT_FILE}"):
            return above
    text = f"no {PROJECT_FILE} in {start!r} or a folder above it; run: reconciler init"
    raise SourceError(text)


def _upwards(folder: str) -> Iterator[str]:
    yield folder
    yield from map(str, Path(folder).parents)


class GitSource(DirectorySource):
    """The work tree of a Git repository at and below the project's folder.

    What Git knows is asked once and kept, so that all answers are of one state; open it anew to
    see later changes. In a shallow clone nothing is said of what may have happened beyond its edge.
    """

    def state(self) -> SourceState:
        """Tell the commit that is checked out and the files that differ from it.

        Raises:
            SourceError: Git cannot tell.
        """
        place = _text(self._ask("rev-parse", "--show-prefix")).rstrip("\n").rstrip("/")
        head = self._head
        if head is None:
            return SourceState(project_path=place, dirty=self._dirty)
        _, committed_at, author = _fields(self._ask(*_LOG, "-1", head))
        first = () if self._edge else ("rev-list", "--max-parents=0", "--first-parent", head)
        return SourceState(
            commit=head,
            author=author,
            committed_at=int(committed_at) * SECOND,
            root_commit=_text(self._ask(*first)).strip() if first else None,
            project_path=place,
            dirty=self._dirty,
        )

    def provenance(self, files: Iterable[str]) -> Mapping[str, Provenance]:
        """Tell the last commit that gave each file the content it has in HEAD.

        Raises:
            SourceError: Git cannot tell.
        """
        wanted = dict.fromkeys(files)
        unknown = [file for file in wanted if file not in self._known]
        if unknown:
            self._known.update(super().provenance(unknown))
            self._known.update(self._look_up(unknown))
        return {file: self._known[file] for file in wanted}

    @cached_property
    def _known(self) -> dict[str, Provenance]:
        return {}

    def _look_up(self, files: list[str]) -> Iterator[tuple[str, Provenance]]:
        if self._head is None:
            return
        paths = files if len(files) <= _MANY else ["."]
        rows = _fields(self._ask("ls-tree", "-r", "-z", self._head, "--", *paths))
        blobs = {path: row.split()[2] for row, _, path in (row.partition("\t") for row in rows)}
        sought = {file: blobs[file] for file in files if file in blobs}
        for commit, committed_at, author, path, blob in self._history(paths) if sought else ():
            # A merge may have dropped what a branch did to the file; then the content differs.
            if sought.get(path) != blob:
                continue
            del sought[path]
            if commit not in self._edge:
                at = int(committed_at) * SECOND
                yield path, Provenance(file=path, commit=commit, author=author, committed_at=at)
            if not sought:
                break

    def _history(self, paths: list[str]) -> Iterator[tuple[str, str, str, str, str]]:
        """Give (commit, seconds, author, path, blob) of every change to ``paths``, newest first."""
        options = ("-c", "--raw", "--no-abbrev", "--no-renames", "--relative")
        command = _command((*_LOG, *options, str(self._head), "--", *paths))
        # The answer is read while it comes; GitPython stops Git once nobody listens any more.
        process: Any = _git(self.folder).execute(command, as_process=True)
        fields = _stream(process.stdout)
        commit = committed_at = author = ""
        for field in fields:
            # A commit's own fields open with a slash, a changed file's row with a colon.
            if field.startswith("/"):
                commit, committed_at, author = field[1:], next(fields), next(fields)
            elif field.lstrip("\n").startswith(":"):
                yield commit, committed_at, author, next(fields), field.split()[-2]
        said = _text(process.stderr.read())
        _check(self.folder, process.proc.wait(), said)

    def _entries(self, enters: Callable[[str], bool]) -> Iterator[tuple[str, Kind]]:
        for folder, names in self._listing.items():
            if folder and (dropping(folder) or not enters(folder)):
                continue
            where = f"{self.folder}/{folder}" if folder else self.folder
            if os.path.realpath(where) != where:
                yield folder, Kind.LINK
                continue
            for name, kind in names.items():
                path = f"{folder}/{name}" if folder else name
                found = kind if kind is Kind.MODULE else _kind(f"{where}/{name}", kind)
                if found is not None and not dropping(name):
                    yield path, found

    @cached_property
    def _listing(self) -> Mapping[str, Mapping[str, Kind]]:
        """What Git lists, by folder; ABSENT is what a sparse checkout leaves out."""
        listing: dict[str, dict[str, Kind]] = {}
        for row in _fields(self._ask(*_LIST)):
            if row.startswith("? "):
                path = row[2:]
                kind = Kind.MODULE if path.endswith("/") else Kind.FILE
            else:
                about, _, path = row.partition("\t")
                tag, mode = about.split()[:2]
                kind = Kind.ABSENT if tag == "S" else Kind.FILE
                kind = Kind.MODULE if mode == "160000" else kind
            folder, _, name = path.rstrip("/").rpartition("/")
            listing.setdefault(folder, {})[name] = kind
        return listing

    @cached_property
    def _dirty(self) -> tuple[str, ...]:
        options = ("--porcelain=v2", "-z", "--untracked-files=all", "--no-renames")
        before = {"1": 8, "u": 10, "?": 1}  # the spaces before the path, by kind of row
        rows = _fields(self._ask("status", *options, "--", "."))
        place = _text(self._ask("rev-parse", "--show-prefix")).rstrip("\n")
        paths = (row.split(" ", before[row[0]])[-1] for row in rows)
        return tuple(sorted(path.removeprefix(place).rstrip("/") for path in paths))

    @cached_property
    def _head(self) -> str | None:
        status, head, said = _run(self.folder, "rev-parse", "--quiet", "--verify", "HEAD")
        if status == 1:
            return None
        _check(self.folder, status, said)
        return _text(head).strip()

    @cached_property
    def _edge(self) -> frozenset[str]:
        """The oldest commits of a shallow clone; what came before them is not known."""
        file = _text(self._ask("rev-parse", "--git-path", "shallow")).rstrip("\n")
        try:
            return frozenset(Path(self.folder, file).read_text("ascii").split())
        except FileNotFoundError:
            return frozenset()

    def _ask(self, *arguments: str) -> bytes:
        return _ask(self.folder, *arguments)


def _kind(path: str, listed: Kind) -> Kind | None:
    """Tell what is on the disk in place of a listed file; None for nothing to read."""
    try:
        mode = os.lstat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Kind.ABSENT if listed is Kind.ABSENT else None
    except OSError as error:
        raise SourceError(f"{path!r} cannot be read: {error.strerror}") from None
    if stat.S_ISLNK(mode):
        return Kind.LINK
    return Kind.FILE if stat.S_ISREG(mode) else None


def _command(arguments: tuple[str, ...]) -> list[str]:
    unset = [f"-u{name}" for name in _ELSEWHERE if name in os.environ]
    return [*(["env", *unset] if unset else []), *_GIT, *arguments]


def _run(folder: str, *arguments: str) -> tuple[int, bytes, str]:
    """Ask Git in ``folder``: exit status, output, and what it said on standard error."""
    status, output, said = _git(folder).execute(
        _command(arguments),
        with_extended_output=True,
        with_exceptions=False,
        stdout_as_string=False,
        strip_newline_in_stdout=False,
    )
    return status, output, said


def _ask(folder: str, *arguments: str) -> bytes:
    status, output, said = _run(folder, *arguments)
    _check(folder, status, said)
    return output


def _git(folder: str) -> Git:
    from git import Git  # noqa: PLC0415  (83 ms that a folder outside Git need not pay)

    return Git(folder)


def _check(folder: str, status: int, said: str) -> None:
    if "safe.directory" in said:
        command = f"git config --global --add safe.directory {shlex.quote(folder)}"
        raise SourceError(f"Git does not trust {folder!r}, another user's; if you do: {command}")
    # Git only warns of a folder it may not read, and lists the rest as if it were everything.
    if status or "could not open directory" in said:
        lines = [line for line in said.splitlines() if line.startswith(("fatal:", "warning:"))]
        raise SourceError(f"Git cannot read {folder!r}: {(lines or [said.strip()])[-1]}")


def _text(output: bytes) -> str:
    return os.fsdecode(output)


def _fields(output: bytes) -> list[str]:
    return [_text(field) for field in output.split(b"\0") if field]


def _stream(pipe: BufferedReader) -> Iterator[str]:
    rest = b""
    while chunk := pipe.read1(1 << 16):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from map(_text, whole)
