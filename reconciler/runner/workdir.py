"""A run's working directory: a private copy of its pipeline's code, shared by the run's steps."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import ExecutorError

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.live import CodeTree

# Where the files that a run is made for are listed, where they are several.
LIST = "files.jsonl"


class Workdirs:
    """Makes working directories below ``root`` and keeps one unpacked copy of each code digest."""

    def __init__(self, root: str, code: Callable[[str], CodeTree]) -> None:
        self._root = Path(root)
        self._code = code

    def prepare(
        self, run_id: str, code_digest: str | None, files: Callable[[], bytes] | None = None
    ) -> str:
        """Give the run's working directory, made on first use; a second call finds it again.

        What ``files`` gives is in it as ``LIST``.

        Raises:
            ExecutorError: the code has a file of that name.
            OSError: the disk refuses.
        """
        work = self._root / "work" / run_id

        def fill(folder: Path) -> None:
            if code_digest is not None:
                shutil.copytree(self._unpacked(code_digest), folder, dirs_exist_ok=True)
            if files is not None:
                place = folder / LIST
                if place.exists():
                    text = (
                        f"the pipeline's code has a file {LIST}, where the run's files are listed"
                    )
                    raise ExecutorError(f"{text}; rename it")
                place.write_bytes(files())

        if not work.is_dir():
            if code_digest is None and files is None:
                work.mkdir(parents=True, exist_ok=True)
            else:
                _build(work, fill)
        return str(work)

    def _unpacked(self, digest: str) -> Path:
        cached = self._root / "code" / digest
        if not cached.is_dir():
            tree = self._code(digest)
            _build(cached, lambda folder: _unpack(tree, folder))
        return cached


def _build(place: Path, fill: Callable[[Path], object]) -> None:
    """Fill a folder beside ``place`` and rename it there: a crash leaves no half-made one.

    What a crash does leave is in the way of the next try, and is taken away by it.
    """
    folder = place.with_name(f".new-{place.name}")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        fill(folder)
        folder.rename(place)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _unpack(tree: CodeTree, folder: Path) -> None:
    for path, mode, content in tree.entries:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())  # or a power cut could leave a cached copy of empty files
        file.chmod(0o755 if mode & 0o111 else 0o644)
