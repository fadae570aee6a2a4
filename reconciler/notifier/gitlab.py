"""GitLab: its REST API, version 4."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from reconciler import __version__
from reconciler.errors import ForgeError
from reconciler.notifier.base import Comment, Request
from reconciler.notifier.http import Http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from reconciler.notifier.environment import Ci


class GitLab:
    """A project on GitLab; see :class:`~reconciler.notifier.base.Forge`."""

    def __init__(self, ci: Ci, pause: Callable[[float], None] | None = None) -> None:
        self._http = Http(
            ci.api,
            ci.token,
            name="GitLab",
            variable=ci.token_name,
            rights="it needs the scope `api` and the role Reporter; a job's own token has neither",
            headers={"User-Agent": f"reconciler/{__version__}"},
            **({} if pause is None else {"pause": pause}),
        )
        self._author = ci.author
        self._path = f"/projects/{quote(ci.repository, safe='')}"

    def author(self) -> str:
        """Tell the account that comments are made with."""
        if self._author is None:
            self._author = str(self._http.get("/user")["username"])
        return self._author

    def request(self, number: int) -> Request:
        """Read a merge request."""
        return _request(self._http.get(f"{self._path}/merge_requests/{number}"))

    def brought(self, commit: str) -> tuple[Request, ...]:
        """Find the merged merge requests that a commit came with."""
        found = self._http.pages(f"{self._path}/repository/commits/{quote(commit)}/merge_requests")
        return tuple(request for request in map(_request, found) if request.merged)

    def proposing(self, owner: str, branch: str) -> tuple[Request, ...]:  # noqa: ARG002  (GitLab asks for a branch alone)
        """Find the open merge requests of a branch, in whatever project it is."""
        found = self._http.pages(
            f"{self._path}/merge_requests", state="opened", source_branch=branch
        )
        return tuple(map(_request, found))

    def comments(self, number: int) -> Iterator[Comment]:
        """Give all comments on a merge request, the oldest first."""
        notes = self._http.pages(
            f"{self._path}/merge_requests/{number}/notes", sort="asc", order_by="created_at"
        )
        for one in notes:
            if not one.get("system"):
                yield Comment(one["id"], (one.get("author") or {}).get("username", ""), one["body"])

    def create(self, number: int, body: str) -> None:
        """Comment on a merge request."""
        self._http.send("POST", f"{self._path}/merge_requests/{number}/notes", {"body": body})

    def update(self, number: int, comment: int, body: str) -> None:
        """Put another text in a comment's place."""
        path = f"{self._path}/merge_requests/{number}/notes/{comment}"
        self._http.send("PUT", path, {"body": body})

    def label(self, number: int, add: str, remove: Iterable[str]) -> None:
        """Put a label on a merge request, made where there is none yet, and take others off."""
        body = {"add_labels": add, "remove_labels": ",".join(sorted(set(remove) - {add}))}
        self._http.send("PUT", f"{self._path}/merge_requests/{number}", body)


def _request(data: Any) -> Request:  # noqa: ANN401  (JSON)
    try:
        merged = data["state"] == "merged"
        # A fast-forward makes no commit of its own: the head is what it became.
        became = data.get("merge_commit_sha") or data.get("squash_commit_sha") or data["sha"]
        return Request(
            number=data["iid"],
            head=data["sha"],
            base=data["target_branch"],
            open=data["state"] == "opened",
            merged=merged,
            merged_as=became if merged else None,
        )
    except (LookupError, TypeError, AttributeError):
        raise ForgeError("GitLab tells of a merge request otherwise than it is known to") from None
