"""``reconciler fmt``."""

from __future__ import annotations

import dataclasses
import re
from difflib import unified_diff
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler import settings
from reconciler.cli.group import count_problems, many, say_error
from reconciler.cli.say import clean, document
from reconciler.cli.scope import output
from reconciler.errors import ManifestError
from reconciler.reconcile import disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.errors import Problem
    from reconciler.reconcile.layout import LaidOut

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@click.command("fmt", epilog="Example: reconciler fmt --check")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@click.option("--only-declared", is_flag=True, help="Pass over named files that no project has.")
@output
def command(
    paths: tuple[str, ...], *, as_json: bool, check: bool, diff: bool, only_declared: bool
) -> int:
    """Lay out the manifests of the project here, of a folder, or named files.

    Comments, blank lines between groups and every meaning stay. A file that cannot be read is left
    as it is and reported.
    """
    from reconciler.reconcile.layout import find, lay_out  # noqa: PLC0415  (the parser is slow)

    documents = find(paths or ["."], settings.open_folder, only_declared=only_declared)
    writes = not (check or diff)
    changed: list[dict[str, str]] = []
    problems: list[Problem] = []
    for one in lay_out(documents):
        problems += one.problems
        if one.changed:
            if writes:
                disk.put(Path(one.file), one.after)
            changed.append({"file": one.file, **({"diff": "".join(_diff(one))} if diff else {})})
        if not as_json:
            _say(one, diff=diff, writes=writes)
    left = len(documents) - len(changed)
    if as_json:
        told = [dataclasses.asdict(problem) for problem in problems]
        document({"changed": changed, "unchanged": left, "written": writes, "problems": told})
    elif not diff:
        verb = "laid out" if writes else "would change"
        click.echo(f"{many(len(changed), 'file')} {verb}, {left} unchanged")
    if problems:
        say_error(count_problems(ManifestError(problems)))
    if check and changed:
        say_error(f"{many(len(changed), 'file')} not laid out; run: reconciler fmt")
    return 1 if problems or (check and changed) else 0


def _say(one: LaidOut, *, diff: bool, writes: bool) -> None:
    for problem in one.problems:
        click.echo(clean(str(problem)), err=True)
    if not one.changed:
        return
    if diff:
        for line in _diff(one):
            click.echo(click.style(line, fg=_colour(line)), nl=False)
    else:
        click.echo(f"{'laid out' if writes else 'would change'} {clean(one.file)}")


def _diff(one: LaidOut) -> Iterator[str]:
    """Give the lines of a diff that ``git apply`` and ``patch -p1`` understand."""
    before, after = (_LINE.findall(text.decode()) for text in (one.before, one.after))
    for line in unified_diff(before, after, f"a/{one.file}", f"b/{one.file}"):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _colour(line: str) -> str | None:
    if line.startswith(("---", "+++")):
        return None
    return {"-": "red", "+": "green"}.get(line[0])
