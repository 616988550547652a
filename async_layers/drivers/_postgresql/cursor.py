"""A cursor on asyncpg whose parameters have the types that psycopg would give them."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from async_layers.drivers._postgresql import errors, shape
from async_layers.drivers._postgresql.codecs import has_lost_zone
from async_layers.drivers._postgresql.kinds import is_mixed, kind_of_value
from async_layers.drivers._postgresql.plan import first_casts
from async_layers.drivers._postgresql.rows import RowsCursor
from async_layers.drivers._postgresql.untyped import asyncpg

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from async_layers.drivers._postgresql.plan import Plan
    from async_layers.drivers._postgresql.rows import Row

# Statements that return no rows: the simple protocol takes them in one round trip.
_SIMPLE = frozenset(
    """
    ABORT ALTER ANALYZE BEGIN CHECKPOINT CLOSE CLUSTER COMMENT COMMIT COPY CREATE
    DEALLOCATE DISCARD DO DROP END GRANT IMPORT LISTEN LOAD LOCK MOVE NOTIFY PREPARE
    REASSIGN REFRESH REINDEX RELEASE RESET REVOKE ROLLBACK SAVEPOINT SECURITY SET START
    TRUNCATE UNLISTEN VACUUM
    """.split()  # noqa: SIM905 - read as words
)


class PostgreSQLCursor(RowsCursor):
    """A cursor that executes a statement with values of psycopg's types."""

    __slots__ = ()

    def execute(self, operation: str, parameters: Any = None) -> None:
        """Execute a statement."""
        self._adapt_connection.run(self._execute, operation, parameters or ())

    async def _execute(self, operation: str, parameters: Row) -> None:
        self.require_lent()
        adapter = self._adapt_connection
        first = not adapter.in_transaction()
        if first:
            await adapter.begin()
        if not parameters and _is_simple(operation):
            status = await adapter.command(operation)
            self._description, self._rowcount = None, _rowcount(status.encode())
            return
        try:
            await self._execute_prepared(operation, parameters)
        except asyncpg.InternalServerError as error:
            # Nothing went before that would be lost.
            if not (first and "cache lookup failed" in str(error)):
                raise
            await adapter.begin_anew()
            await self._execute_prepared(operation, parameters)

    async def _execute_prepared(self, operation: str, parameters: Row) -> None:
        plan, parameters = await self._typed(operation, parameters)
        adapter = self._adapt_connection
        try:
            rows, status, doubtful = await adapter.fetch(plan, parameters)
        except (asyncpg.DataError, asyncpg.InterfaceError) as error:
            # Refused here and not by the server: it was not sent.
            plan, parameters = await self._retyped(error, operation, plan, parameters)
            rows, status, doubtful = await adapter.fetch(plan, parameters)
        self._rows, self._position = rows, 0
        self._description = plan.description
        if plan.description is None:
            self._rowcount = _rowcount(status)
        else:
            self._rowcount = len(rows)
            self._finite = plan.infinite(rows) if doubtful else None

    async def _typed(self, operation: str, parameters: Row) -> tuple[Plan, Row]:
        """Return the statement whose parameters have the types of the values."""
        if not parameters:
            return await self._plan(operation), parameters
        types = first_casts(shape.untyped(operation), parameters)
        text, asof = cast_text(operation, types), self._invalidate_schema_cache_asof
        adapter = self._adapt_connection
        # As `_plan`, without a coroutine: most statements are known.
        plan = adapter.known(text, asof) or await adapter.plan(text, asof)
        wrong = plan.wrong(parameters)
        if not wrong:
            return plan, parameters
        return await self._recast(operation, types, plan, wrong, parameters)

    async def _retyped(
        self, error: Exception, operation: str, plan: Plan, parameters: Row
    ) -> tuple[Plan, Row]:
        """Return the statement for values that asyncpg refused."""
        if not errors.is_unsent(error):
            raise error
        wrong = plan.refused(parameters)
        if not wrong:
            raise errors.refused(str(error), "ProgrammingError", error) from error
        types = first_casts(shape.untyped(operation), parameters)
        return await self._recast(operation, types, plan, wrong, parameters)

    async def _recast(
        self,
        operation: str,
        types: dict[int, str],
        plan: Plan,
        wrong: list[int],
        parameters: Row,
    ) -> tuple[Plan, Row]:
        refuse(parameters, wrong)
        casts, sent = plan.casts(wrong, parameters)
        return await self._plan(cast_text(operation, types | casts)), sent

    async def _plan(self, text: str) -> Plan:
        adapter, asof = self._adapt_connection, self._invalidate_schema_cache_asof
        return adapter.known(text, asof) or await adapter.plan(text, asof)


def refuse(parameters: Row, indexes: Iterable[int]) -> None:
    """Refuse a value that has no type, or no meaning, as psycopg does."""
    for index in indexes:
        value = parameters[index]
        name, seen = "DataError", ""
        if is_mixed(value):
            seen = "a list of values of several types; make them of one"
        elif isinstance(value, dt.time) and has_lost_zone(value):
            seen = "a zone whose offset needs a date; write a datetime.timezone"
        elif kind_of_value(value) is None:
            name = "ProgrammingError"
            kind = type(value).__name__
            seen = f"{kind}, which has no type in SQL; bind it with a type, or as text"
        if seen:
            raise errors.refused(
                f"Parameter {index + 1} is refused: seen {seen}.", name
            )


@lru_cache(512)
def _is_simple(text: str) -> bool:
    """Say whether a text without parameters returns no rows, or is several."""
    first = shape.first_word(text)
    if shape.copies(text):
        # asyncpg would wait for ever, and psycopg's connection is lost with it.
        raise errors.refused(
            "COPY is refused: seen STDIN or STDOUT, which is a stream of the driver's; "
            "write copy_records_to_table(), copy_to_table() or copy_from_query() of "
            "the driver's connection, or insert_rows().",
            "ProgrammingError",
        )
    if first in _SIMPLE:
        return True
    return ";" in text and len(shape.shape_of(text).heads) > 1


def cast_text(text: str, types: Mapping[int, str]) -> str:
    """Return a text with its parameters cast, as the same text each time."""
    return _cast_again(text, tuple(types.items())) if types else text


@lru_cache(512)
def _cast_again(text: str, types: tuple[tuple[int, str], ...]) -> str:
    return shape.cast(text, dict(types))


def _rowcount(status: bytes) -> int:
    """Return the number that ends the tag of a command: UPDATE 2."""
    number = status.rpartition(b" ")[2] if status else b""
    return int(number) if number.isdigit() else -1
