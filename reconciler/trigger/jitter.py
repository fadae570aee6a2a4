"""How long after its due time a fire starts, so that a thousand daily ones do not start at once."""

from __future__ import annotations

from hashlib import sha256

_BITS = 64


def delay(schedule_id: str, due: int, jitter: int, following: int | None) -> int:
    """Return how many microseconds after ``due`` its run may start.

    The same for ever for one schedule and one nominal time, in every process and version; spread
    evenly over [0, min(jitter, following - due)), so it never reaches the next due instant
    ``following``. ``jitter`` is in microseconds; None for ``following`` means that none follows.
    """
    span = jitter if following is None else min(jitter, following - due)
    name = f"{schedule_id}:{due}".encode()
    drawn = int.from_bytes(sha256(name).digest()[: _BITS // 8])
    return drawn * span >> _BITS
