"""Files that come, change and go in three places, and the schedules that are told of them."""

import os
from functools import partial

from tests.crash.files import Journal, Rule, listing
from tests.crash.world import by_files

BURST = 300
PLACES = {"flat": {}, "tree": {"tree": True}, "marked": {}}
# What is there before anybody watches: enough that one file that moves is not taken for a mount.
BEFORE = 12
SETTLED = "settle: 0s"
LATE = by_files("late", "flat", f"{SETTLED}, initial: trigger, include: ['*1*']")
SCHEDULES = (
    by_files("each", "flat", SETTLED, max_active_runs=8),
    by_files("poll", "flat", f"{SETTLED}, batch: per_poll, changes: [added, modified, deleted]"),
    by_files("some", "flat", f"{SETTLED}, include: ['*.csv'], min_size: 500"),
    by_files("all", "flat", f"{SETTLED}, include: ['1*'], changes: [added, modified, deleted]"),
    by_files("deep", "tree", "settle: 1s, recursive: true"),
    by_files("deep-poll", "tree", "settle: 0s, recursive: true, batch: per_poll"),
    by_files("sure", "marked", SETTLED + ", done_marker: '{name}.done'"),
)


def own(line):
    """Give a file's own name, and whether it is one that nobody is told of."""
    name = line.name.rpartition(b"/")[2]
    return name, name.startswith(b".") or name.endswith((b".tmp", b".part"))


def counts(line, fits=lambda _name, _size: True, *, deleted=False):
    name, ignored = own(line)
    size = int(line.facts.split()[0])
    return not ignored and (deleted or line.change != "deleted") and fits(name, size)


RULES = {
    "each": Rule(counts),
    "poll": Rule(partial(counts, deleted=True), per_poll=True),
    "some": Rule(partial(counts, fits=lambda name, size: name.endswith(b".csv") and size >= 500)),
    "all": Rule(partial(counts, fits=lambda name, _: name.startswith(b"1"), deleted=True)),
    "deep": Rule(counts),
    "deep-poll": Rule(counts, per_poll=True),
    "sure": Rule(partial(counts, fits=lambda name, _: not name.endswith(b".done"))),
}


def late(after, existing):
    """Give the rule of the schedule that joins late and asks for what is there."""
    return Rule(partial(counts, fits=lambda name, _: b"1" in name), after=after, existing=existing)


