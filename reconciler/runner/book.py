"""What the runner keeps in memory between passes: values that can be made again at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from reconciler.data import DatastoreChange
from reconciler.errors import NotFound
from reconciler.pipeline import Pipeline
from reconciler.plan.spec import spec_value
from reconciler.schedule import Schedule
from reconciler.trigger.compile import compile_trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.live import PublishedPipeline, RegisteredSchedule
    from reconciler.trigger.calendar import Calendar

V = TypeVar("V")

# A schedule with its calendar takes 2 kB and is made again in 40 microseconds.
KEPT = 4_096


class Recent(Generic[V]):
    """Keeps what was used last: at least ``KEPT`` values, at most twice as many."""

    def __init__(self) -> None:
        self._young: dict[str, V] = {}
        self._old: dict[str, V] = {}

    def get(self, key: str) -> V | None:
        """Give what is kept under ``key``."""
        found = self._young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.put(key, found)
        return found

    def put(self, key: str, value: V) -> None:
        """Keep a value; those that were not used for long may go."""
        if len(self._young) >= KEPT:
            self._old, self._young = self._young, {}
        self._young[key] = value

    def clear(self) -> None:
        """Keep nothing."""
        self._young, self._old = {}, {}


class Book:
    """Specs and calendars by revision, and published versions, which never change."""

    def __init__(self) -> None:
        self._schedules: Recent[tuple[int, Schedule]] = Recent()
        self._calendars: Recent[tuple[int, Calendar]] = Recent()
        self._versions: Recent[PublishedPipeline] = Recent()
        self._pipelines: Recent[Pipeline] = Recent()

    def schedule(self, here: RegisteredSchedule) -> Schedule:
        """Read the spec of a registered schedule.

        Raises:
            InvalidValue: this version of the program cannot read it.
        """
        known = self._schedules.get(here.id)
        if known is None or known[0] != here.revision:
            known = (here.revision, spec_value(Schedule, here.spec))
            self._schedules.put(here.id, known)
        return known[1]

    def calendar(self, here: RegisteredSchedule) -> Calendar:
        """Compile the clock trigger of a registered schedule.

        Raises:
            InvalidValue: its time zone is not known on this machine.
        """
        known = self._calendars.get(here.id)
        if known is None or known[0] != here.revision:
            trigger = self.schedule(here).trigger
            assert not isinstance(trigger, DatastoreChange), "only clock triggers have timers"  # noqa: S101  (arm's law)
            known = (here.revision, compile_trigger(trigger, here.created_at))
            self._calendars.put(here.id, known)
        return known[1]

    def drop_calendars(self) -> None:
        """Forget all calendars: the time zones they were made with are no longer true."""
        self._calendars.clear()

    def unknown(self, pipeline_ids: Iterable[str]) -> set[str]:
        """Tell which published versions are to be read before they are asked for."""
        return {id_ for id_ in pipeline_ids if self._versions.get(id_) is None}

    def learn(self, versions: Mapping[str, PublishedPipeline]) -> None:
        """Remember published versions; their status may be out of date ever after."""
        for id_, version in versions.items():
            self._versions.put(id_, version)

    def version(self, pipeline_id: str) -> PublishedPipeline:
        """Give a version that was learned; only what is immutable may be used.

        Raises:
            NotFound: the workspace has no such version.
        """
        found = self._versions.get(pipeline_id)
        if found is None:
            raise NotFound(f"no pipeline version {pipeline_id}")
        return found

    def pipeline(self, pipeline_id: str) -> Pipeline:
        """Read the spec of a version that was learned.

        Raises:
            InvalidValue: this version of the program cannot read it.
            NotFound: the workspace has no such version.
        """
        known = self._pipelines.get(pipeline_id)
        if known is None:
            known = spec_value(Pipeline, self.version(pipeline_id).spec)
            self._pipelines.put(pipeline_id, known)
        return known
