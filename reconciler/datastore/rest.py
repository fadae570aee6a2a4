"""A store's own REST interface, for the names that obstore's paths cannot hold.

object_store, which obstore is built on, refuses a whole page of a listing for one name with a
control character, an empty segment, ``.`` or ``..`` (``Path::parse`` of its src/path/mod.rs). Such
names are listed and read here, as slowly as that may be. Requests are signed with what is at hand
as text: a key or a token, given or in the environment. See Amazon S3's Signature Version 4 and
Azure Storage's Shared Key.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import parse_qsl, quote, unquote, unquote_plus, urlsplit
from xml.etree import ElementTree as ET

from reconciler.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from reconciler.data import Datastore

TIMEOUT = 30
_UNSIGNED = "UNSIGNED-PAYLOAD"
# The version of Azure's interface that tells encoded names.
_AZURE_VERSION = "2021-12-02"
_ENVIRONMENT = {
    "access_key_id": ("AWS_ACCESS_KEY_ID",),
    "secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
    "session_token": ("AWS_SESSION_TOKEN",),
    "account_key": (
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_MASTER_KEY",
    ),
    "sas_token": ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"),
}
_NEEDS = {
    "s3": (("access_key_id", "secret_access_key"),),
    "az": (("account_key",), ("sas_token",)),
    "gs": (),
}


class NoKey(Exception):
    """Nothing is at hand that a request could be signed with."""


class Refusal(Exception):
    """The store answered with an error; its text is ``<status> <code>`` and tells no secret."""


class Listed(NamedTuple):
    """An object of a listing; ``modified`` is in seconds since the epoch."""

    key: str
    size: int
    etag: str
    modified: int


class _Signer(Protocol):
    def __call__(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str]
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class Rest:
    """A container or bucket at ``place``, an URL without a query.

    Raises, in every method:
        Refusal: the store answers with an error.
        OSError: it cannot be reached, or takes too long.
    """

    place: str
    azure: bool
    sign: _Signer

    @classmethod
    def open(cls, store: Datastore, credentials: Mapping[str, str]) -> Rest:
        """Open the container of a store.

        Raises:
            NoKey: nothing is at hand that a request could be signed with.
        """
        known = dict(credentials)
        if not known and not store.anonymous:
            known = {
                name: os.environ[variable]
                for name, variables in _ENVIRONMENT.items()
                for variable in variables
                if variable in os.environ
            }
        fitting = next((one for one in _NEEDS[store.scheme] if set(one) <= known.keys()), None)
        if fitting is None and not store.anonymous:
            raise NoKey
        container = urlsplit(store.url).netloc
        place = _place(store, container)
        if fitting is None:
            return cls(place, store.scheme == "az", _unsigned)
        if store.scheme == "s3":
            return cls(place, azure=False, sign=_AwsSigner(_region(store), known))
        if "account_key" in known:
            key = b64decode(known["account_key"])
            return cls(place, azure=True, sign=_SharedKey(store.account or "", key))
        return cls(place, azure=True, sign=_SharedAccess(known["sas_token"].lstrip("?")))

    def pages(self, prefix: str, *, deep: bool) -> Iterator[list[Listed]]:
        """List what begins with ``prefix``, page by page; unless ``deep`` no further than a /."""
        listing = self._list_azure if self.azure else self._list_s3
        yield from listing(prefix, {} if deep else {"delimiter": "/"})

    def head(self, key: str) -> Listed | None:
        """Look at one object; None where there is none."""
        with self.request("HEAD", key) as reply:
            if reply.status == 404:
                return None
            _accept(reply)
            return _meta(key, reply)

    def get(self, key: str, wanted: Callable[[Listed], bool], into: BinaryIO) -> int | None:
        """Copy one object and give its bytes' number, if it is in the state that is ``wanted``."""
        with self.request("GET", key) as reply:
            if reply.status == 404:
                return None
            _accept(reply)
            if not wanted(_meta(key, reply)):
                return None
            return sum(into.write(block) for block in iter(lambda: reply.read(1 << 20), b""))

    @contextmanager
    def request(
        self,
        method: str,
        key: str = "",
        query: Mapping[str, str] | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[HTTPResponse]:
        """Send a request about the container, or about an object in it."""
        place = urlsplit(self.place)
        path = f"{place.path}/{_quoted(key)}" if key else place.path or "/"
        # Dots alone would be taken for steps up and down by whoever stands between.
        wire = "/".join(part if part.strip(".") else "%2E" * len(part) for part in path.split("/"))
        sent = {"host": place.netloc, **(headers or {})}
        if body or method == "PUT":
            sent["content-length"] = str(len(body))
        asked = dict(query or {})
        self.sign(method, wire if self.azure else path, asked, sent)
        line = "&".join(f"{name}={_quoted(value, '')}" for name, value in sorted(asked.items()))
        kind = HTTPSConnection if place.scheme == "https" else HTTPConnection
        connection = kind(place.netloc, timeout=TIMEOUT)
        try:
            connection.request(method, f"{wire}?{line}" if line else wire, body or None, sent)
            with connection.getresponse() as reply:
                yield reply
        except HTTPException as error:
            raise ConnectionError(type(error).__name__) from error
        finally:
            connection.close()

    def _list_s3(self, prefix: str, query: dict[str, str]) -> Iterator[list[Listed]]:
        token: str | None = ""
        query |= {"list-type": "2", "prefix": prefix, "encoding-type": "url"}
        while token is not None:
            page = self._page({**query, "continuation-token": token} if token else query)
            plain = unquote_plus if page.findtext("{*}EncodingType") == "url" else str
            yield [
                Listed(
                    plain(one.findtext("{*}Key", "")),
                    int(one.findtext("{*}Size", "")),
                    one.findtext("{*}ETag", ""),
                    int(datetime.fromisoformat(one.findtext("{*}LastModified", "")).timestamp()),
                )
                for one in page.iterfind("{*}Contents")
            ]
            token = page.findtext("{*}NextContinuationToken") or None

    def _list_azure(self, prefix: str, query: dict[str, str]) -> Iterator[list[Listed]]:
        marker: str | None = ""
        query |= {"restype": "container", "comp": "list", "prefix": prefix, "include": "metadata"}
        while marker is not None:
            page = self._page({**query, "marker": marker} if marker else query)
            yield [
                _azure_blob(one)
                for one in page.iterfind("Blobs/Blob")
                if one.findtext("Properties/ResourceType") != "directory"
                and one.findtext("Metadata/hdi_isfolder") != "true"
            ]
            marker = page.findtext("NextMarker") or None

    def _page(self, query: Mapping[str, str]) -> ET.Element:
        with self.request("GET", query=query) as reply:
            _accept(reply)
            text = reply.read()
        try:
            return ET.fromstring(text)  # noqa: S314  (the store's own; expat refuses bombs)
        except ET.ParseError:
            raise Refusal("200 ListingIsNoXml") from None


def _azure_blob(one: ET.Element) -> Listed:
    name = one.find("Name")
    text = "" if name is None or name.text is None else name.text
    encoded = name is not None and name.get("Encoded") == "true"
    return Listed(
        unquote(text) if encoded else text,
        int(one.findtext("Properties/Content-Length", "")),
        one.findtext("Properties/Etag", ""),
        _seconds(one.findtext("Properties/Last-Modified", "")),
    )


def _meta(key: str, reply: HTTPResponse) -> Listed:
    return Listed(
        key,
        int(reply.getheader("content-length", "")),
        reply.getheader("etag", ""),
        _seconds(reply.getheader("last-modified", "")),
    )


def _accept(reply: HTTPResponse) -> None:
    if reply.status // 100 == 2:
        return
    code = reply.getheader("x-ms-error-code")
    if code is None:
        try:
            code = ET.fromstring(reply.read()).findtext("{*}Code")  # noqa: S314  (the same)
        except ET.ParseError:
            code = None
    raise Refusal(f"{reply.status} {code or reply.reason}")


def _seconds(http_date: str) -> int:
    return int(parsedate_to_datetime(http_date).timestamp())


def _quoted(text: str, safe: str = "/") -> str:
    return quote(text, safe=f"{safe}~")


def _region(store: Datastore) -> str:
    known = (os.environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION"))
    return store.region or next(filter(None, known), "us-east-1")


def _place(store: Datastore, container: str) -> str:
    if store.endpoint is not None:
        return f"{store.endpoint.rstrip('/')}/{container}"
    if store.scheme == "az":
        return f"https://{store.account}.blob.core.windows.net/{container}"
    if store.scheme == "gs":
        return f"https://storage.googleapis.com/{container}"
    return f"https://s3.{_region(store)}.amazonaws.com/{container}"


def _now() -> datetime:
    return datetime.fromtimestamp(SystemClock().now() // 1_000_000, UTC)


def _unsigned(method: str, path: str, query: dict[str, str], headers: dict[str, str]) -> None:
    """Sign nothing."""


@dataclass(frozen=True, slots=True, repr=False)
class _AwsSigner:
    """Signature Version 4 in headers, of a request whose body is not signed."""

    region: str
    known: Mapping[str, str]

    def __call__(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str]
    ) -> None:
        instant = f"{_now():%Y%m%dT%H%M%SZ}"
        scope = f"{instant[:8]}/{self.region}/s3/aws4_request"
        headers |= {"x-amz-date": instant, "x-amz-content-sha256": _UNSIGNED}
        if token := self.known.get("session_token"):
            headers["x-amz-security-token"] = token
        names = ";".join(sorted(headers))
        asked = (f"{_quoted(name, '')}={_quoted(query[name], '')}" for name in sorted(query))
        told = (f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
        request = "\n".join((method, path, "&".join(asked), "".join(told), names, _UNSIGNED))
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{self.known['secret_access_key']}".encode()
        for part in scope.split("/"):
            key = _hmac(key, part)
        signature = _hmac(key, f"AWS4-HMAC-SHA256\n{instant}\n{scope}\n{digest}").hex()
        credential = f"{self.known['access_key_id']}/{scope}"
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, "
            f"Signature={signature}"
        )


@dataclass(frozen=True, slots=True, repr=False)
class _SharedKey:
    """Azure Storage's Shared Key."""

    account: str
    key: bytes

    def __call__(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str]
    ) -> None:
        headers |= {"x-ms-date": format_datetime(_now(), usegmt=True)}
        headers |= {"x-ms-version": _AZURE_VERSION}
        length = headers.get("content-length", "0")
        ours = sorted((name, text) for name, text in headers.items() if name.startswith("x-ms-"))
        lines = [method, "", "", "" if length == "0" else length, *[""] * 8]
        lines += [f"{name}:{text}" for name, text in ours]
        lines += [f"/{self.account}{path}", *(f"{name}:{query[name]}" for name in sorted(query))]
        signature = b64encode(_hmac(self.key, "\n".join(lines))).decode()
        headers["authorization"] = f"SharedKey {self.account}:{signature}"


@dataclass(frozen=True, slots=True, repr=False)
class _SharedAccess:
    """Azure Storage's shared access signature, which was made beforehand."""

    token: str

    def __call__(
        self,
        method: str,  # noqa: ARG002  (as every signer takes it)
        path: str,  # noqa: ARG002  (the same)
        query: dict[str, str],
        headers: dict[str, str],
    ) -> None:
        headers["x-ms-version"] = _AZURE_VERSION
        query |= parse_qsl(self.token)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
