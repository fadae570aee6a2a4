"""What one side of an offline plan refers to and does not declare: only a workspace can have it.

It is taken to be there and to fit, so that the rest can be compared; the plan warns of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.data import Datastore, DatastoreChange
from reconciler.live import Live, Provenance, PublishedPipeline, RegisteredDatastore
from reconciler.pipeline import Parameter, ParameterType, Pipeline, Step
from reconciler.plan.change import Kind, PlanWarning
from reconciler.plan.spec import spec_text
from reconciler.reconcile.narrow import datastores_in
from reconciler.schedule import Schedule, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.live import Owner
    from reconciler.manifest.load import Declared, Loaded

# What stands for a digest, a program or a file that nobody here knows.
UNKNOWN = "unknown"
# From the narrowest on; a data path is text.
_KINDS = (
    ParameterType.BOOLEAN,
    ParameterType.INTEGER,
    ParameterType.NUMBER,
    ParameterType.STRING,
)
_NUMBERS = {ParameterType.INTEGER, ParameterType.NUMBER}


class Strangers:
    """The strangers of one side, ``loaded`` for ``owner``.

    A version by its number is one even where the pipeline is declared: nobody here numbers them.
    """

    def __init__(self, loaded: Loaded, owner: Owner) -> None:
        self._loaded = loaded
        self._owner = owner
        self._pipelines: dict[str, dict[str, Parameter]] = {}
        self._stores: set[str] = set()
        for declared in loaded.schedules.values():
            schedule = declared.value
            self._stores.update(_stores(schedule))
            reference = self._reference(schedule)
            if reference:
                _widen(self._pipelines.setdefault(reference, {}), schedule)
        for pipeline in loaded.pipelines.values():
            defaults = (one.default for one in pipeline.value.parameters.values())
            self._stores.update(datastores_in(defaults))
        broken = {name for kind, name in loaded.broken if kind == Datastore.KIND}
        self._stores -= {*loaded.datastores, *broken}

    def live(self, but: Loaded | None = None) -> Live:
        """Give a workspace in which there is all of them, without what ``but`` declares."""
        pipelines = () if but is None else but.pipelines
        stores = () if but is None else but.datastores
        return Live(
            pipelines=tuple(
                self._stand_in(reference)
                for reference in sorted(self._pipelines)
                if reference not in pipelines
            ),
            datastores=tuple(_store(name) for name in sorted(self._stores) if name not in stores),
        )

    def warnings(self) -> Iterator[PlanWarning]:
        """Say of each stranger, where it is first referred to, that nobody here knows of it."""
        told = set()
        for declared in self._loaded.schedules.values():
            reference, trigger = self._reference(declared.value), declared.value.trigger
            found: list[tuple[str, tuple[str, ...]]] = []
            if reference:
                found.append((f"pipeline '{reference}'", ("pipeline",)))
            if isinstance(trigger, DatastoreChange) and trigger.datastore in self._stores:
                here = ("trigger", trigger.TAG, "datastore")
                found.append((f"datastore '{trigger.datastore}'", here))
            for what, path in found:
                if what not in told:
                    told.add(what)
                    yield _warning(declared, what, path)

    def _reference(self, schedule: Schedule) -> str:
        """Give the name that a stranger is known by; empty where the pipeline is declared."""
        name, _, version = schedule.pipeline.partition("@")
        if version.isdecimal():
            return schedule.pipeline
        known = name in self._loaded.pipelines or (Pipeline.KIND, name) in self._loaded.broken
        return "" if known else name

    def _stand_in(self, reference: str) -> PublishedPipeline:
        name, _, version = reference.partition("@")
        pipeline = Pipeline(
            name=name,
            parameters=self._pipelines[reference],
            steps=(Step(name=UNKNOWN, command=(UNKNOWN,)),),
        )
        return PublishedPipeline(
            id=reference,
            name=name,
            version=int(version or 0),
            spec=spec_text(pipeline),
            digest=UNKNOWN,
            code_digest=None,
            status=Status.ACTIVE,
            disabled_by=None,
            owner=self._owner if name in self._loaded.pipelines else None,
            provenance=Provenance(),
            created_at=0,
            revision=0,
        )


def _store(name: str) -> RegisteredDatastore:
    return RegisteredDatastore(
        name=name,
        spec=spec_text(Datastore(name=name, url=f"file:///{UNKNOWN}")),
        owner=None,
        provenance=Provenance(),
        created_at=0,
        revision=0,
    )


def _stores(schedule: Schedule) -> Iterator[str]:
    yield from datastores_in(schedule.pipeline_parameters.values())
    if isinstance(schedule.trigger, DatastoreChange):
        yield schedule.trigger.datastore


def _widen(known: dict[str, Parameter], schedule: Schedule) -> None:
    """Let parameters take what a schedule gives, too, as far as one type does."""
    for name, value in schedule.pipeline_parameters.items():
        kind = next(kind for kind in _KINDS if kind.accepts(value))
        before = known.get(name)
        if before is None or {before.type, kind} == _NUMBERS:
            kind = ParameterType.NUMBER if before is not None else kind
            known[name] = Parameter(type=kind, default=value)
    trigger = schedule.trigger
    if isinstance(trigger, DatastoreChange) and trigger.data_path_parameter_name is not None:
        known[trigger.data_path_parameter_name] = Parameter(
            type=ParameterType.DATAPATH, default=f"{trigger.datastore}/{UNKNOWN}"
        )


def _warning(declared: Declared[Schedule], what: str, path: tuple[str, ...]) -> PlanWarning:
    file, line, column = declared.at(*path)
    return PlanWarning(
        file=file,
        line=line,
        column=column,
        id="unseen",
        message=f"{what} is not declared here; whether the workspace has it is not known offline",
        objects=(f"{Kind.SCHEDULE}.{declared.value.name}",),
    )
