"""Each type of data, ordinary and extreme, there and back."""
# ruff: noqa: D401, DTZ001, DTZ901 - a scenario says what is, it orders nothing; naive datetimes are meant

from __future__ import annotations

import ipaddress
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    PickleType,
    SmallInteger,
    String,
    Table,
    Text,
    Time,
    Uuid,
)
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.dialects.postgresql import Range

from tests.differential._catalogue import cases
from tests.differential._ground import do, rows, run
from tests.differential._storing import store

if TYPE_CHECKING:
    from tests.differential._ground import Ground

INDIA = timezone(timedelta(hours=5, minutes=30))


_MOOD = Enum("sad", "ok", name="mood")

_STORED: Any = (
    ("integer", Integer(), 2**31 - 1),
    ("integer, least", Integer(), -(2**31)),
    ("integer, too great", Integer(), 2**31),
    ("integer, far too great", Integer(), 2**70),
    ("smallint", SmallInteger(), 32767),
    ("smallint, too great", SmallInteger(), 32768),
    ("bigint", BigInteger(), 2**63 - 1),
    ("bigint, too great", BigInteger(), 2**63),
    ("numeric", Numeric(), Decimal("1.10")),
    ("numeric, NaN", Numeric(), Decimal("NaN")),
    ("numeric, infinite", Numeric(), Decimal("-Infinity")),
    ("numeric, great", Numeric(), Decimal("1E+40")),
    ("numeric, fine", Numeric(), Decimal("1E-40")),
    ("numeric(10, 2)", Numeric(10, 2), Decimal("1.005")),
    ("numeric(3, 2), too great", Numeric(3, 2), Decimal("12.5")),
    ("numeric as float", Numeric(asdecimal=False), Decimal("0.1")),
    ("float", Float(), 0.1),
    ("float as decimal", Float(asdecimal=True), Decimal("0.1")),
    ("double", Double(), 1.7976931348623157e308),
    ("double, least", Double(), 5e-324),
    ("double, NaN", Double(), float("nan")),
    ("double, infinite", Double(), float("inf")),
    ("real", pg.REAL(), 1.1),
    ("real, too great", pg.REAL(), 1e39),
    ("text", Text(), "é😀 'quoted' \\ %s :x $1"),
    ("text, empty", Text(), ""),
    ("text, NUL", Text(), "a\x00b"),
    ("text, surrogate", Text(), "\ud800"),
    ("text, long", Text(), "x" * 100_000),
    ("varchar(3), too long", String(3), "abcd"),
    ("char(3)", pg.CHAR(3), "a"),
    ("boolean", Boolean(), True),
    ("boolean, NULL", Boolean(), None),
    ("date", Date(), date(2020, 2, 29)),
    ("date, least", Date(), date.min),
    ("date, greatest", Date(), date.max),
    ("timestamp", DateTime(), datetime(2020, 2, 29, 1, 2, 3, 456789)),
    ("timestamp, least", DateTime(), datetime.min),
    ("timestamp, greatest", DateTime(), datetime.max),
    ("timestamp, aware", DateTime(), datetime(2020, 1, 1, tzinfo=INDIA)),
    ("timestamptz", DateTime(timezone=True), datetime(2020, 1, 1, tzinfo=UTC)),
    ("timestamptz, India", DateTime(timezone=True), datetime(2020, 1, 1, tzinfo=INDIA)),
    ("timestamptz, least", DateTime(timezone=True), datetime.min.replace(tzinfo=UTC)),
    ("timestamptz, last", DateTime(timezone=True), datetime.max.replace(tzinfo=UTC)),
    ("timestamptz, naive", DateTime(timezone=True), datetime(2020, 1, 1)),
    ("time", Time(), time(23, 59, 59, 999999)),
    ("timetz", Time(timezone=True), time(1, 2, tzinfo=INDIA)),
    ("timetz, naive", Time(timezone=True), time(1, 2)),
    ("interval", Interval(), timedelta(days=40, seconds=1, microseconds=2)),
    ("interval, negative", Interval(), timedelta(days=-1, seconds=1)),
    ("interval, greatest", Interval(), timedelta.max),
    ("interval of PostgreSQL", pg.INTERVAL(), timedelta(hours=30)),
    ("bytea", LargeBinary(), bytes(range(256))),
    ("bytea, empty", LargeBinary(), b""),
    ("bytea, bytearray", LargeBinary(), bytearray(b"ab")),
    ("bytea, memoryview", LargeBinary(), memoryview(b"ab")),
    ("pickled", PickleType(), {"a": [1]}),
    ("uuid", Uuid(), uuid.UUID(int=7)),
    ("uuid, text", Uuid(as_uuid=False), str(uuid.UUID(int=7))),
    ("json", JSON(), {"a": [1, 2.5, None, "é"]}),
    ("json, null", JSON(), None),
    ("json, SQL NULL", JSON(none_as_null=True), None),
    ("json, NaN", JSON(), float("nan")),
    ("jsonb", pg.JSONB(), {"b": 1, "a": {"c": 2**70}}),
    ("jsonb, a text", pg.JSONB(), "text"),
    ("jsonb, NUL", pg.JSONB(), "\x00"),
    ("jsonb, NaN", pg.JSONB(), float("nan")),
    ("jsonpath", pg.JSONPATH(), "$.a[*]"),
    ("array", ARRAY(Integer), [1, None, 3]),
    ("array, empty", ARRAY(Integer), []),
    ("array, nested", ARRAY(Integer), [[1, 2], [3, 4]]),
    ("array, ragged", ARRAY(Integer, dimensions=2), [[1, 2], [3]]),
    ("array of text", ARRAY(Text), ['a"b', "c,d", "{e}", "NULL", None, ""]),
    (
        "array of timestamptz",
        ARRAY(DateTime(timezone=True)),
        [datetime(2020, 1, 1, tzinfo=UTC)],
    ),
    ("array of numeric", ARRAY(Numeric), [Decimal("1.1"), Decimal(2)]),
    ("array of enum", ARRAY(_MOOD), ["sad", "ok"]),
    ("array of jsonb", ARRAY(pg.JSONB), [{"a": 1}, [2]]),
    ("enum", _MOOD, "ok"),
    ("hstore", pg.HSTORE(), {"a": "1", "b": None, 'c"': "=>"}),
    ("inet", pg.INET(), "10.0.0.1"),
    ("inet, an object", pg.INET(), ipaddress.ip_address("::1")),
    ("cidr", pg.CIDR(), ipaddress.ip_network("10.0.0.0/8")),
    ("macaddr", pg.MACADDR(), "08:00:2b:01:02:03"),
    ("bit", pg.BIT(3), "101"),
    ("oid", pg.OID(), 2**32 - 1),
    ("money", pg.MONEY(), "12.34"),
    ("tsvector", pg.TSVECTOR(), "fat cat"),
    ("int4range", pg.INT4RANGE(), Range(1, 5)),
    ("int4range, empty", pg.INT4RANGE(), Range(empty=True)),
    ("int8range, open", pg.INT8RANGE(), Range(2**40, None)),
    ("numrange", pg.NUMRANGE(), Range(Decimal("1.1"), Decimal("2.2"), bounds="(]")),
    ("daterange", pg.DATERANGE(), Range(date(2020, 1, 1), date(2020, 2, 1))),
    ("tsrange", pg.TSRANGE(), Range(datetime(2020, 1, 1), None)),
    ("tstzrange", pg.TSTZRANGE(), Range(datetime(2020, 1, 1, tzinfo=UTC), None)),
    ("int4multirange", pg.INT4MULTIRANGE(), [Range(1, 3), Range(5, 7)]),
)


