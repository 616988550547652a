"""The rows of a statement as they came, and who may still have them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_cursor

from async_layers.drivers._postgresql import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from async_layers.drivers._postgresql.adapter import AsyncAdaptPostgreSQLConnection

    Row: TypeAlias = Sequence[object]

INFINITE = (
    "A row is refused: seen an infinite date or time, which no datetime of Python is; "
    "read it as text, with cast(column, String)."
)


class RowsCursor(AsyncAdapt_asyncpg_cursor):
    """A cursor that has fetched all rows when a statement is done.

    `lent` is what the pool lent to its user, who may have given it back.
    """

    __slots__ = ("_finite", "_position", "lent")

    _adapt_connection: AsyncAdaptPostgreSQLConnection  # pyright: ignore[reportIncompatibleVariableOverride]
    _description: Any
    _rows: list[Any]  # type: ignore[assignment]

    def __init__(self, adapt_connection: AsyncAdaptPostgreSQLConnection) -> None:
        super().__init__(adapt_connection)
        self._rows = []
        self._position = 0
        self._finite: int | None = None
        self.lent: object = None

    def require_lent(self) -> None:
        """Refuse to work where the connection went back while this waited its turn."""
        if is_back(self.lent):
            raise errors.refused(
                "A statement is refused: seen a connection that another task has "
                "closed meanwhile; use a connection for each task.",
                "InterfaceError",
            )

    def fetchone(self) -> Any:
        """Return the next row, None after the last."""
        rows = self._next(1)
        return rows[0] if rows else None

    def fetchmany(self, size: int | None = None) -> Sequence[Any]:
        """Return the next rows."""
        return self._next(self._arraysize if size is None else size)

    def fetchall(self) -> Sequence[Any]:
        """Return all rows that are left."""
        if self._position == 0 and self._finite is None:
            # Without a copy; `close()` has to leave them alone.
            rows, self._rows = self._rows, []
            return rows
        return self._next(len(self._rows))

    def __iter__(self) -> Iterator[Any]:
        """Go through the rows that are left."""
        while (row := self.fetchone()) is not None:
            yield row

    def close(self) -> None:
        """Let go of the rows."""
        self._rows = []

    def _next(self, size: int) -> list[Any]:
        """Return the next rows; refuse one to which asyncpg has given another value."""
        begin, end = self._position, self._position + size
        if self._finite is not None and end > self._finite:
            raise errors.refused(INFINITE, "DataError")
        self._position = end
        return self._rows[begin:end]


def is_back(lent: Any) -> bool:
    """Say whether the pool has back what it lent; None: it lent nothing."""
    return lent is not None and lent.dbapi_connection is None
