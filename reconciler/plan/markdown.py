"""A plan as a comment on a pull request, within what GitHub takes, however large the plan is.

Its first line is hidden and tells which plan it is. Whatever somebody else wrote (a name, a reason,
a file) stands in code, where it is neither markup nor a mention.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from reconciler.plan.change import Action, Cause, Kind, Side
from reconciler.plan.codec import approval_digest
from reconciler.plan.render import (
    OFFLINE,
    because,
    created,
    effects,
    fires,
    held_text,
    left_alone,
    printable,
    rate,
    shown,
    totals,
    touched,
    unchanged,
    warned,
    without_clock,
    zone_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sized

    from reconciler.plan.change import Change, FieldChange, Guard, Plan

# GitHub counts the characters of a comment.
LIMIT = 65_536
# Level by level a comment says less: all, shorter values, fewer details, folded rows, counts.
LEVELS = range(5)
_SHORTER, _FEWER, _FOLDED, _COUNTS = LEVELS[1:]
_LEFT_OUT = {
    _SHORTER: "Long values are cut.",
    _FEWER: "Only the table has all changes; the details of some are left out.",
    _FOLDED: "The table is folded; the details are left out.",
    _COUNTS: "All but the counts is left out.",
}
_WHOLE = "The whole plan is what `reconciler plan` prints, and the artifact of this job."
_RECORDED = "The whole plan is what `reconciler history` prints with the number of the apply."
VALUE = 100
_NAME = 255
# So many lines are listed, and so many changes unfolded from the start.
SOME = 10
_FIELDS = 3
_FORMERLY = {Action.RENAME: "formerly", Action.ADOPT: "until now of"}
_FENCE = re.compile("`+")


class _Comment(NamedTuple):
    """What is told, with its approval digest, the rows of its table, and what stands above it."""

    plan: Plan
    digest: str
    rows: list[str]
    record: str


def plan_markdown(plan: Plan, limit: int = LIMIT, record: str = "") -> str:
    """Write the plan as a comment of at most ``limit`` characters; the same plan, the same text.

    Where it is too long it degrades in steps and says so, there and as ``level`` in its first
    line: 0 is whole. ``record`` is markdown about an apply that carried it out; it stands in place
    of the hidden first line, and then nothing is said of how to apply it.
    """
    rows = [_row(change) for change in plan.changes]
    comment = _Comment(plan, approval_digest(plan), rows, record)
    # The table of a very large plan does not fit alone: no details are made for it.
    folded = sum(map(len, rows)) > limit
    text = ""
    for level in LEVELS[_FOLDED if folded else 0 :]:
        text = _written(comment, level, limit)
        if len(text) <= limit:
            return text
    return text[:limit]


def _written(comment: _Comment, level: int, limit: int) -> str:
    plan, digest, rows, record = comment
    first = record or _marker(plan, digest, level)
    top = [first, "", *_head(plan), *_guards(plan, level), *_warnings(plan, level)]
    table = _table(plan, rows, level)
    rest = [*_sections(plan, level), *_foot(comment, level)]
    longest = limit if level == 0 else VALUE
    room = limit - len("\n".join([*top, *table, *rest]))
    details = _details(plan, longest, room if level == _FEWER else None) if level < _FOLDED else []
    return "\n".join([*top, *table, *details, *rest]) + "\n"


def _marker(plan: Plan, digest: str, level: int) -> str:
    """Write the hidden line by which a later run finds the comment."""
    facts = {
        "v": 1,
        "project": plan.owner.project[:_NAME],
        "target": plan.owner.target[:_NAME],
        "commit": plan.commit and plan.commit[:_NAME],
        **({"approval": digest} if plan.base is None else {"base": plan.base[:_NAME]}),
        "level": level,
    }
    text = json.dumps(facts, separators=(",", ":"))
    for mark in ("--", "<", ">"):
        text = text.replace(mark, "".join(f"\\u{ord(sign):04x}" for sign in mark))
    return f"<!-- reconciler {text} -->"


def _head(plan: Plan) -> Iterator[str]:
    owner = f"{code(plan.owner.project[:_NAME])}, target {code(plan.owner.target[:_NAME])}"
    yield f"### Plan for {owner}"
    yield ""
    yield f"**{plan.summary}** {totals(plan)}".rstrip()
    yield ""
    commit = f"commit {code(plan.commit[:12])}" if plan.commit else "not committed to Git"
    dirty = f" with {counted(plan.dirty, 'uncommitted file')}" if plan.dirty else ""
    if plan.base is None:
        yield f"Workspace {code(plan.workspace[:_NAME])}, {commit}{dirty}."
    else:
        yield f"Compared: {commit} with commit {code(plan.base[:12])}. {OFFLINE}"
    yield ""


def _guards(plan: Plan, level: int) -> Iterator[str]:
    if level == _COUNTS and plan.guards:
        ids = sorted({guard.id[:_NAME] for guard in plan.guards})
        names = ", ".join(map(code, ids[:SOME])) + (", ..." if len(ids) > SOME else "")
        yield from (f"**Blocked** by {counted(plan.guards, 'guard')}: {names}", "")
    elif plan.guards:
        yield from _listed([_blocked(guard, level) for guard in plan.guards], level)


def _warnings(plan: Plan, level: int) -> Iterator[str]:
    if level == _COUNTS and plan.warnings:
        yield from (f"**Warnings**: {len(plan.warnings)}", "")
    elif plan.warnings:
        longest = LIMIT if level == 0 else 5 * VALUE
        lines = [f"- **Warning**: {code(cut(warned(one), longest))}" for one in plan.warnings]
        yield from _listed(lines, level)


def _blocked(guard: Guard, level: int) -> str:
    message = guard.message if level == 0 else cut(guard.message, 5 * VALUE)
    says_how = not guard.allowable or " add --" in message
    lift = "" if says_how else f"; {code(f'--allow {guard.id}')} lifts it"
    return f"- **Blocked** by {code(guard.id)}: {code(message)}{lift}"


def _listed(lines: list[str], level: int) -> Iterator[str]:
    yield from lines if level < _FEWER else lines[:SOME]
    if level >= _FEWER and len(lines) > SOME:
        yield f"- and {len(lines) - SOME} more"
    yield ""


def _table(plan: Plan, rows: list[str], level: int) -> list[str]:
    if not rows:
        return [unchanged(plan), ""]
    if level < _FOLDED:
        head = ["| Change | Object | Why | Runs | Next |", "|--|--|--|--|--|"]
        return [*head, *rows, ""]
    if level == _FOLDED:
        counts = Counter((c.kind.value, c.action, _folder(c.file)) for c in plan.changes)
        head = ["| Change | Kind | Folder | Objects |", "|--|--|--|--:|"]
        lines = [
            f"| {_sign(action)} | {kind} | {cell(folder)} | {count} |"
            for (kind, action, folder), count in sorted(counts.items())
        ]
    else:
        kinds = Counter((c.kind.value, c.action) for c in plan.changes)
        head = ["| Change | Kind | Objects |", "|--|--|--:|"]
        lines = [
            f"| {_sign(action)} | {kind} | {count} |"
            for (kind, action), count in sorted(kinds.items())
        ]
    return [*head, *lines, ""]


def _sign(action: Action) -> str:
    return f"`{action.symbol}` {action.value}"


def _folder(file: str | None) -> str:
    return (file or "").rpartition("/")[0] or "."


def _row(change: Change) -> str:
    cells = [
        _sign(change.action),
        f"{change.kind.value} {cell(change.name)}",
        _why(change),
        rate(change),
        _soonest(change),
    ]
    return f"| {' | '.join(cells)} |"


def _soonest(change: Change) -> str:
    """Say when a schedule fires first under the plan; nothing of other kinds."""
    impact = change.impact
    if change.kind is not Kind.SCHEDULE:
        return ""
    if impact is None or impact.after is None:
        return without_clock(change)
    once = "at once, then " if impact.fires_on_apply else ""
    return f"{once}{fires(impact.after.next_fires[:1], zone_of(change.after))}"


def _why(change: Change) -> str:
    """Say why, and of an edit in Git which fields it is."""
    words = _FORMERLY.get(change.action)
    if words is not None:
        return f"{words} {cell(change.formerly or 'no project')}"
    if change.cause is not Cause.EDITED:
        return because(change) or change.cause.value
    edited = _fields(field for field in change.fields if field.side is not Side.LIVE)
    set_live = _fields(field for field in change.fields if field.side is not Side.GIT)
    edit = f"edited: {edited}" if edited else "edited"
    return f"{edit}; somebody set {set_live}" if set_live else edit


def _fields(fields: Iterable[FieldChange]) -> str:
    names = list(dict.fromkeys(field.path.rpartition(".")[2] for field in fields))
    return ", ".join([*map(cell, names[:_FIELDS]), *(["..."] if len(names) > _FIELDS else [])])


def cell(text: str) -> str:
    """Write a text of somebody else's as code within a cell of a table."""
    # A pipe would end the cell even within code, and escaping it depends on what stands before it.
    return code(cut(text, _NAME).replace("|", "¦"))


