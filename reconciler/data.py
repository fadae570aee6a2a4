"""Where files live, and what about them makes a schedule fire: frozen values.

The names of a data trigger are those of Azure ML's SDK v1 (``Schedule.create`` of
azureml-pipeline-core 1.62); what that SDK cannot say is ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, urlsplit

from reconciler.errors import InvalidValue
from reconciler.fields import NAME_PATTERN, field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.fields import Fault


class FileChange(StrEnum):
    """What happened to a file."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"


class Batch(StrEnum):
    """How many runs the changed files of one poll make: one for each file, or one for all."""

    PER_FILE = "per_file"
    PER_POLL = "per_poll"


class Initial(StrEnum):
    """What a new data schedule does about the files that are there already."""

    IGNORE = "ignore"
    TRIGGER = "trigger"


class DataPath(StrEnum):
    """What a program is given: a path it can open on its machine, or datastore/relative/path."""

    LOCAL = "local"
    DATASTORE = "datastore"


class Depth(StrEnum):
    """How much of a datastore is watched: a directory alone, all below it, or one file."""

    DIRECTORY = "directory"
    TREE = "tree"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The files of one datastore that are looked at together, by every schedule that names them.

    ``path`` is relative, with /, and empty for the top level; with ``Depth.FILE`` it is the file's.
    ``done_marker`` as in :class:`DatastoreChange`, empty for none.
    """

    datastore: str
    path: str
    depth: Depth = Depth.DIRECTORY
    done_marker: str = ""

    @property
    def directory(self) -> str:
        """The directory from which names are counted."""
        return self.path.rpartition("/")[0] if self.depth is Depth.FILE else self.path

    def marker_of(self, name: bytes) -> bytes | None:
        """Name the file that has to be there for ``name`` to count; None where nothing has to.

        In a tree it lies beside the file. A marker needs none.
        """
        if not self.done_marker or self.is_marker(name):
            return None
        folder, slash, last = name.rpartition(b"/")
        return folder + slash + name_bytes(self.done_marker).replace(b"{name}", last)

    def is_marker(self, name: bytes) -> bool:
        """Tell whether a file only says that others are complete."""
        if not self.done_marker:
            return False
        head, variable, tail = name_bytes(self.done_marker).partition(b"{name}")
        last = name.rpartition(b"/")[2]
        if not variable:
            return last == head
        long_enough = len(last) > len(head) + len(tail)
        return long_enough and last.startswith(head) and last.endswith(tail)


def name_bytes(text: str) -> bytes:
    """Give the bytes of a file name or path, the very ones where it was no text."""
    return text.encode("utf-8", "surrogateescape")


def file_url(store: str, path: bytes) -> str:
    """Give the address of a file of the datastore whose URL is ``store``, its path in ASCII."""
    return f"{store}{'' if store.endswith('/') else '/'}{quote(path, safe='/')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatastoreChange:
    """A file is added to, or changes in, one directory of a datastore.

    Raises:
        InvalidValue: the path leaves the datastore, or what is to be watched contradicts itself.
    """

    TAG: ClassVar[str] = "datastore_change"

    datastore: str = field(
        "The name of the datastore to watch.",
        pattern=NAME_PATTERN,
        hint="start with a letter or digit, then letters, digits, - and _",
        examples=("landing",),
    )
    path_on_datastore: str = field(
        "The directory to watch; only files directly in it count, unless recursive. Empty is the "
        "whole top level.",
        default="",
        examples=("incoming",),
    )
    recursive: bool = field("Whether files in all directories below count too.", default=False)
    file: str | None = field(
        "The name of the one file in the directory to watch; no other is looked at.",
        default=None,
        pattern=r"^[^/\x00]+$",
        hint="write one file name without /",
        examples=("prices.csv",),
    )
    polling_interval: float = field(
        "Minutes between two looks at the directory; fractions are allowed.",
        default=5,
        minimum=0.01,
        maximum=72_000,
        examples=(5,),
    )
    data_path_parameter_name: str | None = field(
        "The pipeline parameter (of type datapath) that receives the changed file's path; with "
        "batch: per_poll that of a list of the files.",
        default=None,
        examples=("input_data",),
    )
    data_path: DataPath | None = field(
        "What a step sees of it: a path that it can open (local; the default on a local folder, "
        "and nothing for others) or datastore/relative/path.",
        default=None,
    )
    changes: tuple[FileChange, ...] = field(
        "What has to happen to a file.",
        default=(FileChange.ADDED, FileChange.MODIFIED),
        unique=True,
        non_empty=True,
        examples=(["added", "modified", "deleted"],),
    )
    batch: Batch = field(
        "One run for each changed file, or one for all that a poll found.", default=Batch.PER_FILE
    )
    initial: Initial = field(
        "Whether files that are there when the schedule begins to watch count as added.",
        default=Initial.IGNORE,
    )
    settle: timedelta | None = field(
        "A file counts once it was seen unchanged for so long; by default 2s on a local folder "
        "and 0s on an object store, where a file appears whole.",
        default=None,
        examples=("10s",),
    )
    done_marker: str | None = field(
        "A file counts once this file lies beside it; {name} stands for its own name. Markers "
        "themselves never count. Remove the marker before you write the file anew.",
        default=None,
        pattern=r"^[^/\x00]+$",
        hint="write one file name without /",
        examples=("_SUCCESS", "{name}.done"),
    )
    min_size: int = field("Files of fewer bytes do not count.", default=0, minimum=0, examples=(1,))
    include: tuple[str, ...] = field(
        "Only file names that match one of these globs count; one with a / is matched with the "
        "whole path below the directory.",
        default=(),
        unique=True,
        examples=(["*.csv"],),
    )
    ignore: tuple[str, ...] = field(
        "File names that match one of these globs, as in include, never count.",
        default=(".*", "*.tmp", "*.part"),
        unique=True,
        examples=(["*.bak"],),
    )

    def __post_init__(self) -> None:
        """Bring the path into its one spelling and refuse what contradicts itself."""
        parts = [part for part in self.path_on_datastore.split("/") if part not in {"", "."}]
        faults: list[Fault] = []
        if ".." in parts:
            text = "path_on_datastore must stay inside the datastore; remove the '..'"
            faults.append((("path_on_datastore",), text))
        if "\0" in self.path_on_datastore:
            text = "path_on_datastore has a NUL, which no file's name has; remove it"
            faults.append((("path_on_datastore",), text))
        faults += self._file_faults()
        faults += _marker_faults(self.done_marker)
        if faults:
            raise InvalidValue(faults)
        object.__setattr__(self, "path_on_datastore", "/".join(parts))
        object.__setattr__(self, "polling_interval", float(self.polling_interval))
        changes = tuple(change for change in FileChange if change in self.changes)
        object.__setattr__(self, "changes", changes)

    def _file_faults(self) -> Iterator[Fault]:
        if self.file is None:
            return
        if self.file in {".", ".."}:
            yield ("file",), f"file: '{self.file}' is no file; write its name"
        for name in ("recursive", "include", "done_marker"):
            if getattr(self, name):
                yield (
                    (name,),
                    f"{name} says nothing where one file is watched; remove {name} or file",
                )

    @property
    def watched(self) -> Watched:
        """What is looked at: shared with every schedule that names the same."""
        path, depth = self.path_on_datastore, Depth.DIRECTORY
        if self.file is not None:
            path, depth = f"{path}/{self.file}".removeprefix("/"), Depth.FILE
        elif self.recursive:
            depth = Depth.TREE
        return Watched(
            datastore=self.datastore, path=path, depth=depth, done_marker=self.done_marker or ""
        )


def _marker_faults(marker: str | None) -> Iterator[Fault]:
    if marker in {".", ".."}:
        yield ("done_marker",), f"done_marker: '{marker}' is no file; write its name"
    elif marker == "{name}":
        text = "done_marker: {name} makes every file its own marker; write for example {name}.done"
        yield ("done_marker",), text
    elif marker is not None and marker.count("{name}") > 1:
        yield ("done_marker",), "done_marker has {name} twice; remove one"


# What each kind of store can be told, by the names that its own tools use.
CREDENTIALS: Mapping[str, tuple[str, ...]] = {
    "az": ("account_key", "sas_token", "client_id", "client_secret", "tenant_id"),
    "s3": ("access_key_id", "secret_access_key", "session_token"),
    "gs": ("service_account_key",),
}
# Where the first is given, so must be the others.
_TOGETHER: Mapping[str, tuple[str, ...]] = {
    "client_secret": ("client_id", "tenant_id"),
    "tenant_id": ("client_id",),
    "access_key_id": ("secret_access_key",),
    "secret_access_key": ("access_key_id",),
    "session_token": ("access_key_id", "secret_access_key"),
}
# Of these one is enough, and of two nobody could say which holds.
_ALONE = ("account_key", "sas_token", "client_id")
_REFERENCE = re.compile(r"\$\{\{\s*secret\.([a-zA-Z_][a-zA-Z0-9_]*)\s*\}\}")


def _reachable(endpoint: str) -> bool:
    try:
        place = urlsplit(endpoint)
        return bool(place.hostname) and place.port != 0
    except ValueError:  # of brackets, or a port that is none
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Datastore:
    """A named place files live.

    ``url`` and ``endpoint`` keep no credentials. Without ``credentials`` a store is opened with
    what the machine has: environment variables, a managed identity or an instance profile.

    Raises:
        InvalidValue: what is said does not fit the kind of store, or a credential is written out.
    """

    KIND: ClassVar[str] = "Datastore"

    name: str = field(
        "Unique in the workspace.",
        pattern=NAME_PATTERN,
        hint="start with a letter or digit, then letters, digits, - and _",
        examples=("landing",),
    )
    description: str = field("What lies there, for people.", default="")
    url: str = field(
        "Where the files are: file:///absolute/path, file:relative/path (counted from the "
        "project's folder), az://container/prefix, s3://bucket/prefix or gs://bucket/prefix.",
        pattern=r"^(file:(?!//(?!localhost/)[^/])|(az|s3|gs)://[^/@?#\s]+(/[^?#\x00-\x1f]*)?(?![\s\S]))",
        hint="write file:///absolute/path, file:relative/path, az://container/prefix, "
        "s3://bucket/prefix or gs://bucket/prefix, without credentials",
        hushed=True,
        examples=("file:///data/landing", "az://incoming/orders"),
    )
    account: str | None = field(
        "The Azure storage account that has the container, also with hierarchical namespaces "
        "(ADLS Gen2).",
        default=None,
        pattern=r"^[a-z0-9]{3,24}$",
        hint="3 to 24 lower case letters and digits",
        examples=("contosodata",),
    )
    endpoint: str | None = field(
        "The address of a store that is not the provider's own, such as one compatible with S3.",
        default=None,
        pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$",
        hint="write for example https://minio.example.com:9000, without credentials",
        hushed=True,
        examples=("https://minio.example.com:9000",),
    )
    region: str | None = field(
        "The region of an S3 bucket.",
        default=None,
        pattern=r"^[a-z0-9-]+$",
        hint="write for example eu-central-1",
        examples=("eu-central-1",),
    )
    anonymous: bool = field("Whether it is read without any credentials.", default=False)
    credentials: Mapping[str, str] = field(
        "What opens it, each a reference to a secret that the runner's configuration knows: "
        + "; ".join(
            f"{scheme}:// takes {', '.join(names)}" for scheme, names in CREDENTIALS.items()
        )
        + ".",
        default_factory=dict,
        examples=({"account_key": "${{ secret.LANDING_KEY }}"},),
        hushed=True,
    )
    tags: Mapping[str, str] = field("Labels for people and tools.", default_factory=dict)

    @property
    def scheme(self) -> str:
        """The kind of store: ``file``, ``az``, ``s3`` or ``gs``."""
        return self.url.partition(":")[0]

    @property
    def place(self) -> tuple[str | None, ...]:
        """What makes it this place: where one of these differs, its files are other files."""
        return self.url, self.account, self.endpoint

    @property
    def secrets(self) -> Mapping[str, str]:
        """The secrets that it refers to, by what each of them is."""
        found = ((name, _REFERENCE.fullmatch(text)) for name, text in self.credentials.items())
        return {name: match[1] for name, match in found if match is not None}

    def __post_init__(self) -> None:
        """Bring the address into its one spelling and refuse what does not fit the store."""
        if faults := tuple(self._faults()):
            raise InvalidValue(faults)
        if self.scheme != "file":
            object.__setattr__(self, "url", self.url.rstrip("/"))
        if self.endpoint is not None:
            object.__setattr__(self, "endpoint", self.endpoint.rstrip("/"))

    def _faults(self) -> Iterator[Fault]:
        scheme = self.scheme
        fitting = {"account": ("az",), "region": ("s3",), "endpoint": tuple(CREDENTIALS)}
        for name, schemes in fitting.items():
            if getattr(self, name) is not None and scheme not in schemes:
                yield (name,), f"{name} says nothing about a store at {scheme}:; remove it"
        if scheme == "az" and self.account is None:
            yield (), "az:// needs account: the name of the storage account"
        if self.endpoint is not None and not _reachable(self.endpoint):
            yield ("endpoint",), "endpoint has no host, or a port beyond 65535; correct it"
        if self.anonymous and scheme not in CREDENTIALS:
            yield ("anonymous",), "anonymous says nothing about a folder; remove it"
        elif self.anonymous and self.credentials:
            yield ("anonymous",), "anonymous and credentials contradict each other; remove one"
        yield from self._credential_faults(CREDENTIALS.get(scheme, ()))

    def _credential_faults(self, known: tuple[str, ...]) -> Iterator[Fault]:
        for name, text in self.credentials.items():
            here = ("credentials", name)
            if name not in known:
                takes = f"it takes {', '.join(known)}" if known else "a folder takes none"
                yield here, f"{name} opens no store at {self.scheme}:; {takes}"
            elif _REFERENCE.fullmatch(text) is None:
                # The text may be the secret itself, so it is not shown.
                way = "the runner's configuration says where that is"
                yield here, f"{name} must be a reference, ${{{{ secret.NAME }}}}; {way}"
            elif missing := [it for it in _TOGETHER.get(name, ()) if it not in self.credentials]:
                yield here, f"{name} needs {' and '.join(missing)} too"
        if len(several := [name for name in _ALONE if name in self.credentials]) > 1:
            yield ("credentials",), f"{' and '.join(several)} contradict each other; keep one"
