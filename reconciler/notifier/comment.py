"""The one comment of a target on a request: a hidden line, a line of standing, and the plan.

The first line is for machines: it says which plan the comment shows and whether it may be taken for
an approval. The second says to people how things stand, and is empty where there is nothing to say.
The rest is the plan as :mod:`reconciler.plan.markdown` writes it. Only a comment whose *first* line
is the hidden one, made by an account that is trusted, is ever believed: what somebody wrote into a
manifest is never at the beginning of anything.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from reconciler.plan.markdown import LIMIT, code, counted, cut, plan_markdown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconciler.errors import Problem
    from reconciler.live import Owner
    from reconciler.plan.change import Plan

VERSION = 1
_MARK = re.compile(r"<!-- reconciler-ci (\{.*\}) -->")
_PLAN_MARK = re.compile(r"<!-- reconciler (\{.*\}) -->")
# What the two first lines may take of what a forge takes.
_OWN_LINES = 6_000
_PROBLEMS = 50
_MESSAGE = 500


class State(StrEnum):
    """What a comment is.

    ``planned``: the plan of a head against the live workspace; the only one that can approve.
    ``claimed``: a plan of two commits, which a fork's own job may have made, so that nobody has
    verified it. ``failed``: there is
    no plan. ``applied``: this plan was applied.
    """

    PLANNED = "planned"
    CLAIMED = "claimed"
    FAILED = "failed"
    APPLIED = "applied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marker:
    """The hidden line.

    ``approval`` is the approval digest of the plan, None where there is nothing to approve;
    ``level`` how much of the plan was left out (0: nothing), ``head`` the request's last commit
    when it was planned, ``commit`` the one that was planned: the same, or its merge.
    """

    project: str
    target: str
    label: str
    head: str
    state: State
    commit: str | None = None
    approval: str | None = None
    level: int = 0

    @property
    def key(self) -> tuple[str, str, str]:
        """What of a comment stays the same from plan to plan."""
        return self.project, self.target, self.label

    def line(self) -> str:
        """Write it; nothing in it can end an HTML comment."""
        facts = {
            "v": VERSION,
            "project": self.project,
            "target": self.target,
            "label": self.label,
            "head": self.head,
            "commit": self.commit,
            "approval": self.approval,
            "level": self.level,
            "state": self.state.value,
        }
        text = json.dumps(facts, separators=(",", ":"))
        for mark in ("--", "<", ">"):
            text = text.replace(mark, "".join(f"\\u{ord(sign):04x}" for sign in mark))
        return f"<!-- reconciler-ci {text} -->"


def parse(body: str) -> Marker | None:
    """Read the hidden line of a comment; None where its first line is none."""
    found = _MARK.fullmatch(body.partition("\n")[0].rstrip("\r"))
    facts = _facts(found)
    if facts is None or facts.get("v") != VERSION:
        return None
    try:
        texts = {name: facts[name] for name in ("project", "target", "label", "head")}
        maybe = {name: facts[name] for name in ("commit", "approval")}
        level, state = facts["level"], State(facts["state"])
    except (KeyError, ValueError):
        return None
    if not all(isinstance(text, str) for text in texts.values()) or not all(
        text is None or isinstance(text, str) for text in maybe.values()
    ):
        return None
    return Marker(**texts, **maybe, level=level, state=state) if type(level) is int else None


def _facts(found: re.Match[str] | None) -> dict[str, Any] | None:
    try:
        facts = json.loads(found[1]) if found else None
    except (ValueError, RecursionError):
        return None
    return facts if isinstance(facts, dict) else None


def planned(plan: Plan, head: str, *, label: str = "") -> str:
    """Write the comment that shows a plan of a request's head; an offline plan is a claim."""
    text = plan_markdown(plan, LIMIT - _OWN_LINES)
    first, _, rest = text.partition("\n")
    facts = _facts(_PLAN_MARK.fullmatch(first)) or {}
    state = State.PLANNED if plan.base is None else State.CLAIMED
    marker = replace(
        _marker(plan.owner, label, head, state),
        commit=plan.commit,
        approval=facts.get("approval"),
        level=facts.get("level", 1),
    )
    standing = ""
    if state is State.CLAIMED:
        standing = (
            "**Not verified**: this was made without the live workspace, perhaps by a stranger's "
            "job. It approves nothing; a maintainer plans the request anew before a merge."
        )
    elif marker.level:
        standing = (
            "**Too large to approve here**: some of the plan is left out below. Review the whole "
            "plan in the artifact of the job, and apply it by its digest."
        )
    elif plan.commit not in {None, head}:
        standing = f"The plan is of {code(head[:12])} as it would be merged."
    return _joined(marker, standing, rest)


def applied(plan: Plan, head: str, said: str, *, label: str = "", run: str | None = None) -> str:
    """Write the comment that shows what was applied; ``said`` counts what was done."""
    commit = f" from commit {code(plan.commit[:12])}" if plan.commit else ""
    standing = f"**Applied**{_by(run)}{commit}. {said}"
    # The record takes the first line's place, and has a line of its own already.
    text = plan_markdown(plan, LIMIT - _OWN_LINES, record="-").partition("\n")[2]
    marker = replace(_marker(plan.owner, label, head, State.APPLIED), commit=plan.commit)
    return _joined(marker, standing, text)


def failed(owner: Owner, head: str, problems: Sequence[Problem | str], *, label: str = "") -> str:
    """Write the comment that says why there is no plan of a head."""
    marker = _marker(owner, label, head, State.FAILED)
    title = f"### No plan for {code(owner.project)}, target {code(owner.target)}"
    said = f"There is no plan of {code(head[:12])}."
    return _joined(marker, said, f"\n{problems_markdown(title, problems)}")


def problems_markdown(title: str, problems: Sequence[Problem | str]) -> str:
    """List what is wrong under a title."""
    lines = [f"- {code(cut(str(problem), _MESSAGE))}" for problem in problems[:_PROBLEMS]]
    if len(problems) > _PROBLEMS:
        lines.append(f"- and {len(problems) - _PROBLEMS} more")
    return "\n".join([title, "", f"**{counted(problems, 'problem')}.**", "", *lines, ""])


def outdated(body: str, head: str) -> str:
    """Mark a comment as one about a head that is not the last any more: it approves nothing."""
    marker = parse(body)
    if marker is None:
        return body
    said = f"**Outdated**: this is of {code(marker.head[:12])}, and the head is {code(head[:12])}."
    return _standing(body, replace(marker, approval=None), said)


def refused(body: str, why: str, run: str | None) -> str:
    """Mark a comment's plan as not applied; it approves what it did, for another try."""
    marker = parse(body)
    return body if marker is None else _standing(body, marker, f"**Not applied**{_by(run)}: {why}")


def same(one: str, other: str) -> bool:
    """Tell whether two comments say the same; a forge may write the ends of lines otherwise."""
    return one.replace("\r\n", "\n").rstrip() == other.replace("\r\n", "\n").rstrip()


def lines_of(body: str) -> list[str]:
    """Give what a comment shows of its plan, line by line."""
    return body.replace("\r\n", "\n").split("\n")[2:]


def _marker(owner: Owner, label: str, head: str, state: State) -> Marker:
    return Marker(project=owner.project, target=owner.target, label=label, head=head, state=state)


def _joined(marker: Marker, standing: str, rest: str) -> str:
    return f"{marker.line()}\n{standing}\n{rest}"


def _standing(body: str, marker: Marker, said: str) -> str:
    return _joined(marker, said, "\n".join(lines_of(body)))


def _by(run: str | None) -> str:
    return f" by [this run]({run})" if run else ""
