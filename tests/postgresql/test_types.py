"""Values are read by asyncpg's codecs: with the types of asyncpg, not of psycopg."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from typing import TYPE_CHECKING, Any

import pytest
from asyncpg import Record  # pyright: ignore[reportMissingTypeStubs]
from asyncpg.pgproto.types import BitString, Circle, Line, Point  # pyright: ignore[reportMissingTypeStubs]
from asyncpg.types import Range  # pyright: ignore[reportMissingTypeStubs]
from sqlalchemy import text

from tests.postgresql._dialects import ASYNCIO, on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.postgresql._dialects import Side

OWN_TYPES = (
    "CREATE TYPE al_mood AS ENUM ('happy', 'sad')",
    "CREATE TYPE al_pair AS (n int, t text)",
    "CREATE DOMAIN al_positive AS int CHECK (VALUE > 0)",
)

# What is selected, and what asyncpg makes of it.
CASES: list[tuple[str, object]] = [
    ("NULL", None),
    ("NULL::int", None),
    ("true", True),
    ("5", 5),
    ("5::int2", 5),
    ("5::int8", 5),
    ("5::oid", 5),
    ("2.5", Decimal("2.5")),
    ("1.10::numeric", Decimal("1.10")),
    ("1e-10::numeric", Decimal("1E-10")),
    ("'Infinity'::numeric", Decimal("Infinity")),
    ("1.5::float8", 1.5),
    ("'a'", "a"),
    ("'x'::char(3)", "x  "),
    ("'abc'::name", "abc"),
    ("'c'::\"char\"", b"c"),
    ("'\\x00ff'::bytea", b"\x00\xff"),
    ("'pg_class'::regclass", "pg_class"),
    ("'{\"a\": [1, null]}'::json", {"a": [1, None]}),
    ("'{\"a\": [1, null]}'::jsonb", {"a": [1, None]}),
    ("'null'::jsonb", None),
    ('\'{"{\\"a\\": 1}"}\'::jsonb[]', [{"a": 1}]),
    ("'$.a'::jsonpath", '$."a"'),
    ("'{}'::int[]", []),
    ("'{1,NULL,3}'::int[]", [1, None, 3]),
    ("'{{1,2},{3,NULL}}'::int[]", [[1, 2], [3, None]]),
    ("'[2:3]={1,2}'::int[]", [1, 2]),
    ("'{a,NULL,\"b c\"}'::text[]", ["a", None, "b c"]),
    ("'{1.1,NULL}'::numeric[]", [Decimal("1.1"), None]),
    ("'{t,f,NULL}'::bool[]", [True, False, None]),
    ("'{1.2.3.4}'::inet[]", [IPv4Address("1.2.3.4")]),
    ("'[1,5)'::int4range", Range(1, 5)),
    ("'(,5]'::int8range", Range(None, 6)),
    ("'empty'::numrange", Range(empty=True)),
    ("'[1.1,2]'::numrange", Range(Decimal("1.1"), Decimal(2), upper_inc=True)),
    (
        "'[2024-01-01,2024-02-01)'::daterange",
        Range(dt.date(2024, 1, 1), dt.date(2024, 2, 1)),
    ),
    ("'{[1,3),[5,7)}'::int4multirange", [Range(1, 3), Range(5, 7)]),
    ("'{\"[1,5)\"}'::int4range[]", [Range(1, 5)]),
    ("'happy'::al_mood", "happy"),
    ("'{happy,sad,NULL}'::al_mood[]", ["happy", "sad", None]),
    ("ROW(1, 'a')::al_pair", (1, "a")),
    ("ROW(1, NULL)::al_pair", (1, None)),
    ("ARRAY[ROW(1, 'a')::al_pair, NULL]", [(1, "a"), None]),
    ("ROW(1, 'a')", (1, "a")),
    ("5::al_positive", 5),
    ("'{5}'::al_positive[]", [5]),
    ("'2024-02-29'::date", dt.date(2024, 2, 29)),
    ("'12:00:01.5'::time", dt.time(12, 0, 1, 500000)),
    ("'1 year 2 mons 3 days 04:05:06.7'::interval", dt.timedelta(428, 14706.7)),
    ("'-1 days +02:03'::interval", dt.timedelta(-1, 7380)),
    ("'1.2.3.4'::inet", IPv4Address("1.2.3.4")),
    ("'1.2.3.4/24'::inet", IPv4Interface("1.2.3.4/24")),
    ("'::1'::inet", IPv6Address("::1")),
    ("'1.2.3.0/24'::cidr", IPv4Network("1.2.3.0/24")),
    ("'08:00:2b:01:02:03'::macaddr", "08:00:2b:01:02:03"),
    ("'08:00:2b:01:02:03:04:05'::macaddr8", "08:00:2b:01:02:03:04:05"),
    ("B'101'::bit(3)", BitString.from_int(5, 3)),
    ("''::varbit", BitString()),
    ("'(1,2)'::point", Point(1, 2)),
    ("'<(0,0),1>'::circle", Circle(Point(0, 0), 1)),
    ("'{1,2,3}'::line", Line(1, 2, 3)),
    ("'(0,1)'::tid", (0, 1)),
    ("'0/16B3748'::pg_lsn", 0x16B3748),
    ("'a b'::tsvector", "'a' 'b'"),
]
NAMES = [statement for statement, _ in CASES]


def with_own_types(connection: Connection) -> None:
    """Create a type of each kind, until the transaction is rolled back."""
    for statement in OWN_TYPES:
        connection.exec_driver_sql(statement)


def typed(values: Sequence[object]) -> list[tuple[type, object]]:
    """Return values with their types; a record is a tuple."""
    plain = [_without_names(value) for value in values]
    return [(type(value), value) for value in plain]


def _without_names(value: Any) -> Any:
    if type(value) is Record:
        return tuple(value)
    is_list = value.__class__ is list
    return [_without_names(each) for each in value] if is_list else value


@on(*ASYNCIO)
@pytest.mark.parametrize(("statement", "expected"), CASES, ids=NAMES)
def test_a_value_is_read_by_its_codec(
    side: Side, statement: str, expected: object
) -> None:
    """What stock asyncpg returns, ours returns."""

    def body(connection: Connection) -> object:
        if "al_" in statement:
            with_own_types(connection)
        return connection.exec_driver_sql(f"SELECT {statement}").scalar()

    assert typed([expected]) == typed([side.run(body)])


@on(*ASYNCIO)
def test_all_types_in_a_row_of_many(side: Side) -> None:
    """A row of all the types is read the same, and as often as there are rows."""
    columns = ", ".join(f"{name} AS c{number}" for number, name in enumerate(NAMES))

    def body(connection: Connection) -> object:
        with_own_types(connection)
        statement = text(f"SELECT {columns} FROM generate_series(1, 60)")  # noqa: S608
        rows = connection.execute(statement).all()
        return [typed(row) for row in rows]

    assert [typed([value for _, value in CASES])] * 60 == side.run(body)


@on(*ASYNCIO)
def test_all_types_in_a_stream(side: Side) -> None:
    """A cursor on the server reads them the same, over several fetches."""
    plain = [(name, value) for name, value in CASES if "al_" not in name]
    columns = ", ".join(f"{name} AS c{n}" for n, (name, _) in enumerate(plain))

    async def body(engine: AsyncEngine) -> list[Any]:
        async with engine.connect() as connection:
            rows = "generate_series(1, 120)"
            statement = text(f"SELECT {columns} FROM {rows}")  # noqa: S608
            async with connection.stream(statement) as result:
                return [typed(row) async for row in result]

    assert [typed([value for _, value in plain])] * 120 == side.drive(body)
