"""A value that is cast is cast where it stands, whatever else the statement holds."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    Integer,
    LargeBinary,
    Numeric,
    bindparam,
    insert,
    literal,
    select,
    text,
)
from sqlalchemy.exc import DataError, ProgrammingError, StatementError

from tests.postgresql._dialects import (
    ASYNCIO,
    ASYNCPG,
    BLOCKING,
    OURS,
    OURS_ASYNC,
    PSYCOPG,
    on,
    open_side,
    wrong_on,
)
from tests.postgresql._values import CHANGES, REFUSES, is_aborted, temporary

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from tests.postgresql._dialects import Side

# What `$1` is no parameter in, and what the server makes of it.
DECOYS: list[tuple[str, object]] = [
    ("'$1'", "$1"),
    ("'it''s $1'", "it's $1"),
    ("E'\\'$1'", "'$1"),
    ("e'\\\\' || '$1'", "\\$1"),
    ("$$$1$$", "$1"),
    ("$a$ $$ $1 $a$", " $$ $1 "),
    ("U&'\\0024' || '1'", "$1"),
    ('"a$1"', 7),
    ('"a$1" /* $1 /* $1 */ $1 */', 7),
    ("a$1", 7),
    ("'-- ' -- $1\n", "-- "),
    ("B'101'::text || '$1'", "101$1"),
    ("N'$1'", "$1"),
]


@on(OURS_ASYNC)
@pytest.mark.parametrize(("decoy", "expected"), DECOYS, ids=[it for it, _ in DECOYS])
@pytest.mark.parametrize("value", [5, "5"], ids=repr)
def test_a_dollar_in_other_words_is_left_alone(
    side: Side, decoy: str, expected: object, value: object
) -> None:
    """Strings, quoted names and comments are the server's, with and without a cast."""
    rows = '(SELECT 7) AS t("a$1")'
    statement = f"SELECT $1::int4, {decoy}, $1::int4 FROM {rows}"  # noqa: S608

    def body(connection: Connection) -> object:
        return tuple(connection.exec_driver_sql(statement, (value,)).one())

    assert (5, expected, 5) == side.run(body)


@wrong_on(ASYNCPG, CHANGES)
def test_a_parameter_that_is_used_twice_is_cast_twice(side: Side) -> None:
    """One value, in two places that want two types."""
    whole = bindparam("v", 2.5, type_=Integer)

    def body(connection: Connection) -> object:
        table = temporary(connection, Numeric())
        connection.execute(insert(table), [{"v": 2}, {"v": 3}])
        statement = text("SELECT v, :v * 2 FROM al_case WHERE v > :v")
        rows = connection.execute(statement, {"v": 2.5}).all()
        return [tuple(row) for row in rows], connection.scalar(select(whole))

    assert ([(Decimal(3), 5.0)], 2) == side.run(body)


@wrong_on(ASYNCPG, CHANGES)
def test_only_the_value_that_needs_it_is_cast(side: Side) -> None:
    """Its neighbours keep the types of their columns."""

    def body(connection: Connection) -> object:
        statement = text(
            "SELECT CAST(:a AS integer), CAST(:b AS numeric), CAST(:c AS text)"
        )
        given = [(1, 0.1, "a"), (3.5, Decimal("0.1"), "b"), ("4", 1, 5)]
        rows = [dict(zip("abc", row, strict=True)) for row in given]
        return [tuple(connection.execute(statement, row).one()) for row in rows]

    tenth, one = Decimal("0.1"), Decimal(1)
    assert [(1, tenth, "a"), (4, tenth, "b"), (4, one, "5")] == side.run(body)


@on(OURS_ASYNC)
def test_values_are_converted_without_caches(driver: str, postgresql_url: str) -> None:
    """With both caches of statements off, as a pooler wants it, nothing changes."""
    caches = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}

    def body(connection: Connection) -> object:
        table = temporary(connection, Integer())
        for value in (1, 3.5, "5"):
            connection.execute(insert(table), {"v": value})
        connection.execute(insert(table), [{"v": 7.5}, {"v": "9"}, {"v": None}])
        found = connection.scalars(select(table.c.v)).all()
        return found, connection.scalar(text("SELECT :v"), {"v": 2**40})

    with open_side(driver, postgresql_url, connect_args=caches) as side:
        assert ([1, 4, 5, 8, 9, None], 2**40) == side.run(body)


