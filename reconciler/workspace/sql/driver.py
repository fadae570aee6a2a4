"""What the statements ask of a driver: that of ``sqlite3``, and one on ``psycopg`` that is alike.

A statement is one text for both: ``?`` and ``:name`` stand for parameters, and
``json_each(:list)`` opens a list of texts that is one parameter, as rows with a ``value``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Rows(Protocol):
    """What a statement gave; ``rowcount`` is how many rows it wrote, all executions together."""

    @property
    def rowcount(self) -> int: ...  # noqa: D102  (told above)

    def fetchone(self) -> Any: ...  # noqa: ANN401, D102  (a row, or None where there is no more)

    def __iter__(self) -> Iterator[Any]: ...


class Driver(Protocol):
    """A connection that is lent for the time of a transaction."""

    def execute(self, statement: str, parameters: Any = ..., /) -> Rows:  # noqa: ANN401  (a sequence or a mapping)
        """Run a statement once."""
        ...

    def executemany(self, statement: str, parameters: Iterable[Any], /) -> Rows:
        """Run a statement for each set of parameters."""
        ...
