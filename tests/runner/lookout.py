"""A ledger, folders and an observer, all real, on a clock that a test moves; nothing is launched."""

import contextlib
import threading
from datetime import timedelta

from reconciler.clock import SECOND
from reconciler.data import Datastore, DatastoreChange
from reconciler.datastore.local import LocalDatastore
from reconciler.plan.spec import spec_text, spec_value
from reconciler.runner.book import Book
from reconciler.runner.metrics import NOBODY
from reconciler.runner.observe import Observer
from reconciler.schedule import Schedule, Status
from reconciler.trigger.snapshot import Files, split
from reconciler.workspace.records import Watching
from tests.processes import until
from tests.workspace.make import GIT, OWNER, Sqlite


class Lookout:
    def __init__(self, folder, workspaces=None):
        self.workspaces = workspaces or Sqlite(folder)
        self.clock = self.workspaces.clock
        self.workspace = self.workspaces.open()
        self.registry, self.ledger = self.workspace.registry, self.workspace.ledger
        self.ledger.begin_session(host="here", pid=1)
        self.landing = folder / "landing"
        (self.landing / "in").mkdir(parents=True)
        self.poked = threading.Event()
        self.metrics, self.events = NOBODY, None
        self.store(f"file://{self.landing}")
        self.restart()

    def restart(self):
        """Begin again with nothing in memory, as a new process does."""
        self.observer = Observer(
            self.ledger, Book(), self.open, self.poked.set, self.metrics, self.events
        )

    def open(self, name):
        return LocalDatastore(spec_value(Datastore, self.ledger.datastores()[name].spec).url)

    def store(self, url, name="landing"):
        spec = spec_text(Datastore(name=name, url=url))
        with self.registry.transaction() as write:
            known = self.ledger.datastores().get(name)
            revision = None if known is None else known.revision
            write.put_datastore(
                owner=OWNER, name=name, spec=spec, provenance=GIT, revision=revision
            )
            if known is not None:
                write.rebaseline(name)

    def watch(self, name="arrival", path="in", *, existing=False, interval=1, **trigger):
        """Register a schedule by data, ``settle`` in seconds; gives its watch as it is then."""
        if "settle" in trigger:
            trigger["settle"] = timedelta(seconds=trigger["settle"])
        change = DatastoreChange(
            datastore="landing", path_on_datastore=path, polling_interval=interval, **trigger
        )
        spec = spec_text(Schedule(name=name, pipeline="p", trigger=change))
        with self.registry.transaction() as write:
            schedule_id = write.create_schedule(
                owner=OWNER,
                name=name,
                spec=spec,
                pipeline_id=None,
                status=Status.ACTIVE,
                provenance=GIT,
                arming=Watching(watched=change.watched, existing=existing),
            )
        return self.ledger.watch_of(schedule_id)

    def disable(self, watch):
        with self.registry.transaction() as write:
            for schedule_id in watch.schedule_ids:
                write.update_schedule(
                    schedule_id,
                    1,
                    spec="{}",
                    pipeline_id=None,
                    status=Status.DISABLED,
                    disabled_by=None,
                    provenance=GIT,
                )
                write.arm(schedule_id, None)

    def put(self, name, text="text", path="in"):
        file = self.landing / path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def now(self):
        return self.clock.now()

    def forward(self, seconds):
        self.clock.instant += int(seconds * SECOND)

    def begin(self):
        """Pass once: write down what has ended, begin what is due."""
        self.observer.observe(self.now())

    def busy(self):
        return any(sight.looking is not None for sight in self.observer._sights.values())

    def look(self):
        """Pass until all looks that are due now are written down."""
        for _ in range(1_000):
            self.poked.clear()
            self.begin()
            if not self.busy() and not self.ledger.due_watches(self.now()):
                return
            if self.busy():
                assert self.poked.wait(60)
        raise AssertionError("looks without an end")

    def later(self, seconds=60):
        """Let the next look come due, and make it."""
        self.forward(seconds)
        self.look()

    def until(self, condition):
        """Pass, whenever something pokes, until the condition holds."""
        for _ in range(1_000):
            self.begin()
            if found := condition():
                return found
            self.poked.wait(0.1)
            self.poked.clear()
        raise AssertionError(f"never: {condition}")

    def until_done(self, look):
        """Wait until a look has ended, without writing it down."""
        until(lambda: look.done)

    def changes(self, watch_id=1):
        """All that was logged, in order."""
        log = self.ledger.log(watch_id, limit=10_000)
        return [f"{line.change} {line.name.decode()}" for line in reversed(log)]

    def rows(self, watch_id=1):
        """All polls, the oldest first."""
        return self.ledger.polls(watch_id, limit=10_000)[::-1]

    def known(self, watch_id=1):
        return [name for page in self.ledger.snapshot(watch_id) for name in split(page).names]


@contextlib.contextmanager
def lookout(folder, workspaces=None):
    """``workspaces`` make ledgers (see ``tests.workspace.make``), else it is a file of its own."""
    made = Lookout(folder, workspaces)
    try:
        yield made
    finally:
        made.observer.close()
        made.workspaces.close()


class Odd:
    """A real folder, with a store's oddities: what it does instead may be set, thing by thing."""

    def __init__(self, reader):
        self._reader = reader
        self.hang = threading.Event()
        self.hang.set()
        self.lists = 0
        self.where = None
        self.ending = None
        self.inodes = None

    def __getattr__(self, name):
        return getattr(self._reader, name)

    def place(self, watched):
        return self._reader.place(watched) if self.where is None else self.where()

    def scan(self, watched):
        self.lists += 1
        assert self.hang.wait(60)
        for files in self._reader.scan(watched):
            yield files if self.inodes is None else Files(files.names, list(self._moved(files)))
        if self.ending is not None:
            raise self.ending

    def look(self, watched, names):
        found = self._reader.look(watched, names)
        if self.inodes is None:
            return found
        names = sorted(found)
        return dict(zip(names, self._moved(Files(names, [found[it] for it in names])), strict=True))

    def _moved(self, files):
        """Give the files other inodes, as ``inodes`` says of each listing."""
        for place, facts in enumerate(files.facts):
            yield facts.partition(b"@")[0] + b"@%d" % self.inodes(place)
