"""A plan that another job left behind, which may have been anybody's.

What comes of it is a :class:`~reconciler.plan.change.Plan` or an error, never a text that is passed
on. A document is taken only if our own writer would write it, so nothing in it is of another type,
and nothing stands beside what is known.
"""

from __future__ import annotations

import json
import os
import re
import stat
from typing import TYPE_CHECKING

from reconciler.errors import PlanFileError
from reconciler.plan.codec import plan_data
from reconciler.plan.saved import read_plan

if TYPE_CHECKING:
    from reconciler.plan.change import Plan

# A plan of 100,000 new schedules has about 150 MB; a comment needs no such plan.
LIMIT = 32 << 20
_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_NAME = 255


def read_artifact(path: str) -> Plan:
    """Read a plan that is not to be trusted.

    Raises:
        PlanFileError: it is too large, no regular file, not what ``reconciler plan`` writes, or a
            plan of a workspace, which a job without secrets cannot have made.
    """
    text = _text(path)
    try:
        plan = read_plan(text, "the artifact's plan.json")
        written = json.loads(json.dumps(plan_data(plan)))
    except PlanFileError:
        raise
    except Exception as error:
        raise PlanFileError("the artifact's plan.json is not a plan") from error
    if written != json.loads(text):
        raise PlanFileError("the artifact's plan.json says more, or other things, than a plan does")
    if plan.base is None or plan.commit is None:
        raise PlanFileError("the artifact's plan.json is not of two commits")
    names = (plan.owner.project, plan.owner.target)
    if not all(map(_COMMIT.fullmatch, (plan.commit, plan.base))) or max(map(len, names)) > _NAME:
        raise PlanFileError("the artifact's plan.json has names that no project or commit has")
    return plan


def _text(path: str) -> str:
    try:
        # A link could name any file of this machine, and a pipe would never end.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise PlanFileError("the artifact's plan.json is no regular file")
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise PlanFileError(f"the artifact has no plan.json: {error.strerror}") from None
    if len(data) > LIMIT:
        raise PlanFileError(f"the artifact's plan.json is over {LIMIT >> 20} MiB")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise PlanFileError("the artifact's plan.json is not UTF-8") from None
