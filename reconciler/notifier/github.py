"""GitHub: its REST API, version 2022-11-28."""

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

# Who comments with the token that GitHub gives each job; that token may not ask who it is.
ACTIONS = "github-actions[bot]"


class GitHub:
    """A repository on GitHub; see :class:`~reconciler.notifier.base.Forge`."""

    def __init__(self, ci: Ci, pause: Callable[[float], None] | None = None) -> None:
        self._http = Http(
            ci.api,
            ci.token,
            name="GitHub",
            variable=ci.token_name,
            rights="a job needs `permissions: pull-requests: write`, and one of a fork has none",
            headers={
                "Accept": "application/vnd.github+json",
                "X-GitHub-Api-Version": "2022-11-28",
                "User-Agent": f"reconciler/{__version__}",
            },
            **({} if pause is None else {"pause": pause}),
        )
        self._author = ci.author
        self._path = f"/repos/{quote(ci.repository)}"

    def author(self) -> str:
        """Tell the account that comments are made with."""
        if self._author is None:
            user = self._http.allowed("/user")
            self._author = ACTIONS if user is None else str(user["login"])
        return self._author

    def request(self, number: int) -> Request:
        """Read a pull request."""
        return _request(self._http.get(f"{self._path}/pulls/{number}"))

    def brought(self, commit: str) -> tuple[Request, ...]:
        """Find the merged pull requests that a commit came with."""
        found = self._http.pages(f"{self._path}/commits/{quote(commit)}/pulls")
        return tuple(request for request in map(_request, found) if request.merged)

    def proposing(self, owner: str, branch: str) -> tuple[Request, ...]:
        """Find the open pull requests of a branch."""
        head = f"{owner}:{branch}"
        return tuple(
            map(_request, self._http.pages(f"{self._path}/pulls", state="open", head=head))
        )

    def comments(self, number: int) -> Iterator[Comment]:
        """Give all comments on a pull request, the oldest first."""
        for one in self._http.pages(f"{self._path}/issues/{number}/comments"):
            author = (one.get("user") or {}).get("login", "")  # null of an account that is gone
            yield Comment(one["id"], author, one.get("body") or "")

    def create(self, number: int, body: str) -> None:
        """Comment on a pull request."""
        self._http.send("POST", f"{self._path}/issues/{number}/comments", {"body": body})

    def update(self, number: int, comment: int, body: str) -> None:  # noqa: ARG002  (the port's)
        """Put another text in a comment's place."""
        self._http.send("PATCH", f"{self._path}/issues/comments/{comment}", {"body": body})

    def label(self, number: int, add: str, remove: Iterable[str]) -> None:
        """Put a label on a pull request, made where there is none yet, and take others off."""
        labels = f"{self._path}/issues/{number}/labels"
        present = {one["name"] for one in self._http.pages(labels)}
        for name in sorted(present & set(remove)):
            self._http.delete(f"{labels}/{quote(name, safe='')}")
        if add not in present:
            self._http.send("POST", labels, {"labels": [add]})


def _request(data: Any) -> Request:  # noqa: ANN401  (JSON)
    try:
        return Request(
            number=data["number"],
            head=data["head"]["sha"],
            base=data["base"]["ref"],
            open=data["state"] == "open",
            # A list tells when, a single one whether.
            merged=data.get("merged_at") is not None,
            merged_as=data.get("merge_commit_sha"),
        )
    except (LookupError, TypeError, AttributeError):
        raise ForgeError("GitHub tells of a pull request otherwise than it is known to") from None
