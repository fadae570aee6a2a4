"""The right to apply for an owner: one holder at a time, told apart by a number that only grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.clock import SECOND, iso
from reconciler.errors import StalePlan, WorkspaceBusy
from reconciler.workspace.records import Lease
from reconciler.workspace.sql.queries import named

if TYPE_CHECKING:
    from reconciler.workspace.records import Owner
    from reconciler.workspace.sql.driver import Driver

_MINE = "WHERE owner_project = :project AND owner_target = :target"
_HELD = f"{_MINE} AND lease_holder = :holder AND lease_fence = :fence"
_LOOK = f"SELECT lease_holder, lease_until FROM owners {_MINE}"  # noqa: S608  (constants)
_TAKE = """
INSERT INTO owners (owner_project, owner_target, lease_holder, lease_fence, lease_until)
VALUES (:project, :target, :holder, 1, :until)
ON CONFLICT (owner_project, owner_target) DO UPDATE SET lease_holder = excluded.lease_holder,
  lease_fence = owners.lease_fence + 1, lease_until = excluded.lease_until
RETURNING lease_fence
"""
_RENEW = f"UPDATE owners SET lease_until = :until {_HELD}"  # noqa: S608  (constants)
_RELEASE = f"""
UPDATE owners SET lease_holder = NULL, lease_until = NULL {_HELD}
"""  # noqa: S608  (constants)
_CHECK = f"SELECT 1 FROM owners {_HELD}"  # noqa: S608  (constants)

# No lease is taken for so long: one that ends later was taken by a clock that has been set since.
_LONGEST = 3600 * SECOND


def acquire(raw: Driver, now: int, owner: Owner, holder: str, seconds: int) -> Lease:
    """Take a lease that is free, has ended by ``now``, or is the holder's own.

    One that ends far in the future is free too: whoever took it is found out by its fence.

    Raises:
        WorkspaceBusy: somebody else holds it.
    """
    held = raw.execute(_LOOK, named(owner)).fetchone()
    if held is not None and held[0] not in {None, holder} and now < held[1] < now + _LONGEST:
        raise WorkspaceBusy(
            f"{held[0]} is applying for {owner} and may take until {iso(held[1])}; "
            "try again when it is done"
        )
    until = now + seconds * SECOND
    taken = raw.execute(_TAKE, named(owner) | {"holder": holder, "until": until})
    return Lease(owner=owner, holder=holder, fence=taken.fetchone()[0], until=until)


def renew(raw: Driver, now: int, lease: Lease, seconds: int) -> Lease:
    """Move the end of a lease to so many seconds after ``now``.

    Raises:
        StalePlan: somebody else has taken it since.
    """
    until = now + seconds * SECOND
    if raw.execute(_RENEW, _named(lease) | {"until": until}).rowcount == 0:
        raise _taken(lease)
    return Lease(owner=lease.owner, holder=lease.holder, fence=lease.fence, until=until)


def release(raw: Driver, lease: Lease) -> None:
    """Give a lease back; one that somebody else has taken is left alone."""
    raw.execute(_RELEASE, _named(lease))


def check(raw: Driver, lease: Lease) -> None:
    """Make sure that a lease still holds, whatever its end says.

    Raises:
        StalePlan: somebody else has taken it since, or it was given back.
    """
    if raw.execute(_CHECK, _named(lease)).fetchone() is None:
        raise _taken(lease)


def _named(lease: Lease) -> dict[str, object]:
    return named(lease.owner) | {"holder": lease.holder, "fence": lease.fence}


def _taken(lease: Lease) -> StalePlan:
    return StalePlan(
        f"{lease.holder} no longer holds the right to apply for {lease.owner}: plan again"
    )