@cases(*_STORED)
def stored(ground: Ground, _: str, type_: Any, value: Any) -> object:
    """A value of the right Python type is stored as it is, and read as it was."""
    return store(ground, type_, value)


_TOKYO = "SET TIME ZONE 'Asia/Tokyo'"


def naive_in_the_zone_of_the_session(ground: Ground) -> object:
    """A naive datetime for timestamptz is in the session's zone."""
    ground.observe("CREATE TABLE t (x timestamptz)")
    table = Table("t", MetaData(), Column("x", DateTime(timezone=True)))
    with ground.engine.begin() as connection:
        run(connection, _TOKYO)
        given = {"x": datetime(2020, 1, 1, 12)}
        return ground.attempt(do, connection, table.insert(), given)


def aware_for_timestamp_in_the_zone_of_the_session(ground: Ground) -> object:
    """An aware datetime for timestamp loses its zone, or is turned to the session's."""
    ground.observe("CREATE TABLE t (x timestamp)")
    table = Table("t", MetaData(), Column("x", DateTime()))
    with ground.engine.begin() as connection:
        run(connection, _TOKYO)
        given = {"x": datetime(2020, 1, 1, 12, tzinfo=INDIA)}
        return ground.attempt(do, connection, table.insert(), given)


def instants_in_the_zone_of_the_session(ground: Ground) -> object:
    """A timestamptz is read in the session's zone, or in UTC."""
    with ground.engine.connect() as connection:
        run(connection, _TOKYO)
        return rows(connection, "SELECT timestamptz '2020-01-01 12:00+00'")


_READ = (
    *("1.1::real", "1e-40::real", "0.1::float8", "'NaN'::float8", "1.50::numeric"),
    *("'infinity'::timestamp", "'-infinity'::timestamp", "'infinity'::timestamptz"),
    *("'infinity'::date", "'-infinity'::date", "'0044-03-15 BC'::date"),
    *("'294276-01-01'::timestamp", "'24:00'::time", "'1 mon 2 days'::interval"),
    *("'10 years'::interval", "'infinity'::numeric", "'a'::\"char\"", "'x '::char(3)"),
    *("'\\x00ff'::bytea", "'[1,2)'::int4range", "'{[1,2)}'::int4multirange"),
    *("B'101'", "point(1, 2)", "box(point(0,0), point(1,1))", "'<(1,2),3>'::circle"),
    *("row(1, 'a')", "row(1, 'a')::pair", "array[row(1, 'a')::pair]", "'sad'::feeling"),
    *("'10.0.0.1/8'::inet", "'10.0.0.0/8'::cidr", "'{\"a\": 1.0}'::jsonb", "'1'::json"),
    *("'{{1,2},{3,4}}'::int[]", "'[2:3]={1,2}'::int[]", "array[]::text[]", "NULL"),
    *("'a'::name", "'item'::regclass", "'1'::xid", "'0/10'::pg_lsn", "'1.5'::money"),
    *("'<a/>'::xml", "'a b'::tsvector", "'00:00+05:30'::timetz", "7::positive"),
    *("'12:00:00.5-03'::timetz", '\'"a"=>"1"\'::public.hstore', "'(0,1)'::tid"),
)


@cases(*_READ)
def read(ground: Ground, expression: str) -> object:
    """What a statement without types returns."""
    ground.observe(
        "CREATE TYPE pair AS (a int, b text);"
        "CREATE TYPE feeling AS ENUM ('sad', 'ok');"
        "CREATE DOMAIN positive AS int CHECK (VALUE > 0)"
    )
    with ground.engine.connect() as connection:
        sql = f"SELECT {expression} AS x".replace(":", "\\:")
        return rows(connection, sql)
