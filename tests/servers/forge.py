"""A recording server that plays the parts of GitHub's and GitLab's REST APIs that comments need.

The shapes are those that the two document: pages by ``Link``, 65,536 characters of a comment on
GitHub (422), a million on GitLab (400), 401 for another token, 403 for one without rights.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

TOKEN = "ghs_canary0123456789"
BOT = "github-actions[bot]"
GITLAB_BOT = "project_7_bot"
LIMIT = 65_536
DATE = "Sun, 01 Mar 2026 12:00:00 GMT"
NOW = 1_772_366_400  # the same instant


class Asked(NamedTuple):
    method: str
    path: str
    body: Any
    headers: dict[str, str]


class Fault(NamedTuple):
    """An answer in the place of the right one; ``after`` does what was asked first.

    Status 0 cuts the connection off.
    """

    method: str
    pattern: str
    status: int
    headers: dict[str, str] = {}  # noqa: RUF012  (never written)
    body: Any = None
    after: bool = False


@dataclass
class Pull:
    number: int
    head: str
    base: str = "main"
    source: str = "acme/shop"
    branch: str = "more"
    state: str = "open"
    merged_as: str | None = None
    commits: set[str] = field(default_factory=set)
    labels: list[str] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)

    def merge(self, commit, *others):
        self.state, self.merged_as = "merged", commit
        self.commits |= {commit, *others}

    def body(self, at=0):
        return self.comments[at]["body"]


class Answer(NamedTuple):
    status: int
    data: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012  (never written)


class ForgeServer:
    """``pulls`` by number; ``faults`` are given once each, in order, to what they fit."""

    def __init__(self, per_page=100):
        self.pulls = {}
        self.asked = []
        self.faults = []
        self.per_page = per_page
        self.may_write = True
        self._ids = iter(range(1_000, 1_000_000))
        self._lock = threading.Lock()
        forge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length)
                with forge._lock:
                    asked = Asked(
                        self.command, self.path, json.loads(text) if text else None,
                        dict(self.headers.items()),
                    )  # fmt: skip
                    forge.asked.append(asked)
                    answer = forge.answer(asked)
                if answer.status == 0:
                    self.close_connection = True
                    self.connection.close()
                    return
                data = answer.data
                if not isinstance(data, bytes):
                    data = b"" if data is None else json.dumps(data).encode()
                self.send_response_only(answer.status)
                for name, value in {"Date": DATE, **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _answer  # noqa: N815  (the names that they have to have)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def pull(self, number, head, **fields):
        self.pulls[number] = Pull(number, head, **fields)
        return self.pulls[number]

    def said(self, method):
        return [asked for asked in self.asked if asked.method == method]

    @property
    def writes(self):
        return [asked for asked in self.asked if asked.method != "GET"]

    # What is answered

    def answer(self, asked):
        for fault in self.faults:
            if fault.method == asked.method and re.search(fault.pattern, asked.path):
                self.faults.remove(fault)
                if fault.after:
                    self._route(asked)
                return Answer(fault.status, fault.body, fault.headers)
        return self._route(asked)

    def _route(self, asked):
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            return Answer(401, {"message": "Bad credentials"})
        if asked.method != "GET" and not self.may_write:
            return Answer(403, {"message": "Resource not accessible by integration"})
        place = urlsplit(asked.path)
        path = place.path
        query = {name: values[-1] for name, values in parse_qs(place.query).items()}
        routes = self._GITLAB if path.startswith("/api/v4/") else self._GITHUB
        for method, pattern, name in routes:
            found = re.fullmatch(pattern, path)
            if method == asked.method and found:
                groups = [unquote(group) for group in found.groups()]
                if ("requests/" in pattern or "issues" in pattern) and not self._known(groups):
                    return Answer(404, {"message": "Not Found"})
                return getattr(self, name)(*groups, query=query, body=asked.body)
        return Answer(404, {"message": "Not Found"})

    def _known(self, groups):
        # The number of a request comes first; that of a comment alone is looked up by its route.
        return int(groups[0]) in self.pulls or self._find(groups[0]) is not None

    def _paged(self, items, path, query):
        size = min(int(query.get("per_page", 30)), self.per_page)
        page = int(query.get("page", 1))
        part = items[(page - 1) * size : page * size]
        headers = {}
        if page * size < len(items):
            words = {**query, "page": page + 1}
            text = "&".join(f"{name}={quote(str(value))}" for name, value in words.items())
            headers["Link"] = f'<{self.url}{path}?{text}>; rel="next", <{self.url}/x>; rel="last"'
        return Answer(200, part, headers)

    def _make(self, number, author, body):
        comment = {"id": next(self._ids), "author": author, "body": body}
        self.pulls[int(number)].comments.append(comment)
        return comment

    def _find(self, ident):
        for pull in self.pulls.values():
            for comment in pull.comments:
                if comment["id"] == int(ident):
                    return comment
        return None

    _R = "/repos/acme/shop"
    _GITHUB = (
        ("GET", "/user", "_hub_user"),
        ("GET", f"{_R}/pulls", "_hub_pulls"),
        ("GET", rf"{_R}/(?:pulls)/(\d+)", "_hub_pull"),
        ("GET", f"{_R}/commits/([0-9a-f]+)/pulls", "_hub_commit"),
        ("GET", rf"{_R}/(?:issues)/(\d+)/comments", "_hub_comments"),
        ("POST", rf"{_R}/(?:issues)/(\d+)/comments", "_hub_create"),
        ("PATCH", rf"{_R}/issues/comments/(\d+)", "_hub_update"),
        ("GET", rf"{_R}/(?:issues)/(\d+)/labels", "_hub_labels"),
        ("POST", rf"{_R}/(?:issues)/(\d+)/labels", "_hub_label"),
        ("DELETE", rf"{_R}/(?:issues)/(\d+)/labels/([^/]+)", "_hub_unlabel"),
    )

    def _hub_user(self, query, body):
        return Answer(403, {"message": "Resource not accessible by integration"})

    def _hub_data(self, pull):
        merged = pull.state == "merged"
        return {
            "number": pull.number,
            "state": "open" if pull.state == "open" else "closed",
            "merged_at": "2026-03-01T12:00:00Z" if merged else None,
            "merge_commit_sha": pull.merged_as,
            "head": {"sha": pull.head, "ref": pull.branch, "repo": {"full_name": pull.source}},
            "base": {"ref": pull.base, "sha": "0" * 40},
        }

    def _hub_pull(self, number, query, body):
        if int(number) not in self.pulls:
            return Answer(404, {"message": "Not Found"})
        return Answer(200, self._hub_data(self.pulls[int(number)]))

    def _hub_pulls(self, query, body):
        found = [
            self._hub_data(pull)
            for pull in self.pulls.values()
            if f"{pull.source.partition('/')[0]}:{pull.branch}" == query["head"]
            and pull.state == query["state"]
        ]
        return self._paged(found, f"{self._R}/pulls", query)

    def _hub_commit(self, commit, query, body):
        found = [self._hub_data(p) for p in self.pulls.values() if commit in p.commits]
        return self._paged(found, f"{self._R}/commits/{commit}/pulls", query)

    def _hub_comments(self, number, query, body):
        found = [
            {"id": one["id"], "body": one["body"], "user": {"login": one["author"], "type": "Bot"}}
            for one in self.pulls[int(number)].comments
        ]
        return self._paged(found, f"{self._R}/issues/{number}/comments", query)

    def _hub_create(self, number, query, body):
        if len(body["body"]) > LIMIT:
            error = {"resource": "IssueComment", "code": "unprocessable", "field": "data"}
            return Answer(422, {"message": "Validation Failed", "errors": [error]})
        return Answer(201, self._make(number, BOT, body["body"]))

    def _hub_update(self, ident, query, body):
        comment = self._find(ident)
        if comment is None:
            return Answer(404, {"message": "Not Found"})
        comment["body"] = body["body"]
        return Answer(200, comment)

    def _hub_labels(self, number, query, body):
        found = [{"name": name} for name in self.pulls[int(number)].labels]
        return self._paged(found, f"{self._R}/issues/{number}/labels", query)

    def _hub_label(self, number, query, body):
        labels = self.pulls[int(number)].labels
        labels += [name for name in body["labels"] if name not in labels]
        return Answer(200, [{"name": name} for name in labels])

    def _hub_unlabel(self, number, name, query, body):
        labels = self.pulls[int(number)].labels
        if name not in labels:
            return Answer(404, {"message": "Label does not exist"})
        labels.remove(name)
        return Answer(200, [])

    _M = "/api/v4/projects/7"
    _GITLAB = (
        ("GET", "/api/v4/user", "_lab_user"),
        ("GET", f"{_M}/merge_requests", "_lab_requests"),
        ("GET", rf"{_M}/merge_requests/(\d+)", "_lab_request"),
        ("PUT", rf"{_M}/merge_requests/(\d+)", "_lab_label"),
        ("GET", f"{_M}/repository/commits/([0-9a-f]+)/merge_requests", "_lab_commit"),
        ("GET", rf"{_M}/merge_requests/(\d+)/notes", "_lab_notes"),
        ("POST", rf"{_M}/merge_requests/(\d+)/notes", "_lab_create"),
        ("PUT", rf"{_M}/merge_requests/(\d+)/notes/(\d+)", "_lab_update"),
    )

    def _lab_user(self, query, body):
        return Answer(200, {"username": GITLAB_BOT})

    def _lab_data(self, pull):
        return {
            "iid": pull.number,
            "sha": pull.head,
            "state": {"open": "opened"}.get(pull.state, pull.state),
            "target_branch": pull.base,
            "merge_commit_sha": pull.merged_as,
            "squash_commit_sha": None,
        }

    def _lab_request(self, number, query, body):
        return Answer(200, self._lab_data(self.pulls[int(number)]))

    def _lab_requests(self, query, body):
        found = [
            self._lab_data(pull)
            for pull in self.pulls.values()
            if pull.branch == query["source_branch"] and pull.state == "open"
        ]
        return self._paged(found, f"{self._M}/merge_requests", query)

    def _lab_commit(self, commit, query, body):
        found = [self._lab_data(p) for p in self.pulls.values() if commit in p.commits]
        return self._paged(found, f"{self._M}/repository/commits/{commit}/merge_requests", query)

    def _lab_notes(self, number, query, body):
        found = [
            {
                "id": one["id"], "body": one["body"], "system": one.get("system", False),
                "author": {"username": one["author"]},
            }
            for one in self.pulls[int(number)].comments
        ]  # fmt: skip
        return self._paged(found, f"{self._M}/merge_requests/{number}/notes", query)

    def _lab_create(self, number, query, body):
        if len(body["body"]) > 1_000_000:
            return Answer(400, {"error": "body is too long"})
        return Answer(201, self._make(number, GITLAB_BOT, body["body"]))

    def _lab_update(self, number, ident, query, body):
        comment = self._find(ident)
        comment["body"] = body["body"]
        return Answer(200, comment)

    def _lab_label(self, number, query, body):
        pull = self.pulls[int(number)]
        removed = set(body["remove_labels"].split(","))
        pull.labels[:] = [name for name in pull.labels if name not in removed]
        pull.labels += [n for n in body["add_labels"].split(",") if n not in pull.labels]
        return Answer(200, self._lab_data(pull))
