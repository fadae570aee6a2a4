"""What counts as content of a folder, how it is read, and the digest that names it.

A digest is of the bytes and the executable bit alone, so the same files give the same digest
whether or not Git knows them.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from typing import TYPE_CHECKING

from reconciler.errors import SourceError
from reconciler.live import CodeTree

if TYPE_CHECKING:
    from collections.abc import Iterable

LIMIT = 64 * 1024 * 1024
PLAIN, EXECUTABLE = 0o100644, 0o100755

# What tools and editors leave behind; a step never needs it, and it changes without an edit.
_DROPPING = re.compile(
    r"(?:^|/)(?:\.git|\.hg|\.svn|\.idea|\.vscode|\.reconciler|__pycache__|\.\w+_cache"
    r"|\.ipynb_checkpoints|\.DS_Store|Thumbs\.db|[^/]*\.py[co]|[^/]*~|\.#[^/]*|#[^/]*#"
    r"|\.[^/]*\.sw[a-p])(?:/|$)"
)
_LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\n"


def dropping(path: str) -> bool:
    """Tell whether a name within ``path`` is one that tools and editors leave behind."""
    return _DROPPING.search(path) is not None


def code_tree(entries: Iterable[tuple[str, int, bytes]]) -> CodeTree:
    """Make a snapshot of (path with /, mode 0o100644 or 0o100755, content) entries."""
    ordered = tuple(sorted(entries))
    return CodeTree(digest=digest(ordered), entries=ordered)


def digest(entries: Iterable[tuple[str, int, bytes]]) -> str:
    """Compute the SHA-256 over the sorted lines ``<mode> <path>NUL<SHA-256 of content>``, in hex.

    A path may hold a newline but no NUL, so no two different trees have the same lines.
    """
    lines = sorted(
        b"%o %b\0%b\n" % (mode, path.encode(), hashlib.sha256(content).hexdigest().encode())
        for path, mode, content in entries
    )
    return hashlib.sha256(b"".join(lines)).hexdigest()


def read(folder: str, path: str, limit: int) -> tuple[int, bytes]:
    """Read the regular file ``path`` below ``folder``: its mode as Git writes it, and its bytes.

    Raises:
        SourceError: it cannot be read, is not a regular file, is longer than ``limit`` bytes, or
            only stands for a file that Git LFS keeps elsewhere.
    """
    mode, size, content = load(folder, path, limit)
    check(path, content, size, limit)
    return mode, content


def load(folder: str, path: str, limit: int) -> tuple[int, int, bytes]:
    """Read a regular file whatever it holds: its mode, its size, and its bytes up to the limit.

    Raises:
        SourceError: it cannot be read or is not a regular file.
    """
    try:
        # O_NONBLOCK so that a file replaced by a pipe since it was listed is refused, not awaited.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(f"{folder}/{path}", flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SourceError(f"{path!r} is not a regular file")
            content = b"" if status.st_size > limit else file.read(limit + 1)
    except OSError as error:
        raise SourceError(f"{path!r} cannot be read: {error.strerror}") from None
    mode = EXECUTABLE if status.st_mode & stat.S_IXUSR else PLAIN
    return mode, max(status.st_size, len(content)), content


def check(path: str, content: bytes, size: int, limit: int) -> None:
    """Refuse content that nobody should take for the file.

    Raises:
        SourceError: it is longer than ``limit`` bytes, or only stands for a file that Git LFS keeps
            elsewhere.
    """
    if size > limit:
        raise SourceError(
            f"more than {LIMIT >> 20} MiB, reached at {path!r}; keep data in a datastore"
        )
    if content.startswith(_LFS_POINTER):
        text = f"{path!r} is kept by Git LFS, so its content is not here"
        raise SourceError(f"{text}; commit the file itself, or keep it in a datastore")
