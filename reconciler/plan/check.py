"""Whether what is declared fits together: references, parameters and their types.

Every problem is found where the reference stands, with file, line and column.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from reconciler.data import DataPath, Datastore, DatastoreChange
from reconciler.manifest.terms import OnMissing
from reconciler.pipeline import ParameterType, Pipeline
from reconciler.plan.bind import Bindings, label
from reconciler.schedule import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.errors import Problem
    from reconciler.live import Live, PublishedPipeline
    from reconciler.manifest.load import Declared
    from reconciler.plan.bind import Binding
    from reconciler.plan.desired import Desired
    from reconciler.schedule import Schedule

# So the canonical spec of a local folder says where it is.
_FOLDER = '"url":"file:'


def problems(
    desired: Desired, live: Live, broken: frozenset[tuple[str, str]] = frozenset()
) -> tuple[Problem, ...]:
    """Find every reference that does not resolve, sorted by place.

    ``broken`` names (kind, name) of manifests that have problems of their own: a reference to one
    is not called unknown.
    """
    return tuple(sorted(_problems(desired, live, broken)))


def _problems(
    desired: Desired, live: Live, broken: frozenset[tuple[str, str]]
) -> Iterator[Problem]:
    known = _Known(desired, live)
    mending = {name for kind, name in broken if kind == Datastore.KIND}
    datastores = _Names(
        known.datastores | mending, frozenset(store.name for store in live.datastores)
    )
    yield from _renamed(desired)
    for pipeline in desired.pipelines.values():
        for name, parameter in pipeline.value.parameters.items():
            if parameter.type is ParameterType.DATAPATH and isinstance(parameter.default, str):
                text = _datapath(parameter.default, datastores)
                if text:
                    yield pipeline.problem(text, "parameters", name, "default")
    for schedule in desired.schedules.values():
        reference = schedule.value.pipeline
        if (Pipeline.KIND, reference.partition("@")[0]) in broken:
            continue
        binding = known.bindings.bind(reference)
        yield from _watch(schedule, known, datastores)
        text = known.unbound(schedule.value, binding)
        if binding is None or text:
            yield schedule.problem(text, "pipeline")
        else:
            yield from _parameters(schedule, binding.pipeline, datastores)


def datastores_of(desired: Desired, live: Live) -> set[str]:
    """Name the datastores that will be there."""
    keeps = desired.terms.on_missing is OnMissing.KEEP
    return {*desired.datastores, *desired.kept.datastores} | {
        store.name for store in live.datastores if keeps or store.owner != desired.owner
    }


def _watch(schedule: Declared[Schedule], known: _Known, datastores: _Names) -> Iterator[Problem]:
    trigger = schedule.value.trigger
    if not isinstance(trigger, DatastoreChange):
        return
    here = ("trigger", trigger.TAG)
    if trigger.datastore not in datastores:
        text = f"datastore '{trigger.datastore}' is {datastores.unknown(trigger.datastore)}"
        yield schedule.problem(text, *here, "datastore")
    elif trigger.data_path is DataPath.LOCAL and not known.is_folder(trigger.datastore):
        text = f"datastore '{trigger.datastore}' is no folder, so no program can open its files"
        way = "write data_path: datastore, and let the step run `reconciler get`"
        yield schedule.problem(f"{text}; {way}", *here, "data_path")


class _Names:
    """Names that may be referred to, and what to say of another; many may ask for the same."""

    def __init__(self, known: set[str], leaving: frozenset[str] = frozenset()) -> None:
        self._known = known
        self._leaving = leaving - known
        self._said: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def unknown(self, name: str) -> str:
        """Say that a name is not known, and which one is near."""
        if name in self._leaving:
            return "no longer declared, but this uses it; declare it again"
        if name not in self._said:
            text = "neither declared here nor registered in the workspace"
            self._said[name] = text + _nearest(name, self._known)
        return self._said[name]


class _Known:
    """What the references of schedules may lead to."""

    def __init__(self, desired: Desired, live: Live) -> None:
        keeps = desired.terms.on_missing is OnMissing.KEEP
        self.desired = desired
        self.bindings = Bindings(desired, live.pipelines)
        self.datastores = datastores_of(desired, live)
        self.leaving = {
            version.name
            for version in live.pipelines
            if version.owner == desired.owner and not keeps and not desired.declares(version.name)
        }
        self.specs = {store.name: store.spec for store in live.datastores}
        self.names = _Names({*desired.pipelines, *self.bindings.published.by_name})
        self.running = {
            (here.name, here.pipeline_id)
            for here in live.schedules
            if here.owner == desired.owner and here.status is Status.ACTIVE
        }

    def is_folder(self, name: str) -> bool:
        """Whether a datastore, if it is known at all, is a folder of the runner's machine."""
        declared = self.desired.datastores.get(name)
        if declared is None:
            return _FOLDER in self.specs.get(name, _FOLDER)
        return declared.value.scheme == "file"

    def unbound(self, schedule: Schedule, binding: Binding | None) -> str:
        """Say why a schedule cannot be bound to its pipeline; empty when it can."""
        reference = schedule.pipeline
        name = binding.name if binding else reference.partition("@")[0]
        versions = self.bindings.published.by_name.get(name, [])
        if name in self.leaving:
            text = f"pipeline '{name}' is no longer declared, but this schedule uses it"
            return f"{text}; declare it again or remove the schedule"
        if binding is not None:
            version = binding.published
            return _disabled(version) if version and self._retired(version, schedule) else ""
        if not versions:
            return f"pipeline '{reference}' is {self.names.unknown(reference)}"
        if reference in {name, f"{name}@latest"}:
            return _disabled(versions[-1])
        return f"pipeline '{name}' has no such version; the newest is {label(versions[-1])}"

    def _retired(self, version: PublishedPipeline, schedule: Schedule) -> bool:
        """Whether a schedule would begin to run a version that is Disabled and stays so.

        One that runs it already is left alone: an operator who retired the version knew of it.
        """
        declared = self.bindings.digest(version.name) == version.digest
        if declared or version.status is Status.ACTIVE or schedule.status is Status.DISABLED:
            return False
        return (schedule.name, version.id) not in self.running


