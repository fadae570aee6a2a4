"""``reconciler runner``."""

from __future__ import annotations

import logging
from contextlib import ExitStack

import click

from reconciler.cli.scope import Scope, scoped
from reconciler.runner.logs import Json, Text
from reconciler.settings import open_runner, open_upkeep, read_runner_config


@click.group("runner", no_args_is_help=False)
def command() -> None:
    """Fire schedules and run pipelines on this machine."""


@command.command("start", epilog="Example: reconciler runner start --listen 9464 --log-format json")
@click.option("--config", metavar="FILE", help="The runner's own configuration.")
@click.option("--create", is_flag=True, help="Make the workspace if there is none.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="A line for people, or a JSON object a line.",
)
@click.option(
    "--listen",
    metavar="[HOST:]PORT",
    help="Tell metrics and health over HTTP; on this machine alone unless HOST says otherwise.",
)
@scoped
def start(
    scope: Scope, *, config: str | None, create: bool, log_format: str, listen: str | None
) -> None:
    """Run until SIGTERM or Ctrl-C; then let the steps under way end, and exit 0.

    On SQLite one runner is active on a workspace and others stand by; on PostgreSQL all are. What
    happens is told on stderr, a line each.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(Json() if log_format == "json" else Text())
    logger = logging.getLogger("reconciler")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    with ExitStack() as stack:
        stack.callback(logger.removeHandler, handler)
        settings = read_runner_config(config)
        address = scope.address()
        workspace = address.open(create=create)
        upkeep = open_upkeep(address.url, address.base)
        stack.callback(upkeep.close)
        metrics = None
        if listen is not None:
            from reconciler.runner.metrics import Prometheus  # noqa: PLC0415  (seldom wanted)
            from reconciler.runner.status import StatusServer, parse_address  # noqa: PLC0415

            metrics = Prometheus()
            status = StatusServer(parse_address(listen), metrics, upkeep)
            stack.callback(status.close)
            logger.info("listening on port %s", status.port)
        open_runner(workspace, settings, metrics, upkeep).run()
