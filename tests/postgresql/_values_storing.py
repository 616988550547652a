"""Put values into a column in one way or another, and see what the server has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Table, Text, cast, delete, insert, text

from tests.postgresql._dialects import ASYNCPG, OURS_ASYNC, PSYCOPG
from tests.postgresql._values import Refused, outcome, temporary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection
    from sqlalchemy.types import TypeEngine

    from tests.postgresql._dialects import Side
    from tests.postgresql._values import Case

Put = Callable[["Connection", Table, object], object]


def insert_one(connection: Connection, table: Table, value: object) -> object:
    """Insert a value into a column of a type that SQLAlchemy knows."""
    statement = insert(table).values(v=value).returning(cast(table.c.v, Text))
    return connection.scalars(statement).one()


def insert_batch(connection: Connection, table: Table, value: object) -> object:
    """Insert two rows with one statement that is prepared once."""
    connection.execute(insert(table), [{"v": value}, {"v": value}])
    return connection.scalars(delete(table).returning(cast(table.c.v, Text))).all()


def insert_text(connection: Connection, table: Table, value: object) -> object:
    """Insert a value whose type only the server and the value tell."""
    del table
    statement = text("INSERT INTO al_case VALUES (:v) RETURNING CAST(v AS text)")
    return connection.scalars(statement, {"v": value}).one()


def all_stored(
    side: Side, kind: TypeEngine[Any], values: Sequence[Any], put: Put = insert_one
) -> list[object]:
    """Return for each value what is stored, as the server prints it, or how it fails.

    The session is in a zone of its own, which is neither UTC nor the client's.
    """
    found = list[object]()

    def body(connection: Connection) -> None:
        connection.exec_driver_sql("SET LOCAL TIME ZONE 'Asia/Kolkata'")
        table = temporary(connection, kind)
        savepoint = connection.begin_nested()
        for value in values:
            one = outcome(connection, partial(put, connection, table, value))
            found.append(one)
            if isinstance(one, Refused):
                savepoint.rollback()
                savepoint = connection.begin_nested()

    side.run(body)
    return found


def each_type(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """Run a test on psycopg, asyncpg and ours on asyncpg with the cases of each type.

    Ours on psycopg has psycopg's own adaptation, which test_values_sweep.py sees.
    """
    found: list[Any] = []
    for kind, rows in groupby(cases, key=lambda case: case.kind):
        group = list(rows)
        found += (
            pytest.param(driver, group, id=f"{driver}-{kind!r}")
            for driver in (PSYCOPG, ASYNCPG, OURS_ASYNC)
        )
    return pytest.mark.parametrize(("driver", "cases"), found)


def known_failures(driver: str, cases: Sequence[Case]) -> dict[str, object]:
    """Return what is wrong with stock asyncpg, by value; of the others nothing is."""
    if driver != ASYNCPG:
        return {}
    return {case.name: case.wrong for case in cases if case.wrong}


def failures(side: Side, cases: Sequence[Case]) -> dict[str, object]:
    """Return by value what is not stored as expected, with the reason if there is one.

    A reason is there for stock asyncpg; elsewhere what was found stands instead.
    """
    found = all_stored(side, cases[0].kind, [case.value for case in cases])
    return {
        case.name: case.wrong if side.driver == ASYNCPG and case.wrong else one
        for case, one in zip(cases, found, strict=True)
        if one != case.on(side.driver)
    }