def _renamed(desired: Desired) -> Iterator[Problem]:
    first: dict[str, Declared[Schedule]] = {}
    renames = [one for one in desired.schedules.values() if one.value.renamed_from is not None]
    for schedule in sorted(renames, key=lambda one: one.value.name):
        former = str(schedule.value.renamed_from)
        other = first.setdefault(former, schedule)
        if former in desired.schedules:
            place = "{}:{}".format(*desired.schedules[former].at("name"))
            text = f"'{former}' is still declared at {place}, so nothing can be renamed from it"
            text = f"{text}; remove one, or rename in two applies"
            yield schedule.problem(text, "renamed_from")
        elif other is not schedule:
            place = "{}:{}".format(*other.at("renamed_from"))
            text = f"'{former}' is renamed to '{other.value.name}' at {place} already; remove one"
            yield schedule.problem(text, "renamed_from")


def _disabled(version: PublishedPipeline) -> str:
    name = label(version)
    return f"pipeline '{name}' is Disabled; enable it first: reconciler enable pipeline {name}"


def _parameters(
    schedule: Declared[Schedule], pipeline: Pipeline, datastores: _Names
) -> Iterator[Problem]:
    given = schedule.value.pipeline_parameters
    known = pipeline.parameters
    for name, value in given.items():
        here = ("pipeline_parameters", name)
        if name not in known:
            yield schedule.problem(
                f"pipeline '{pipeline.name}' has no parameter '{name}'{_nearest(name, known)}",
                *here,
            )
        elif not known[name].type.accepts(value):
            text = f"parameter '{name}' of '{pipeline.name}' is of type {known[name].type}"
            yield schedule.problem(f"{text}, not {_type_name(value)}", *here)
        elif known[name].type is ParameterType.DATAPATH:
            text = _datapath(str(value), datastores)
            if text:
                yield schedule.problem(text, *here)
    trigger = schedule.value.trigger
    path_name = trigger.data_path_parameter_name if isinstance(trigger, DatastoreChange) else None
    if path_name is not None:
        yield from _path_parameter(schedule, pipeline, path_name)
    for name, parameter in known.items():
        if parameter.default is None and name not in given and name != path_name:
            text = f"parameter '{name}' of pipeline '{pipeline.name}' has no default"
            yield schedule.problem(f"{text}; give it in pipeline_parameters", "pipeline_parameters")


def _path_parameter(
    schedule: Declared[Schedule], pipeline: Pipeline, name: str
) -> Iterator[Problem]:
    here = ("trigger", DatastoreChange.TAG, "data_path_parameter_name")
    known = pipeline.parameters
    if name not in known:
        text = f"pipeline '{pipeline.name}' has no parameter '{name}'"
        yield schedule.problem(f"{text}{_nearest(name, known)}", *here)
    elif known[name].type is not ParameterType.DATAPATH:
        text = f"parameter '{name}' of '{pipeline.name}' is of type {known[name].type}"
        yield schedule.problem(f"{text}; it must be datapath to receive a file's path", *here)


def _datapath(value: str, datastores: _Names) -> str:
    """Say what is wrong with ``datastore/relative/path``; empty when nothing is."""
    store, slash, path = value.partition("/")
    if not slash or not path:
        return f"'{value}' is not a data path; write datastore/relative/path"
    if ".." in path.split("/"):
        return f"'{value}' leaves its datastore; remove the '..'"
    if store not in datastores:
        return f"datastore '{store}' is {datastores.unknown(store)}"
    return ""


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1)
    if near:
        return f"; did you mean '{near[0]}'?"
    names = ", ".join(sorted(known)[:5])
    return f" (known: {names})" if names else ""


def _type_name(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string"}
    return names[type(value)]
