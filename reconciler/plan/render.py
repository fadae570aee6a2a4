"""A plan as text for people. Computes nothing that the JSON does not hold."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reconciler.clock import SECOND, iso, to_datetime
from reconciler.plan.change import Action, Cause, Side
from reconciler.plan.impact import runs_text
from reconciler.schedule import Missed
from reconciler.trigger.zones import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.plan.change import (
        Change,
        FieldChange,
        Files,
        Guard,
        Held,
        Plan,
        PlanWarning,
        Suppressed,
    )
    from reconciler.plan.impact import Impact, Timing

# A value longer than this is cut in text; the JSON has it whole.
LONGEST = 200
# More of a kind than this are counted in text.
MOST = 5
_REASONS = {
    Cause.PIPELINE_MOVED: "its pipeline has another version",
    Cause.RESTORED: "its manifest is back",
    Cause.LOST: "somebody deleted it",
    Cause.MISSING: "its manifest was removed",
}
OFFLINE = (
    "Offline, from two commits alone: edits by hand, holds, numbers of versions and files that are "
    "there are not known. It cannot be approved or applied."
)
_DRIFTED = {Action.ENABLE: "somebody disabled it", Action.DISABLE: "somebody enabled it"}


def plan_text(plan: Plan) -> str:
    """Write the plan as text, ending with its one-line summary; the same plan, the same bytes."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    owner = plan.owner
    place = f"workspace {printable(plan.workspace)}" if plan.base is None else "offline"
    yield f"Project {printable(owner.project)}, target {printable(owner.target)}, {place}"
    yield source(plan)
    if plan.base is not None:
        yield OFFLINE
    yield ""
    for change in plan.changes:
        yield from _change(change)
        yield ""
    if not plan.changes:
        yield unchanged(plan)
        yield ""
    for part in (
        [f"Warning: {warned(one)}" for one in plan.warnings],
        [f"Left alone: {left_alone(one)}" for one in plan.suppressed],
        [f"Held: {held_text(held)}; an apply leaves it so" for held in plan.held],
        [f"Blocked: {blocked(guard)}" for guard in plan.guards],
        [total for total in [totals(plan)] if total],
    ):
        yield from [*part, ""] if part else ()
    yield f"Plan: {plan.summary}"


def source(plan: Plan) -> str:
    """Say what the manifests were read from."""
    if plan.commit is None:
        return "Not committed to Git; objects will carry no commit and no author."
    files = ", ".join([*map(file_name, plan.dirty[:MOST]), *(["..."] * (len(plan.dirty) > MOST))])
    dirty = f" with {len(plan.dirty)} uncommitted: {files}" if plan.dirty else ""
    base = f", compared with commit {printable(plan.base[:12])}" if plan.base else ""
    return f"Commit {printable(plan.commit[:12])}{dirty}{base}"


def unchanged(plan: Plan) -> str:
    """Say that there is nothing to do."""
    same = "The workspace is as declared." if plan.base is None else "Both declare the same."
    return f"No changes. {same}"


def printable(text: str) -> str:
    """Write a text of somebody else's on one line, without what a terminal would act upon."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def file_name(name: str) -> str:
    """Write a file's name, quoted as JSON where a terminal would act upon it."""
    return name if name.isprintable() else json.dumps(name)


def _change(change: Change) -> Iterator[str]:
    name = printable(change.name)
    head = f"{change.action.symbol} {change.action.value:<8} {change.kind.value:<10} {name}"
    reason = because(change)
    yield f"{head}{', ' if reason else ''}{reason}{_place(change)}"
    for note in change.notes:
        yield f"      {printable(note)}"
    for path, value in created(change):
        yield f"      {path}: {shown(value)}"
    for field in change.fields:
        yield f"      {_field(field)}"
    for label, text in effects(change):
        yield f"      {label:<7} {text}"


def _place(change: Change) -> str:
    if not change.file:
        return ""
    line = "" if change.line is None else f":{change.line}"
    return f"  ({file_name(change.file)}{line})"


def because(change: Change) -> str:
    """Say why a change is in the plan, where that does not go without saying."""
    formerly = printable(change.formerly or "no project")
    if change.action is Action.RENAME:
        return f"formerly {formerly}"
    if change.action is Action.ADOPT:
        return f"until now of {formerly}"
    if change.cause is Cause.DRIFTED:
        return _DRIFTED.get(change.action, "somebody changed it")
    return _REASONS.get(change.cause, "")


def created(change: Change) -> Iterator[tuple[str, object]]:
    """Walk what a new object will say, down to what a person reads on one line."""
    if change.action is Action.CREATE and change.after is not None:
        for path, value in leaves(json.loads(change.after)):
            yield printable(path), value