class Place:
    """A folder that files land in. Each thing that is done to it goes into its journal.

    No two states of a file are alike unless that is what is wanted: a file's time is ``moment``.
    """

    def __init__(self, folder, chance, *, tree=False, marked=False):
        self.folder, self.chance = folder, chance
        self._tree, self._marked = tree, marked
        self._outside = folder.parent.parent / "outside"
        self._outside.mkdir(exist_ok=True)
        self._moment = 1_700_000_000_000_000_000
        folder.mkdir()
        for number in range(BEFORE):
            self._fresh(folder / f"before-{number}")
        self.journal = Journal(partial(listing, folder, tree=tree), marked=marked)
        # What each file that still is the same one looked like.
        self._past = {}

    def disturb(self):
        """Do something to a file, or to several."""
        self.chance.choice(
            [
                *(self.create, self.create, self.replace, self.in_place, self.same_in_place),
                *(self.twin, self.touch, self.remove, self.remake, self.rename),
                *(self.back, self.back, self.back),
            ]
        )()
        self.journal.note()

    def disturb_at_once(self):
        """Do something that nobody can see half of."""
        self.chance.choice([self.create, self.replace, self.touch, self.remove, self.rename])()
        self.journal.note()

    # What may happen --------------------------------------------------------------------------

    def create(self):
        self._put(self._name())

    def replace(self):
        self._put(self._any())

    def in_place(self):
        path = self._any()
        self._remember(path)
        with path.open("r+b") as file:
            file.truncate(self._write(file))
        self._date(path)

    def same_in_place(self):
        """Other content of the same size."""
        path = self._any()
        self._remember(path)
        with path.open("r+b") as file:
            file.write(os.urandom(path.stat().st_size))
        self._date(path)

    def twin(self):
        """Put another file in its place that differs in nothing that a file's time and size say."""
        path = self._any()
        status = path.stat()
        other = self._outside / "twin"
        other.write_bytes(os.urandom(status.st_size))
        os.utime(other, ns=(status.st_mtime_ns, status.st_mtime_ns))
        other.replace(path)

    def touch(self):
        path = self._any()
        self._remember(path)
        self._date(path)

    def remove(self):
        self._any().unlink()

    def remake(self):
        """Delete it, and upload one of its size again."""
        path = self._any()
        size = path.stat().st_size
        path.unlink()
        path.write_bytes(os.urandom(size))
        self._date(path)

    def rename(self):
        path = self._any()
        path.rename(self._name())

    def back(self):
        """Make a file what it was once, to the last bit; the first time it only changes."""
        path = self._any()
        status = path.stat()
        past = [
            (size, mtime)
            for size, mtime in self._past.get((path, status.st_ino), ())
            if (size, mtime) != (status.st_size, status.st_mtime_ns)
        ]
        if not past:
            self.in_place()
            return
        size, mtime = self.chance.choice(past)
        with path.open("r+b") as file:
            file.truncate(size)
        os.utime(path, ns=(mtime, mtime))

    def burst(self):
        """Many at once; the next time they go again."""
        names = [self.folder / f"burst-{number}" for number in range(BURST)]
        if any(name.exists() for name in names):
            for name in names:
                name.unlink(missing_ok=True)
        else:
            for name in names:
                self._fresh(name)
        self.journal.note()

    def mark(self):
        """Say of some files that they are complete, of others no more."""
        path = self._any()
        marker = path.with_name(f"{path.name.removesuffix('.done')}.done")
        if marker.exists():
            marker.unlink()
        else:
            marker.touch()
            self._date(marker)
        self.journal.note()

    def mark_all(self):
        for path in self._files():
            if path.suffix != ".done":
                path.with_name(f"{path.name}.done").touch()
        self.journal.note()

    def hide(self):
        """Take the folder away; what is given back puts it there again."""
        away = self.folder.with_name(f".{self.folder.name}")
        self.folder.rename(away)
        return partial(away.rename, self.folder)

    def mount_anew(self):
        """Put another folder in its place, all of whose files are the same but for their inodes."""
        other = self._outside / "other"
        other.mkdir()
        for path in self._files():
            copy, status = other / path.name, path.stat()
            copy.write_bytes(path.read_bytes())
            os.utime(copy, ns=(status.st_mtime_ns, status.st_mtime_ns))
        self.folder.rename(self._outside / f"old-{self._moment}")
        other.rename(self.folder)
        self.journal.moved()

    # Helpers ----------------------------------------------------------------------------------

    def _files(self):
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    def _any(self):
        if not (files := self._files()):
            self.create()
            files = self._files()
        return self.chance.choice(files)

    def _name(self):
        number = self.chance.randrange(25)
        name = self.chance.choice([f"{number}", f"{number}.csv", f"{number}.csv", f"{number}\n'"])
        if self.chance.random() < 0.1:
            name = self.chance.choice([f".{number}", f"{number}.tmp"])
        if self._tree and self.chance.random() < 0.7:
            inner = self.folder / self.chance.choice(["a", "a/b", "a.b", "c"])
            inner.mkdir(parents=True, exist_ok=True)
            return inner / name
        return self.folder / name

    def _put(self, path):
        self._fresh(other := self._outside / "new")
        other.replace(path)

    def _fresh(self, path):
        with path.open("wb") as file:
            self._write(file)
        self._date(path)

    def _write(self, file):
        return file.write(os.urandom(self.chance.randrange(1_000)))

    def _date(self, path):
        self._moment += 1_000_000_007
        os.utime(path, ns=(self._moment, self._moment))

    def _remember(self, path):
        status = path.stat()
        seen = self._past.setdefault((path, status.st_ino), [])
        seen.append((status.st_size, status.st_mtime_ns))