def _details(plan: Plan, longest: int, room: int | None) -> list[str]:
    """Write the details of the changes, within ``room`` of the smallest groups only."""
    few = len(plan.changes) <= SOME
    blocks = [(_group(change), _block(change, longest, few=few)) for change in plan.changes]
    if room is None:
        return [block for _, block in blocks]
    sizes = Counter[tuple[str, str]]()
    for group, block in blocks:
        sizes[group] += len(block) + 1
    kept = set()
    for size, group in sorted((size, group) for group, size in sizes.items()):
        room -= size
        if room > 0:
            kept.add(group)
    return [block for group, block in blocks if group in kept]


def _group(change: Change) -> tuple[str, str]:
    return change.kind.value, change.action.value


def _block(change: Change, longest: int, *, few: bool) -> str:
    head = f"{change.action.symbol} {change.action.value} {change.kind.value}"
    place = f"{change.file}:{change.line or 1}" if change.file else ""
    return diff_block(head, change.name, place, list(_diff(change, longest)), few=few)


def diff_block(head: str, name: str, place: str, lines: list[str], *, few: bool) -> str:
    """Write the lines of a diff, folded under a line of their own unless there are ``few`` such.

    ``name`` and ``place`` may be somebody else's; ``place`` may be empty.
    """
    opening = "<details open>" if few else "<details>"
    where = f" {_raw(place)}" if place else ""
    fence = "`" * max(3, 1 + _ticks("\n".join(lines)))
    return "\n".join(
        [
            f"{opening}<summary>{html.escape(head)} {_raw(name)}{where}</summary>",
            "",
            f"{fence}diff",
            *lines,
            fence,
            "",
            "</details>",
            "",
        ]
    )


