"""``reconciler ci plan``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.ci_job import (
    Job,
    in_job,
    name_option,
    outcome_of,
    owner_of,
    problems_of,
    project_path,
    request_of,
    request_option,
    tell_outputs,
    write_files,
)
from reconciler.cli.planned import make_offline, make_plan
from reconciler.cli.planning import Asked, planning
from reconciler.cli.scope import Scope, scoped
from reconciler.errors import ForgeError, ReconcilerError, Refused, SourceError
from reconciler.notifier.comment import failed, planned, problems_markdown
from reconciler.notifier.job import SUMMARY_LIMIT, summarize
from reconciler.notifier.tell import Outcome, Told, tell
from reconciler.plan.markdown import plan_markdown
from reconciler.plan.render import plan_text

if TYPE_CHECKING:
    from reconciler.live import Owner


@click.command("plan", epilog="Example: reconciler ci plan --target prod --comment --labels")
@click.option(
    "--ref", default="HEAD", show_default=True, metavar="COMMIT", help="The commit to plan."
)
@click.option("--base", metavar="COMMIT", help="Offline: the commit to compare with.")
@click.option("--offline", is_flag=True, help="Compare two commits; of itself for a fork.")
@click.option(
    "--out",
    "out",
    default="reconciler-plan",
    show_default=True,
    metavar="DIR",
    help="Where the plan is written in all its forms.",
)
@click.option("--comment", is_flag=True, help="Keep a comment on the request up to date.")
@click.option("--labels", is_flag=True, help="Label the request, too.")
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
    base: str | None,
    offline: bool,
    out: str,
    comment: bool,
    labels: bool,
    name: str,
    request: int | None,
) -> int:
    """Plan what is checked out, and tell it to the job and to the pull request. Applies nothing.

    Exits 0, 1 on an error and 3 when a guard blocks the plan.
    """
    offline = offline or job.ci.foreign
    base = base or job.ci.base
    # A fork's job may not comment: another job does it of the plan that this one leaves behind.
    telling = _Telling(job, name, request_of(job, request)) if comment and not offline else None
    try:
        if offline:
            if base is None:
                raise SourceError("there is no commit to compare with; name one: --base COMMIT")
            made = make_offline(scope, base, ref, asked)
        else:
            made = make_plan(scope, asked.source(scope, ref), asked)
    except ReconcilerError as error:
        problems = problems_of(error)
        job.annotate_problems(problems, project_path(scope, ref))
        summarize(job.ci, problems_markdown("### No plan", problems))
        if telling is not None:
            telling.failure(owner_of(scope, ref, base), error, labels=labels)
        raise
    plan = made.plan
    blocking = plan.blocking(asked.allowed)
    head = telling.head if telling else job.ci.head or plan.commit or ""
    body = planned(plan, head, label=name)
    job.say(plan_text(plan))
    job.annotate(plan, made.reading.state.project_path)
    summarize(job.ci, plan_markdown(plan, SUMMARY_LIMIT))
    tell_outputs(job, plan, write_files(out, plan, body))
    if telling is not None:
        telling.plan(body, outcome_of(plan, blocking) if labels else None)
    if blocking:
        raise Refused("; ".join(guard.message for guard in blocking))
    return 0


class _Telling:
    """Tells a request what became of its plan."""

    def __init__(self, job: Job, name: str, number: int) -> None:
        self._job, self._name, self._number = job, name, number
        self._forge = job.forge()
        known = job.ci.head if number == job.ci.request else None
        # A job that somebody started by hand is told a number only.
        self.head = known or self._forge.request(number).head

    def plan(self, body: str, outcome: Outcome | None) -> None:
        if tell(self._forge, self._number, body, outcome) is Told.SUPERSEDED:
            self._job.warn("the request has a newer commit, whose plan is there already")

    def failure(self, owner: Owner | None, error: ReconcilerError, *, labels: bool) -> None:
        if owner is None:
            self._job.warn("no comment was made: it is not known for which project and target")
            return
        body = failed(owner, self.head, problems_of(error), label=self._name)
        try:
            tell(self._forge, self._number, body, Outcome.FAILED if labels else None)
        except ForgeError as trouble:
            # Why there is no plan matters more.
            self._job.warn(str(trouble))
