"""What is in a folder, what a watch says of it, and whether the two agree."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from reconciler.trigger.arrivals import EXISTING
from reconciler.trigger.snapshot import split


def listing(folder, *, tree=False):
    """Give the facts of all files in a folder by name, not by way of the product's own reader."""
    found = {}
    for path in folder.rglob("*") if tree else folder.iterdir():
        if path.is_file():
            status = path.stat()
            name = os.fsencode(path.relative_to(folder))
            found[name] = b"%d %d@%d" % (status.st_size, status.st_mtime_ns, status.st_ino)
    return found


def logged(ledger, watch, after=0):
    """Give the lines of a watch's log that come after one, in order and without a gap."""
    with ledger.transaction() as tx:
        lines = tx.changes(watch.id, after, 10**6)
    assert [line.seq for line in lines] == list(range(after + 1, watch.change_seq + 1))
    return lines


def known(ledger, watch):
    """Give the facts of all files as a watch's snapshot has them, by name."""
    names, facts = [], []
    for page in ledger.snapshot(watch.id):
        more = split(page)
        names += more.names
        facts += more.facts
    assert names == sorted(set(names))
    return dict(zip(names, facts, strict=True))


def path_of(watch, name):
    """Give a file's path in its datastore, as a run is told it."""
    return "/".join(filter(None, (watch.watched.directory, os.fsdecode(name))))


def replayed(files, lines):
    """Give what was known, and the lines of a log after that, put together.

    Each line must make sense where it stands: nothing is added that was there, or modified into
    what it was.
    """
    files = dict(files)
    for line in lines:
        before = files.get(line.name)
        if line.change == EXISTING:
            assert before == line.facts
        elif line.change == "deleted":
            assert files.pop(line.name) == line.facts
        else:
            assert (before is None) == (line.change == "added")
            assert before != line.facts
            files[line.name] = line.facts
    return files


@dataclass(frozen=True)
class Rule:
    """Which lines of a log a schedule fires for, said in other words than the product's.

    ``after`` is the log's end when it began to watch; lines of the poll ``existing`` about files
    that were there are meant for it.
    """

    passes: Callable[[Any], bool] = lambda line: line.change != "deleted"
    per_poll: bool = False
    after: int = 0
    existing: int = 0

    def occurrences(self, watch_id, lines):
        """Give the lines that each decision is about, by the decision's key."""
        mine = [
            line
            for line in lines
            if line.seq > self.after
            and (line.change != EXISTING or line.poll_seq == self.existing)
            and self.passes(line)
        ]
        if not self.per_poll:
            return {f"d:{watch_id}:{line.seq}": [line] for line in mine}
        polls = {}  # what two lines of one poll say of a file, the later one says
        for line in mine:
            polls.setdefault(f"p:{watch_id}:{line.poll_seq}", {})[line.name] = line
        return {key: list(found.values()) for key, found in polls.items()}


class Journal:
    """What was done to the files of one watch, and what its log has to say of that.

    ``listing`` gives the facts of all files by name; with ``marked`` a file counts once another
    with ``.done`` at its end lies beside it. :meth:`note` is to be called after each thing that is
    done, and :meth:`hold` once a poll has seen the last of them.
    """

    def __init__(self, listing, *, marked=False):
        self.listing, self.marked = listing, marked
        self.known = self.present = listing()
        self.seq = self.held = self.lines = 0
        self._states = {}

    def note(self):
        now = self.listing()
        for name in self.present.keys() | now.keys():
            if self.present.get(name) != now.get(name):
                self._states.setdefault(name, []).append(now.get(name))
        self.present = now

    def moved(self):
        """Take all that was done since as what no line is about."""
        assert self.known == self.present
        self.known = self.present = self.listing()

    def hold(self, ledger, watch):
        """Hold the lines since the last time against what was done since."""
        lines = logged(ledger, watch, self.seq)
        told = {}
        for line in lines:
            if line.change != EXISTING:
                told.setdefault(line.name, []).append(
                    None if line.change == "deleted" else line.facts
                )
        for name, facts in told.items():
            # Each of its states at most once, and in order; states that no poll saw are not told.
            states = iter(self._states.get(name, ()))
            assert all(any(one == state for state in states) for one in facts), (name, facts)
        self.known = replayed(self.known, lines)
        waiting = set(filter(self._waits, self.present))
        assert _without(self.known, waiting) == _without(self.present, waiting)
        assert known(ledger, watch) == self.known
        self._states = {
            name: [self.present[name]]
            for name in waiting
            if self.known.get(name) != self.present[name]
        }
        self.seq = watch.change_seq
        self.held += 1
        self.lines += len(lines)

    def _waits(self, name):
        return self.marked and not name.endswith(b".done") and name + b".done" not in self.present


def _without(files, names):
    return {name: facts for name, facts in files.items() if name not in names}
