"""Values in statements of every kind have the type that psycopg gives them."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    DateTime,
    Float,
    Integer,
    Numeric,
    SmallInteger,
    Text,
    bindparam,
    cast,
    func,
    insert,
    literal,
    select,
    text,
    update,
    values,
)

from tests.postgresql._dialects import ASYNCPG, wrong_on
from tests.postgresql._values import (
    AWARE,
    CHANGES,
    DAY,
    EAST,
    LAST,
    LAST_UTC,
    NAIVE,
    REFUSES,
    UUID_5,
    Number,
    Word,
    temporary,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

    from tests.postgresql._dialects import Side

# Values of many types for one column, and what it has of them then.
MIXED: list[tuple[TypeEngine[Any], list[object], list[object]]] = [
    (
        Integer(),
        [1, 2.5, "3", Decimal("3.5"), None, True, Number.FIVE, 3.5, Word.FIVE],
        ["1", "2", "3", "4", None, "1", "5", "4", "5"],
    ),
    (SmallInteger(), [1, 3.5, "3", None], ["1", "4", "3", None]),
    (BigInteger(), [2**40, 3.5, "3", None], ["1099511627776", "4", "3", None]),
    (
        Numeric(),
        [0.1, Decimal("0.1"), "0.1", 5, None, 10**20],
        ["0.1", "0.1", "0.1", "5", None, "100000000000000000000"],
    ),
    (Float(), [0.1, Decimal("0.1"), "0.1", 5, None], ["0.1", "0.1", "0.1", "5", None]),
    (
        Text(),
        ["a", 5, 2.5, True, None, DAY, UUID_5, b"a"],
        ["a", "5", "2.5", "true", None, "2024-02-29", str(UUID_5), "\\x61"],
    ),
    (
        DateTime(),
        [NAIVE, "2024-02-29", DAY, LAST, None],
        [
            "2024-02-29 01:02:03.000004",
            "2024-02-29 00:00:00",
            "2024-02-29 00:00:00",
            "9999-12-31 23:59:59.999999",
            None,
        ],
    ),
    (
        DateTime(timezone=True),
        [AWARE, NAIVE, EAST, LAST_UTC, None],
        [
            "2024-02-29 01:02:03.000004+00",
            "2024-02-29 01:02:03.000004+00",
            "2024-02-28 23:02:03.000004+00",
            "9999-12-31 23:59:59.999999+00",
            None,
        ],
    ),
    (Date(), [DAY, LAST, "infinity"], ["2024-02-29", "9999-12-31", "infinity"]),
]


def mixed() -> pytest.MarkDecorator:
    """Run a test with each column of mixed values."""
    names = [repr(kind) for kind, *_ in MIXED]
    return pytest.mark.parametrize(("kind", "given", "expected"), MIXED, ids=names)


@wrong_on(ASYNCPG, REFUSES)
@mixed()
def test_a_batch_of_mixed_values(
    side: Side, kind: TypeEngine[Any], given: list[object], expected: list[str | None]
) -> None:
    """Each row of an executemany is converted as if it came alone."""

    def body(connection: Connection) -> object:
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        table = temporary(connection, kind)
        connection.execute(insert(table), [{"v": value} for value in given])
        return connection.scalars(select(cast(table.c.v, Text))).all()

    assert expected == side.run(body)


@wrong_on(ASYNCPG, REFUSES)
@mixed()
def test_many_rows_with_returning(
    side: Side, kind: TypeEngine[Any], given: list[object], expected: list[str | None]
) -> None:
    """One INSERT of many rows converts each of its values."""

    def body(connection: Connection) -> object:
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'UTC'")
        table = temporary(connection, kind)
        statement = insert(table).returning(
            cast(table.c.v, Text), sort_by_parameter_order=False
        )
        rows = [{"v": value} for value in given]
        found = connection.scalars(statement, rows).all()
        return sorted(found, key=repr)

    assert sorted(expected, key=repr) == side.run(body)


@wrong_on(ASYNCPG, CHANGES)
def test_a_long_batch_with_one_odd_value(side: Side) -> None:
    """One fraction among thousands of whole numbers is rounded."""
    rows: list[dict[str, object]] = [{"v": number} for number in range(5000)]
    rows[4321] = {"v": 7.5}

    def body(connection: Connection) -> object:
        table = temporary(connection, Integer())
        connection.execute(insert(table), rows)
        found = select(func.count(), func.sum(table.c.v))
        return tuple(connection.execute(found).one())

    assert (5000, sum(range(5000)) - 4321 + 8) == side.run(body)


@wrong_on(ASYNCPG, CHANGES)
def test_an_update_of_many_rows(side: Side) -> None:
    """Values of SET and of WHERE are converted alike."""

    def body(connection: Connection) -> object:
        table = temporary(connection, Integer())
        connection.execute(insert(table), [{"v": 2}, {"v": 4}])
        statement = update(table).where(table.c.v == bindparam("old"))
        rows = [{"old": "2", "v": 7.5}, {"old": 3.5, "v": "9"}]
        connection.execute(statement, rows)
        return connection.scalars(select(table.c.v).order_by(table.c.v)).all()

    assert [8, 9] == side.run(body)


@wrong_on(ASYNCPG, REFUSES)
def test_a_value_to_compare_with(side: Side) -> None:
    """A WHERE casts its value to the type of the parameter, on the server."""

    def body(connection: Connection) -> object:
        table = temporary(connection, Integer())
        connection.execute(insert(table), [{"v": number} for number in range(5)])
        value = bindparam("value", type_=Integer)
        statement = select(table.c.v).where(table.c.v == value)
        given: list[object] = [3, 3.5, "3", Decimal("2.5"), None, Number.FIVE]
        found = [connection.scalars(statement, {"value": one}).all() for one in given]
        return [number for numbers in found for number in numbers]

    assert [3, 4, 3, 3] == side.run(body)


@wrong_on(ASYNCPG, REFUSES)
def test_a_list_to_compare_with(side: Side) -> None:
    """IN takes values of several types."""

    def body(connection: Connection) -> object:
        table = temporary(connection, Integer())
        connection.execute(insert(table), [{"v": number} for number in range(5)])
        found = select(table.c.v).where(table.c.v.in_([1, "2", 3.5, Decimal("2.5")]))
        return sorted(connection.scalars(found))

    assert [1, 2, 3, 4] == side.run(body)


@wrong_on(ASYNCPG, REFUSES)
def test_a_typed_parameter_of_text(side: Side) -> None:
    """`bindparams` with a type casts as a column of the type does."""
    statement = text("SELECT :whole, CAST(:exact AS numeric), :day").bindparams(
        bindparam("whole", type_=Integer),
        bindparam("exact", type_=Numeric),
        bindparam("day", type_=Date),
    )

    def body(connection: Connection) -> object:
        given = {"whole": "5", "exact": 0.1, "day": NAIVE}
        return tuple(connection.execute(statement, given).one())

    assert (5, Decimal("0.1"), DAY) == side.run(body)


@wrong_on(ASYNCPG, CHANGES)
def test_rows_of_values(side: Side) -> None:
    """A VALUES list converts each cell."""
    rows = values(Column("a", Integer), Column("b", Numeric), name="rows")
    statement = select(rows.data([(1, 0.1), (3.5, 1)])).order_by("a")

    def body(connection: Connection) -> object:
        return [tuple(row) for row in connection.execute(statement)]

    assert [(1, Decimal("0.1")), (4, Decimal(1))] == side.run(body)


def test_a_literal_is_left_alone(side: Side) -> None:
    """A value that is written into the statement is no parameter."""

    def body(connection: Connection) -> object:
        return connection.scalar(select(literal("$1 :x %s", literal_execute=True)))

    assert "$1 :x %s" == side.run(body)
