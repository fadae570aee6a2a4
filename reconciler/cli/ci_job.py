"""What the commands of a job share: its options, its folder of files, and how it speaks."""

from __future__ import annotations

import functools
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler import settings
from reconciler.cli.group import count_problems
from reconciler.cli.say import clean
from reconciler.errors import ForgeError, ManifestError, ReconcilerError, Refused
from reconciler.live import Owner
from reconciler.notifier.environment import Ci, Kind, read_environment
from reconciler.notifier.job import fenced, set_outputs
from reconciler.notifier.tell import Outcome
from reconciler.plan.change import Action
from reconciler.plan.ci import github_annotations, gitlab_report, problem_annotations
from reconciler.plan.codec import approval_digest, plan_json
from reconciler.plan.render import plan_text
from reconciler.reconcile.read import choose_target, read_project

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.cli.scope import Scope
    from reconciler.errors import Problem
    from reconciler.notifier.base import Forge
    from reconciler.plan.change import Guard, Plan

PLAN = "plan.json"

_LONGEST_NAME = 100


def _name(_ctx: click.Context, _parameter: click.Parameter, value: str) -> str:
    if len(value) > _LONGEST_NAME or not value.isprintable():
        raise click.BadParameter(f"at most {_LONGEST_NAME} characters on one line.")
    return value


request_option = click.option(
    "--request", type=click.IntRange(1), metavar="N", help="The number of the pull request."
)
name_option = click.option(
    "--name",
    default="",
    callback=_name,
    metavar="TEXT",
    help="Tells the comment from another one of the same target.",
)


@dataclass(frozen=True, slots=True)
class Job:
    """A job, and where its lines go."""

    ci: Ci

    def forge(self) -> Forge:
        """Open the forge of the job."""
        return settings.open_forge(self.ci)

    def say(self, text: str) -> None:
        """Print what may hold somebody else's words."""
        click.echo(fenced(self.ci, text, secrets.token_hex(16)), nl=False)

    def annotate(self, plan: Plan, folder: str) -> None:
        """Show a plan beside the lines of the request, where that can be done."""
        if self.ci.kind is Kind.GITHUB:
            click.echo(github_annotations(plan, folder), nl=False)

    def annotate_problems(self, problems: Sequence[Problem | str], folder: str) -> None:
        """Show what is wrong beside the lines of the request, where that can be done."""
        if self.ci.kind is Kind.GITHUB:
            click.echo(problem_annotations(problems, folder), nl=False)

    def warn(self, text: str) -> None:
        """Say what went wrong beside what was done."""
        self._complain([f"warning: {clean(text)}"])

    def fail(self, error: ReconcilerError) -> None:
        """Say what ended the command."""
        problems = problems_of(error)
        lines = [clean(str(problem)) for problem in problems]
        if isinstance(error, ManifestError):
            lines.append(f"error: {count_problems(error)}")
        else:
            lines = [f"{'blocked' if isinstance(error, Refused) else 'error'}: {lines[0]}"]
        self._complain(lines)

    def _complain(self, lines: Sequence[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        # GitHub reads both streams, and a fence in one does not hold for the other.
        to_stderr = self.ci.kind is not Kind.GITHUB
        click.echo(fenced(self.ci, text, secrets.token_hex(16)), err=to_stderr, nl=False)


def in_job(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command the job that it runs in; an error becomes lines that no runner obeys."""

    @functools.wraps(function)
    def command(*arguments: Any, **given: Any) -> int:  # noqa: ANN401  (the command's own options)
        job = Job(Ci())
        try:
            job = Job(read_environment(os.environ))
            return function(*arguments, job=job, **given)
        except ReconcilerError as error:
            job.fail(error)
            return error.exit_code

    return command


def problems_of(error: ReconcilerError) -> tuple[Problem | str, ...]:
    """Give what an error says, a line each."""
    return error.problems if isinstance(error, ManifestError) else (str(error),)


def project_path(scope: Scope, revision: str) -> str:
    """Give the project's folder within the repository; empty where that cannot be told."""
    try:
        return scope.source(revision).state().project_path
    except ReconcilerError:
        return ""


def owner_of(scope: Scope, *revisions: str | None) -> Owner | None:
    """Tell whose plan it would be, by the first of the commits whose project file can be read."""
    for revision in filter(None, revisions):
        try:
            project = read_project(scope.source(revision))
            return Owner(project.project, choose_target(project, scope.target))
        except ReconcilerError:
            continue
    return None


def outcome_of(plan: Plan, blocking: Sequence[Guard]) -> Outcome:
    """Say in a word what a plan comes to."""
    if blocking:
        return Outcome.BLOCKED
    if plan.count(Action.DISABLE, Action.REMOVE):
        return Outcome.DISABLES
    return Outcome.CHANGES if plan.changes else Outcome.UNCHANGED


def write_files(folder: str, plan: Plan, markdown: str) -> dict[str, str]:
    """Write a plan in all its forms into a folder; gives the files by what they are."""
    forms = {
        "json_plan_path": (PLAN, plan_json(plan)),
        "text_plan_path": ("plan.txt", plan_text(plan)),
        "markdown_plan_path": ("plan.md", markdown),
        "gitlab_plan_path": ("plan_gitlab.json", gitlab_report(plan)),
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    paths = {}
    for name, (file, text) in forms.items():
        path = Path(folder, file)
        path.write_text(text, encoding="utf-8")
        paths[name] = str(path)
    return paths


def tell_outputs(job: Job, plan: Plan, paths: dict[str, str]) -> None:
    """Tell later steps of the job what the plan comes to."""
    created = plan.count(Action.CREATE)
    disabled = plan.count(Action.DISABLE, Action.REMOVE)
    set_outputs(
        job.ci,
        {
            "changes": bool(plan.changes),
            "to_add": created,
            "to_change": len(plan.changes) - created - disabled,
            "to_disable": disabled,
            "blocked": bool(plan.guards),
            "approval_digest": approval_digest(plan) if plan.base is None else None,
            **paths,
        },
    )


def request_of(job: Job, given: int | None) -> int:
    """Tell which request a job is about.

    Raises:
        ForgeError: it is about none.
    """
    number = given or job.ci.request
    if number is None:
        raise ForgeError("this job is about no pull request; name one: --request N")
    return number
