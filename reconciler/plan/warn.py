"""What a person should look at and may leave as it is: it blocks nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.plan.change import Kind, PlanWarning
from reconciler.plan.check import datastores_of
from reconciler.plan.loops import loops

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.live import Live
    from reconciler.plan.desired import Desired

UNKNOWN_DATASTORE = "unknown_datastore"


def warnings(
    desired: Desired, live: Live, touched: frozenset[str] | None = None
) -> tuple[PlanWarning, ...]:
    """Give what to look at, sorted by place.

    With ``touched``, the addresses of what a plan changes, only what they have a part in.
    """
    if touched is not None and not touched:
        return ()
    return tuple(sorted((*_unknown(desired, live, touched), *loops(desired, live, touched))))


def _unknown(desired: Desired, live: Live, touched: frozenset[str] | None) -> Iterator[PlanWarning]:
    writing = [one for one in desired.pipelines.values() if one.value.writes]
    known = datastores_of(desired, live) if writing else set()
    for declared in writing:
        pipeline = declared.value
        for at, text in enumerate(pipeline.writes):
            name = text.partition("/")[0]
            objects = (f"{Kind.PIPELINE}.{pipeline.name}", f"{Kind.DATASTORE}.{name}")
            if name in known or (touched is not None and touched.isdisjoint(objects)):
                continue
            file, line, column = declared.at("writes", at)
            said = f"pipeline '{pipeline.name}' writes {text}, but there is no datastore '{name}'"
            yield PlanWarning(
                file=file,
                line=line,
                column=column,
                id=UNKNOWN_DATASTORE,
                message=f"{said}; correct its name, or declare it, so that loops can be found",
                objects=objects,
            )
