"""What steps take of a machine: places, processors, memory; and who is served first."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.pipeline import Step

_GIBI = 1 << 30


class Amounts(NamedTuple):
    """So much of a machine: steps at the same time, 1/1000 processors, bytes, gpus."""

    places: int = 0
    millicpus: int = 0
    memory: int = 0
    gpus: int = 0

    def within(self, free: Amounts) -> bool:
        """Whether all of it is free; what is not needed may be short."""
        return all(need <= there or not need for need, there in zip(self, free, strict=True))

    def minus(self, other: Amounts) -> Amounts:
        """What is left; below 0 where more is taken than there is."""
        return Amounts(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))

    def __str__(self) -> str:
        """Give ``cpus 0.5, memory 2 GiB, gpus 1``; places are left out."""
        memory = f"{self.memory / _GIBI:.4g} GiB"
        return f"cpus {self.millicpus / 1_000:g}, memory {memory}, gpus {self.gpus}"


def needs(step: Step) -> Amounts:
    """Give what one attempt at ``step`` takes."""
    asked = step.resources
    return Amounts(1, ceil(asked.cpus * 1_000), asked.bytes, asked.gpus)


class Room:
    """What is free of ``capacity`` while one pass hands it out, the longest waiting first.

    The first who is refused, and would fit if nobody else was there, has waited longest. What it
    needs is kept for it: those behind it have what is left beside that, so that many small steps
    never keep a big one waiting for ever.
    """

    def __init__(self, capacity: Amounts, taken: Iterable[Amounts] = ()) -> None:
        self.capacity = capacity
        self._free = capacity
        for amounts in taken:
            self._free = self._free.minus(amounts)
        self._kept: Amounts | None = None

    @property
    def places(self) -> int:
        """How many steps more may run."""
        return max(0, self._free.places)

    def take(self, amounts: Amounts) -> bool:
        """Take so much, if all of it is free; tells whether."""
        free = self._free if self._kept is None else self._free.minus(self._kept)
        if amounts.within(free):
            self._free = self._free.minus(amounts)
            return True
        if self._kept is None and amounts.within(self.capacity):
            self._kept = amounts
        return False
