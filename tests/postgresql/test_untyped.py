"""A parameter of no declared type has the type of its value, as in psycopg."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from tests.postgresql._dialects import (
    ASYNCIO,
    ASYNCPG,
    OURS_ASYNC,
    PSYCOPG,
    on,
    wrong,
    wrong_on,
)
from tests.postgresql._values import AWARE, EAST, MIXED, UNKNOWN, outcome
from tests.postgresql._values_untyped import EXPRESSIONS, NO_TYPE, SELECTED, UNTYPED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side


def each(
    rows: Iterable[tuple[Any, ...]], wrong_ones: Iterable[str]
) -> pytest.MarkDecorator:
    """Run a test with each row; stock asyncpg has its reason where it fails."""
    found: list[Any] = []
    for number, (row, reason) in enumerate(zip(rows, wrong_ones, strict=True)):
        for driver in (PSYCOPG, *ASYNCIO):
            fails = reason and driver == ASYNCPG
            marks = wrong(driver, reason).marks if fails else ()
            name = f"{driver}-{number}-{row[0]}"[:60]
            found.append(pytest.param(driver, row[:3], marks=marks, id=name))
    return pytest.mark.parametrize(("driver", "row"), found)


def answer(connection: Connection, statement: str, *values: object) -> object:
    """Return the one value of a statement, its rows if they are more, or a refusal."""

    def do() -> object:
        named = dict(zip("xy", values, strict=False))
        rows = [tuple(row) for row in connection.execute(text(statement), named)]
        return rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else rows

    return outcome(connection, do)


def same(expected: object, found: object) -> bool:
    """Tell whether two values are equal and of one type, NaN and their lists too."""
    if isinstance(expected, Decimal) and isinstance(found, Decimal):
        return expected == found
    return repr(expected) == repr(found)


def is_seen_so(row: tuple[Any, ...]) -> bool:
    """Tell whether the server's own choice, text, is psycopg's too."""
    return row[0] is None or isinstance(row[0], str)


@each(
    SELECTED,
    ["" if is_seen_so(row) else UNTYPED for row in SELECTED],
)
def test_a_value_comes_back_as_its_own_type(side: Side, row: tuple[Any, ...]) -> None:
    """`SELECT :x` returns what psycopg returns."""
    value, expected, _ = row
    found = side.run(lambda it: answer(it, "SELECT :x", value))
    assert same(expected, found)


@each(
    SELECTED,
    ["" if row[2] in {None, MIXED, UNKNOWN} else UNTYPED for row in SELECTED],
)
def test_the_server_sees_the_type_of_the_value(
    side: Side, row: tuple[Any, ...]
) -> None:
    """An int is the smallest type that holds it; a text has none of its own."""
    value, _, expected = row
    if expected is None or (side.driver in ASYNCIO and expected in {MIXED, UNKNOWN}):
        # Under asyncio what has no type is refused where it is sent, not before.
        expected = NO_TYPE
    found = side.run(lambda it: answer(it, "SELECT CAST(pg_typeof(:x) AS text)", value))
    assert expected == found


@each(EXPRESSIONS, [row[3] if len(row) > 3 else "" for row in EXPRESSIONS])
def test_an_expression_is_computed_with_the_type_of_the_value(
    side: Side, row: tuple[Any, ...]
) -> None:
    """Operators and functions are found by the types of the values, not by the text."""
    statement, values, expected = row
    found = side.run(lambda it: answer(it, statement, *values))
    assert same(expected, found)


@wrong_on(ASYNCPG, UNTYPED)
def test_an_aware_time_comes_back_as_the_same_instant(side: Side) -> None:
    """A time with a zone is a `timestamptz`, whatever zone it is read in."""
    statement = "SELECT :x, :y, CAST(pg_typeof(:x) AS text)"
    found = side.run(lambda it: answer(it, statement, AWARE, EAST))
    assert [(AWARE, EAST, "timestamp with time zone")] == found


@wrong_on(ASYNCPG, UNTYPED)
def test_a_statement_is_prepared_for_each_type(side: Side) -> None:
    """The same text serves values of other types, one after another, and back."""
    values = [5, 2.5, "a", None, 2**40, True, 5, "a"]

    def body(connection: Connection) -> list[object]:
        return [answer(connection, "SELECT :x", value) for value in values]

    assert repr(values) == repr(side.run(body))


@wrong_on(ASYNCPG, UNTYPED)
def test_eleven_parameters_are_told_apart(side: Side) -> None:
    """`$1` is not the beginning of `$11`."""
    names = [f"p{number}" for number in range(11)]
    values = [number if number % 2 else str(number) for number in range(11)]
    statement = text("SELECT " + ", ".join(f":{name}" for name in names))

    def body(connection: Connection) -> object:
        found = connection.execute(statement, dict(zip(names, values, strict=True)))
        return tuple(found.one())

    assert tuple(values) == side.run(body)


@wrong_on(ASYNCPG, UNTYPED)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (5, (5, "smallint")),
        (2**40, (2**40, "bigint")),
        (2.5, (2.5, "double precision")),
    ],
)
def test_the_drivers_own_placeholders(
    side: Side, value: object, expected: tuple[object, str]
) -> None:
    """`exec_driver_sql` gives its parameters the types of their values too."""
    one = "%s" if side.engine.dialect.driver == "psycopg" else "$1"
    two = "%s" if one == "%s" else "$2"
    statement = f"SELECT {one}, CAST(pg_typeof({two}) AS text)"

    def body(connection: Connection) -> object:
        return tuple(connection.exec_driver_sql(statement, (value, value)).one())

    assert repr(expected) == repr(side.run(body))


@on(ASYNCPG, OURS_ASYNC)
def test_a_placeholder_may_be_cast_by_hand(side: Side) -> None:
    """A cast that stands in the statement is the server's to make."""

    def body(connection: Connection) -> object:
        return connection.exec_driver_sql("SELECT $1::int + $1::int", (5,)).scalar()

    assert 10 == side.run(body)


@wrong_on(ASYNCPG, "the codec of int takes 2.5 for 2")
def test_no_row_is_found_by_a_truncated_value(side: Side) -> None:
    """A fraction is compared as one, and finds nothing."""

    def body(connection: Connection) -> object:
        statement = text("SELECT v FROM generate_series(1, 5) AS v WHERE v = :x")
        return connection.execute(statement, {"x": 2.5}).all()

    assert [] == side.run(body)


@wrong_on(ASYNCPG, UNTYPED)
def test_a_batch_takes_each_row_by_its_own_types(side: Side) -> None:
    """An executemany of `text()` converts each row as if it came alone."""
    rows: list[object] = [5, 2.5, True, "a", None, 2**40]

    def body(connection: Connection) -> object:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE al_rows (v text)")
        insert = text("INSERT INTO al_rows VALUES (:x)")
        connection.execute(insert, [{"x": value} for value in rows])
        return connection.exec_driver_sql("SELECT v FROM al_rows").scalars().all()

    assert ["5", "2.5", "true", "a", None, "1099511627776"] == side.run(body)
