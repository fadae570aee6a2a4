"""Letting go of what is old: rows of the ledger, and what runs left beside the workspace.

What guards against deciding twice stays, so an occurrence whose row is gone never fires again.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

from reconciler.clock import SECOND
from reconciler.errors import ReconcilerError
from reconciler.fields import field
from reconciler.workspace.upkeep import Cuts

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from reconciler.workspace.upkeep import Upkeep

log = logging.getLogger(__name__)

_PAGE = 1_000
# Seconds: a runner has other things to do when it starts.
FIRST = 60.0
EVERY = 3_600.0
# Who waits for SQLite looks again after 25 ms at the latest, at first.
REST = 0.03


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long is kept what is over."""

    fires: timedelta = field(
        "How long decisions, alerts and sessions are kept; a decision stays as long as its run.",
        default=timedelta(days=90),
        examples=("90d",),
    )
    runs: timedelta = field(
        "How long runs are kept after their end.", default=timedelta(days=90), examples=("90d",)
    )
    polls: timedelta = field(
        "How long polls and the changes they found are kept, once every schedule has passed them.",
        default=timedelta(days=30),
        examples=("30d",),
    )
    logs: timedelta = field(
        "How long the logs and the working directories of runs that are over are kept.",
        default=timedelta(days=30),
        examples=("30d",),
    )


def prune(  # noqa: PLR0913  (what may go, and how)
    upkeep: Upkeep,
    folder: str,
    retention: Retention,
    *,
    keep: int = 0,
    dry_run: bool = False,
    stop: Callable[[], bool] = lambda: False,
    rest: Callable[[float], object] = sleep,
) -> Counter[str]:
    """Delete what is older than ``retention``, but for the newest ``keep`` of each schedule.

    ``folder`` is where this machine keeps logs and working files. After each small
    transaction it ends early if ``stop`` says so, and the next call does what is left; else it
    takes a ``rest`` of as many seconds, in which others write. Returns counts: runs, attempts,
    fires, polls, changes, alerts, sessions, logs, workdirs, code.
    """
    now = upkeep.now()
    counts: Counter[str] = Counter()
    cuts = Cuts(
        fires=_before(now, retention.fires),
        runs=_before(now, retention.runs),
        polls=_before(now, retention.polls),
        keep=keep,
    )
    folders = _folders(upkeep, Path(folder), _before(now, retention.logs))
    # The files first: of a run whose row is gone only the age of its folder is known.
    with contextlib.closing(folders):
        for kind, path in folders:
            counts[kind] += 1
            if not dry_run:
                _remove(path)
            if stop():
                return counts
    with contextlib.closing(upkeep.prune(cuts, dry_run=dry_run)) as steps:
        began = monotonic()
        for kind, count in steps:
            counts[kind] += count
            if stop():
                break
            if count and not dry_run:
                rest(max(REST, monotonic() - began))
            began = monotonic()
    return +counts


class Janitor:
    """Does ``work`` once an hour, in a thread of its own.

    ``work`` is told when to ``stop``, and how to ``rest``; see :func:`prune`.
    """

    def __init__(self, work: Callable[..., Counter[str]]) -> None:
        self._work = work
        self._due = monotonic() + FIRST
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def look(self) -> None:
        """Begin, if it is time and the last time is over."""
        if monotonic() < self._due or (self._thread is not None and self._thread.is_alive()):
            return
        self._due = monotonic() + EVERY
        self._thread = threading.Thread(target=self._do, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Have it end after the small transaction that it is in."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _do(self) -> None:
        try:
            counts = self._work(stop=self._stop.is_set, rest=self._stop.wait)
        except Exception as error:
            # The next time does the rest; the runner must not end for it.
            meant = isinstance(error, ReconcilerError)
            log.warning("what is old stays: %s", error, exc_info=None if meant else error)
        else:
            if counts:
                said = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
                log.info("deleted what is old: %s", said)


def _before(now: int, age: timedelta) -> int:
    return now - age // timedelta(microseconds=1)


def _folders(upkeep: Upkeep, folder: Path, cut: int) -> Generator[tuple[str, Path]]:
    """Find the folders that nobody needs: of runs that are over, and of code that is not in use.

    A folder must have been left alone for as long, too: of a run that the ledger does not know,
    say after a restore, nothing else is known.
    """
    for kind, name in (("logs", "attempts"), ("workdirs", "work")):
        old = [path for path in _subfolders(folder / name) if _changed_at(path) < cut]
        for start in range(0, len(old), _PAGE):
            page = {path.name.removeprefix(".new-"): path for path in old[start : start + _PAGE]}
            for run_id in sorted(upkeep.over(page, cut)):
                yield kind, page[run_id]
    used = upkeep.code_in_use()
    for path in _subfolders(folder / "code"):
        if path.name not in used and _changed_at(path) < cut:
            yield "code", path


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def _changed_at(path: Path) -> int:
    try:
        return int(path.stat().st_mtime * SECOND)
    except FileNotFoundError:
        return 1 << 62  # somebody else took it away


def _remove(path: Path) -> None:
    """Take a folder out of the way in one step, so that nobody finds half of it; then delete it."""
    gone = path.with_name(f".new-gone-{path.name.removeprefix('.new-gone-')}")
    with contextlib.suppress(OSError):
        path.rename(gone)
        shutil.rmtree(gone)