@wrong_on(ASYNCPG, CHANGES, among=ASYNCIO)
def test_a_stream_converts_too(side: Side) -> None:
    """The parameters of a cursor on the server have the types of their values."""

    async def body(engine: AsyncEngine) -> list[Any]:
        statement = text("SELECT v + CAST(:x AS integer) FROM generate_series(1, 3) v")
        async with engine.connect() as connection:
            async with connection.stream(statement, {"x": 3.5}) as result:
                return [row[0] async for row in result]

    assert [5, 6, 7] == side.drive(body)


@wrong_on(ASYNCPG, REFUSES, among=ASYNCIO)
def test_a_stream_is_refused_by_the_server(side: Side) -> None:
    """A value that the server refuses ends the transaction of a stream."""

    async def opened(connection: AsyncConnection) -> None:
        statement = select(literal("abc", Integer))
        async with connection.stream(statement):
            pass

    async def body(engine: AsyncEngine) -> bool:
        async with engine.connect() as connection:
            with pytest.raises(DataError):
                await opened(connection)
            return await connection.run_sync(is_aborted)

    assert side.drive(body)


@wrong_on(ASYNCPG, CHANGES)
def test_autocommit_converts_too(side: Side) -> None:
    """Without a transaction, a value is converted as within one."""
    values: list[object] = [4, 3.5, "4", Decimal(4)]

    def body(connection: Connection) -> object:
        return [connection.scalar(select(literal(it, Integer))) for it in values]

    assert [4, 4, 4, 4] == side.run(body, isolation_level="AUTOCOMMIT")


@on(PSYCOPG, OURS_ASYNC)
def test_values_of_many_kinds_are_each_known(side: Side) -> None:
    """What is known of a statement's kinds is forgotten now and then, and found out."""
    values = [2.5, 1, Decimal(2), 2.5, None, 1]
    expected = [Decimal(str(value)) if value else None for value in values]

    def body(connection: Connection) -> list[object]:
        return [
            connection.execute(
                select(*(literal(value, Numeric).label(f"v{n}") for n in range(66)))
            ).one()[n % 66]
            for n, value in enumerate(values)
        ]

    assert expected == side.run(body)


@on(PSYCOPG, OURS, OURS_ASYNC)
@pytest.mark.parametrize("value", ["abc", 5])
def test_column_of_bytes_takes_bytes(side: Side, value: object) -> None:
    """A text, or a number, is refused before it is sent; the worlds wrap it or not."""

    def body(connection: Connection) -> str:
        with pytest.raises((TypeError, StatementError)) as caught:
            connection.scalar(select(literal(value, LargeBinary)))
        assert connection.exec_driver_sql("SELECT 1").all()
        return type(caught.value).__name__

    expected = "TypeError" if side.driver in BLOCKING else "StatementError"
    assert expected == side.run(body)


@on(OURS, OURS_ASYNC)
def test_cursor_of_the_driver_is_a_sequence_of_rows(side: Side) -> None:
    """PEP 249's cursor is gone through, row after row."""

    def body(connection: Connection) -> list[tuple[int]]:
        cursor: Any = connection.connection.cursor()
        cursor.execute("SELECT generate_series(1, 3)")
        rows = [tuple(row) for row in cursor]
        cursor.close()
        return rows

    assert [(1,), (2,), (3,)] == side.run(body)


@on(PSYCOPG, OURS, OURS_ASYNC)
def test_composite_value_of_what_has_no_type_is_refused(side: Side) -> None:
    """The driver has no words for it, and nothing is sent."""

    def body(connection: Connection) -> object:
        with pytest.raises(ProgrammingError):
            connection.scalar(text("SELECT :v"), {"v": (1, object())})
        return connection.scalar(text("SELECT 1"))

    assert 1 == side.run(body)
