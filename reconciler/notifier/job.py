"""What a job tells whoever runs it: its summary, its outputs, and text that is only text.

The forms are those of GitHub's "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.errors import ForgeError
from reconciler.notifier.environment import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.notifier.environment import Ci

# GitHub takes a mebibyte of summary from each step; a character may be four bytes.
SUMMARY_LIMIT = 250_000


def fenced(ci: Ci, text: str, word: str) -> str:
    """Write a text that may hold somebody else's words to a job's log.

    GitHub obeys lines that begin with ``::`` and words like ``##[error]`` anywhere, unless they
    stand between a command with ``word`` and another; ``word`` must be one that nobody can guess.
    """
    if ci.kind is not Kind.GITHUB:
        return text
    return f"::stop-commands::{word}\n{text.rstrip()}\n::{word}::\n"


def summarize(ci: Ci, markdown: str) -> None:
    """Add markdown to the summary of the job, where it has one.

    Raises:
        ForgeError: the file cannot be written.
    """
    _append(ci.summary, f"{markdown.rstrip()}\n\n")


def set_outputs(ci: Ci, outputs: Mapping[str, str | int | bool | None]) -> None:
    """Tell later steps of the job what there is to know, where it has outputs.

    Raises:
        ForgeError: the file cannot be written.
    """
    _append(ci.outputs, "".join(f"{name}={_output(value)}\n" for name, value in outputs.items()))


def _output(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    # A line break would begin another output.
    return "" if value is None else str(value).replace("\r", " ").replace("\n", " ")


def _append(file: str | None, text: str) -> None:
    if file is None:
        return
    try:
        with Path(file).open("a", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise ForgeError(f"cannot write {file}: {error.strerror}") from None