def _diff(change: Change, longest: int) -> Iterator[str]:
    """Write the lines of a diff; GitHub colours them by the sign that they start with."""
    yield f"! {because(change) or change.cause.value}"
    for note in change.notes:
        yield f"! {printable(cut(note, longest))}"
    for path, value in created(change):
        yield f"+ {path}: {shown(value, longest)}"
    for field in change.fields:
        path = printable(field.path)
        yield f"- {path}: {shown(field.old, longest)}"
        yield f"+ {path}: {shown(field.new, longest)}"
        if field.side is not Side.GIT:
            yield f"! {path}: {touched(field, longest)}"
    for label, text in effects(change):
        yield f"! {label:<7} {text}"


def _sections(plan: Plan, level: int) -> Iterator[str]:
    longest = LIMIT if level == 0 else VALUE
    for title, what, lines in (
        ("Left alone", "differences", (left_alone(one, longest) for one in plan.suppressed)),
        ("Held; an apply leaves them so", "schedules", map(held_text, plan.held)),
    ):
        items = [f"- {code(cut(line, 5 * longest))}" for line in lines if level < _COUNTS]
        count = len(plan.suppressed) if what == "differences" else len(plan.held)
        if items:
            yield from (f"#### {title}", "", *_listed(items, level))
        elif count:
            yield from (f"{title}: {count} {what}", "")


def _foot(comment: _Comment, level: int) -> Iterator[str]:
    if level in _LEFT_OUT:
        yield from (f"**{_LEFT_OUT[level]}** {_RECORDED if comment.record else _WHOLE}", "")
    if comment.plan.changes and comment.plan.base is None:
        yield f"Approval digest {code(comment.digest)}"
        if not comment.record:
            yield _command(comment.plan, comment.digest)


def _command(plan: Plan, digest: str) -> str:
    """Say how this plan is applied, with the options that it was made with and those it needs."""
    if not all(guard.allowable for guard in plan.guards):
        return "It cannot be applied while it is blocked."
    target = plan.owner.target[:_NAME]
    words = ["reconciler apply", f"--target {target}", f"--approve {digest}"]
    words += ["--allow-dirty"] if plan.dirty else []
    words += (f"--allow {name}" for name in sorted({guard.id for guard in plan.guards}))
    adopted = [change.address for change in plan.changes if change.action is Action.ADOPT]
    words += (f"--adopt {address}" for address in adopted if len(adopted) <= SOME)
    lift = ", lifting what blocks it," if plan.guards else ""
    more = f" and the {len(adopted)} options `--adopt` of this plan" if len(adopted) > SOME else ""
    return f"Apply exactly this{lift} with {code(' '.join(words))}{more}"


def counted(things: Sized, noun: str) -> str:
    """Write how many there are, with the noun in its form."""
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def cut(text: str, longest: int) -> str:
    """Keep so many characters of a text."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def code(text: str) -> str:
    """Write a text of somebody else's as inline code, which nothing in it can end."""
    text = printable(text) or " "
    fence = "`" * (1 + _ticks(text))
    edge = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{edge}{text}{edge}{fence}"


def _ticks(text: str) -> int:
    """Give the length of the longest run of backticks."""
    return max(map(len, _FENCE.findall(text)), default=0)


def _raw(text: str) -> str:
    """Write a text of somebody else's as code within HTML, where markdown does not reach."""
    return f"<code>{html.escape(printable(text)).replace('`', '&#96;')}</code>"
