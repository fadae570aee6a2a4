"""A container of Azure Blob Storage, or a bucket of S3, what is compatible with it, or GCS."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes, unquote, urlsplit

from reconciler.data import Depth, Watched, name_bytes
from reconciler.datastore.ordered import ordered
from reconciler.datastore.rest import Listed, NoKey, Rest
from reconciler.datastore.telling import MALFORMED, refused_name, why
from reconciler.errors import DatastoreError, FileChanged
from reconciler.trigger.snapshot import Files, size_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from obstore import ObjectMeta
    from obstore.store import ObjectStore

    from reconciler.data import Datastore

# Objects of a listing that are taken over at once; the stores' own pages have 1,000 or 5,000.
_CHUNK = 1_000
_HEADS = 16  # at once
# From so many names on a listing is the cheaper way to look at them.
_MANY_NAMES = 1_000
# Empty objects that are known to be no folder marks.
_MOST_KNOWN = 100_000
# After every name below a folder, and no longer than a key may be.
_LAST = "\U0010ffff" * 4
_LONGEST_KEY = 1_024

# A poll fails within about a minute: no retry begins later than 30 s, and none lasts longer.
_RETRIES = {
    "max_retries": 4,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=200), "max_backoff": timedelta(seconds=5)},
}
_TIMEOUTS = {"connect_timeout": "5s", "read_timeout": "20s"}
# For one answer to end; what is read may be large, and only a standstill ends that.
_LISTING, _READING = "30s", "24h"

# The names that obstore has for ours, and what it takes for proof.
_OBSTORE_NAMES = {"sas_token": "sas_key"}
_ENDPOINTS = {
    "az": ("endpoint",),
    "s3": ("endpoint", "aws_endpoint_url_s3"),
    "gs": ("base_url",),
}
_AWS_PROOFS = ("access_key_id", "secret_access_key")
_AZURE_PROOFS = {
    "account_key": "access_key",
    "sas_token": "sas_token",
    "client_secret": "client_secret",
}


class ObjectDatastore:
    """What lies in a container or bucket, below the prefix that the store's URL names, if any.

    ``credentials`` are values by the names in ``Datastore.credentials``; without any obstore looks
    for what the machine has. Folders are nothing of their own here, and one that is not there is
    empty. A file's facts are its size, its etag without quotes, and when it was modified, to the
    second: in no finer grain do both a listing and an answer about one object tell that.

    Raises:
        DatastoreError: obstore is not installed, or a credential makes no sense.
    """

    def __init__(self, store: Datastore, credentials: Mapping[str, str]) -> None:
        place = urlsplit(store.url)
        self._store = store
        self._credentials = credentials
        self._container = place.netloc
        self._prefix = "".join(f"{part}/" for part in unquote(place.path).split("/") if part)
        self._files: set[tuple[str, bytes]] = set()
        with self._telling():
            self._objects = _opened(store, credentials, _LISTING)

    def scan(self, watched: Watched) -> Iterator[Files]:
        """List objects, as :class:`~reconciler.datastore.base.DatastoreReader` says."""
        if watched.depth is Depth.FILE:
            name = name_bytes(watched.path.rpartition("/")[2])
            for facts in self.look(watched, [name]).values():
                yield Files([name], [facts])
        else:
            yield from ordered(self._listed(self._key(watched.path), watched.depth is Depth.TREE))

    def look(self, watched: Watched, names: Iterable[bytes]) -> dict[bytes, bytes]:
        """Give the present facts of some objects."""
        asked = set(names)
        folder = self._key(watched.directory)
        if len(asked) >= _MANY_NAMES and watched.depth is not Depth.FILE:
            pairs = (zip(*files, strict=True) for files in self.scan(watched))
            return {name: facts for some in pairs for name, facts in some if name in asked}
        keys = {name: folder + text for name in asked if (text := _text(name)) is not None}
        with self._telling():
            found = dict(zip(keys, self._heads(list(keys.values())), strict=True))
            if any(facts is None for facts in found.values()):
                self._answers(folder)
        return {name: facts for name, facts in found.items() if facts is not None}

    def place(self, watched: Watched) -> str:  # noqa: ARG002  (the port's)
        """Tell nothing: a container made anew is the same one, as far as one can see."""
        return ""

    def url(self, path: bytes) -> str:
        """Give the address of an object."""
        key = quote_from_bytes(name_bytes(self._prefix) + path)
        return f"{self._store.scheme}://{self._container}/{key}"

    def local_path(self, path: bytes) -> str | None:  # noqa: ARG002  (the port's)
        """Tell that a program cannot open it by a path."""
        return None

    def read(self, path: bytes, facts: bytes, into: BinaryIO) -> None:
        """Copy an object, if it is still in the state that ``facts`` tell."""
        text = _text(path)
        with self._telling():
            written = None if text is None else self._copied(self._prefix + text, facts, into)
        if written is None:
            raise FileChanged(f"{self.url(path)} is gone, or has been written anew since")
        if written != size_of(facts):
            raise DatastoreError(f"{self.url(path)} could not be read to its end; try again")

    def _key(self, path: str) -> str:
        return f"{self._prefix}{path}/" if path else self._prefix

    def _listed(self, prefix: str, deep: bool) -> Iterator[Files]:  # noqa: FBT001  (two kinds)
        with self._telling():
            name = None
            try:
                for page in self._tree(prefix) if deep else self._children(prefix):
                    # A control character that XML has no way to write may come as this one.
                    name = next((it["path"] for it in page if "\ufffd" in it["path"]), None)
                    if name is not None and self._at_hand() is not None:
                        break
                    name = None
                    yield self._files_of(prefix, page)
            except Exception as error:
                name = refused_name(error)
                if name is None:
                    raise
            if name is not None:
                yield from self._listed_by_rest(prefix, deep, name)

    def _listed_by_rest(self, prefix: str, deep: bool, name: str) -> Iterator[Files]:  # noqa: FBT001
        """List all anew, for the sake of one name; what was listed already does no harm."""
        start = len(prefix)
        for page in self._rest(name).pages(prefix, deep=deep):
            files = [it for it in page if not it.key.endswith("/")]
            if nul := next((it.key for it in files if "\0" in it.key), None):
                raise DatastoreError(f"{self._shown(nul)} has a NUL in its name; rename it")
            yield Files([it.key[start:].encode() for it in files], list(map(_facts_of, files)))

    def _tree(self, prefix: str) -> Iterator[Sequence[ObjectMeta]]:
        import obstore  # noqa: PLC0415  (slow to import)

        yield from obstore.list(self._objects, prefix or None, chunk_size=_CHUNK)

    def _children(self, prefix: str) -> Iterator[Sequence[ObjectMeta]]:
        """List the objects of one folder, of large folders below it no more than a little.

        Only listing all below a prefix goes page by page. Where it can begin after a name it goes
        on after a large folder; where it cannot, which is Azure, the folder is listed at once.
        """
        import obstore  # noqa: PLC0415  (the same)

        start = len(prefix)
        passed: set[str] = set()
        able = True
        offset: str | None = ""
        while offset is not None:
            stream = obstore.list(
                self._objects, prefix or None, offset=offset or None, chunk_size=_CHUNK
            )
            offset = None
            for page in stream:
                yield [it for it in page if "/" not in it["path"][start:]]
                first, below, _ = page[0]["path"][start:].partition("/")
                same = page[-1]["path"].startswith(f"{prefix}{first}/")
                if not below or not same or len(page) < _CHUNK:
                    continue
                if self._store.scheme == "az":
                    yield obstore.list_with_delimiter(self._objects, prefix or None)["objects"]
                    return
                after = f"{prefix}{first}/{_LAST}"
                # Once one comes again, this store does not begin after a name.
                able = able and first not in passed and len(after.encode()) <= _LONGEST_KEY
                if able:
                    passed.add(first)
                    offset = after
                    break

    def _files_of(self, prefix: str, page: Sequence[ObjectMeta]) -> Files:
        start = len(prefix)
        facts = [_facts(it) for it in page]
        if any(it["size"] == 0 for it in page) or len({it["path"] for it in page}) < len(page):
            return self._without_marks(prefix, page, facts)
        return Files([it["path"][start:].encode() for it in page], facts)

    def _without_marks(
        self, prefix: str, page: Sequence[ObjectMeta], listed: Sequence[bytes]
    ) -> Files:
        """Leave out the marks that tools make for folders, which obstore lists without their /.

        They are empty as a rule; where one is not, and an object of that name is beside it, there
        are two of that name.
        """
        known = {it["path"]: facts for it, facts in zip(page, listed, strict=True)}
        times = Counter(it["path"] for it in page)
        doubtful = {it["path"] for it in page if it["size"] == 0 or times[it["path"]] > 1}
        doubtful.discard(prefix[:-1])
        asked = [key for key in sorted(doubtful) if (key, known[key]) not in self._files]
        present = dict(zip(asked, self._heads(asked), strict=True))
        if len(self._files) > _MOST_KNOWN:
            self._files.clear()
        self._files.update((key, facts) for key, facts in present.items() if facts is not None)
        now = {**known, **present, prefix[:-1]: None}
        start = len(prefix)
        pairs = [(key, facts) for key, facts in now.items() if facts is not None]
        return Files([key[start:].encode() for key, _ in pairs], [facts for _, facts in pairs])

    def _heads(self, keys: Sequence[str]) -> list[bytes | None]:
        if len(keys) <= 1:
            return [self._head(key) for key in keys]
        with ThreadPoolExecutor(min(_HEADS, len(keys))) as pool:
            return list(pool.map(self._head, keys))

    def _head(self, key: str) -> bytes | None:
        import obstore  # noqa: PLC0415  (the same)

        if not _sayable(key):
            it = self._rest(key).head(key)
            return None if it is None else _facts_of(it)
        try:
            answer = obstore.get(self._objects, key, options={"head": True})
        except FileNotFoundError:
            return None
        # The mark that Hadoop's driver makes for a folder.
        folder = answer.attributes.get("hdi_isfolder") == "true"
        return None if folder else _facts(answer.meta)

    def _copied(self, key: str, facts: bytes, into: BinaryIO) -> int | None:
        """Copy an object and give its bytes' number; None where it is not in that state."""
        import obstore  # noqa: PLC0415  (the same)

        if not _sayable(key):
            return self._rest(key).get(key, lambda it: _facts_of(it) == facts, into)
        try:
            answer = obstore.get(_opened(self._store, self._credentials, _READING), key)
        except FileNotFoundError:
            return None
        # What is told and what is copied are of one answer, so they are of one state.
        if _facts(answer.meta) != facts:
            return None
        return sum(into.write(block) for block in answer.stream(min_chunk_size=1 << 20))

    def _answers(self, folder: str) -> None:
        """See to it that the container is there: an answer about one object does not tell."""
        import obstore  # noqa: PLC0415  (the same)

        next(iter(obstore.list(self._objects, f"{folder}{_LAST}", chunk_size=1)), None)

    def _rest(self, key: str) -> Rest:
        rest = self._at_hand()
        if rest is None:
            text = "has a name that can be told only with a key; rename it, or give the datastore"
            raise DatastoreError(f"{self._shown(key)} {text} credentials")
        return rest

    def _at_hand(self) -> Rest | None:
        try:
            return Rest.open(self._store, self._credentials)
        except NoKey:
            return None

    def _shown(self, key: str) -> str:
        return f"object {key!r} of {self._store.scheme}://{self._container}"

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn what goes wrong into one line, without what it says itself: it may be a secret."""
        try:
            yield
        except (DatastoreError, FileChanged):
            raise
        except ModuleNotFoundError:
            text = f"{self._store.scheme}:// needs obstore: pip install 'reconciler[stores]'"
            raise DatastoreError(text) from None
        except BaseException as error:
            # Obstore's errors have no root of their own, and its panics are not even exceptions.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise DatastoreError(
                f"{self._store.url}: {why(error, self._store, self._credentials)}"
            ) from None


def _opened(store: Datastore, credentials: Mapping[str, str], timeout: str) -> ObjectStore:
    from obstore.store import AzureStore, GCSStore, S3Store  # noqa: PLC0415  (slow to import)

    told: dict[str, Any] = {_OBSTORE_NAMES.get(name, name): it for name, it in credentials.items()}
    more: dict[str, Any] = {}
    if store.anonymous:
        told["skip_signature"] = True
    if store.endpoint is not None:
        # S3's second name would otherwise be the environment's, and count for more.
        for name in _ENDPOINTS[store.scheme]:
            told[name] = store.endpoint.rstrip("/")
    client: dict[str, Any] = {**_TIMEOUTS, "timeout": timeout}
    if (store.endpoint or "").startswith("http://"):
        client["allow_http"] = True
    if store.scheme == "az":
        told["account_name"] = store.account
        # What the environment holds besides does not count then.
        if proof := next((_AZURE_PROOFS[it] for it in credentials if it in _AZURE_PROOFS), None):
            told["credential_type"] = proof
    if store.scheme == "s3" and credentials:
        # The same: otherwise a token of the environment's would be sent with another's key.
        token = told.pop("session_token", None)
        proofs = {**{name: told.pop(name, "") for name in _AWS_PROOFS}, "token": token}
        more["credential_provider"] = lambda: {**proofs, "expires_at": None}
    if store.region is not None:
        told["region"] = store.region
    kind: Any = {"az": AzureStore, "s3": S3Store, "gs": GCSStore}[store.scheme]
    opened: ObjectStore = kind(
        urlsplit(store.url).netloc,
        config=told,
        client_options=client,
        retry_config=_RETRIES,
        **more,
    )
    return opened


def _text(name: bytes) -> str | None:
    """Give a name as the text that every key is; None where it is none."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def _sayable(key: str) -> bool:
    """Tell whether obstore takes a key as it is."""
    parts = key.split("/")
    return not (MALFORMED.search(key) or any(part in {"", ".", ".."} for part in parts))


def _facts(it: ObjectMeta) -> bytes:
    return _written(it["size"], it["e_tag"], int(it["last_modified"].timestamp()))


def _facts_of(it: Listed) -> bytes:
    return _written(it.size, it.etag, it.modified)


def _written(size: int, etag: str | None, seconds: int) -> bytes:
    # The same etag comes with quotes and without, from one and the same store.
    bare = (etag or "").removeprefix("W/").strip('"')
    return f'{size} "{bare}" {seconds}000000'.encode("ascii", "backslashreplace")
