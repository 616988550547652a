"""A cursor on asyncpg that fetches rows as they are asked for."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from sqlalchemy.util.concurrency import in_greenlet

from async_layers.drivers._postgresql import errors, shape
from async_layers.drivers._postgresql.cursor import PostgreSQLCursor
from async_layers.drivers._postgresql.rows import INFINITE, is_back
from async_layers.drivers._postgresql.untyped import Cursor, asyncpg

if TYPE_CHECKING:
    from collections.abc import Sequence

    from async_layers.drivers._postgresql.adapter import AsyncAdaptPostgreSQLConnection
    from async_layers.drivers._postgresql.plan import Plan

_FEWEST = 50  # rows that a round trip brings, as SQLAlchemy's adapter has it
_ALL = 1000  # rows a round trip when all are asked for

# What DECLARE CURSOR takes; WITH only if nothing in it writes.
_DECLARED = frozenset({"SELECT", "VALUES", "TABLE", "("})
_WRITES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)


class PostgreSQLStreamCursor(PostgreSQLCursor):
    """A cursor whose rows stay with the server until they are fetched.

    The first rows come with the portal, in one round trip, which pays for the one
    that closes it. An error of the first rows is kept until they are fetched.
    """

    __slots__ = ("_error", "_plan_of_rows", "first")

    server_side = True
    _cursor: Any

    def __init__(self, adapt_connection: AsyncAdaptPostgreSQLConnection) -> None:
        super().__init__(adapt_connection)
        self._plan_of_rows: Plan | None = None
        self.first = _FEWEST
        self._error: Exception | None = None

    async def _execute(self, operation: str, parameters: Sequence[object]) -> None:
        self.require_lent()
        adapter = self._adapt_connection
        await adapter.begin()
        if not adapter.in_transaction():
            # As psycopg's: PostgreSQL says that it has no cursor in autocommit.
            await adapter.driver.execute("DECLARE c CURSOR FOR SELECT 1")
        if not _is_declared(operation):
            # As psycopg's: PostgreSQL says why there is no cursor for it.
            await adapter.driver.prepare(f"DECLARE c CURSOR FOR {operation}")
        plan, values = await self._typed(operation, parameters)
        try:
            await self._open(plan, values)
        except (asyncpg.DataError, asyncpg.InterfaceError) as error:
            await self._open(*await self._retyped(error, operation, plan, values))

    async def _open(self, plan: Plan, values: Sequence[object]) -> None:
        """Open a portal and fetch its first rows."""
        # What Cursor does in two round trips by its public names.
        cursor = Cursor(
            self._adapt_connection.driver,
            plan.statement.get_query(),
            plan.statement._state,  # noqa: SLF001 - no public name
            values,
            None,
        )
        self._description = plan.description
        try:
            rows = await cursor._bind_exec(self.first, None)  # noqa: SLF001 - the same
        except asyncpg.PostgresError as error:
            if error.severity is None:
                raise
            self._error = error
            return
        self._cursor, self._plan_of_rows = cursor, plan
        self._rows, self._position = self._checked(rows), 0

    async def _fetch(self, rows: int) -> list[Any]:
        if self._error is not None:
            raise self._error
        if is_back(self.lent) or not self._adapt_connection.in_transaction():
            # What PostgreSQL would say; another may have the connection by now.
            raise asyncpg.InvalidCursorNameError("the rows ended with the transaction")
        return self._checked(await self._cursor.fetch(rows))

    def _checked(self, rows: list[Any]) -> list[Any]:
        plan = self._plan_of_rows
        if plan is not None and plan.temporal and plan.infinite(rows) is not None:
            self._error = errors.refused(INFINITE, "DataError")
            return rows[: plan.infinite(rows)]
        return rows

    def _next(self, size: int) -> list[Any]:
        """Return the next rows, from here and from the server."""
        rows = super()._next(size)
        lack = size - len(rows)
        if lack > 0 and (self._error is not None or self._cursor is not None):
            self._rows = self._adapt_connection.run(self._fetch, max(lack, _FEWEST))
            self._position = 0
            rows += super()._next(lack)
        return rows

    def fetchall(self) -> Sequence[Any]:
        """Return all rows that are left."""
        rows = list[Any]()
        while batch := self._next(_ALL):
            rows += batch
        return rows

    def close(self) -> None:
        """Close the portal, which would keep the table from being altered."""
        cursor, self._cursor = self._cursor, None
        self._rows = []
        adapter = self._adapt_connection
        if cursor is not None and in_greenlet() and adapter.in_transaction():
            adapter.run(self._close_portal, cursor)

    async def _close_portal(self, cursor: Any) -> None:
        adapter = self._adapt_connection
        here = adapter.in_transaction() and not is_back(self.lent)
        if here and not adapter.driver.is_closed():
            await cursor._close_portal(None)  # noqa: SLF001 - no public name


def _is_declared(text: str) -> bool:
    """Say whether DECLARE CURSOR would take a statement; if in doubt, it is asked."""
    first = shape.first_word(text)
    if first == "WITH":
        return _WRITES.search(text) is None
    return first in _DECLARED
