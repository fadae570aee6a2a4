"""How a runner's log looks: a line of text for people, or one JSON object a line for programs.

Whoever logs about an object names it, so that programs need not read the message::

    log.info("run %s is Finished", run.id, extra=about(schedule=run.schedule_name, run=run.id))
"""

from __future__ import annotations

import json
import logging

from reconciler.clock import SECOND, to_datetime

FIELDS = ("schedule", "run", "step", "decision", "gate", "watch")


def about(**fields: str | None) -> dict[str, object]:
    """Give the ``extra`` of a log call; a field that is None or empty is left out.

    Raises:
        ValueError: a field that is not one of :data:`FIELDS`.
    """
    unknown = fields.keys() - set(FIELDS)
    if unknown:
        raise ValueError(f"not a field of the log: {', '.join(sorted(unknown))}")
    return {"about": {name: str(value) for name, value in fields.items() if value}}


class Text(logging.Formatter):
    """``2026-03-08T07:30:00.000Z INFO    message``, with the traceback of a defect below."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        text = f"{_moment(record)} {record.levelname:<7} {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class Json(logging.Formatter):
    """``time`` (UTC), ``level``, ``logger`` and ``message``, and what the record is about."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        facts = {
            "time": _moment(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(facts, sort_keys=True)


def _moment(record: logging.LogRecord) -> str:
    moment = to_datetime(int(record.created * SECOND))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
