"""What a job of continuous integration is told of itself, by its environment.

The names are those of GitHub's "Variables reference" and "Webhook events and payloads", and of
GitLab's "Predefined CI/CD variables reference".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import ForgeError

if TYPE_CHECKING:
    from collections.abc import Mapping

AUTHOR_VARIABLE = "RECONCILER_CI_AUTHOR"
_EVENT_LIMIT = 32 << 20  # GitHub ends payloads at 25 MB
_LINK = re.compile(r"https?://[\w.:/-]+")
_NO_COMMIT = "0" * 40


class Kind(StrEnum):
    """Whose job it is; SHELL is any other, or nobody's."""

    GITHUB = "github"
    GITLAB = "gitlab"
    SHELL = "shell"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ci:
    """A job.

    ``repository`` is ``owner/name`` on GitHub and the project's number on GitLab. ``request`` is
    the number of the pull or merge request that the job is about, ``head`` its last commit and
    ``base`` the commit that it is compared with. ``branch`` is what was pushed to otherwise.
    ``foreign`` tells that the request comes from another repository. ``proposed`` is whose branch
    the run was about that this job follows (``workflow_run``). ``author`` is the account whose
    comments are trusted, None for that of the token. ``summary`` and ``outputs`` are files that
    the job may append to. ``run`` is the page of the job.
    """

    kind: Kind = Kind.SHELL
    api: str = ""
    repository: str = ""
    token: str = field(default="", repr=False)
    token_name: str = ""
    author: str | None = None
    request: int | None = None
    head: str | None = None
    base: str | None = None
    branch: str | None = None
    foreign: bool = False
    proposed: tuple[str, str] | None = None
    run: str | None = None
    summary: str | None = None
    outputs: str | None = None


def read_environment(environ: Mapping[str, str]) -> Ci:
    """Tell which job this is.

    Raises:
        ForgeError: the environment contradicts itself.
    """
    if environ.get("GITHUB_ACTIONS") == "true":
        return _github(environ)
    if environ.get("GITLAB_CI") == "true":
        return _gitlab(environ)
    return Ci()


def _github(environ: Mapping[str, str]) -> Ci:
    repository = environ.get("GITHUB_REPOSITORY", "")
    event = _event(environ.get("GITHUB_EVENT_PATH"))
    run = "/".join(
        (
            environ.get("GITHUB_SERVER_URL", "https://github.com"),
            *(repository, "actions/runs", environ.get("GITHUB_RUN_ID", "")),
        )
    )
    facts: dict[str, Any] = {}
    try:
        if "pull_request" in event:
            pull = event["pull_request"]
            # The repository is null where a fork was deleted meanwhile.
            source = (pull["head"]["repo"] or {}).get("full_name")
            facts = {
                "request": int(pull["number"]),
                "head": str(pull["head"]["sha"]),
                "base": str(pull["base"]["sha"]),
                "foreign": source != repository,
            }
        elif "workflow_run" in event:
            before = event["workflow_run"]
            owner, branch = before["head_repository"]["owner"]["login"], before["head_branch"]
            facts = {"head": str(before["head_sha"]), "proposed": (str(owner), str(branch))}
    except (LookupError, TypeError, AttributeError, ValueError):
        raise ForgeError("the event in $GITHUB_EVENT_PATH is not one of GitHub's") from None
    names = [name for name in ("GITHUB_TOKEN", "GH_TOKEN") if environ.get(name)]
    return Ci(
        kind=Kind.GITHUB,
        api=environ.get("GITHUB_API_URL", "https://api.github.com").rstrip("/"),
        repository=repository,
        token=environ[names[0]].strip() if names else "",
        token_name=names[0] if names else "GITHUB_TOKEN",
        author=environ.get(AUTHOR_VARIABLE) or None,
        branch=environ.get("GITHUB_REF_NAME") if not facts else None,
        run=_link(run),
        summary=environ.get("GITHUB_STEP_SUMMARY") or None,
        outputs=environ.get("GITHUB_OUTPUT") or None,
        **facts,
    )


def _event(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    try:
        with Path(path).open("rb") as file:
            data = json.loads(file.read(_EVENT_LIMIT))
    except (OSError, ValueError, RecursionError):
        raise ForgeError("the file that $GITHUB_EVENT_PATH names cannot be read") from None
    return data if isinstance(data, dict) else {}


def _gitlab(environ: Mapping[str, str]) -> Ci:
    number = environ.get("CI_MERGE_REQUEST_IID") or None
    commit = environ.get("CI_COMMIT_SHA", "")
    project = environ.get("CI_PROJECT_ID", "")
    source = environ.get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID", project)
    if number is not None and not number.isdecimal():
        raise ForgeError("$CI_MERGE_REQUEST_IID is not a number")
    base = environ.get("CI_MERGE_REQUEST_TARGET_BRANCH_SHA") or environ.get(
        "CI_MERGE_REQUEST_DIFF_BASE_SHA"
    )
    return Ci(
        kind=Kind.GITLAB,
        api=environ.get("CI_API_V4_URL", "").rstrip("/"),
        # A pipeline of a fork runs in the fork; the request is in the project it is for.
        repository=environ.get("CI_MERGE_REQUEST_PROJECT_ID") or project,
        token=environ.get("GITLAB_TOKEN", "").strip(),
        token_name="GITLAB_TOKEN",  # noqa: S106  (where a token is, not what it is)
        author=environ.get(AUTHOR_VARIABLE) or None,
        request=None if number is None else int(number),
        # Of a merged result the source's head is another commit than the one that is checked out.
        head=None
        if number is None
        else environ.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or commit,
        base=base if base and base != _NO_COMMIT else None,
        branch=environ.get("CI_COMMIT_BRANCH") or None,
        foreign=number is not None
        and source != (environ.get("CI_MERGE_REQUEST_PROJECT_ID") or project),
        run=_link(environ.get("CI_JOB_URL", "")),
    )


def _link(text: str) -> str | None:
    """Take a URL that can stand in a comment as it is."""
    return text if _LINK.fullmatch(text) else None
