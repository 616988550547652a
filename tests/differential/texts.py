"""Raw SQL: control by hand, several statements, parameters without types."""
# ruff: noqa: D401, DTZ001 - a scenario says what is, it orders nothing; naive datetimes are meant

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from tests.differential._catalogue import cases
from tests.differential._ground import add, rows, run

if TYPE_CHECKING:
    from tests.differential._ground import Ground

_ENDS = (
    *(
        "COMMIT",
        "END",
        "ROLLBACK",
        "ABORT",
        "commit;",
        "/* c */ COMMIT",
        "-- c\nCOMMIT",
    ),
    *("COMMIT AND CHAIN", "ROLLBACK TO SAVEPOINT s", "SAVEPOINT s2", "BEGIN"),
    *("START TRANSACTION", "PREPARE TRANSACTION 'p'", "ROLLBACK WORK"),
)


@cases(*_ENDS)
def control_by_driver(ground: Ground, sql: str) -> object:
    """exec_driver_sql() of what ends a transaction; then one more row, rollback()."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        connection.exec_driver_sql("SAVEPOINT s")
        told = ground.attempt(lambda: connection.exec_driver_sql(sql) and None)
        after = ground.attempt(add, connection, 5)
        return [told, after, ground.attempt(connection.rollback)]


@cases(*_ENDS)
def control_in_text(ground: Ground, sql: str) -> object:
    """text() of what ends a transaction; then one more row, rollback()."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        connection.exec_driver_sql("SAVEPOINT s")
        told = ground.attempt(run, connection, sql)
        after = ground.attempt(add, connection, 5)
        return [told, after, ground.attempt(connection.rollback)]


@cases(*_ENDS)
def control_in_text_allowed(ground: Ground, sql: str) -> object:
    """The same, on an engine that refuses none of it."""
    with ground.open(lenient=True).connect() as connection:
        add(connection, 4)
        connection.exec_driver_sql("SAVEPOINT s")
        told = ground.attempt(run, connection, sql)
        after = ground.attempt(add, connection, 5)
        return [told, after, ground.attempt(connection.rollback)]


def control_then_commit(ground: Ground) -> object:
    """A COMMIT by hand, one more row, commit()."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        connection.exec_driver_sql("COMMIT")
        add(connection, 5)
        return ground.attempt(connection.commit)


def control_then_nothing(ground: Ground) -> object:
    """A COMMIT by hand, and the connection goes back to the pool."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        connection.exec_driver_sql("COMMIT")
    return ground.left()


def control_in_a_savepoint(ground: Ground) -> object:
    """A ROLLBACK by hand takes the savepoint along."""
    with ground.engine.connect() as connection:
        add(connection, 4)
        savepoint = connection.begin_nested()
        connection.exec_driver_sql("ROLLBACK")
        told = ground.attempt(savepoint.commit)
        return [told, ground.attempt(connection.commit)]


def control_after_an_error(ground: Ground) -> object:
    """A ROLLBACK by hand mends the transaction that failed."""
    with ground.engine.connect() as connection:
        told = ground.attempt(add, connection, 1)
        connection.exec_driver_sql("ROLLBACK")
        add(connection, 4)
        connection.commit()
        return told


_SEVERAL = {
    "inserts": "INSERT INTO item VALUES (4); INSERT INTO item VALUES (5)",
    "selects": "SELECT 1; SELECT 2",
    "insert and select": "INSERT INTO item VALUES (4); SELECT id FROM item ORDER BY 1",
    "the second fails": "INSERT INTO item VALUES (4); SELECT 1 / 0",
    "with commit": "INSERT INTO item VALUES (4); COMMIT; INSERT INTO item VALUES (5)",
    "a last semicolon": "SELECT 1;",
    "an empty one": "SELECT 1;;",
    "in quotes": "SELECT ';', ';;' AS \"a;b\"",
    "in a block": "DO $$BEGIN PERFORM 1; PERFORM 2; END$$",
    "in comments": "SELECT 1 /* ; SELECT 2 */ -- ; SELECT 3",
    "in a function": (
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC; SELECT 1; SELECT 2; END"
    ),
}


@cases(*_SEVERAL)
def several_in_text(ground: Ground, name: str) -> object:
    """text() of several statements."""
    with ground.engine.begin() as connection:
        return ground.attempt(lambda: _all(connection.execute(text(_SEVERAL[name]))))


@cases(*_SEVERAL)
def several_in_text_allowed(ground: Ground, name: str) -> object:
    """The same, on an engine that refuses none of it."""
    with ground.open(lenient=True).begin() as connection:
        return ground.attempt(lambda: _all(connection.execute(text(_SEVERAL[name]))))


@cases(*_SEVERAL)
def several_by_driver(ground: Ground, name: str) -> object:
    """exec_driver_sql() of several statements."""
    with ground.engine.begin() as connection:
        return ground.attempt(lambda: _all(connection.exec_driver_sql(_SEVERAL[name])))


