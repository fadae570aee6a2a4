"""``reconciler get``."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EEXIST, EILSEQ, EINVAL, EISDIR, ENAMETOOLONG, ENOTDIR
from filecmp import cmp
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler import settings
from reconciler.cli.group import say_error
from reconciler.cli.say import document
from reconciler.cli.scope import output
from reconciler.data import Datastore, FileChange, name_bytes
from reconciler.errors import FileChanged, NotFound, ReconcilerError
from reconciler.manifest.emit import from_data
from reconciler.runner.given import DATA_VARIABLE, STORE_VARIABLE
from reconciler.trigger.arrivals import display

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from reconciler.datastore.base import DatastoreReader

# A copy of fewer bytes is over before anybody has read how far it is.
_LONG = 16 << 20
# Not beside the code: a file of that name would be run, or imported, in the code's stead.
_FOLDER = "files"
# A name is too long here, or another file's folder, or another folder's file.
_NO_PLACE = {EEXIST, EILSEQ, EINVAL, EISDIR, ENAMETOOLONG, ENOTDIR}


@click.command("get", epilog="Example: reconciler get --to input.csv")
@click.option(
    "--file",
    "wanted",
    metavar="PATH|URL",
    multiple=True,
    help="Of the several files of a run, this one; as its list has it.",
)
@click.option("--all", "everything", is_flag=True, help="Every file of the run, into a folder.")
@click.option(
    "--to",
    metavar="FILE|DIR|-",
    help="Where to; - is the standard output. By default the folder files.",
)
@output
def command(*, as_json: bool, wanted: tuple[str, ...], everything: bool, to: str | None) -> int:
    """Copy the file that a run was made for, in a step of that run.

    It is the file in exactly the state that made the run: one that has changed since, or is gone,
    is an error. A copy appears under its name when it is complete. It gets the file's own name,
    where that can be the name of a file, else its %XX form; with --all, folders below the watched
    one are made, too. Whoever writes the file chooses that name, so it takes no other file's place:
    only --to FILE does.
    """
    if wanted and everything:
        raise click.UsageError("Give --file or --all, not both.")
    if to == "-" and (as_json or everything or len(wanted) > 1):
        raise click.UsageError("--to - is for one file, without --output json.")
    task = _task()
    files = _chosen(task, wanted, everything=everything)
    reader = settings.open_store(task.store, task.credentials)
    if to == "-":
        _print(reader, files[0])
        return 0
    many = everything or len(files) > 1
    got, failed, unplaced = [], [], []
    for file, target in _targets(task, files, to, many=many):
        try:
            _copy(reader, file, target, over=to is not None and target == Path(to))
        except FileChanged as error:
            failed.append(file["path"])
            say_error(str(error))
        except _NoPlace as error:
            unplaced.append(file["path"])
            say_error(str(error))
        else:
            got.append({"path": file["path"], "url": file["url"], "to": str(target)})
    if as_json:
        document({"files": got, "changed": failed, "unplaced": unplaced})
    else:
        for one in got:
            click.echo(display(name_bytes(one["to"])))
    return 1 if failed or unplaced else 0


def _print(reader: DatastoreReader, file: dict[str, Any]) -> None:
    """Write a file to the standard output, once all of it is here."""
    with tempfile.TemporaryFile() as whole:
        _read(reader, file, whole)
        whole.seek(0)
        shutil.copyfileobj(whole, sys.stdout.buffer)


@dataclass(frozen=True, slots=True)
class _Task:
    """What a step was given: the files of its run, and what opens their datastore.

    ``directory`` is the watched one, from which folders are counted.
    """

    files: Sequence[dict[str, Any]]
    directory: str
    store: Datastore
    credentials: dict[str, str]


def _task() -> _Task:
    """Read what the runner put into the environment.

    Raises:
        NotFound: this is no step of a run that was made for files.
    """
    said, opening = os.environ.get(DATA_VARIABLE), os.environ.get(STORE_VARIABLE)
    if said is None or opening is None:
        text = "no run made for files is at work here"
        raise NotFound(f"{text}; `reconciler get` is for the steps of such a run")
    facts, how = json.loads(said), json.loads(opening)
    files, directory = [facts], facts["path"].rpartition("/")[0]
    if "list" in facts:
        lines = Path(facts["list"]).read_bytes().splitlines()
        files, directory = [json.loads(line) for line in lines], facts["path"]
    return _Task(files, directory, from_data(Datastore, how["datastore"]), how["credentials"])


def _chosen(task: _Task, wanted: Sequence[str], *, everything: bool) -> list[dict[str, Any]]:
    """Choose among the files of the run.

    Raises:
        NotFound: it has no such file.
        ReconcilerError: it was made for several files, or the one was deleted.
    """
    there = [file for file in task.files if file["change"] != FileChange.DELETED]
    if everything:
        return there
    if not wanted and len(task.files) > 1:
        text = f"the run was made for {len(task.files)} files"
        raise ReconcilerError(f"{text}; name one with --file, or get them with --all --to DIR")
    by_name = {
        name: file
        for file in task.files
        for name in (file["path"], f"{task.store.name}/{file['path']}", file.get("local"))
    }
    by_name |= {file["url"]: file for file in task.files}
    if unknown := [name for name in wanted if name not in by_name]:
        shown = ", ".join(display(name_bytes(name)) for name in unknown)
        raise NotFound(f"the run was not made for {shown}")
    chosen = [by_name[name] for name in wanted] if wanted else list(task.files)
    if gone := [file for file in chosen if file["change"] == FileChange.DELETED]:
        shown = ", ".join(display(name_bytes(file["path"])) for file in gone)
        raise ReconcilerError(f"the run was made because {shown} was deleted; nothing is there")
    return chosen


def _targets(
    task: _Task, files: Sequence[dict[str, Any]], to: str | None, *, many: bool
) -> Iterator[tuple[dict[str, Any], Path]]:
    """Give each file its place.

    Raises:
        ReconcilerError: two files would have the same one.
    """
    place = Path(to or _FOLDER)
    if not many:
        into = to is None or to.endswith("/") or place.is_dir()
        own = _plain(files[0]["path"].rpartition("/")[2])
        yield files[0], place / own if into else place
        return
    taken: dict[Path, str] = {}
    for file in files:
        below = file["path"].removeprefix(f"{task.directory}/" if task.directory else "")
        target = place.joinpath(*map(_plain, below.split("/")))
        if target in taken:
            shown = " and ".join(display(name_bytes(one)) for one in (taken[target], file["path"]))
            raise ReconcilerError(f"{shown} would have one place; get them with --file")
        taken[target] = file["path"]
        yield file, target


def _plain(name: str) -> str:
    """Give a name that is one of a file here: what leads elsewhere is written as ``%XX``."""
    if name in {"", ".", ".."}:
        return "".join(f"%{ord(char):02X}" for char in name) or "%2F"
    return name


class _NoPlace(ReconcilerError):
    """A file cannot be where its name puts it."""


@contextmanager
def _placing(file: dict[str, Any], target: Path) -> Iterator[None]:
    """Tell a name that cannot be had from a disk that refuses."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        path, place = (display(name_bytes(text)) for text in (file["path"], str(target)))
        text = f"{path} cannot be put at {place}: {error.strerror}"
        raise _NoPlace(f"{text}; name a place for it: --file PATH --to FILE") from None


