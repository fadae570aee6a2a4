"""``reconciler ci apply``."""

from __future__ import annotations

from difflib import unified_diff
from typing import TYPE_CHECKING, NamedTuple

import click

from reconciler.cli.apply import done_text
from reconciler.cli.ci_job import (
    Job,
    in_job,
    name_option,
    request_option,
    tell_outputs,
    write_files,
)
from reconciler.cli.planned import Planned, make_plan
from reconciler.cli.planning import Asked, planning
from reconciler.cli.scope import Scope, scoped
from reconciler.cli.who import actor
from reconciler.errors import ForgeError, ReconcilerError, StalePlan
from reconciler.notifier.comment import State, applied, lines_of, planned, refused
from reconciler.notifier.job import SUMMARY_LIMIT, summarize
from reconciler.notifier.tell import find_brought, ours, tell
from reconciler.plan.codec import approval_digest
from reconciler.plan.markdown import code, plan_markdown
from reconciler.plan.render import plan_text, printable
from reconciler.reconcile.apply import How, apply_plan, refuse
from reconciler.reconcile.record import outdated

if TYPE_CHECKING:
    from reconciler.notifier.base import Comment, Forge, Request
    from reconciler.notifier.comment import Marker
    from reconciler.plan.change import Plan

_LONGEST_DIFF = 400


@click.command("apply", epilog="Example: reconciler ci apply --target prod")
@click.option(
    "--ref", default="HEAD", show_default=True, metavar="COMMIT", help="The commit to apply."
)
@click.option(
    "--out",
    "out",
    default="reconciler-plan",
    show_default=True,
    metavar="DIR",
    help="Where the plan is written in all its forms.",
)
@name_option
@request_option
@planning
@scoped
@in_job
def command(  # noqa: PLR0913  (its options)
    scope: Scope,
    *,
    job: Job,
    asked: Asked,
    ref: str,
    out: str,
    name: str,
    request: int | None,
) -> int:
    """Apply what was reviewed on the request that the commit came with, and nothing else.

    The plan is made anew; it is applied if its approval digest is the one in our comment, however
    the request was merged. Exits 3 when a guard blocks the plan, and 4 when it is another one than
    was reviewed, or nothing was.
    """
    made = make_plan(scope, asked.source(scope, ref), asked)
    plan = made.plan
    job.say(plan_text(plan))
    tell_outputs(job, plan, write_files(out, plan, planned(plan, plan.commit or "")))
    if not plan.changes:
        # The commit is recorded even so, and a job that runs twice has nothing to complain of.
        refuse(plan, asked.allowed)
        _carry_out(made)
        job.say(done_text(plan))
        return 0
    review = _review(job, plan, name, request)
    try:
        _approved(job, review, plan)
        refuse(plan, asked.allowed)
        _carry_out(made)
    except ReconcilerError as error:
        summarize(
            job.ci, f"**Not applied**: {code(str(error))}\n\n{plan_markdown(plan, SUMMARY_LIMIT)}"
        )
        review.tell(job, _refusing(error))
        raise
    said = done_text(plan)
    job.say(said)
    summarize(job.ci, plan_markdown(plan, SUMMARY_LIMIT, record=f"**{said}**"))
    review.tell_applied(job, plan, said, name)
    return 0


class _Review(NamedTuple):
    """What was reviewed: a request, and our comments on it."""

    forge: Forge
    request: Request
    found: list[tuple[Comment, Marker]]

    def tell(self, job: Job, why: str) -> None:
        """Say in the comment why it was not applied; what it approves stays as it is."""
        for comment, marker in self.found:
            if marker.state is State.PLANNED:
                body = refused(comment.body, why, job.ci.run)
                self._write(job, body)

    def tell_applied(self, job: Job, plan: Plan, said: str, name: str) -> None:
        """Say in the comment that it was applied."""
        body = applied(plan, self.request.head, said, label=name, run=job.ci.run)
        self._write(job, body)

    def _write(self, job: Job, body: str) -> None:
        try:
            tell(self.forge, self.request.number, body)
        except ForgeError as error:
            # What was done to the workspace is what counts.
            job.warn(f"the comment is not up to date: {error}")


def _review(job: Job, plan: Plan, name: str, number: int | None) -> _Review:
    """Find what was reviewed.

    Raises:
        StalePlan: there is no request that the commit came with.
    """
    forge = job.forge()
    request = (
        find_brought(forge, plan.commit or "", job.ci.branch)
        if number is None
        else forge.request(number)
    )
    if request is None:
        commit = (plan.commit or "")[:12]
        text = f"commit {commit} came with no pull request, so nothing of it was reviewed"
        raise StalePlan(f"{text}; {_by_hand(plan)}")
    key = (plan.owner.project, plan.owner.target, name)
    return _Review(forge, request, ours(forge, request.number, key))


def _approved(job: Job, review: _Review, plan: Plan) -> None:
    """Make sure that the plan is the one that was reviewed.

    Raises:
        StalePlan: it is not, or none was; where both are there it is told how they differ.
    """
    request, where = review.request, f"request {review.request.number}"
    if not request.merged:
        raise StalePlan(f"{where} is not merged; nothing of it is applied")
    found = [(comment, one) for comment, one in review.found if one.state is State.PLANNED]
    if not found:
        text = f"{where} has no comment of {review.forge.author()} with a plan of this target"
        raise StalePlan(f"{text}, so nothing was reviewed; {_by_hand(plan)}")
    if len(found) > 1:
        raise StalePlan(f"{where} has several plans of this target; delete all comments but one")
    comment, marker = found[0]
    if marker.level:
        text = f"the plan on {where} was too large to be shown whole, so it approves nothing"
        raise StalePlan(f"{text}; {_by_hand(plan)}")
    if marker.head != request.head or marker.approval is None:
        was, now = marker.head[:12], request.head[:12]
        text = f"the plan on {where} is of {was}, and {now} was merged"
        raise StalePlan(f"{text}; {_by_hand(plan)}")
    if marker.approval != approval_digest(plan):
        lines = _difference(comment.body, planned(plan, request.head))
        job.say("\n".join(["What was reviewed, and what would be done now:", *lines]) + "\n")
        text = f"the plan on {where} was {marker.approval}, this one is {approval_digest(plan)}"
        raise StalePlan(f"{text}; {_by_hand(plan)}")


def _difference(reviewed: str, present: str) -> list[str]:
    """Compare what was shown with what would be shown now, line by line."""
    was, now = ([printable(line) for line in lines_of(body)] for body in (reviewed, present))
    lines = list(unified_diff(was, now, "reviewed", "now", lineterm="", n=1))
    if len(lines) > _LONGEST_DIFF:
        more = len(lines) - _LONGEST_DIFF
        return [*lines[:_LONGEST_DIFF], f"and {more} more lines"]
    return lines


def _by_hand(plan: Plan) -> str:
    """Say how somebody who has read this plan applies it."""
    target = f"--target {plan.owner.target}"
    return f"if it is right: reconciler apply {target} --approve {approval_digest(plan)}"


def _refusing(error: ReconcilerError) -> str:
    words = {3: "a guard blocks it", 4: "it is not what would be done now"}
    return f"{words.get(error.exit_code, 'it failed')}; the run says more."


def _carry_out(made: Planned) -> None:
    if made.plan.changes or outdated(made.reading, made.address.reader()):
        registry = made.address.open(create=True).registry
        apply_plan(made.plan, made.reading, registry, How(actor=actor()))
