"""Layer 2: a connection, its transaction, its savepoints, its streams."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, TypeVarTuple, cast

from sqlalchemy import Engine, insert

from async_layers._layers.deadline.copying import WithinDeadline
from async_layers._layers.deadline.limited import limited
from async_layers._layers.engine import engine_of
from async_layers._layers.guard.lending import guarded
from async_layers._layers.hooks.kept import savepoint_end
from async_layers._rows import (
    batches,
    is_left_in_copy,
    plan_copy,
    raise_as_sqlalchemy,
    require_table,
    same_columns,
)
from async_layers._transactions import plan_transaction, refuse_autocommit
from async_layers.scope import scoped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import psycopg
    from sqlalchemy import Connection, NestedTransaction, Row
    from sqlalchemy.engine.interfaces import IsolationLevel
    from sqlalchemy.sql import FromClause
    from sqlalchemy.sql.selectable import TypedReturnsRows

    from async_layers._layers.guard.errors import Guarding
    from async_layers._rows import Copy
    from async_layers.scope import Scope

Ts = TypeVarTuple("Ts")


@scoped
def transaction(  # noqa: PLR0913 - what it can be given
    scope: Scope[Connection],
    engine: Engine,
    *,
    isolation_level: IsolationLevel | None = None,
    read_only: bool = False,
    write: bool = False,
    deadline: float | None = None,
    guard: Guarding = "on",
) -> Iterator[Connection]:
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
    engine = engine_of(engine, Engine)
    plan = plan_transaction(engine, isolation_level, read_only=read_only, write=write)
    with (
        limited(deadline, engine) as limit,
        guarded(engine, guard) as connection,
    ):
        limit.got(connection)
        scope.watch(connection)
        if plan.options:
            connection.execution_options(**plan.options)
        with connection.begin():
            if plan.first is not None:
                connection.execute(plan.first)
            scope.lend(connection)
            yield connection


@contextmanager
def read(
    engine: Engine,
    *,
    deadline: float | None = None,
    guard: Guarding = "on",
) -> Iterator[Connection]:
    """Lend a connection in autocommit, for reading.

    Each statement is a transaction of its own: one round trip, where BEGIN
    and ROLLBACK around it make three. Two statements may see two states of
    the database. A statement that writes is committed at once. `deadline` is as in
    `transaction`; PostgreSQL is not told, which would take a round trip more.
    `guard` is as there, but statements in turns are nobody's harm.
    """
    engine = engine_of(engine, Engine)
    with (
        limited(deadline, engine) as limit,
        guarded(engine, guard, reading=True) as connection,
    ):
        limit.got(connection)
        connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


@scoped
def savepoint(
    scope: Scope[NestedTransaction], connection: Connection
) -> Iterator[NestedTransaction]:
    """Set a savepoint for the length of the block.

    Leaving the block releases it; an exception rolls back to it and travels
    on, and the transaction around it goes on. A connection in autocommit is
    refused with `InvalidRequestError`: it has no transaction to return to.
    """
    refuse_autocommit(connection)
    with connection.begin_nested() as nested:
        scope.is_savepoint(savepoint_end(connection))
        yield nested


@contextmanager
def stream(
    engine: Engine,
    statement: TypedReturnsRows[*Ts],
    parameters: Mapping[str, object] | None = None,
    *,
    batch: int = 1000,
    deadline: float | None = None,
) -> Iterator[Iterator[Sequence[Row[*Ts]]]]:
    """Read a large result in batches of rows, from a server-side cursor.

    The block owns a connection; leaving it, early or not, closes the cursor
    and gives the connection back. `batch` is the number of rows in each but
    the last. `deadline` is as in `transaction`.
    """
    engine = engine_of(engine, Engine)
    with (
        limited(deadline, engine) as limit,
        engine.connect() as connection,
    ):
        limit.got(connection)
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
    with WithinDeadline(connection, copy.statement):
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
