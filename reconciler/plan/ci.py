"""A plan for what watches a pipeline of continuous integration: annotations and counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from reconciler.plan.change import Action, Side
from reconciler.plan.render import MOST, because, files_text, printable, rate, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from reconciler.errors import Problem
    from reconciler.plan.change import Change, Plan

# GitHub shows no more annotations than this of each level and step.
_SHOWN = 10
_VALUE = 80


def github_annotations(plan: Plan, folder: str = "") -> str:
    """Write workflow commands that GitHub shows beside the lines of a pull request.

    Guards are errors; warnings, drift, disables and removals are warnings; other changes are
    notices.
    ``folder`` is the project's within the repository. Each line is one command; of each level
    there are ten at most, and the tenth counts what is left out.
    """
    above = f"{folder.rstrip('/')}/" if folder.strip("./") else ""
    levels: dict[str, list[str]] = {"error": [], "warning": [], "notice": []}
    levels["error"] += [
        _command("error", f"Blocked: {guard.id}", guard.message) for guard in plan.guards
    ]
    levels["warning"] += [
        _command("warning", one.id, one.message, _place(above, one.file, one.line))
        for one in plan.warnings
    ]
    for change in plan.changes:
        level = _level(change)
        title = f"{change.action.value} {change.kind.value} {change.name}"
        place = {}
        if change.file:
            place = _place(above, change.file, change.line)
        levels[level].append(_command(level, title, "; ".join(_message(change)), place))
    lines = [line for level, all_of in levels.items() for line in _some(level, all_of)]
    return "".join(f"{line}\n" for line in lines)


def problem_annotations(problems: Sequence[Problem | str], folder: str = "") -> str:
    """Write what is wrong with manifests as :func:`github_annotations` writes a plan."""
    above = f"{folder.rstrip('/')}/" if folder.strip("./") else ""
    lines = []
    for one in problems:
        if isinstance(one, str):
            lines.append(_command("error", "No plan", one))
            continue
        place = _place(above, one.file, one.line)
        if one.column:
            place["col"] = str(one.column)
        lines.append(_command("error", "No plan", one.message, place))
    return "".join(f"{line}\n" for line in _some("error", lines))


def _place(above: str, file: str, line: int | None) -> dict[str, str]:
    return {"file": f"{above}{file}", "line": str(line or 1)}


def _some(level: str, lines: list[str]) -> list[str]:
    if len(lines) <= _SHOWN:
        return lines
    more = f"{len(lines) - _SHOWN + 1} more of this level; `reconciler plan` lists all"
    return [*lines[: _SHOWN - 1], _command(level, "and more", more)]


def _level(change: Change) -> str:
    touched = any(field.side is not Side.GIT for field in change.fields)
    warns = touched or change.action in {Action.DISABLE, Action.REMOVE}
    return "warning" if warns else "notice"


def _message(change: Change) -> Iterator[str]:
    yield because(change) or change.cause.value
    for field in change.fields[:MOST]:
        yield f"{field.path}: {shown(field.old, _VALUE)} -> {shown(field.new, _VALUE)}"
    if len(change.fields) > MOST:
        yield f"{len(change.fields) - MOST} more fields"
    if text := rate(change):
        yield f"runs {text}"
    if change.impact is not None and change.impact.fires_on_apply:
        yield "runs at once when applied"
    if change.files is not None and change.files.initial:
        yield files_text(change.files)


def _command(level: str, title: str, message: str, place: dict[str, str] | None = None) -> str:
    parts = {**(place or {}), "title": title}
    properties = ",".join(f"{name}={_property(text)}" for name, text in parts.items())
    return f"::{level} {properties}::{_data(message)}"


def _data(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    # A line break in a file's name must reach GitHub as it is.
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C")


def gitlab_report(plan: Plan) -> str:
    """Write GitLab's ``terraform`` report; what is disabled counts as deleted there."""
    deleted = plan.count(Action.DISABLE, Action.REMOVE)
    created = plan.count(Action.CREATE)
    updated = len(plan.changes) - created - deleted
    return json.dumps({"create": created, "update": updated, "delete": deleted}) + "\n"
