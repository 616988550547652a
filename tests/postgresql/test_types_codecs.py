"""Types that have no codec of their own: extensions, and codecs that a user sets."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
import pytest
from sqlalchemy import Date, Numeric, event, insert, make_url, select, text
from sqlalchemy.dialects import postgresql

from tests.postgresql._dialects import (
    ASYNCIO,
    ASYNCPG,
    DRIVERS,
    on,
    open_side,
    wrong_on,
)
from tests.postgresql._values import temporary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side


@pytest.fixture(scope="module")
def hstore_url(postgresql_url: str) -> Iterator[str]:
    """Return the URL of a database of its own, which has the extension hstore."""
    name = "al_hstore"
    url = make_url(postgresql_url).set(database=name)
    with psycopg.connect(postgresql_url, autocommit=True) as outside:
        outside.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
        outside.execute(f"CREATE DATABASE {name}".encode())
        there = url.render_as_string(hide_password=False)
        with psycopg.connect(there, autocommit=True) as inside:
            inside.execute("CREATE EXTENSION hstore")
        yield there
        outside.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_hstore_comes_back(driver: str, hstore_url: str) -> None:
    """A dictionary of texts is stored where the extension is."""
    values: list[Any] = [{"a": "1", "b": None}, {}, {'q"': "NULL"}, None]

    def body(connection: Connection) -> object:
        table = temporary(connection, postgresql.HSTORE())
        connection.execute(insert(table), {"v": values[0]})
        connection.execute(insert(table), [{"v": value} for value in values[1:]])
        return connection.scalars(select(table.c.v)).all()

    with open_side(driver, hstore_url) as side:
        assert values == side.run(body)


class Pair(NamedTuple):
    """What a user reads a composite value as."""

    n: int
    t: str


def with_codec(side: Side, name: str, **codec: Any) -> None:
    """Set a codec of asyncpg on each connection of a pool, as its documents say."""

    def connect(connection: Any, _: object) -> None:
        async def set_codec(driver: Any) -> None:
            await driver.set_type_codec(name, **codec)

        connection.run_async(set_codec)

    event.listen(side.engine, "connect", connect)


def in_catalog(**codec: Any) -> dict[str, Any]:
    """Return the arguments for a type of PostgreSQL itself."""
    return {"schema": "pg_catalog", **codec}


@on(*ASYNCIO)
def test_a_codec_reads_and_writes(own_side: Side) -> None:
    """A codec that a user sets is asked, one by one and in a batch."""
    with_codec(own_side, "macaddr8", **in_catalog(encoder=str, decoder=str.upper))

    def body(connection: Connection) -> object:
        table = temporary(connection, postgresql.MACADDR8())
        connection.execute(insert(table), {"v": "08002B:0102030405"})
        connection.execute(insert(table), [{"v": "08002b:0102030405"}] * 2)
        return connection.scalars(select(table.c.v)).all()

    assert ["08:00:2B:01:02:03:04:05"] * 3 == own_side.run(body)


@on(*ASYNCIO)
def test_a_codec_of_numbers_gives_what_it_reads(own_side: Side) -> None:
    """Numbers that a user reads as floats are floats, whatever is sent."""
    with_codec(own_side, "numeric", **in_catalog(encoder=str, decoder=float))

    def body(connection: Connection) -> object:
        table = temporary(connection, Numeric())
        rows: list[dict[str, object]] = [{"v": 0.1}, {"v": Decimal("0.2")}, {"v": None}]
        connection.execute(insert(table), rows[0])
        connection.execute(insert(table), rows)
        return connection.execute(text("SELECT v FROM al_case")).scalars().all()

    assert [0.1, 0.1, 0.2, None] == own_side.run(body)


@on(*ASYNCIO)
def test_a_codec_of_dates_may_read_infinity(own_side: Side) -> None:
    """Who sets a codec for infinity has it, and no error."""

    def read(value: str) -> object:
        return "ever" if value == "infinity" else dt.date.fromisoformat(value)

    with_codec(own_side, "date", **in_catalog(encoder=str, decoder=read))

    def body(connection: Connection) -> object:
        table = temporary(connection, Date())
        for value in (dt.date(2024, 2, 29), dt.date.max, "infinity"):
            connection.execute(insert(table), {"v": value})
        return connection.execute(text("SELECT v FROM al_case")).scalars().all()

    assert [dt.date(2024, 2, 29), dt.date.max, "ever"] == own_side.run(body)


@on(*ASYNCIO)
def test_a_codec_takes_a_class_of_ones_own(
    own_side: Side, schema: str, observer: psycopg.Connection[Any]
) -> None:
    """A value of a class that no driver knows is left to the codec of its type."""
    observer.execute(f'CREATE TYPE "{schema}".al_pair AS (n int, t text)'.encode())
    with_codec(
        own_side,
        "al_pair",
        schema=schema,
        format="tuple",
        encoder=tuple,
        decoder=Pair._make,
    )

    def body(connection: Connection) -> object:
        connection.exec_driver_sql(f'SET LOCAL search_path TO "{schema}"')
        connection.exec_driver_sql("CREATE TEMPORARY TABLE al_pairs (v al_pair)")
        statement = text("INSERT INTO al_pairs VALUES (:v)")
        connection.execute(statement, {"v": Pair(1, "a")})
        connection.execute(statement, [{"v": Pair(2, "b")}, {"v": None}])
        return connection.execute(text("SELECT v FROM al_pairs")).scalars().all()

    assert [Pair(1, "a"), Pair(2, "b"), None] == own_side.run(body)


@on(*ASYNCIO)
def test_a_tuple_is_a_composite_value(side: Side) -> None:
    """Asyncpg takes a tuple for a row, and so it stays."""
    values = [(1, "a"), (None, None)]

    def body(connection: Connection) -> object:
        connection.exec_driver_sql("CREATE TYPE al_pair AS (n int, t text)")
        connection.exec_driver_sql("CREATE TEMPORARY TABLE al_tuples (v al_pair)")
        statement = text("INSERT INTO al_tuples VALUES (:v)")
        for value in values:
            connection.execute(statement, {"v": value})
        found = connection.execute(text("SELECT v FROM al_tuples")).scalars()
        return [tuple(record) for record in found]

    assert values == side.run(body)


@wrong_on(ASYNCPG, "cache lookup failed for the type that the statement had")
@pytest.mark.parametrize("end", ["rollback", "drop"])
def test_a_type_that_is_made_again_is_found(own_side: Side, end: str) -> None:
    """A statement that knew the first type is prepared for the second."""

    def body(connection: Connection) -> object:
        connection.exec_driver_sql("CREATE TYPE al_again AS ENUM ('a')")
        connection.exec_driver_sql("CREATE TEMPORARY TABLE al_agains (v al_again)")
        statement = text("INSERT INTO al_agains VALUES (:v) RETURNING v")
        found = connection.scalar(statement, {"v": "a"})
        if end == "drop":
            connection.exec_driver_sql("DROP TYPE al_again CASCADE")
            connection.exec_driver_sql("DROP TABLE al_agains")
        else:
            connection.rollback()
        return found

    assert ["a", "a"] == own_side.run(lambda it: [body(it), body(it)])


@on(*ASYNCIO)
def test_types_that_are_made_meanwhile_are_found(side: Side) -> None:
    """An enum and a domain of this transaction are written and read at once."""

    def body(connection: Connection) -> object:
        connection.exec_driver_sql("CREATE TYPE al_mood AS ENUM ('happy', 'sad')")
        connection.exec_driver_sql("CREATE DOMAIN al_short AS varchar(3)")
        connection.exec_driver_sql(
            "CREATE TEMPORARY TABLE al_people (m al_mood, s al_short, l al_mood[])"
        )
        statement = text("INSERT INTO al_people VALUES (:m, :s, :l)")
        row = {"m": "sad", "s": "abc", "l": ["happy", None]}
        connection.execute(statement, row)
        connection.execute(statement, [row, {"m": None, "s": None, "l": None}])
        found = connection.exec_driver_sql("SELECT * FROM al_people")
        return [tuple(each) for each in found]

    expected = ("sad", "abc", ["happy", None])
    assert [expected, expected, (None, None, None)] == side.run(body)