def _copy(reader: DatastoreReader, file: dict[str, Any], target: Path, *, over: bool) -> None:
    """Copy a file; it is there whole, or as before.

    Raises:
        _NoPlace: it cannot have that name, or another file has it that it is not to be ``over``.
    """
    with _placing(file, target):
        target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        with _telling(file) as tell, _Told(FileIO(new, "xb"), tell) as into:
            _read(reader, file, into)
        with _placing(file, target):
            if not over:
                _alone(new, target)
            new.replace(target)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _alone(new: Path, target: Path) -> None:
    """Refuse to take another file's place; a step that is tried again finds what it got before."""
    if target.exists() and not cmp(new, target, shallow=False):
        raise FileExistsError(EEXIST, "another file is there")


def _read(reader: DatastoreReader, file: dict[str, Any], into: BinaryIO) -> None:
    reader.read(name_bytes(file["path"]), file["state"].encode("ascii"), into)


class _Told(BufferedWriter):
    """A file that tells how much is written to it."""

    def __init__(self, raw: FileIO, tell: Callable[[int], object]) -> None:
        super().__init__(raw)
        self._tell = tell

    def write(self, data: Any) -> int:  # noqa: ANN401  (whatever has bytes)
        """Write it, and tell."""
        self._tell(len(data))
        return super().write(data)


@contextmanager
def _telling(file: dict[str, Any]) -> Iterator[Callable[[int], object]]:
    """Show how far a long copy is, on a terminal."""
    if file["size"] < _LONG or not sys.stderr.isatty():
        yield lambda _: None
        return
    label = display(name_bytes(file["path"]))
    with click.progressbar(length=file["size"], label=label, file=sys.stderr) as bar:
        yield bar.update
