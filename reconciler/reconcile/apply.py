"""Make the workspace as declared: a plan, carried out in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import sleep
from typing import TYPE_CHECKING

from reconciler.errors import ManifestError, ReconcilerError, Refused, StalePlan
from reconciler.plan.change import Action, Change, Kind
from reconciler.plan.codec import approval_digest, plan_digest, plan_json
from reconciler.plan.compare import difference
from reconciler.reconcile.lease import leased
from reconciler.reconcile.read import again, plan
from reconciler.reconcile.record import record
from reconciler.reconcile.write import Writer
from reconciler.workspace.records import ApplyRecord, Outcome

if TYPE_CHECKING:
    from reconciler.plan.change import Plan
    from reconciler.reconcile.read import Reading
    from reconciler.workspace.base import Registry, RegistryTransaction
    from reconciler.workspace.records import Lease

# What is needed comes first, what takes away comes last: schedules before the pipelines they use.
_MAKING = frozenset({Action.CREATE, Action.UPDATE, Action.ENABLE, Action.ADOPT, Action.RENAME})
_TAKING = frozenset({Action.DISABLE, Action.REMOVE})
ORDER: tuple[tuple[Kind, frozenset[Action]], ...] = (
    (Kind.DATASTORE, _MAKING),
    (Kind.PIPELINE, _MAKING),
    (Kind.SCHEDULE, _MAKING),
    (Kind.SCHEDULE, _TAKING),
    (Kind.PIPELINE, _TAKING),
    (Kind.DATASTORE, _TAKING),
)
# Seconds between tries when the workspace is busy; each try waits for some seconds itself.
BACKOFF = (0.2, 0.8, 3.2)
# So many differences are told of a stale plan.
_SOME = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """How an apply goes about it.

    ``actor`` is who does it, for the history; ``done`` is told of each change as it is written, for
    progress; ``pause`` waits some seconds before another try.
    """

    actor: str = ""
    done: Callable[[Change], None] = field(default=lambda _: None)
    pause: Callable[[float], None] = field(default=sleep)


def refuse(plan: Plan, allowed: frozenset[str] = frozenset()) -> None:
    """Stop what must not be applied; ``allowed`` are the ids of guards that were lifted.

    Raises:
        Refused: a guard of the plan, or uncommitted files without ``dirty`` among the allowed.
    """
    reasons = [guard.message for guard in plan.blocking(allowed)]
    if plan.dirty and "dirty" not in allowed:
        files = ", ".join(plan.dirty[:5]) + (", ..." if len(plan.dirty) > 5 else "")
        noun, them = ("file", "it") if len(plan.dirty) == 1 else ("files", "them")
        text = f"{len(plan.dirty)} uncommitted {noun} ({files}); commit {them} or add --allow-dirty"
        reasons.append(text)
    if reasons:
        raise Refused("; ".join(reasons))


def apply_plan(made: Plan, reading: Reading, registry: Registry, how: How | None = None) -> None:
    """Carry a plan out; all of it becomes visible at once, or nothing.

    A retriable error is tried again, for a try that failed has written nothing. What ended an apply
    that had begun to write is kept in the history.

    Raises:
        StalePlan: the workspace moved since the plan was made; nothing was written.
        WorkspaceBusy: somebody else applies for the same owner, or writes without an end.
    """
    how = how or How()
    # Asked once for all before anyone is kept waiting; the source remembers the answers.
    files = sorted({c.file for c in made.changes if c.file and c.after})
    reading.source.provenance(files)
    for wait in (*BACKOFF, None):
        begun = False
        try:
            with leased(registry, made.owner, how.actor) as lease:
                begun = True
                _transact(made, reading, registry, how, lease)
        except ReconcilerError as error:
            if error.retriable and wait is not None:
                how.pause(wait)
                continue
            if begun:
                _failed(made, reading, registry, how, error)
            raise
        return


def _transact(made: Plan, reading: Reading, registry: Registry, how: How, lease: Lease) -> None:
    with registry.transaction() as tx:
        tx.check_lease(lease)
        reading = _same(made, reading, tx)
        back = any(guard.id == "rollback" for guard in made.guards)
        writer = Writer(tx, reading, back=back)
        for kind, actions in ORDER:
            for change in made.changes:
                if change.kind is kind and change.action in actions:
                    writer.write(change)
                    how.done(change)
        record(tx, made, reading)
        if made.changes:
            tx.record_apply(_line(made, reading, how, tx.now(), Outcome.APPLIED))
        tx.check_lease(lease)


def _same(made: Plan, reading: Reading, tx: RegistryTransaction) -> Reading:
    """Plan once more inside the transaction; nobody else can write meanwhile.

    Raises:
        StalePlan: the plan is another one now; the message says where.
    """
    try:
        present = again(reading, tx)
    except ManifestError as error:
        said = str(error.problems[0])
        raise StalePlan(
            f"the workspace moved since the plan was made: {said}; plan again"
        ) from None
    now = plan(present, made.workspace, made.as_of)
    if approval_digest(now) != approval_digest(made):
        raise StalePlan(_moved("; ".join(difference(made, now)[:_SOME])))
    return present


def _moved(said: str) -> str:
    return f"the workspace moved since the plan was made: {said}; plan again"


def _failed(
    made: Plan, reading: Reading, registry: Registry, how: How, error: ReconcilerError
) -> None:
    """Keep in the history what ended an apply, as far as the workspace still takes it."""
    if isinstance(error, StalePlan):
        return
    try:
        with registry.transaction() as tx:
            line = _line(made, reading, how, tx.now(), Outcome.FAILED)
            tx.record_apply(replace(line, error=str(error)))
    except ReconcilerError:
        return


def _line(made: Plan, reading: Reading, how: How, now: int, outcome: Outcome) -> ApplyRecord:
    state = reading.state
    return ApplyRecord(
        owner=made.owner,
        commit=state.commit,
        author=state.author,
        applied_at=now,
        summary=made.summary,
        plan=plan_json(made),
        actor=how.actor,
        outcome=outcome,
        plan_digest=plan_digest(made),
        approval_digest=approval_digest(made),
    )
