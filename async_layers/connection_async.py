"""Layer 2: a connection, its transaction, its savepoints, its streams."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING, TypeVarTuple, cast

from sqlalchemy import insert

from async_layers._finish import finish
from async_layers._rows import (
    batches,
    is_left_in_copy,
    plan_copy,
    raise_as_sqlalchemy,
    require_table,
    same_columns,
)
from async_layers._transactions import plan_transaction, refuse_autocommit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    import psycopg
    from sqlalchemy import Row
    from sqlalchemy.engine.interfaces import IsolationLevel
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction
    from sqlalchemy.sql import FromClause
    from sqlalchemy.sql.selectable import TypedReturnsRows

    from async_layers._rows import Asyncpg, Copy

Ts = TypeVarTuple("Ts")


@asynccontextmanager
async def async_transaction(
    engine: AsyncEngine,
    *,
    isolation_level: IsolationLevel | None = None,
    read_only: bool = False,
    write: bool = False,
) -> AsyncIterator[AsyncConnection]:
    """Lend a connection for the length of one transaction.

    Leaving the block commits; an exception rolls back and travels on.

    `isolation_level` holds for this transaction alone. With `read_only` the
    database refuses to write. With `write` SQLite takes its write lock with
    the first statement, so that it never fails on the way from reading to
    writing (SQLITE_BUSY_SNAPSHOT); other databases lock as they write.
    """
    plan = plan_transaction(engine, isolation_level, read_only=read_only, write=write)
    async with engine.connect() as connection:
        if plan.options:
            await finish(connection.execution_options(**plan.options))
        async with connection.begin():
            if plan.first is not None:
                await connection.execute(plan.first)
            yield connection


@asynccontextmanager
async def async_read(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Lend a connection in autocommit, for reading.

    Each statement is a transaction of its own: one round trip, where BEGIN
    and ROLLBACK around it make three. Two statements may see two states of
    the database. A statement that writes is committed at once.
    """
    async with engine.connect() as connection:
        await finish(connection.execution_options(isolation_level="AUTOCOMMIT"))
        yield connection


@asynccontextmanager
async def async_savepoint(
    connection: AsyncConnection,
) -> AsyncIterator[AsyncTransaction]:
    """Set a savepoint for the length of the block.

    Leaving the block releases it; an exception rolls back to it and travels
    on, and the transaction around it goes on. A connection in autocommit is
    refused with `InvalidRequestError`: it has no transaction to return to.
    """
    refuse_autocommit(connection)
    async with connection.begin_nested() as nested:
        yield nested


@asynccontextmanager
async def async_stream(
    engine: AsyncEngine,
    statement: TypedReturnsRows[*Ts],
    parameters: Mapping[str, object] | None = None,
    *,
    batch: int = 1000,
) -> AsyncIterator[AsyncIterator[Sequence[Row[*Ts]]]]:
    """Read a large result in batches of rows, from a server-side cursor.

    The block owns a connection; leaving it, early or not, closes the cursor
    and gives the connection back. `batch` is the number of rows in each but
    the last.
    """
    async with engine.connect() as connection:
        result = await connection.stream(
            statement, parameters, execution_options={"yield_per": batch}
        )
        try:
            yield result.partitions(batch)
        finally:
            await result.close()


async def async_insert_rows(
    connection: AsyncConnection,
    table: FromClause,
    rows: Iterable[Mapping[str, object]],
    *,
    batch: int = 5000,
) -> int:
    """Insert many rows by the fastest way that the driver has, and count them.

    PostgreSQL gets a COPY after a `SELECT 1`, which begins the transaction.
    An INSERT for each `batch` of rows is sent to other databases, and where a
    COPY is not the same: for defaults and expressions of SQLAlchemy's, for
    identities that are always generated, under a schema_translate_map. The
    rows are taken one by one, so that they need not fit into memory, and
    become part of the connection's transaction.

    Raises `ArgumentError` for a row with other columns than the first and for
    what is no table; what an INSERT raises; and, for a value that asyncpg
    cannot send, its own `TypeError` or `OverflowError`. A table with row security takes
    no COPY (SQLSTATE 0A000).
    Source: https://www.postgresql.org/docs/current/sql-copy.html.
    """
    table = require_table(table, batch)
    remaining = iter(rows)
    first = next(remaining, None)
    if first is None:
        return 0
    copy = plan_copy(connection, table, first)
    remaining = same_columns(chain([first], remaining), first)
    if copy:
        return await _copy(connection, copy, remaining)
    count = 0
    for some in batches(remaining, batch):
        await connection.execute(insert(table), some)
        count += len(some)
    return count


async def _copy(
    connection: AsyncConnection, copy: Copy, rows: Iterable[Mapping[str, object]]
) -> int:
    pooled = await connection.get_raw_connection()
    # Begins the transaction where SQLAlchemy and the driver know of it, and fails
    # where a transaction has ended already.
    await connection.exec_driver_sql("SELECT 1")
    try:
        if connection.dialect.driver == "asyncpg":
            return await _copy_asyncpg(pooled.driver_connection, copy, rows)
        return await _copy_psycopg(pooled.driver_connection, copy, rows)
    except BaseException as error:  # noqa: BLE001 - it is raised again
        if is_left_in_copy(connection, error):
            await finish(connection.invalidate())
        raise_as_sqlalchemy(copy.statement, error)


async def _copy_psycopg(
    driver: object, copy: Copy, rows: Iterable[Mapping[str, object]]
) -> int:
    count = 0
    async with (
        cast("psycopg.AsyncConnection", driver).cursor() as cursor,
        cursor.copy(copy.statement.encode()) as sending,
    ):
        for values in copy.values(rows):
            await sending.write_row(values)
            count += 1
    return count


async def _copy_asyncpg(
    driver: object, copy: Copy, rows: Iterable[Mapping[str, object]]
) -> int:
    status = await cast("Asyncpg", driver).copy_records_to_table(
        copy.table,
        records=_in_turns(copy.values(rows)),
        columns=copy.columns,
        schema_name=copy.schema,
    )
    return int(status.removeprefix("COPY "))


async def _in_turns(
    values: Iterable[tuple[object, ...]],
) -> AsyncIterator[tuple[object, ...]]:
    """Let other tasks run now and then; asyncpg takes records without a pause."""
    for number, value in enumerate(values):
        if number % 1000 == 0:
            await asyncio.sleep(0)
        yield value
