"""Many rows at once, whose values have several types."""
# ruff: noqa: D401, DTZ001, DTZ901 - a scenario says what is; naive datetimes are meant

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    Column,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
    bindparam,
    insert,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB

from tests.differential._catalogue import cases
from tests.differential._ground import ITEM, add

if TYPE_CHECKING:
    from tests.differential._ground import Ground

_MIXED: tuple[tuple[str, Any, list[Any]], ...] = (
    ("ints and floats", Integer(), [1, 2.5, 3, 3.5]),
    ("ints, floats and texts", Integer(), [1, 2.5, "3", None, 4]),
    ("ints and NULL", Integer(), [None, 1, None]),
    ("NULL alone", Integer(), [None, None]),
    ("the last is too great", Integer(), [1, 2, 2**40]),
    ("the first is too great", Integer(), [2**40, 1, 2]),
    ("one is no number", Integer(), [1, "x", 2]),
    ("one is a number in letters", Integer(), [1, "7", 2]),
    ("one is an object", Integer(), [1, object(), 2]),
    ("one is a float among many", Integer(), [*range(200), 0.5, *range(200)]),
    ("ints of all widths", Numeric(), [1, 2**20, 2**40, 2**70]),
    ("floats and Decimals", Numeric(), [0.1, Decimal("0.1"), 1, "0.1"]),
    ("texts and ints", String(), ["a", 5, None, True]),
    ("naive and aware", DateTime(timezone=True), [
        datetime(2020, 1, 1),
        datetime(2020, 1, 1, tzinfo=UTC),
        None,
    ]),
    ("aware into timestamp", DateTime(), [
        datetime(2020, 1, 1),
        datetime(2020, 1, 1, tzinfo=UTC),
    ]),
    ("the ends of time", DateTime(), [
        datetime.min,
        datetime(2020, 1, 1),
        datetime.max,
    ]),
    ("dates and datetimes", Date(), [
        date(2020, 1, 1),
        datetime(2020, 1, 1),
        "2020-01-01",
    ]),
    ("dates in letters", Date(), [date(2020, 1, 1), "x"]),
    ("bytes of all kinds", LargeBinary(), [b"a", bytearray(b"b"), memoryview(b"c")]),
    ("arrays", ARRAY(Integer), [[1], [1.5, 2.5], [], None, [None]]),
    ("arrays of texts", ARRAY(Integer), [[1], ["2"], ["x"]]),
    ("documents", JSONB(), [{"a": 1}, [1], "x", 1.5, None]),
    ("a NUL", String(), ["a", "b\x00", "c"]),
    ("uuids in letters", Uuid(), ["00000000-0000-0000-0000-000000000007"]),
)  # fmt: skip


@cases(*_MIXED)
def inserted(ground: Ground, _: str, kind: Any, given: list[Any]) -> object:
    """An executemany into a typed column, its count, and what the block becomes."""
    return _inserted(ground, kind, given)


@cases(*_MIXED)
def inserted_in_autocommit(
    ground: Ground, _: str, kind: Any, given: list[Any]
) -> object:
    """The same without a transaction around it: all of it, or nothing."""
    return _inserted(ground, kind, given, isolation_level="AUTOCOMMIT")


def _inserted(ground: Ground, kind: Any, given: list[Any], **options: Any) -> object:
    table = Table("t", MetaData(), Column("x", kind))
    compiled = kind.compile(dialect=ground.engine.dialect)
    ground.observe(f"CREATE TABLE t (x {compiled})")
    rows = [{"x": value} for value in given]
    with ground.engine.connect().execution_options(**options) as connection:
        told = ground.attempt(lambda: _count(connection, insert(table), rows))
        after = ground.attempt(add, connection, 4)
        connection.commit()
        return [told, after]


def _count(connection: Any, statement: Any, rows: Any) -> object:
    options = {"preserve_rowcount": True}
    return connection.execute(statement, rows, execution_options=options).rowcount


@cases(*(each for each in _MIXED if len(each[2]) > 1))
def inserted_untyped(ground: Ground, _: str, kind: Any, given: list[Any]) -> object:
    """A text() into a column whose type only the server knows."""
    compiled = kind.compile(dialect=ground.engine.dialect)
    ground.observe(f"CREATE TABLE t (x {compiled})")
    rows = [{"x": value} for value in given]
    with ground.engine.begin() as connection:
        statement = text("INSERT INTO t VALUES (:x)")
        told = ground.attempt(lambda: _count(connection, statement, rows))
        return [told, ground.attempt(add, connection, 4)]


@cases(*_MIXED)
def inserted_returning(ground: Ground, _: str, kind: Any, given: list[Any]) -> object:
    """Many rows in one INSERT, which gives them back."""
    table = Table("t", MetaData(), Column("id", Integer), Column("x", kind))
    compiled = kind.compile(dialect=ground.engine.dialect)
    ground.observe(f"CREATE TABLE t (id int, x {compiled})")
    rows = [{"id": at, "x": value} for at, value in enumerate(given)]
    statement = insert(table).returning(table.c.id, table.c.x)
    with ground.engine.begin() as connection:

        def work() -> object:
            return sorted(connection.execute(statement, rows), key=lambda row: row.id)

        return [ground.attempt(work), ground.attempt(add, connection, 4)]


@cases(
    ("floats", [(1, 1.5), (2, 2.5)]),
    ("floats and ints", [(1, 1), (2, 2.5), (3, 4)]),
    ("one is refused", [(1, 1), (2, "x"), (3, 4)]),
    ("one is missing", [(1, 1), (99, 2.5), (3, 4)]),
    ("keys in letters", [("1", 1), ("2", 2)]),
)
def updated(ground: Ground, _: str, given: list[Any]) -> object:
    """An executemany of UPDATE counts exactly, however its values are sent."""
    statement = update(ITEM).where(ITEM.c.id == bindparam("i")).values(n=bindparam("v"))
    rows = [{"i": key, "v": value} for key, value in given]
    with ground.engine.begin() as connection:
        told = ground.attempt(lambda: _count(connection, statement, rows))
        return [told, ground.attempt(add, connection, 4)]


def updated_in_a_savepoint(ground: Ground) -> object:
    """A refused row spoils its savepoint alone."""
    statement = update(ITEM).where(ITEM.c.id == bindparam("i")).values(n=bindparam("v"))
    rows = [{"i": 1, "v": 7}, {"i": 2, "v": object()}]
    with ground.engine.begin() as connection:
        savepoint = connection.begin_nested()
        told = ground.attempt(lambda: _count(connection, statement, rows))
        savepoint.rollback()
        add(connection, 4)
        return told


def nothing_given(ground: Ground) -> object:
    """An executemany of no rows is an INSERT of defaults."""
    with ground.engine.begin() as connection:
        return ground.attempt(lambda: connection.execute(insert(ITEM), []) and None)