def several_with_parameters(ground: Ground) -> object:
    """Several statements that share parameters."""
    with ground.engine.begin() as connection:
        sql = "INSERT INTO item VALUES (:i); INSERT INTO item VALUES (:i + 1)"
        return ground.attempt(run, connection, sql, i=4)


def _all(result: Any) -> object:
    return result.all() if result.returns_rows else result.rowcount


_UNTYPED: tuple[tuple[str, Any], ...] = (
    ("int", 5),
    ("bigger int", 40_000),
    ("great int", 2**40),
    ("greater int", 2**70),
    ("float", 1.5),
    ("Decimal", Decimal("1.10")),
    ("bool", True),
    ("text", "a"),
    ("bytes", b"a"),
    ("None", None),
    ("date", date(2020, 1, 1)),
    ("datetime", datetime(2020, 1, 1, 12)),
    ("aware datetime", datetime(2020, 1, 1, 12, tzinfo=UTC)),
    ("time", time(1, 2)),
    ("timedelta", timedelta(days=1)),
    ("uuid", uuid.UUID(int=7)),
    ("list", [1, 2]),
    ("list of text", ["a", None]),
    ("empty list", []),
    ("dict", {"a": 1}),
    ("object", object),
)


@cases(*_UNTYPED)
def untyped(ground: Ground, _: str, value: Any) -> object:
    """A parameter whose type nobody told, alone."""
    with ground.engine.connect() as connection:
        return ground.attempt(rows, connection, "SELECT :x AS x", x=value)


_TYPE_OF = (
    *(1, 32_768, 2**31, 2**63, 1.5, True, "a", b"a", Decimal(1), None),
    *(date(2020, 1, 1), [1], ["a"], uuid.UUID(int=7), timedelta(1)),
)


@cases(*_TYPE_OF)
def type_of_untyped(ground: Ground, value: Any) -> object:
    """The type that the server sees of an untyped parameter."""
    with ground.engine.connect() as connection:
        sql = "SELECT CAST(pg_typeof(:x) AS text)"
        return ground.attempt(rows, connection, sql, x=value)


_PLACED: tuple[tuple[str, Any], ...] = (
    ("SELECT id FROM item WHERE id = :x", 2),
    ("SELECT id FROM item WHERE id = :x", "2"),
    ("SELECT id FROM item WHERE id = :x", 2.0),
    ("SELECT id FROM item WHERE name = :x", 5),
    ("SELECT id FROM item WHERE id = ANY(:x) ORDER BY 1", [1, 2]),
    ("SELECT id + :x FROM item ORDER BY 1", 1),
    ("SELECT id + :x FROM item ORDER BY 1", 1.5),
    ("SELECT :x || 'b'", "a"),
    ("SELECT :x || 'b'", 5),
    ("SELECT now() - :x < now()", timedelta(days=1)),
    ("SELECT coalesce(:x, 7)", None),
    ("SELECT coalesce(:x, 7)", 3),
    ("SELECT CAST(:x AS int)", "5"),
    ("SELECT CAST(:x AS int)", 2.5),
    ("SELECT CAST(:x AS text)", 5),
    ("SELECT CAST(:x AS jsonb)", '{"a": 1}'),
    ("SELECT jsonb_build_object('a', :x)", 5),
    ("SELECT id FROM item ORDER BY id LIMIT :x", 2),
    ("SELECT id FROM item ORDER BY id LIMIT :x", "2"),
    ("INSERT INTO item (id, name) VALUES (4, :x)", 5),
    ("INSERT INTO item (id, n) VALUES (4, :x)", "7"),
    ("INSERT INTO item (id, n) VALUES (4, :x)", 2.5),
    ("SELECT date_trunc('day', :x)", datetime(2020, 1, 1, 12)),
    ("SELECT :x IS NULL", None),
    ("SELECT :x IS NULL", 5),
    ("SELECT concat(:x, 'b')", 5),
    ("SELECT greatest(:x, 2)", 3),
    ("SELECT '%' || ':x' || :x", "a"),
)


@cases(*_PLACED)
def placed(ground: Ground, sql: str, value: Any) -> object:
    """An untyped parameter where the server has an idea of its own."""
    with ground.engine.begin() as connection:
        return ground.attempt(lambda: _all(connection.execute(text(sql), {"x": value})))


def by_turns(ground: Ground) -> object:
    """One statement, parameters of another type at each turn."""
    with ground.engine.connect() as connection:
        return [
            ground.attempt(rows, connection, "SELECT :x AS x", x=value)
            for value in (5, "a", 1.5, None, 2**40, True, "b", 6)
        ]


def percent_signs(ground: Ground) -> object:
    """Percent signs and colons are text."""
    with ground.engine.connect() as connection:
        return rows(connection, "SELECT '100%', 5 % 3, '%s', '%(x)s', 'a' LIKE '%a%'")
