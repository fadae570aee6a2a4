"""What a project asks of its own plans: limits, protection, what drift it tolerates.

They stand in ``reconciler.yml``; :mod:`reconciler.plan` holds plans to them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from difflib import get_close_matches
from enum import StrEnum

from reconciler.data import Datastore
from reconciler.errors import InvalidValue
from reconciler.fields import field
from reconciler.pipeline import Pipeline
from reconciler.schedule import Schedule

_ADDRESS = r"^(Schedule|Pipeline|Datastore|\*)\.[^\s.]+$"
_ADDRESS_HINT = "write KIND.NAME, where both may hold *, for example Schedule.nightly-*"


class OnMissing(StrEnum):
    """What becomes of a schedule or a pipeline whose manifest is gone."""

    DISABLE = "disable"
    KEEP = "keep"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one apply may do before a person has to say so."""

    disables: int = field(
        "How many schedules one apply may disable or take away; a number that no apply reaches is "
        "no limit.",
        default=20,
        minimum=0,
        maximum=1_000_000,
        examples=(5,),
    )
    disabled_percent: float | None = field(
        "What part of the project's Active schedules one apply may disable, in percent.",
        default=None,
        minimum=0,
        maximum=100,
        examples=(30,),
    )
    runs_per_day: float | None = field(
        "By how many runs a day one apply may change the load, more or fewer.",
        default=None,
        minimum=0,
        maximum=1_000_000_000,
        examples=(500,),
    )
    fires_on_apply: int = field(
        "How many runs may start at once: of schedules that are created without a start_time, and "
        "for files that are there under initial: trigger.",
        default=50,
        minimum=0,
        maximum=1_000_000,
        examples=(10,),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoreDrift:
    """Fields that somebody else sets on the live object: a plan leaves them as they are."""

    objects: str = field(
        "Which objects, as KIND.NAME; * stands for anything.",
        pattern=_ADDRESS,
        hint=_ADDRESS_HINT,
        examples=("Schedule.nightly-*",),
    )
    fields: tuple[str, ...] = field(
        "Which of their fields, as a plan writes them.",
        unique=True,
        non_empty=True,
        examples=(["pipeline_parameters.batch_size", "description"],),
    )

    def __post_init__(self) -> None:
        """Refuse a field that none of these objects has.

        Raises:
            InvalidValue: with the nearest field that one has.
        """
        kind = self.objects.partition(".")[0]
        classes = (Schedule, Pipeline, Datastore)
        known = sorted({f.name for c in classes if kind in {"*", c.KIND} for f in fields(c)})
        faults = []
        for at, path in enumerate(self.fields):
            name = path.partition(".")[0]
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
                faults.append((("fields", at), f"no such object has a field '{name}'; {hint}"))
        if faults:
            raise InvalidValue(faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of one target: its own ones where it has them, else the project's."""

    limits: Limits = Limits()
    protected: tuple[str, ...] = ()
    ignore_drift: tuple[IgnoreDrift, ...] = ()
    on_missing: OnMissing = OnMissing.DISABLE


def address_field(text: str) -> tuple[str, ...]:
    """Declare a list of addresses, as ``protected`` is."""
    declared: tuple[str, ...] = field(
        text,
        default=(),
        unique=True,
        pattern=_ADDRESS,
        hint=_ADDRESS_HINT,
        examples=(["Schedule.month-end"],),
    )
    return declared
