"""What the runner keeps in memory between passes: values that can be made again at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.errors import NotFound
from reconciler.pipeline import Pipeline
from reconciler.plan.spec import spec_value
from reconciler.schedule import DatastoreChange, Schedule
from reconciler.trigger.compile import compile_trigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.live import PublishedPipeline, RegisteredSchedule
    from reconciler.trigger.calendar import Calendar


class Book:
    """Specs and calendars by revision; published versions for ever, since they never change."""

    def __init__(self) -> None:
        self._schedules: dict[str, tuple[int, Schedule]] = {}
        self._calendars: dict[str, tuple[int, Calendar]] = {}
        self._versions: dict[str, PublishedPipeline] = {}
        self._pipelines: dict[str, Pipeline] = {}

    def schedule(self, here: RegisteredSchedule) -> Schedule:
        """Read the spec of a registered schedule.

        Raises:
            InvalidValue: this version of the program cannot read it.
        """
        known = self._schedules.get(here.id)
        if known is None or known[0] != here.revision:
            known = (here.revision, spec_value(Schedule, here.spec))
            self._schedules[here.id] = known
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
            self._calendars[here.id] = known
        return known[1]

    def unknown(self, pipeline_ids: Iterable[str]) -> set[str]:
        """Tell which published versions have not been read yet."""
        return {id_ for id_ in pipeline_ids if id_ not in self._versions}

    def learn(self, versions: Mapping[str, PublishedPipeline]) -> None:
        """Remember published versions; their status may be out of date ever after."""
        self._versions.update(versions)

    def version(self, pipeline_id: str) -> PublishedPipeline:
        """Give a version that was learned; only what is immutable may be used.

        Raises:
            NotFound: the workspace has no such version.
        """
        try:
            return self._versions[pipeline_id]
        except KeyError:
            raise NotFound(f"no pipeline version {pipeline_id}") from None

    def pipeline(self, pipeline_id: str) -> Pipeline:
        """Read the spec of a version that was learned.

        Raises:
            InvalidValue: this version of the program cannot read it.
            NotFound: the workspace has no such version.
        """
        known = self._pipelines.get(pipeline_id)
        if known is None:
            known = spec_value(Pipeline, self.version(pipeline_id).spec)
            self._pipelines[pipeline_id] = known
        return known
