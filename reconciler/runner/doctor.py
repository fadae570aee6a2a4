"""Whether a workspace and this machine are fit to run schedules; nothing is changed.

Each check is one line: what was looked at, how it is, and the way out where it is not well.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from time import monotonic_ns

from reconciler import __version__
from reconciler.clock import SECOND, Clock, iso
from reconciler.data import Watched
from reconciler.datastore.base import DatastoreReader
from reconciler.errors import ReconcilerError, SchemaMismatch
from reconciler.runner.config import RunnerConfig
from reconciler.runner.zone_data import in_use
from reconciler.trigger.zones import resolve
from reconciler.workspace.upkeep import Upkeep

_NETWORKED = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "glusterfs"}
_FULL, _NEARLY_FULL = 100 << 20, 1 << 30
# Clocks are slewed by less all the time.
_STEP = SECOND // 2
_APART = 2 * SECOND
# Places of one datastore that are looked at.
_MOST_PLACES = 20


class State(StrEnum):
    """How a check went."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One line: ``way_out`` is empty where there is nothing to do."""

    name: str
    state: State
    said: str
    way_out: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What is examined. What may fail is a function, so that its failure is an answer.

    ``file`` is the database file, None where there is none; ``folder`` is where this machine keeps
    logs and working files, ``config`` the file of the runner's configuration. ``watched`` gives
    what schedules look at, by datastore; one that nobody watches has none.
    """

    clock: Clock
    file: str | None
    folder: str
    config: str
    upkeep: Callable[[], Upkeep]
    runner_active: Callable[[], bool]
    read_config: Callable[[], RunnerConfig]
    watched: Callable[[], Mapping[str, Sequence[Watched]]]
    datastore: Callable[[str], DatastoreReader]


def examine(patient: Patient) -> Iterator[Check]:
    """Make all checks, one after the other; none raises for what it finds."""
    wall, steady = patient.clock.now(), monotonic_ns() // 1_000
    yield _program()
    yield from _folder(patient)
    yield from _secrets(patient)
    yield _zone_data()
    try:
        upkeep = patient.upkeep()
        upkeep.revision()
    except ReconcilerError as error:
        yield Check("workspace", State.FAIL, str(error))
    else:
        yield Check("workspace", State.OK, f"{upkeep.name} can be read")
        for check in (_schema, _whole, _durable, _zones, _instants):
            yield from _guarded(check.__name__.strip("_"), check, patient, upkeep)
        yield from _guarded("runner", _runner, patient, upkeep)
        yield from _stores(patient)
    step = (patient.clock.now() - wall) - (monotonic_ns() // 1_000 - steady)
    if abs(step) > _STEP:
        yield Check(
            "clock",
            State.WARN,
            f"the clock was moved by {step / SECOND:.1f} s while this ran",
            "let a time service slew it instead",
        )


def _guarded(
    name: str,
    check: Callable[[Patient, Upkeep], Iterator[Check]],
    patient: Patient,
    upkeep: Upkeep,
) -> Iterator[Check]:
    try:
        yield from check(patient, upkeep)
    except ReconcilerError as error:
        yield Check(name, State.FAIL, str(error))


def _program() -> Check:
    extras = {
        "PostgreSQL": "psycopg",
        "object stores": "obstore",
        "Prometheus": "prometheus_client",
    }
    there = [name for name, module in extras.items() if find_spec(module)]
    missing = [name for name in extras if name not in there]
    said = f"reconciler {__version__}, Python {platform.python_version()}, {sys.platform}"
    said += f"; can talk to {', '.join(there)}" if there else ""
    said += f"; not to {', '.join(missing)}" if missing else ""
    return Check("program", State.OK, said)


def _folder(patient: Patient) -> Iterator[Check]:
    folder = Path(patient.folder)
    if not folder.is_dir() and patient.file is None:
        yield Check("folder", State.OK, f"{folder} is not there; a runner here makes it")
        return
    if not folder.is_dir():
        yield Check("folder", State.FAIL, f"{folder} is not there", "make it")
        return
    mode = folder.stat().st_mode
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Check(
            "folder",
            State.WARN,
            f"{folder} cannot be written by this user",
            "run this as the runner's user, or give it the folder",
        )
    elif mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield Check("folder", State.WARN, f"everybody may write in {folder}", f"chmod o-w {folder}")
    else:
        yield Check("folder", State.OK, f"{folder} can be written")
    kind = filesystem(str(folder.resolve()))
    if patient.file is not None and (kind in _NETWORKED or kind.startswith("fuse.sshfs")):
        yield Check(
            "file system",
            State.FAIL,
            f"{folder} is on {kind}, whose locks cannot be relied on",
            "put it on a disk of this machine, or use PostgreSQL",
        )
    else:
        yield Check("file system", State.OK, kind or "not known on this platform")
    free = shutil.disk_usage(folder).free
    state = State.FAIL if free < _FULL else State.WARN if free < _NEARLY_FULL else State.OK
    way_out = "" if state is State.OK else "make room; `reconciler prune` deletes what is old"
    yield Check("disk", state, f"{free >> 20:,} MiB are free", way_out)


def filesystem(path: str) -> str:
    """Name the kind of file system that a path is on; empty where the platform does not tell."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for _, place, name, *_ in map(str.split, lines):
        within = path == place or path.startswith(place.rstrip("/") + "/")
        if within and len(place) >= len(best):
            best, kind = place, name
    return kind


