"""Who may apply, and the history of who did, whatever holds the registry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciler.clock import SECOND
from reconciler.errors import StalePlan, WorkspaceBusy
from reconciler.workspace.records import Lease, Owner, OwnerRecord
from tests.workspace.make import NOW, OWNER, applied


def check(registry, lease):
    with registry.transaction() as write:
        write.check_lease(lease)


def test_a_lease_is_held_by_one_at_a_time(registry):
    lease = registry.acquire_lease(OWNER, "ann@laptop", 60)
    assert lease == Lease(owner=OWNER, holder="ann@laptop", fence=1, until=NOW + 60 * SECOND)
    with pytest.raises(WorkspaceBusy, match=r"ann@laptop .* shop/prod .* 2026-05-28T20:27:40Z"):
        registry.acquire_lease(OWNER, "ci", 60)
    check(registry, lease)


def test_owners_do_not_wait_for_each_other(registry):
    registry.acquire_lease(OWNER, "ann", 60)
    assert registry.acquire_lease(Owner("shop", "dev"), "ben", 60).fence == 1


def test_a_lease_that_ended_is_taken_over_and_the_old_one_is_worth_nothing(registry, clock):
    old = registry.acquire_lease(OWNER, "ann", 60)
    clock.instant += 60 * SECOND
    check(registry, old)
    new = registry.acquire_lease(OWNER, "ben", 60)
    assert new.fence == 2
    check(registry, new)
    with pytest.raises(StalePlan, match="ann no longer holds"):
        check(registry, old)
    with pytest.raises(StalePlan, match="ann no longer holds"):
        registry.renew_lease(old, 60)
    registry.release_lease(old)
    check(registry, new)


def test_a_lease_taken_by_a_clock_that_was_far_ahead_keeps_nobody_out(registry, clock):
    clock.instant += 365 * 24 * 3600 * SECOND
    old = registry.acquire_lease(OWNER, "ann", 60)
    clock.instant = NOW
    assert registry.acquire_lease(OWNER, "ben", 60).fence == 2
    with pytest.raises(StalePlan, match="ann no longer holds"):
        check(registry, old)


def test_the_same_holder_takes_its_own_lease_again_under_a_new_number(registry):
    first = registry.acquire_lease(OWNER, "ann", 60)
    second = registry.acquire_lease(OWNER, "ann", 60)
    assert (first.fence, second.fence) == (1, 2)
    with pytest.raises(StalePlan):
        check(registry, first)


def test_a_renewed_lease_ends_later(registry, clock):
    lease = registry.acquire_lease(OWNER, "ann", 60)
    clock.instant += 59 * SECOND
    renewed = registry.renew_lease(lease, 60)
    assert renewed == replace(lease, until=clock.instant + 60 * SECOND)
    clock.instant += 2 * SECOND
    with pytest.raises(WorkspaceBusy):
        registry.acquire_lease(OWNER, "ben", 60)


def test_a_lease_given_back_is_free_and_the_number_goes_on(registry):
    lease = registry.acquire_lease(OWNER, "ann", 60)
    registry.release_lease(lease)
    with pytest.raises(StalePlan):
        check(registry, lease)
    assert registry.acquire_lease(OWNER, "ben", 60).fence == 2


def test_a_lease_and_the_record_of_an_apply_leave_each_other_alone(registry):
    lease = registry.acquire_lease(OWNER, "ann", 60)
    record = OwnerRecord(owner=OWNER, commit="c0ffee", applied_at=NOW)
    with registry.transaction() as write:
        write.record_owner(record)
    check(registry, lease)
    registry.release_lease(lease)
    assert registry.live().owners == (record,)


def append(registry, count):
    with registry.transaction() as write:
        for number in range(count):
            write.record_apply(applied(summary=f"{number} to add", error="odd \udcff"))


def test_the_chain_of_an_untouched_history_holds(registry):
    assert registry.broken_chain() is None
    append(registry, 3)
    append(registry, 2)
    assert registry.broken_chain() is None
    chains = [record.chain for record in registry.applies()]
    assert len(set(chains)) == 5
    assert all(len(chain) == 64 for chain in chains)
