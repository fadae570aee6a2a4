"""``reconciler runner``."""

from __future__ import annotations

import json
import logging

import click

from reconciler.cli.scope import Scope, scoped
from reconciler.clock import SECOND, to_datetime
from reconciler.settings import open_runner, read_runner_config


@click.group("runner", no_args_is_help=False)
def command() -> None:
    """Fire schedules and run pipelines on this machine."""


@command.command("start")
@click.option("--config", metavar="FILE", help="The runner's own configuration.")
@click.option("--create", is_flag=True, help="Make the workspace if there is none.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text")
@scoped
def start(scope: Scope, *, config: str | None, create: bool, log_format: str) -> None:
    """Run until SIGTERM or Ctrl-C; then let the steps under way end, and exit 0.

    One runner is active on a workspace; a second one stands by. What happens is told on stderr, a
    line each.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if log_format == "json" else _Text())
    logger = logging.getLogger("reconciler")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        settings = read_runner_config(config)
        open_runner(scope.address().open(create=create), settings).run()
    finally:
        logger.removeHandler(handler)


class _Text(logging.Formatter):
    """``2026-03-08T07:30:00Z INFO message``, with the traceback of a defect below."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{_moment(record)} {record.levelname:<7} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _Json(logging.Formatter):
    """One JSON object a line: time, level, logger and message."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(facts, sort_keys=True)


def _moment(record: logging.LogRecord) -> str:
    moment = to_datetime(int(record.created * SECOND))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
