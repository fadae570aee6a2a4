"""How commands speak: lines, tables and JSON; in colour only on a terminal that wants it."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import click

from reconciler.clock import iso, to_datetime

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STYLES = {
    "Active": "green",
    "Held": "yellow",
    "Disabled": "bright_black",
    "Completed": "bright_black",
    "Finished": "green",
    "Running": "cyan",
    "Failed": "red",
    "Canceled": "yellow",
    "Unknown": "red",
}
# Controls, and what makes a terminal show letters in another order than they are in.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")


def clean(text: str) -> str:
    """Put a text of somebody else's on one line, without what a terminal would act upon."""
    return _CONTROL.sub(" ", text)


def document(data: object) -> None:
    """Print one JSON document; the same data, the same bytes."""
    click.echo(json.dumps(data, indent=2, sort_keys=True))


def answer(text: str, facts: object, *, as_json: bool) -> None:
    """Say what was done: a line for people, or ``facts`` as a JSON document."""
    if as_json:
        document(facts)
    else:
        click.echo(text)


def state(word: str) -> str:
    """Colour the word for a state."""
    return click.style(word, fg=STYLES.get(word))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """Print a table, or ``empty`` where it has no rows.

    On a terminal it fits the width; elsewhere each row is one line, however long.
    """
    from rich.console import Console  # noqa: PLC0415  (rich is slow to import)
    from rich.table import Table  # noqa: PLC0415  (the same)
    from rich.text import Text  # noqa: PLC0415  (the same)

    cells = [[clean(cell) for cell in row] for row in rows]
    if not cells:
        click.echo(empty)
        return
    colour = click.get_current_context().color is not False and sys.stdout.isatty()
    console = Console(
        width=None if sys.stdout.isatty() else 1 << 20,
        color_system="auto" if colour else None,
        highlight=False,
    )
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in head:
        drawn.add_column(name, overflow="fold", no_wrap=not sys.stdout.isatty())
    for row in cells:
        # Rich knows these colours by the same names.
        words = (Text(cell, style=STYLES.get(cell, "")) for cell in row)
        drawn.add_row(*words)
    with console.capture() as capture:
        console.print(drawn)
    for line in capture.get().splitlines():
        click.echo(line.rstrip(), color=colour)


def local(instant: int, zone: str) -> str:
    """Write an instant as a clock in ``zone`` shows it: ``2026-03-08 03:30 EDT``."""
    from reconciler.trigger.zones import resolve  # noqa: PLC0415  (most commands show no times)

    shown = to_datetime(instant).astimezone(resolve(zone)).replace(microsecond=0)
    seconds = ":%S" if shown.second else ""
    return shown.strftime(f"%Y-%m-%d %H:%M{seconds} %Z")


def utc(instant: int | None) -> str:
    """Write an instant in whole seconds UTC; nothing for None."""
    return "" if instant is None else iso(instant - instant % 1_000_000)


def short(run_id: str) -> str:
    """Give as much of a run's id as tells it from others."""
    return run_id[:8]
