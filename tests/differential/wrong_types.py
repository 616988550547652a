"""Values whose Python type is not the column's, and what becomes of the block."""
# ruff: noqa: D401, DTZ001 - a scenario says what is, it orders nothing; naive datetimes are meant

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
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
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    Time,
    Uuid,
    select,
    update,
)
from sqlalchemy.dialects import postgresql as pg

from tests.differential._catalogue import cases
from tests.differential._ground import ITEM, add, do
from tests.differential._storing import store

if TYPE_CHECKING:
    from tests.differential._ground import Ground

_MOOD = Enum("sad", "ok", name="mood", validate_strings=False)
_WRONG: Any = (
    ("float into integer", Integer(), 2.5),
    ("greater float into integer", Integer(), 3.5),
    ("NaN into integer", Integer(), float("nan")),
    ("float into smallint", SmallInteger(), 1.5),
    ("float into bigint", BigInteger(), 1e18),
    ("Decimal into integer", Integer(), Decimal("1.5")),
    ("bool into integer", Integer(), True),
    ("digits into integer", Integer(), "5"),
    ("letters into integer", Integer(), "abc"),
    ("bytes into integer", Integer(), b"5"),
    ("date into integer", Integer(), date(2020, 1, 1)),
    ("list into integer", Integer(), [1]),
    ("object into integer", Integer(), object()),
    ("float into numeric", Numeric(), 0.1),
    ("float into numeric(10, 2)", Numeric(10, 2), 0.125),
    ("int into numeric", Numeric(), 2**70),
    ("digits into numeric", Numeric(), "1.5"),
    ("letters into numeric", Numeric(), "abc"),
    ("bool into numeric", Numeric(), True),
    ("int into double", Double(), 5),
    ("Decimal into double", Double(), Decimal("0.1")),
    ("digits into double", Double(), "1.5"),
    ("great int into double", Double(), 2**70),
    ("int into text", Text(), 5),
    ("float into text", Text(), 1.5),
    ("bool into text", Text(), True),
    ("date into text", Text(), date(2020, 1, 1)),
    ("bytes into text", Text(), b"x"),
    ("uuid into text", Text(), uuid.UUID(int=7)),
    ("Decimal into text", Text(), Decimal("1.10")),
    ("list into text", Text(), ["a"]),
    ("dict into text", Text(), {"a": 1}),
    ("int into boolean", Boolean(), 1),
    ("greater int into boolean", Boolean(), 2),
    ("letters into boolean", Boolean(), "true"),
    ("text into date", Date(), "2020-01-01"),
    ("letters into date", Date(), "x"),
    ("datetime into date", Date(), datetime(2020, 1, 1, 12)),
    ("int into date", Date(), 5),
    ("date into timestamp", DateTime(), date(2020, 1, 1)),
    ("text into timestamp", DateTime(), "2020-01-01 10:00"),
    ("date into timestamptz", DateTime(timezone=True), date(2020, 1, 1)),
    ("text into timestamptz", DateTime(timezone=True), "2020-01-01 10:00+02"),
    ("datetime into time", Time(), datetime(2020, 1, 1, 12)),
    ("aware time into time", Time(), time(1, tzinfo=UTC)),
    ("text into time", Time(), "10:00"),
    ("text into interval", Interval(), "1 day"),
    ("int into interval", Interval(), 5),
    ("text into bytea", LargeBinary(), "abc"),
    ("int into bytea", LargeBinary(), 5),
    ("text into uuid", Uuid(), str(uuid.UUID(int=7))),
    ("text into uuid, native", pg.UUID(as_uuid=False), "not one"),
    ("int into uuid", Uuid(), 5),
    ("set into json", JSON(), {1}),
    ("tuple into array", ARRAY(Integer), (1, 2)),
    ("text into array", ARRAY(Integer), "{1,2}"),
    ("letters in array", ARRAY(Integer), [1, "a"]),
    ("floats in array", ARRAY(Integer), [1.5, 2.5]),
    ("great ints in array", ARRAY(Integer), [2**40]),
    ("ints in array of text", ARRAY(Text), [1, 2]),
    ("set into array", ARRAY(Integer), {1}),
    ("int into array", ARRAY(Integer), 5),
    ("unknown word into enum", pg.ENUM("sad", name="mood", create_type=False), "glad"),
    ("int into inet", pg.INET(), 5),
    ("letters into inet", pg.INET(), "x"),
    ("int into hstore", pg.HSTORE(), 5),
    ("text into int4range", pg.INT4RANGE(), "[1,5)"),
    ("letters into bit", pg.BIT(3), "2"),
    ("timedelta into time", Time(), timedelta(hours=1)),
)


@cases(*_WRONG)
def stored(ground: Ground, _: str, type_: Any, value: Any) -> object:
    """The server converts the value or refuses it, and knows of the refusal."""
    return store(ground, type_, value)


_COMPARED: Any = (
    ("float", 1.5),
    ("equal float", 2.0),
    ("digits", "2"),
    ("letters", "x"),
    ("great int", 2**40),
    ("Decimal", Decimal(2)),
)


@cases(*_COMPARED)
def compared(ground: Ground, _: str, value: Any) -> object:
    """An integer column is compared with something else."""
    with ground.engine.begin() as connection:
        asked = select(ITEM.c.id).where(ITEM.c.id >= value)
        told = ground.attempt(lambda: connection.execute(asked).all())
        return [told, ground.attempt(add, connection, 4)]


@cases("limit", "executemany", "returning", "update")
def in_other_places(ground: Ground, place: str) -> object:
    """A float is rounded wherever it is bound."""
    with ground.engine.begin() as connection:
        statement: Any
        given: Any = None
        match place:
            case "limit":
                statement = select(ITEM.c.id).order_by(ITEM.c.id).limit(2)
            case "executemany":
                statement = ITEM.insert()
                given = [{"id": 4.5, "n": 1}, {"id": 6, "n": 2.5}, {"id": 7, "n": "3"}]
            case "returning":
                statement = ITEM.insert().values(id=5.5).returning(ITEM.c.id)
            case _:
                statement = update(ITEM).values(n=ITEM.c.n + 0.5)
        result = connection.execute(statement, given)
        return result.all() if result.returns_rows else None


def refused_in_executemany(ground: Ground) -> object:
    """One value of many is refused: nothing of the block stays."""
    with ground.engine.begin() as connection:
        given = [{"id": 4, "n": 1}, {"id": 5, "n": "x"}]
        told = ground.attempt(do, connection, ITEM.insert(), given)
        return [told, ground.attempt(add, connection, 6)]


def refused_in_a_savepoint(ground: Ground) -> object:
    """A refused value spoils its savepoint, and no more."""
    with ground.engine.begin() as connection:
        add(connection, 4)
        savepoint = connection.begin_nested()
        told = ground.attempt(do, connection, ITEM.insert(), {"id": 2**40})
        after = ground.attempt(add, connection, 5)
        savepoint.rollback()
        add(connection, 6)
        return [told, after]


def column_that_lies(ground: Ground) -> object:
    """The table says varchar, the server has an integer."""
    ground.observe("CREATE TABLE lie (x int)")
    table = Table("lie", MetaData(), Column("x", Text))
    with ground.engine.begin() as connection:
        return ground.attempt(do, connection, table.insert(), {"x": "5"})
