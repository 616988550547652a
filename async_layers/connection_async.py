"""Layer 2: a connection, its transaction, its savepoints, its streams."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import chain
from typing import TYPE_CHECKING, TypeVarTuple, cast

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from async_layers._eager import to_the_end
from async_layers._finish import finish
from async_layers._layers.deadline.copying import WithinDeadline
from async_layers._layers.deadline.limited import limited
from async_layers._layers.engine import engine_of
from async_layers._layers.guard.lending import async_guarded
from async_layers._layers.hooks.kept import savepoint_end
from async_layers._layers.sync import sync_of
from async_layers._rows import (
    batches,
    is_left_in_copy,
    plan_copy,
    raise_as_sqlalchemy,
    require_table,
    same_columns,
)
from async_layers._transactions import plan_transaction, refuse_autocommit
from async_layers.scope_async import async_scoped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    import psycopg
    from sqlalchemy import Row
    from sqlalchemy.engine.interfaces import IsolationLevel
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncTransaction
    from sqlalchemy.sql import FromClause
    from sqlalchemy.sql.selectable import TypedReturnsRows

    from async_layers._layers.guard.errors import Guarding
    from async_layers._rows import Copy
    from async_layers.scope_async import AsyncScope

Ts = TypeVarTuple("Ts")


@async_scoped
async def async_transaction(  # noqa: PLR0913 - what it can be given
    scope: AsyncScope[AsyncConnection],
    engine: AsyncEngine,
    *,
    isolation_level: IsolationLevel | None = None,
    read_only: bool = False,
    write: bool = False,
    deadline: float | None = None,
    guard: Guarding = "on",
) -> AsyncIterator[AsyncConnection]:
    """Lend a connection for the length of one transaction.

    Leaving the block commits; an exception rolls back and travels on. How it ended
    is the scope's `outcome`, and a note on the exception: `scope = transaction(...)`,
    then `with scope as connection`.

    `isolation_level` holds for this transaction alone. With `read_only` the
    database refuses to write. With `write` SQLite takes its write lock with
    the first statement, so that it never fails on the way from reading to
    writing (SQLITE_BUSY_SNAPSHOT); other databases lock as they write.

    `deadline` is how many seconds there are, from the opening to COMMIT, for waiting:
    for the pool, for statements and for COMMIT. What runs then is stopped, also on
    the server, and what comes is refused, with `DeadlineExceeded`; what the block
    does besides is its own affair.

    `guard` refuses, with `GuardError`, what two tasks or threads would do to each
    other here: two operations at once, use in turns, the end of the transaction by
    another than began it. `hand_over` lets another end it; "off" refuses nothing.
    """
    engine = engine_of(engine, AsyncEngine)
    plan = plan_transaction(engine, isolation_level, read_only=read_only, write=write)
    async with (
        limited(deadline, engine) as limit,
        async_guarded(engine, guard) as connection,
    ):
        sync = sync_of(connection)
        limit.got(sync)
        scope.watch(sync)
        if plan.options:
            await to_the_end(connection.execution_options(**plan.options))
        async with connection.begin():
            if plan.first is not None:
                await connection.execute(plan.first)
            scope.lend(sync)
            yield connection


@asynccontextmanager
async def async_read(
    engine: AsyncEngine,
    *,
    deadline: float | None = None,
    guard: Guarding = "on",
) -> AsyncIterator[AsyncConnection]:
    """Lend a connection in autocommit, for reading.

    Each statement is a transaction of its own: one round trip, where BEGIN
    and ROLLBACK around it make three. Two statements may see two states of
    the database. A statement that writes is committed at once. `deadline` is as in
    `async_transaction`; PostgreSQL is not told, which would take a round trip more.
    `guard` is as there, but statements in turns are nobody's harm.
    """
    engine = engine_of(engine, AsyncEngine)
    async with (
        limited(deadline, engine) as limit,
        async_guarded(engine, guard, reading=True) as connection,
    ):
        limit.got(sync_of(connection))
        await to_the_end(connection.execution_options(isolation_level="AUTOCOMMIT"))
        yield connection


@async_scoped
async def async_savepoint(
    scope: AsyncScope[AsyncTransaction],
    connection: AsyncConnection,
) -> AsyncIterator[AsyncTransaction]:
    """Set a savepoint for the length of the block.

    Leaving the block releases it; an exception rolls back to it and travels
    on, and the transaction around it goes on. A connection in autocommit is
    refused with `InvalidRequestError`: it has no transaction to return to.
    """
    refuse_autocommit(connection)
    async with connection.begin_nested() as nested:
        scope.is_savepoint(savepoint_end(sync_of(connection)))
        yield nested


@asynccontextmanager
async def async_stream(
    engine: AsyncEngine,
    statement: TypedReturnsRows[*Ts],
    parameters: Mapping[str, object] | None = None,
    *,
    batch: int = 1000,
    deadline: float | None = None,
) -> AsyncIterator[AsyncIterator[Sequence[Row[*Ts]]]]:
    """Read a large result in batches of rows, from a server-side cursor.

    The block owns a connection; leaving it, early or not, closes the cursor
    and gives the connection back. `batch` is the number of rows in each but
    the last. `deadline` is as in `async_transaction`.
    """
    engine = engine_of(engine, AsyncEngine)
    async with (
        limited(deadline, engine) as limit,
        engine.connect() as connection,
    ):
        limit.got(sync_of(connection))
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
    what is no table; what an INSERT raises; and, for a value that has no text,
    the driver's own error. A table with row security takes no COPY (SQLSTATE 0A000).
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
    async with WithinDeadline(sync_of(connection), copy.statement):
        try:
            if connection.dialect.driver == "asyncpg":
                from async_layers._copy import copy_asyncpg  # noqa: PLC0415 - asyncpg

                return await copy_asyncpg(pooled, copy, rows)
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