def leaves(data: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, object]]:
    """Walk a spec: pairs of a dotted path and a value; the object's own name is left out."""
    if isinstance(data, dict) and data:
        for key, value in data.items():
            if path or key != "name":
                yield from leaves(value, (*path, key))
    elif isinstance(data, list) and any(isinstance(item, dict) for item in data):
        for item in data:
            yield from leaves({k: v for k, v in item.items() if k != "name"}, (*path, item["name"]))
    else:
        yield ".".join(path), data


def _field(field: FieldChange) -> str:
    touch = touched(field)
    change = f"{printable(field.path)}: {shown(field.old)} -> {shown(field.new)}"
    return f"{change}  ({touch})" if touch else change


def touched(field: FieldChange, longest: int = LONGEST) -> str:
    """Say that somebody set a field on the live object; empty where only Git changed it."""
    if field.side is Side.GIT:
        return ""
    live, applied = shown(field.old, longest), shown(field.applied, longest)
    return f"somebody set {live}; {applied} was applied"


def shown(value: object, longest: int = LONGEST) -> str:
    """Write a value on one line, quoted as JSON, cut where it is very long."""
    if value is None:
        return "(none)"
    text = printable(json.dumps(value, ensure_ascii=False, sort_keys=True))
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def effects(change: Change) -> Iterator[tuple[str, str]]:
    """Say what a change means in time: pairs of a label and a text."""
    if change.impact is not None:
        yield from _next(change, change.impact)
        if text := rate(change):
            yield "runs", text
        if change.impact.fires_on_apply:
            yield "runs", "at once when applied"
        if change.impact.after is not None and (jitter := _jitter(change.after)):
            yield "starts", f"up to {printable(jitter)} after each due time (jitter)"
        yield from _clock(change.impact)
    if change.files is not None:
        yield "files", files_text(change.files)


def _next(change: Change, impact: Impact) -> Iterator[tuple[str, str]]:
    """Say when it fires next, and whether it will fire as it does now."""
    before, after = impact.before, impact.after
    old, new = zone_of(change.before), zone_of(change.after or change.before)
    was = None if before is None else fires(before.next_fires, old)
    now = None if after is None else fires(after.next_fires, new)
    same = before is not None and after is not None and before.next_fires == after.next_fires
    if same:
        yield "next", f"{now}, as before"
    elif was is not None:
        yield "next", f"was {was}"
        yield "now", now or without_clock(change)
    elif now is not None:
        yield "next", now
    if impact.same_fires_until is not None:
        until = moment(impact.same_fires_until, new).split(" ")[1]
        yield "same", f"spelling only: the same fires until {until}"
    elif impact.first_difference is not None and same:
        yield "differs", f"first on {moment(impact.first_difference, new)}"


def _clock(impact: Impact) -> Iterator[tuple[str, str]]:
    changes = impact.clock_changes
    for one in changes[:MOST]:
        yield "clock", printable(f"{one.day}: {one.text}")
    if len(changes) > MOST:
        yield "clock", f"and {len(changes) - MOST} more such days"


def rate(change: Change) -> str:
    """Say how often it runs, before and after: ``1 a day -> 288 a day (+287 a day)``."""
    if change.impact is None:
        return ""
    before, after = change.impact.before, change.impact.after
    was, now = runs_text(before), runs_text(after)
    if change.action is Action.CREATE:
        return now if after is not None else ""
    if before is not None and after is None:
        now = without_clock(change)
    return "" if was == now else f"{was} -> {now}{_difference(before, after)}"


def without_clock(change: Change) -> str:
    """Say when a schedule fires that does not go by the clock."""
    spec: dict[str, Any] = json.loads(change.after or "{}")
    files = "datastore_change" in spec.get("trigger", {}) and "status" not in spec
    return "when files arrive" if files else "none"


def _difference(before: Timing | None, after: Timing | None) -> str:
    """Write the difference of two rates, where both go on throughout."""
    if not all(timing is None or timing.whole for timing in (before, after)):
        return ""
    old, new = ((t.runs, t.days) if t else (0, 1) for t in (before, after))
    more, days = new[0] * old[1] - old[0] * new[1], old[1] * new[1]
    sign, size = ("-" if more < 0 else "+"), abs(more)
    if 10 * size % days and 7 * size % days == 0:
        return f" ({sign}{7 * size // days} a week)"
    return f" ({sign}{number(size / days)} a day)"


def _jitter(spec: str | None) -> str:
    """Give a schedule's jitter as it is declared; empty without one."""
    declared: dict[str, Any] = json.loads(spec or "{}")
    return str(declared.get("jitter", ""))


def zone_of(spec: str | None) -> str:
    """Give the time zone that people think of a schedule in."""
    trigger: dict[str, Any] = json.loads(spec or "{}").get("trigger", {})
    rule = trigger.get("recurrence") or trigger.get("cron") or {}
    zone: str = rule.get("time_zone", "UTC")
    return zone


