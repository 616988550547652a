"""Layer 2: a connection, its transaction, its savepoints, its streams."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, TypeVarTuple, cast

from sqlalchemy import insert

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
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import psycopg
    from sqlalchemy import Connection, Engine, NestedTransaction, Row
    from sqlalchemy.engine.interfaces import IsolationLevel
    from sqlalchemy.sql import FromClause
    from sqlalchemy.sql.selectable import TypedReturnsRows

    from async_layers._rows import Copy

Ts = TypeVarTuple("Ts")


@contextmanager
def transaction(
    engine: Engine,
    *,
    isolation_level: IsolationLevel | None = None,
    read_only: bool = False,
    write: bool = False,
) -> Iterator[Connection]:
    """Lend a connection for the length of one transaction.

    Leaving the block commits; an exception rolls back and travels on.

    `isolation_level` holds for this transaction alone. With `read_only` the
    database refuses to write. With `write` SQLite takes its write lock with
    the first statement, so that it never fails on the way from reading to
    writing (SQLITE_BUSY_SNAPSHOT); other databases lock as they write.
    """
    plan = plan_transaction(engine, isolation_level, read_only=read_only, write=write)
    with engine.connect() as connection:
        if plan.options:
            connection.execution_options(**plan.options)
        with connection.begin():
            if plan.first is not None:
                connection.execute(plan.first)
            yield connection


@contextmanager
def read(engine: Engine) -> Iterator[Connection]:
    """Lend a connection in autocommit, for reading.

    Each statement is a transaction of its own: one round trip, where BEGIN
    and ROLLBACK around it make three. Two statements may see two states of
    the database. A statement that writes is committed at once.
    """
    with engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


@contextmanager
def savepoint(connection: Connection) -> Iterator[NestedTransaction]:
    """Set a savepoint for the length of the block.

    Leaving the block releases it; an exception rolls back to it and travels
    on, and the transaction around it goes on. A connection in autocommit is
    refused with `InvalidRequestError`: it has no transaction to return to.
    """
    refuse_autocommit(connection)
    with connection.begin_nested() as nested:
        yield nested


@contextmanager
def stream(
    engine: Engine,
    statement: TypedReturnsRows[*Ts],
    parameters: Mapping[str, object] | None = None,
    *,
    batch: int = 1000,
) -> Iterator[Iterator[Sequence[Row[*Ts]]]]:
    """Read a large result in batches of rows, from a server-side cursor.

    The block owns a connection; leaving it, early or not, closes the cursor
    and gives the connection back. `batch` is the number of rows in each but
    the last.
    """
    with engine.connect() as connection:
        result = connection.execute(
            statement, parameters, execution_options={"yield_per": batch}
        )
        try:
            yield result.partitions(batch)
        finally:
            result.close()


def insert_rows(
    connection: Connection,
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
        return _copy(connection, copy, remaining)
    count = 0
    for some in batches(remaining, batch):
        connection.execute(insert(table), some)
        count += len(some)
    return count


def _copy(
    connection: Connection, copy: Copy, rows: Iterable[Mapping[str, object]]
) -> int:
    pooled = connection.connection
    # Begins the transaction where SQLAlchemy and the driver know of it, and fails
    # where a transaction has ended already.
    connection.exec_driver_sql("SELECT 1")
    try:
        return _copy_psycopg(pooled.driver_connection, copy, rows)
    except BaseException as error:  # noqa: BLE001 - it is raised again
        if is_left_in_copy(connection, error):
            connection.invalidate()
        raise_as_sqlalchemy(copy.statement, error)


def _copy_psycopg(
    driver: object, copy: Copy, rows: Iterable[Mapping[str, object]]
) -> int:
    count = 0
    with (
        cast("psycopg.Connection", driver).cursor() as cursor,
        cursor.copy(copy.statement.encode()) as sending,
    ):
        for values in copy.values(rows):
            sending.write_row(values)
            count += 1
    return count
