"""Typed columns give the same values on all dialects, whatever reads the bytes."""

from __future__ import annotations

import datetime as dt
import enum
import json
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Date,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    PickleType,
    String,
    Text,
    Time,
    TypeDecorator,
    Uuid,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import BIT, JSONB, BitString, Range
from sqlalchemy.dialects.postgresql.ranges import MultiRange

from tests.postgresql._dialects import open_side
from tests.postgresql._values import AWARE, DAY, SPAN, UUID_5, temporary

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine import Dialect
    from sqlalchemy.types import TypeEngine

    from tests.postgresql._dialects import Side


class Colour(enum.Enum):
    """A colour, stored by its name."""

    RED = "r"
    BLUE = "b"


class Doubled(TypeDecorator[int]):
    """A number that is stored as twice itself."""

    impl = Integer
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """Double the value."""
        del dialect
        return value and 2 * value

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:
        """Halve the value."""
        del dialect
        return value and value // 2


NESTED = [["a", None], ['b"', "NULL"]]
# Columns, and values that come back as they went.
CASES: list[tuple[TypeEngine[Any], list[Any]]] = [
    (JSON(), [{"a": [1, None, "ä"]}, [], "text", 5, True]),
    (JSONB(), [{"a": {"b": [1.5]}}, [1, 2], "", None]),
    (JSON(none_as_null=True), [{}, None]),
    (ARRAY(JSONB), [[{"a": 1}, {}]]),
    (ARRAY(Integer), [[1, None, 3], [], None]),
    (ARRAY(Integer, dimensions=2), [[[1, 2], [3, 4]]]),
    (ARRAY(Text), [NESTED, [""], None]),
    (ARRAY(Enum(Colour, name="al_colour")), [[Colour.RED, Colour.BLUE], []]),
    (ARRAY(Numeric), [[Decimal("1.10"), None]]),
    (ARRAY(Date), [[DAY, None]]),
    (ARRAY(Boolean), [[True, False, None]]),
    (ARRAY(Uuid), [[UUID_5]]),
    (Enum(Colour, name="al_colour"), [Colour.BLUE, None]),
    (Enum("a", "b", name="al_letter"), ["a", None]),
    (postgresql.INT4RANGE(), [Range(1, 5), Range(None, 5), Range(empty=True), None]),
    (postgresql.INT8RANGE(), [Range(1, 2**40)]),
    (postgresql.NUMRANGE(), [Range(Decimal("0.1"), Decimal("0.2"), bounds="[]")]),
    (postgresql.DATERANGE(), [Range(DAY, None), Range(None, None, bounds="()")]),
    (postgresql.TSTZRANGE(), [Range(AWARE, None)]),
    (postgresql.INT4MULTIRANGE(), [MultiRange([Range(1, 3), Range(5, 7)])]),
    (postgresql.DATEMULTIRANGE(), [MultiRange([Range(DAY, None)]), MultiRange()]),
    (ARRAY(postgresql.INT4RANGE), [[Range(1, 5), None]]),
    (postgresql.INET(), [IPv4Address("1.2.3.4"), None]),
    (postgresql.CIDR(), [IPv4Network("1.2.3.0/24")]),
    (postgresql.MACADDR(), ["08:00:2b:01:02:03"]),
    (BIT(3), [BitString("101")]),
    (BIT(varying=True), [BitString("10"), BitString("")]),
    (LargeBinary(), [b"\x00\xff", b"", None]),
    (PickleType(), [{"a": (1, 2)}]),
    (Interval(), [SPAN, dt.timedelta(-5), None]),
    (Time(), [dt.time(23, 59, 59, 999999)]),
    (Numeric(10, 2), [Decimal("12.34")]),
    (Numeric(asdecimal=False), [12.5]),
    (Float(asdecimal=True), [Decimal("0.25")]),
    (String(3), ["äöü", None]),
    (Uuid(as_uuid=False), [str(UUID_5)]),
    (postgresql.TSVECTOR(), ["'a' 'b'"]),
    (Doubled(), [5, None]),
]


@pytest.mark.parametrize(("kind", "values"), CASES, ids=[repr(it) for it, _ in CASES])
def test_values_of_a_column_come_back(
    side: Side, kind: TypeEngine[Any], values: list[Any]
) -> None:
    """One by one, or in a batch: what is read is what was written."""

    def body(connection: Connection) -> object:
        table = temporary(connection, kind)
        for value in values:
            connection.execute(insert(table), {"v": value})
        connection.execute(insert(table), [{"v": value} for value in values * 2])
        return connection.scalars(select(table.c.v)).all()

    assert values * 3 == side.run(body)


@pytest.mark.parametrize("kind", [JSON(), JSONB()], ids=repr)
def test_functions_of_ones_own_write_and_read_json(
    driver: str, postgresql_url: str, kind: TypeEngine[Any]
) -> None:
    """`json_serializer` and `json_deserializer` are called for each document."""
    seen = list[str]()

    def write(value: object) -> str:
        seen.append("write")
        return json.dumps(value, default=str)

    def read(value: str | bytes) -> object:
        seen.append("read")
        return json.loads(value, parse_float=Decimal)

    value: Any = {"day": DAY, "exact": 1.1}
    expected: Any = {"day": "2024-02-29", "exact": Decimal("1.1")}

    def body(connection: Connection) -> object:
        table = temporary(connection, kind)
        connection.execute(insert(table), {"v": value})
        connection.execute(insert(table), [{"v": value}] * 2)
        return connection.scalars(select(table.c.v)).all()

    with open_side(
        driver, postgresql_url, json_serializer=write, json_deserializer=read
    ) as side:
        assert [expected] * 3 == side.run(body)
    assert ["write"] * 3 + ["read"] * 3 == seen


def test_operators_of_json(side: Side) -> None:
    """A part of a document is found by a key, a number, a path or another document."""

    def body(connection: Connection) -> object:
        table = temporary(connection, JSONB())
        connection.execute(insert(table), {"v": {"a": [1, {"b": "c"}]}})
        v: Any = table.c.v
        statement = select(
            v["a"][0],
            v["a"][0].as_integer(),
            v["a", 1, "b"].as_string(),
            v.has_key("a"),
            v.contains({"a": [1]}),
            v.path_exists("$.a[*].b"),
        )
        return tuple(connection.execute(statement).one())

    assert (1, 1, "c", True, True, True) == side.run(body)
