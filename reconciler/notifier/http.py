"""A forge's REST interface over HTTP: one origin, one token, retries that repeat nothing unsafe.

The rules are those of GitHub's "Rate limits for the REST API" and "Best practices for using the
REST API", and of GitLab's "Rate limits" and "REST API" pages: wait as ``Retry-After`` says, else
until the reset of a limit that is used up, else a minute and then longer where a secondary limit is
named; page by ``Link``.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from time import sleep
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from reconciler.errors import ForgeError, ForgeUnsure
from reconciler.plan.render import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TIMEOUT = 30.0
TRIES = 5
# Seconds; whoever is asked to wait longer is told so instead.
LONGEST_WAIT = 300
_SECONDARY = 60
_MESSAGE = 300
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_TOO_MANY, _FORBIDDEN, _SERVER = 429, 403, 500
_HINTS = {
    401: "the token in ${token} is not accepted",
    403: "the token in ${token} may not do that; {rights}",
    404: "not there, or not for the token in ${token}",
}


class Http:
    """Asks ``base``, a URL without a slash at its end, with a token.

    ``name`` is the forge's, ``variable`` where its token came from and ``rights`` what the token
    needs, for messages. ``pause`` waits some seconds.

    Raises, in every method:
        ForgeError: the forge refuses, or cannot be reached.
        ForgeUnsure: a POST was sent, and it is not known what became of it.
    """

    def __init__(  # noqa: PLR0913  (what is asked, by whom, and how it is told)
        self,
        base: str,
        token: str,
        *,
        name: str,
        variable: str,
        rights: str,
        headers: Mapping[str, str],
        pause: Callable[[float], None] = sleep,
    ) -> None:
        self.name, self._variable, self._rights = name, variable, rights
        self._base, self._token, self._pause = base, token, pause
        place = urlsplit(base)
        if place.scheme != "https" and place.hostname not in _LOOPBACK:
            raise ForgeError(f"{name} is at {base}; a token is sent over https only")
        if not token:
            raise ForgeError(f"there is no token for {name}; set ${variable}")
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise ForgeError(f"the token in ${variable} has characters that no token has")
        self._client = httpx.Client(
            headers={**headers, "Authorization": f"Bearer {token}"},
            timeout=TIMEOUT,
            # A job asks a handful of things, minutes apart: no connection is kept for nobody.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def get(self, path: str, **query: str | int) -> Any:  # noqa: ANN401  (JSON)
        """Read one document; ``path`` begins with a slash."""
        return self._json(self._ask("GET", self._base + path, query=query))

    def pages(self, path: str, **query: str | int) -> Iterator[Any]:
        """Read a list, page after page."""
        answer = self._ask("GET", self._base + path, query={**query, "per_page": 100})
        seen = set()
        while True:
            items = self._json(answer)
            if not isinstance(items, list):
                raise ForgeError(f"{self.name} does not answer {path} with a list")
            yield from items
            url = answer.links.get("next", {}).get("url")
            if url is None or url in seen:
                return
            seen.add(url)
            if _origin(url) != _origin(self._base):
                raise ForgeError(f"{self.name} names a next page elsewhere; it is not asked for")
            answer = self._ask("GET", url)

    def send(self, method: str, path: str, body: Mapping[str, object]) -> None:
        """Write something; the answer is not read."""
        self._ask(method, self._base + path, body)

    def delete(self, path: str) -> None:
        """Delete something that may be gone already."""
        self._ask("DELETE", self._base + path, expected=httpx.codes.NOT_FOUND)

    def allowed(self, path: str) -> Any | None:  # noqa: ANN401  (JSON)
        """Read one document; None where the token may not."""
        answer = self._ask("GET", self._base + path, expected=_FORBIDDEN)
        return None if answer.status_code == _FORBIDDEN else self._json(answer)

    def _ask(
        self,
        method: str,
        url: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
        expected: int | None = None,
    ) -> httpx.Response:
        """Ask until there is an answer; ``expected`` is a status that is one, too."""
        said = ""
        for attempt in range(TRIES):
            wait = float(2**attempt)
            try:
                answer = self._client.request(method, url, json=body, params=query or None)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                said = f"cannot be reached: {error}"
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                said = f"does not answer: {error}"
                self._sure(method, said)
            else:
                limited = _limited(answer)
                if answer.is_success or (answer.status_code == expected and not limited):
                    return answer
                said = self._refusal(answer, limited=limited)
                wait = self._patience(answer, attempt, said, limited=limited)
                if not limited:
                    self._sure(method, said)
            if attempt < TRIES - 1:
                self._pause(wait)
        raise ForgeError(f"{self.name} {self._clean(said)}; given up after {TRIES} tries")

    def _patience(self, answer: httpx.Response, attempt: int, said: str, *, limited: bool) -> float:
        """Give the seconds to wait, where another try may help."""
        if answer.status_code < _SERVER and not limited:
            raise ForgeError(f"{self.name} {said}")
        wait = _wait(answer, attempt, limited=limited)
        if wait > LONGEST_WAIT:
            text = f"{self.name} asks to wait {wait:.0f} s (rate limit); run it again then"
            raise ForgeError(text)
        return wait

    def _sure(self, method: str, said: str) -> None:
        """Leave it to the caller to ask what became of it: a second POST makes a second comment."""
        if method == "POST":
            raise ForgeUnsure(f"{self.name} {self._clean(said)}")

    def _refusal(self, answer: httpx.Response, *, limited: bool) -> str:
        try:
            data = answer.json()
            message = str(data.get("message") or data.get("error") or "")
        except (ValueError, AttributeError):
            message = ""
        status = answer.status_code
        hint = _HINTS.get(status, "").format(token=self._variable, rights=self._rights)
        path = urlsplit(str(answer.request.url)).path
        asked = f"{answer.request.method} {path}"
        parts = [f"answers {asked} with {status}", self._clean(message), "" if limited else hint]
        return ": ".join(part for part in parts if part)

    def _clean(self, text: str) -> str:
        return printable(text.replace(self._token, "***"))[:_MESSAGE]

    def _json(self, answer: httpx.Response) -> Any:  # noqa: ANN401  (JSON)
        try:
            return answer.json()
        except ValueError:
            text = f"{self.name} answers with something that is not JSON; is {self._base} its API?"
            raise ForgeError(text) from None


def _origin(url: str) -> tuple[str, str]:
    place = urlsplit(url)
    return place.scheme, place.netloc


def _limited(answer: httpx.Response) -> bool:
    """Tell a limit from a refusal: GitHub says both with 403."""
    if answer.status_code == _TOO_MANY:
        return True
    return answer.status_code == _FORBIDDEN and (
        "retry-after" in answer.headers
        or answer.headers.get("x-ratelimit-remaining") == "0"
        or "rate limit" in answer.text.lower()
    )


def _wait(answer: httpx.Response, attempt: int, *, limited: bool) -> float:
    """Give the seconds to wait before another try."""
    headers = answer.headers
    after = headers.get("retry-after", "")
    if after.isdecimal():
        return float(after)
    reset = headers.get("x-ratelimit-reset") or headers.get("ratelimit-reset") or ""
    used_up = "0" in {headers.get("x-ratelimit-remaining"), headers.get("ratelimit-remaining")}
    # The forge's own clock: this machine's may differ.
    if used_up and reset.isdecimal() and "date" in headers:
        now = parsedate_to_datetime(headers["date"]).timestamp()
        return max(1.0, int(reset) - now + 1)
    return float(_SECONDARY * 2**attempt if limited else 2**attempt)