def _secrets(patient: Patient) -> Iterator[Check]:
    try:
        config = patient.read_config()
    except ReconcilerError as error:
        yield Check("configuration", State.FAIL, str(error).splitlines()[0])
        return
    named = [secret.file for secret in config.secrets.values() if secret.file is not None]
    files = [patient.config, *named] if config.secrets else []
    gone = [file for file in named if not Path(file).is_file()]
    open_to_all = [file for file in files if _mode(file) & (stat.S_IROTH | stat.S_IWOTH)]
    for file in gone:
        yield Check("secrets", State.WARN, f"{file} is not there", "write it, or name another")
    for file in open_to_all:
        yield Check("secrets", State.WARN, f"others may read {file}", f"chmod o-rwx {file}")
    if not gone and not open_to_all:
        said = f"{len(config.secrets)} declared" if config.secrets else "none declared"
        yield Check("secrets", State.OK, said)


def _mode(file: str) -> int:
    try:
        return Path(file).stat().st_mode
    except OSError:
        return 0


def _zone_data() -> Check:
    version, folder = in_use()
    said = f"version {version or 'unknown'}, in {folder}" if folder else "of an unknown version"
    return Check("time zone data", State.OK, said)


def _schema(_: Patient, upkeep: Upkeep) -> Iterator[Check]:
    try:
        upkeep.check()
    except SchemaMismatch as error:
        yield Check("schema", State.FAIL, str(error))
    else:
        yield Check("schema", State.OK, upkeep.revision())


def _whole(_: Patient, upkeep: Upkeep) -> Iterator[Check]:
    damage = upkeep.damage()
    way_out = "stop the runner and put a backup back: `reconciler restore`"
    for line in damage:
        yield Check("integrity", State.FAIL, line, way_out)
    if not damage:
        yield Check("integrity", State.OK, "the database is whole")


def _durable(_: Patient, upkeep: Upkeep) -> Iterator[Check]:
    careless = upkeep.careless()
    for line in careless:
        said = f"{line}: what was committed may be lost, and fires decided twice"
        yield Check("durability", State.FAIL, said, "set it to on, and restart the server")
    if not careless:
        yield Check("durability", State.OK, "what is committed is on the disk")


def _zones(_: Patient, upkeep: Upkeep) -> Iterator[Check]:
    zones = upkeep.zones()
    strange = 0
    for zone, count in sorted(zones.items()):
        try:
            resolve(zone or "UTC")
        except ReconcilerError:
            strange += 1
            said = f"'{zone}' is not known here; {count} schedules that use it do not fire"
            yield Check("time zones", State.FAIL, said, "pip install --upgrade tzdata")
    if not strange:
        yield Check("time zones", State.OK, f"all {len(zones)} in use are known")


def _instants(patient: Patient, upkeep: Upkeep) -> Iterator[Check]:
    theirs, ours = upkeep.now(), patient.clock.now()
    apart, latest = abs(theirs - ours), upkeep.latest()
    if apart > _APART:
        said = f"the database's clock is {apart / SECOND:.1f} s away from this machine's"
        yield Check("clock", State.WARN, said, "have a time service set both")
    elif latest > theirs + _APART:
        said = f"something is recorded as of {iso(latest)}, which is yet to come"
        yield Check("clock", State.WARN, said, "see whether it is right; nothing fires twice")
    else:
        yield Check("clock", State.OK, iso(theirs))


def _runner(patient: Patient, upkeep: Upkeep) -> Iterator[Check]:
    if not patient.runner_active():
        yield Check("runner", State.WARN, "none is active", "reconciler runner start")
        return
    for seen in upkeep.runners():
        if seen.ended_at is None:
            said = f"pid {seen.pid} on {seen.host}, since {iso(seen.started_at)}"
            yield Check("runner", State.OK, said)


def _stores(patient: Patient) -> Iterator[Check]:
    try:
        watched = patient.watched()
    except ReconcilerError as error:
        yield Check("datastores", State.FAIL, str(error))
        return
    for name, places in sorted(watched.items()):
        looked = places[:_MOST_PLACES] or [Watched(datastore=name, path="")]
        well = 0
        for place in looked:
            try:
                # That a listing begins shows that the store is there and may be read.
                next(iter(patient.datastore(name).scan(place)), None)
            except ReconcilerError as error:
                yield Check(f"datastore {name}", State.FAIL, str(error))
            else:
                well += 1
        if well == len(looked):
            yield Check(f"datastore {name}", State.OK, _listed(looked, len(places)))


def _listed(looked: Sequence[Watched], watched: int) -> str:
    if watched <= 1:
        return f"{looked[0].path or 'its root'} can be listed"
    some = f", the first of {watched}" if watched > len(looked) else ""
    return f"{len(looked)} watched places can be listed{some}"
