"""The ends of time: what is read, and what is refused."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    Date,
    DateTime,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.exc import DataError

from tests.postgresql._dialects import ASYNCIO, ASYNCPG, wrong_on
from tests.postgresql._values import LAST, LAST_UTC, temporary

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.types import TypeEngine

    from tests.postgresql._dialects import Side

ENDLESS = "asyncpg reads infinity as the last date of Python, and the first"
TYPES = ["date", "timestamp", "timestamptz"]


@wrong_on(ASYNCPG, ENDLESS)
@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("end", ["infinity", "-infinity"])
def test_infinity_is_refused_where_it_is_fetched(
    side: Side, kind: str, end: str
) -> None:
    """Python has no such date: the fetch fails, not the execution."""

    def body(connection: Connection) -> None:
        result = connection.exec_driver_sql(f"SELECT '{end}'::{kind}")
        with pytest.raises(DataError):
            result.all()

    side.run(body)


@pytest.mark.parametrize("kind", TYPES)
def test_infinity_as_text_is_read(side: Side, kind: str) -> None:
    """The server's own words for it need no date of Python."""

    def body(connection: Connection) -> object:
        return connection.exec_driver_sql(f"SELECT 'infinity'::{kind}::text").scalar()

    assert "infinity" == side.run(body)


@wrong_on(ASYNCPG, ENDLESS)
@pytest.mark.parametrize(
    "fetch", ["fetchone", "fetchmany", "all", "scalar_one", "first", "__next__"]
)
def test_every_fetch_refuses_infinity(side: Side, fetch: str) -> None:
    """Whichever way a row is asked for."""

    def body(connection: Connection) -> None:
        result = connection.exec_driver_sql("SELECT 'infinity'::timestamptz")
        with pytest.raises(DataError):
            getattr(result, fetch)()

    side.run(body)


@wrong_on(ASYNCPG, ENDLESS)
def test_rows_before_infinity_are_read(side: Side) -> None:
    """Only the row that holds it is refused; the transaction goes on."""
    statement = text(
        "SELECT CASE WHEN v = 2 THEN 'infinity'::date ELSE '2024-01-01' END, v "
        "FROM generate_series(1, 3) AS v"
    )

    def body(connection: Connection) -> object:
        result: CursorResult[Any] = connection.execute(statement)
        found = result.fetchone()
        with pytest.raises(DataError):
            result.fetchone()
        return found and tuple(found), connection.scalar(select(literal(5)))

    assert ((dt.date(2024, 1, 1), 1), 5) == side.run(body)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Date(), dt.date.max),
        (Date(), dt.date.min),
        (DateTime(), LAST),
        (DateTime(), dt.datetime.min),  # noqa: DTZ901 - what is tested
        (DateTime(timezone=True), LAST_UTC),
    ],
    ids=repr,
)
@wrong_on(ASYNCPG, "asyncpg stores infinity for the last date of Python")
def test_the_ends_of_python_come_back(
    side: Side, kind: TypeEngine[Any], value: object
) -> None:
    """The first and last dates are stored as they are, and finite, and read so."""

    def body(connection: Connection) -> object:
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        table = temporary(connection, kind)
        connection.execute(insert(table), {"v": value})
        connection.execute(insert(table), [{"v": value}] * 2)
        found = text("SELECT isfinite(v), v FROM al_case")
        return [tuple(row) for row in connection.execute(found)]

    assert [(True, value)] * 3 == side.run(body)


@wrong_on(ASYNCPG, ENDLESS)
def test_an_array_with_infinity_is_refused(side: Side) -> None:
    """An element of an array is read as a value is."""

    def body(connection: Connection) -> None:
        result = connection.exec_driver_sql("SELECT '{2024-01-01,infinity}'::date[]")
        with pytest.raises(DataError):
            result.all()

    side.run(body)


@wrong_on(ASYNCPG, "a bare ValueError or OverflowError")
@pytest.mark.parametrize(
    "value",
    [
        "'5000-01-01'::date + 3000000",
        "'0044-03-15 BC'::date",
        "'10000-01-01'::timestamp",
        "'0044-03-15 BC'::timestamptz",
        "'24:00'::time",
        "'999999999 days'::interval * 2",
    ],
)
def test_what_python_has_no_date_for_is_refused(side: Side, value: str) -> None:
    """A year, a time or a span that is out of Python's range is a DataError."""

    def body(connection: Connection) -> object:
        with pytest.raises(DataError):
            connection.exec_driver_sql(f"SELECT {value}").all()
        return connection.scalar(select(literal(5)))

    assert 5 == side.run(body)


@wrong_on(ASYNCPG, ENDLESS)
@pytest.mark.parametrize("kind", ["daterange", "tsrange", "tstzrange"])
def test_a_range_to_infinity_is_refused(side: Side, kind: str) -> None:
    """A bound that is infinite, unlike one that is missing, has no date of Python."""

    def body(connection: Connection) -> None:
        result = connection.exec_driver_sql(f"SELECT '[2024-01-01,infinity)'::{kind}")
        with pytest.raises(DataError):
            result.all()

    side.run(body)


@wrong_on(ASYNCPG, ENDLESS, among=ASYNCIO)
def test_infinity_in_a_stream_is_refused_at_its_row(side: Side) -> None:
    """Rows before it are read, over several fetches; the connection goes on."""
    statement = text(
        "SELECT CASE WHEN v = 70 THEN 'infinity'::date ELSE '2024-01-01' END "
        "FROM generate_series(1, 100) AS v"
    )

    async def body(engine: AsyncEngine) -> tuple[int, object]:
        seen = 0
        async with engine.connect() as connection:
            with pytest.raises(DataError):
                async with connection.stream(statement) as result:
                    async for _ in result:
                        seen += 1
            return seen, await connection.scalar(select(literal(5)))

    assert (69, 5) == side.drive(body)


@wrong_on(ASYNCPG, ENDLESS)
def test_infinity_that_is_returned_is_refused(side: Side) -> None:
    """What was inserted stays so, and is only not read."""

    def body(connection: Connection) -> object:
        table = temporary(connection, Date())
        returned = connection.execute(
            insert(table).returning(table.c.v), [{"v": "infinity"}]
        )
        with pytest.raises(DataError):
            returned.all()
        return connection.execute(text("SELECT v::text FROM al_case")).scalar()

    assert "infinity" == side.run(body)
