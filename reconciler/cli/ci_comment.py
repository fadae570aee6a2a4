"""``reconciler ci comment``."""

from __future__ import annotations

import click

from reconciler.cli.ci_job import (
    PLAN,
    Job,
    in_job,
    name_option,
    request_option,
)
from reconciler.errors import ForgeError
from reconciler.notifier.artifact import read_artifact
from reconciler.notifier.comment import planned
from reconciler.notifier.tell import find_proposing, tell


@click.command("comment", epilog="Example: reconciler ci comment reconciler-plan")
@click.argument("folder", metavar="DIR")
@name_option
@request_option
@in_job
def command(folder: str, *, job: Job, name: str, request: int | None) -> int:
    """Comment with the plan that a fork's job left in DIR, as one that nobody has verified.

    Nothing in DIR is trusted: the request is found by what the forge says of the run, and the
    comment is written anew from plan.json. It approves nothing.
    """
    forge = job.forge()
    head = job.ci.head
    if request is None and job.ci.proposed is not None and head is not None:
        found = find_proposing(forge, job.ci.proposed, head)
        if found is None:
            click.echo("the request is closed or has a newer commit; there is nothing to say")
            return 0
        request = found.number
    if request is None:
        raise ForgeError("this job follows no run of a pull request; name one: --request N")
    head = head or forge.request(request).head
    plan = read_artifact(f"{folder}/{PLAN}")
    told = tell(forge, request, planned(plan, head, label=name))
    click.echo(f"comment {told} on request {request}")
    return 0
