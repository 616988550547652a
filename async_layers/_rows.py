"""Prepare rows for the fastest load that a driver has; no I/O."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar, cast

from sqlalchemy import Table, bindparam, exc
from sqlalchemy.exc import ArgumentError, DBAPIError

from async_layers._replicas import is_demoted
from async_layers.drivers._postgresql.sqlstate import general_class_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy import Column, Connection, Dialect
    from sqlalchemy.ext.asyncio import AsyncConnection
    from sqlalchemy.sql import FromClause

T = TypeVar("T")

# The server has ended the session, or is about to.
_LOST = ("08", "57P0")


class Asyncpg(Protocol):
    """What is used of asyncpg's connection, which has no types of its own."""

    def is_in_transaction(self) -> bool: ...

    def transaction(self) -> AbstractAsyncContextManager[None]: ...

    async def prepare(self, query: str) -> Any: ...  # noqa: ANN401 - untyped

    async def copy_to_table(
        self,
        table_name: str,
        *,
        source: AsyncIterator[bytes],
        columns: list[str],
        schema_name: str | None,
    ) -> str: ...

    async def copy_records_to_table(
        self,
        table_name: str,
        *,
        records: AsyncIterator[tuple[object, ...]],
        columns: list[str],
        schema_name: str | None,
    ) -> str: ...


class Adapted(Protocol):
    """What is used of SQLAlchemy's adapter of it, which has no types either."""

    autocommit: bool
    driver_connection: Asyncpg
    _execute_mutex: AbstractAsyncContextManager[None]


class Pooled(Protocol):
    """What the pool lends; it has no connection when it was given back."""

    dbapi_connection: Adapted | None


class Copy:
    """The rows of one COPY: its statement, its columns, its values as sent."""

    def __init__(self, dialect: Dialect, table: Table, keys: tuple[str, ...]) -> None:
        columns = [table.c[key] for key in keys]
        quote = dialect.identifier_preparer
        self.columns = [column.name for column in columns]
        self.table = table.name
        self.schema = table.schema
        name, names = (
            quote.format_table(table),
            ", ".join(map(quote.format_column, columns)),
        )
        self.statement = f"COPY {name} ({names}) FROM STDIN"
        self.columns_asked = f"SELECT {names} FROM {name} LIMIT 0"  # noqa: S608
        self._keys = keys
        self._processors = [_processor(column, dialect) for column in columns]

    def values(
        self, rows: Iterable[Mapping[str, object]]
    ) -> Iterator[tuple[object, ...]]:
        """Yield each row's values, in the order of the columns, as the driver's."""
        for row in rows:
            yield tuple(
                process(row[key]) if process else row[key]
                for key, process in zip(self._keys, self._processors, strict=True)
            )


def _processor(
    column: Column[object], dialect: Dialect
) -> Callable[[object], object] | None:
    return column.type.dialect_impl(dialect).bind_processor(dialect)


def require_table(table: FromClause, batch: int) -> Table:
    """Return a table, which a mapped class's `__table__` need not be."""
    if not isinstance(table, Table):
        raise ArgumentError(
            f"insert_rows is refused: seen {type(table).__name__} {table!s}; "
            "write a Table, such as the __table__ of a mapped class."
        )
    if batch < 1:
        raise ArgumentError(
            f"batch is refused: seen {batch}; write a number of rows above 0."
        )
    return cast("Table", table)


def same_columns(
    rows: Iterable[Mapping[str, object]], first: Mapping[str, object]
) -> Iterator[Mapping[str, object]]:
    """Yield the rows; refuse one with other columns than the first, with its number."""
    columns = first.keys()
    for number, row in enumerate(rows, 1):
        if row.keys() != columns:
            raise ArgumentError(
                f"Row {number} is refused: seen the columns {sorted(row)}; "
                f"write those of the first row, {sorted(columns)}."
            )
        yield row


def plan_copy(
    connection: Connection | AsyncConnection, table: Table, first: Mapping[str, object]
) -> Copy | None:
    """Return how to COPY rows like the first one; None where INSERT is right."""
    unknown = first.keys() - {column.key for column in table.columns}
    if unknown:
        raise ArgumentError(
            f"Row 1 is refused: seen {sorted(unknown)}, which {table.name!r} does "
            f"not have; write some of {sorted(table.c.keys())}."
        )
    dialect = connection.dialect
    if not first or dialect.driver not in {"psycopg", "asyncpg"}:
        return None
    sync = cast("Connection", getattr(connection, "sync_connection", connection))
    translated = "schema_translate_map" in sync.get_execution_options()
    if translated or any(_needs_insert(c, dialect, first) for c in table.columns):
        return None
    return Copy(dialect, table, tuple(first))


def _needs_insert(
    column: Column[object], dialect: Dialect, first: Mapping[str, object]
) -> bool:
    """Say whether SQLAlchemy, or an INSERT, does more for a column than COPY does."""
    if column.key not in first:
        return column.default is not None
    always = column.identity is not None and column.identity.always
    expression = column.type.dialect_impl(dialect).bind_expression(bindparam(None))
    return bool(always) or expression is not None


def batches(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of `size` rows, the last one shorter."""
    remaining = iter(rows)
    while some := list(islice(remaining, size)):
        yield some


def is_left_in_copy(
    connection: Connection | AsyncConnection, error: BaseException
) -> bool:
    """Say whether a connection may still be in the middle of its COPY, or is lost.

    A cancellation and a Ctrl-C do not wait for the server's answer.
    """
    sqlstate = str(getattr(error, "sqlstate", None) or "")
    # asyncpg's own confusion, such as where the backend ends while rows are sent.
    confused = "InternalClientError" in {base.__name__ for base in type(error).__mro__}
    if not isinstance(error, Exception) or confused or sqlstate.startswith(_LOST):
        return True
    sync = cast("Connection", getattr(connection, "sync_connection", connection))
    if is_demoted(sync, error):
        return True
    driver = sync.connection.driver_connection
    closed = getattr(driver, "is_closed", None)
    return bool(closed() if closed else getattr(driver, "closed", False))


def raise_as_sqlalchemy(statement: str, error: BaseException) -> NoReturn:
    """Raise a driver's error as SQLAlchemy's class, and any other as it is.

    The class is that of the SQLSTATE; without one that of PEP 249 which the
    driver's own class is derived from.
    """
    class_ = _class_of(error)
    if class_ is None:
        raise error
    raise class_(statement, None, error) from error


def _class_of(error: BaseException) -> type[DBAPIError] | None:
    sqlstate = cast("str | None", getattr(error, "sqlstate", None))
    if sqlstate is not None:
        return cast("type[DBAPIError]", getattr(exc, general_class_of(sqlstate)))
    for base in type(error).__mro__:
        if base.__module__.partition(".")[0] in {"psycopg", "asyncpg"}:
            return cast("type[DBAPIError]", getattr(exc, base.__name__, DBAPIError))
    return None
