"""A COPY stores what psycopg's COPY stores, whatever asyncpg would make of it."""

from __future__ import annotations

import asyncio
import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest
from sqlalchemy import (
    REAL,
    Boolean,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Table,
    Text,
    cast,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import INT4MULTIRANGE, INT4RANGE, Range
from sqlalchemy.exc import DBAPIError, InvalidRequestError

from async_layers import async_insert_rows, insert_rows
from async_layers._copy import copy_asyncpg
from tests.postgresql._dialects import OURS, OURS_ASYNC, PSYCOPG, on
from tests.postgresql._values import DAY, LAST, NAIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.types import TypeEngine

    from tests.postgresql._dialects import Side

COPYING = (PSYCOPG, OURS, OURS_ASYNC)


def table_of(*kinds: TypeEngine[Any]) -> Table:
    """Return a table with a column of each kind: a, b, c, and so on."""
    columns = [Column("abcdef"[n], kind) for n, kind in enumerate(kinds)]
    return Table("al_copied", MetaData(), *columns, prefixes=["TEMPORARY"])


def copy(
    side: Side,
    table: Table,
    rows: Sequence[Sequence[object]],
    then: Callable[[Connection], Any],
) -> Any:
    """Copy rows into a table in a zone of the session's own; return what is there then.

    An error of the COPY is handed to what looks.
    """
    named = [dict(zip(table.c.keys(), row, strict=True)) for row in rows]

    def prepare(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'Asia/Kolkata'")
        table.create(connection)

    def body(connection: Connection) -> Any:
        prepare(connection)
        return insert_rows(connection, table, named), then(connection)

    async def work(engine: AsyncEngine) -> Any:
        async with engine.connect() as connection:
            await connection.run_sync(prepare)
            count = await async_insert_rows(connection, table, named)
            return count, await connection.run_sync(then)

    return side.run(body) if side.runner is None else side.drive(work)


def stored(side: Side, kind: TypeEngine[Any], values: Sequence[object]) -> object:
    """Return what the server prints of values that were copied."""
    table = table_of(kind)

    def look(connection: Connection) -> list[str | None]:
        return list(connection.scalars(select(cast(table.c.a, Text))))

    count, found = copy(side, table, [[value] for value in values], look)
    assert len(values) == count
    return found


STORED: list[tuple[Any, ...]] = [
    (Integer(), [5, "5", None], ["5", "5", None]),
    (Numeric(), [0.1, 1], ["0.1", "1"]),
    (REAL(), [1.1, None], ["1.1", None]),
    (Date(), [dt.date.max, DAY], ["9999-12-31", "2024-02-29"]),
    (DateTime(), [LAST], ["9999-12-31 23:59:59.999999"]),
    (DateTime(timezone=True), [NAIVE], ["2024-02-29 01:02:03.000004+05:30"]),
    (INT4RANGE(), [Range(1, 3), "[1,2]"], ["[1,3)", "[1,3)"]),
    (INT4MULTIRANGE(), [[Range(1, 3)], "{[5,6)}"], ["{[1,3)}", "{[5,6)}"]),
]


@on(*COPYING)
@pytest.mark.parametrize(
    ("kind", "values", "expected"), STORED, ids=[repr(kind) for kind, *_ in STORED]
)
def test_value_is_stored_as_psycopg_copies_it(
    side: Side, kind: TypeEngine[Any], values: Sequence[object], expected: object
) -> None:
    """A type that the column does not have is read by PostgreSQL."""
    assert expected == stored(side, kind, values)


@on(*COPYING)
def test_row_with_one_such_value_keeps_its_others(side: Side) -> None:
    """What travels as text has its tabs, line ends, backslashes, bytes and NULLs."""
    table = table_of(Integer(), Text(), LargeBinary(), Boolean(), INT4RANGE())
    words = "a\tb\\c\nd\re\\N"

    def look(connection: Connection) -> object:
        return connection.execute(select(table)).all()

    rows: list[list[object]] = [
        ["5", words, b"\0\xff\t", True, None],
        [6, "\\.", b"", False, Range(empty=True)],
    ]
    expected: list[object] = [
        (5, words, b"\0\xff\t", True, None),
        (6, "\\.", b"", False, Range(empty=True)),
    ]
    assert (2, expected) == copy(side, table, rows, look)


@on(*COPYING)
def test_rows_before_and_after_such_a_value_are_copied(side: Side) -> None:
    """Thousands of rows, one of which has another type."""
    table = table_of(Integer())
    rows: list[list[object]] = [[number] for number in range(3500)]
    rows[2200] = ["2200"]

    def look(connection: Connection) -> object:
        return connection.execute(
            select(func.count(), func.min(table.c.a), func.sum(table.c.a))
        ).one()

    assert (3500, (3500, 0, sum(range(3500)))) == copy(side, table, rows, look)


REFUSED: list[tuple[Any, ...]] = [
    (Integer(), 1.9, "22P02"),
    (Integer(), "abc", "22P02"),
    (Integer(), 2**40, "22003"),
    (REAL(), 1e39, "22003"),
    (REAL(), 1e-50, "22003"),
]


@on(*COPYING)
@pytest.mark.parametrize(("kind", "value", "sqlstate"), REFUSED, ids=repr)
def test_value_that_no_column_takes_is_refused_by_the_server(
    side: Side, kind: TypeEngine[Any], value: object, sqlstate: str
) -> None:
    """The transaction is aborted, as by any statement that fails."""
    with pytest.raises(DBAPIError) as caught:
        stored(side, kind, [1, value])
    assert ("DataError", sqlstate) == (
        type(caught.value).__name__,
        getattr(caught.value.orig, "sqlstate", None),
    )


@on(OURS_ASYNC)
def test_value_without_a_text_is_refused_here(side: Side) -> None:
    """The error names the type; that of psycopg is its own."""
    with pytest.raises(TypeError, match="seen object, for which"):
        stored(side, Integer(), ["1", object()])


@on(*COPYING)
def test_copy_in_autocommit_keeps_all_or_nothing(side: Side, schema: str) -> None:
    """Rows that were sent before the one that is refused are not there."""
    table = Table("kept", MetaData(schema=schema), Column("a", Integer))
    good, bad = [{"a": n} for n in range(2000)], {"a": "abc"}

    def look(connection: Connection) -> object:
        return connection.scalar(select(func.count()).select_from(table))

    def body(connection: Connection) -> object:
        table.create(connection)
        with pytest.raises(DBAPIError):
            insert_rows(connection, table, [*good, bad])
        insert_rows(connection, table, [{"a": "1"}, {"a": 2}])
        return look(connection)

    async def work(engine: AsyncEngine) -> object:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.run_sync(table.create)
            with pytest.raises(DBAPIError):
                await async_insert_rows(connection, table, [*good, bad])
            await async_insert_rows(connection, table, [{"a": "1"}, {"a": 2}])
            return await connection.run_sync(look)

    autocommit = {"isolation_level": "AUTOCOMMIT"}
    assert 2 == (
        side.run(body, **autocommit) if side.runner is None else side.drive(work)
    )


@on(OURS, OURS_ASYNC)
@pytest.mark.parametrize("words", ["COPY al_none FROM STDIN", "copy al_none TO stdout"])
def test_copy_by_a_cursor_is_refused(side: Side, words: str) -> None:
    """Its rows are a stream of the driver's, for which no cursor has a way."""

    def body(connection: Connection) -> str:
        with pytest.raises(DBAPIError) as caught:
            connection.exec_driver_sql(words)
        return type(caught.value).__name__

    assert "ProgrammingError" == side.run(body)


@on(OURS, OURS_ASYNC)
def test_copy_by_a_text_is_refused(side: Side) -> None:
    """It is refused before anything is sent: the transaction lives on."""

    def body(connection: Connection) -> object:
        with pytest.raises(InvalidRequestError, match="seen COPY"):
            connection.execute(text("COPY al_none FROM STDIN"))
        return connection.scalar(select(1))

    assert 1 == side.run(body)


@pytest.mark.parametrize("late", [False, True])
async def test_load_whose_connection_went_back_is_refused(*, late: bool) -> None:
    """Before it began, or while it waited for its turn: nothing is sent."""
    adapted = SimpleNamespace(_execute_mutex=asyncio.Lock(), driver_connection=None)
    pooled = SimpleNamespace(dbapi_connection=adapted if late else None)
    async with adapted._execute_mutex:
        load = asyncio.create_task(copy_asyncpg(pooled, MagicMock(), []))
        await asyncio.sleep(0)
        pooled.dbapi_connection = None
    with pytest.raises(InvalidRequestError, match="another task has ended"):
        await load