def fires(instants: tuple[int, ...], zone: str) -> str:
    """Write fires as a clock in ``zone`` shows them; the first in UTC, too."""
    if not instants:
        return "none"
    first, utc = _clock_face(instants[0], zone), _clock_face(instants[0], "UTC")
    texts = [" ".join(first)]
    if utc[:3] != first[:3]:
        texts[0] += f" [{' '.join(utc[2 if utc[:2] == first[:2] else 1 :])}]"
    for instant in instants[1:]:
        weekday, day, clock, name = _clock_face(instant, zone)
        # What goes without saying is left out: the same day, the same year, the same offset.
        date = [] if day == first[1] else [weekday, day[5:] if day[:4] == first[1][:4] else day]
        texts.append(" ".join([*date, clock, *([] if name == first[3] else [name])]))
    return ", ".join(texts)


def moment(instant: int, zone: str) -> str:
    """Write an instant as a clock in ``zone`` shows it: ``Mon 2026-03-09 02:30 EDT``."""
    return " ".join(_clock_face(instant, zone))


@lru_cache(4_096)
def _clock_face(instant: int, zone: str) -> tuple[str, str, str, str]:
    """Give what a clock in ``zone`` shows: week day, date, time and the zone's own name."""
    local = to_datetime(instant - instant % SECOND).astimezone(resolve(zone))
    weekday = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[local.weekday()]
    clock = local.strftime("%H:%M:%S" if local.second else "%H:%M")
    return weekday, local.date().isoformat(), clock, str(local.tzname())


def files_text(files: Files) -> str:
    """Say how many files are there already, and what they do."""
    place = file_name(files.place)
    if files.matching is None:
        fires = "fires when applied" if files.initial else "does not fire"
        return f"{place} is not visible from here; what is there already {fires}"
    if files.matching == 0 and not files.more:
        return f"no file matches in {place} yet"
    if files.matching == 0:
        fires = "which fire when applied" if files.initial else "none of which fires"
        return f"too many files in {place} to count those that match, {fires}"
    noun = "file matches" if files.matching == 1 and not files.more else "files match"
    count = f"more than {files.matching}" if files.more else str(files.matching)
    return f"{count} {noun} in {place} already, {_firing(files)}"


def _firing(files: Files) -> str:
    if not files.initial:
        return "none of them fires"
    if files.matching == 1:
        return f"{'they fire' if files.more else 'it fires'} when applied"
    return "one run for all of them when applied" if files.fires == 1 else "each fires when applied"


def warned(one: PlanWarning) -> str:
    """Write a warning with the place to look at."""
    return (
        f"{printable(one.message)} (warning {printable(one.id)}, {file_name(one.file)}:{one.line})"
    )


def left_alone(one: Suppressed, longest: int = LONGEST) -> str:
    """Write a difference that a plan leaves alone, with its reason code."""
    what = f"{printable(one.address)} {printable(one.path)}"
    live, desired = shown(one.live, longest), shown(one.desired, longest)
    return f"{what}: {live} stays, {desired} is declared ({one.reason.value})"


def held_text(held: Held) -> str:
    """Say by whom, until when and why a schedule is held."""
    hold = held.hold
    until = (
        "without end" if hold.until is None else f"until {iso(hold.until - hold.until % SECOND)}"
    )
    after = {Missed.LAST: ", then the last one runs", Missed.ALL: ", then all run"}
    end = until + after.get(hold.catchup, "")
    return f"{printable(held.name)} by {printable(hold.who)} {end}, {shown(hold.why)}"


def blocked(guard: Guard) -> str:
    """Write what a guard says, with its id and the option that lifts it."""
    name = printable(guard.id)
    message = printable(guard.message)
    says_how = not guard.allowable or " add --" in message
    return f"{message} (guard {name}{'' if says_how else f'; --allow {name} lifts it'})"


def totals(plan: Plan) -> str:
    """Sum up the runs of all that changes; empty where nothing moves in time."""
    before, after = plan.runs_per_day
    parts = []
    if number(before) != number(after):
        sign = "+" if after > before else "-"
        more = number(abs(after - before))
        day = f"{number(before)} -> {number(after)} ({sign}{more})"
        parts.append(f"Runs a day of what changes: {day}.")
    if plan.fires_on_apply:
        word = "fires" if plan.fires_on_apply == 1 else "fire"
        open_ended = any(c.files.more or c.files.fires is None for c in plan.changes if c.files)
        least = "at least " if open_ended else ""
        parts.append(f"{least}{plan.fires_on_apply} {word} at once.")
    return " ".join(parts)


def number(value: float) -> str:
    """Write a count to the hundredth, without zeros at its end."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
