"""Statements that were prepared for a path or a type that has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Column, Enum, MetaData, Table, delete, insert, select, text
from sqlalchemy.exc import DBAPIError

from tests.postgresql import _faults
from tests.postgresql._dialects import ASYNCPG, OURS_ASYNC, on, wrong_on
from tests.postgresql._faults import Seen, failure

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg
    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side

frozen, quiet = _faults.frozen, _faults.quiet

UNSAID = "the SQLSTATE of a plan that is invalid is dropped"
TYPES = "what is prepared knows a type by its number"

OFTEN = 8  # executions: psycopg prepares a statement at the sixth
INVALID = Seen("NotSupportedError", "0A000")
INSERT = "INSERT INTO {schema}.{table} VALUES ('{value}')"


# --- a path that changes


@pytest.fixture
def paths(observer: psycopg.Connection[Any], schema: str) -> Iterator[list[str]]:
    """Return two settings of search_path; each finds tables with other rows."""
    other = f"{schema}_other"
    for name, type_ in ((schema, "text"), (other, "int")):
        observer.execute(f"CREATE SCHEMA IF NOT EXISTS {name}".encode())
        observer.execute(f"CREATE TABLE {name}.same AS SELECT '{name}' AS n".encode())
        observer.execute(f"CREATE TABLE {name}.other (n {type_})".encode())
        observer.execute(INSERT.format(schema=name, table="other", value=1).encode())
    yield [f"SET search_path = {name}" for name in (schema, other)]
    observer.execute(f"DROP SCHEMA {other} CASCADE".encode())


def test_a_path_that_changes_finds_other_rows(
    own_side: Side, schema: str, paths: list[str]
) -> None:
    """A statement that is prepared reads the table that its words mean now."""

    def body(connection: Connection) -> list[object]:
        found = list[object]()
        for path in (*paths, *paths):
            connection.execute(text(path))
            rows = [connection.scalar(text("SELECT n FROM same")) for _ in range(OFTEN)]
            found.append(rows[-1])
        return found

    assert [schema, f"{schema}_other"] * 2 == own_side.run(body)


@wrong_on(ASYNCPG, UNSAID)
def test_a_path_that_finds_rows_of_another_shape_makes_a_plan_invalid(
    own_side: Side, paths: list[str]
) -> None:
    """The same words with another type of a column: 0A000, and then the rows."""
    sql = text("SELECT n FROM other")

    def body(connection: Connection) -> object:
        connection.execute(text(paths[0]))
        before = [connection.scalar(sql) for _ in range(OFTEN)]
        connection.execute(text(paths[1]))
        connection.commit()
        found = failure(connection.scalar, sql)
        connection.rollback()
        return before[-1], found, connection.scalar(sql)

    assert ("1", INVALID, 1) == own_side.run(body)


# --- a type that changes


class Typist:
    """A table of an enumeration that others drop and make again."""

    def __init__(self, observer: psycopg.Connection[Any], schema: str) -> None:
        """Make the type and the table."""
        self.observer, self.schema = observer, schema
        self.make("red", "green")

    def make(self, *labels: str) -> None:
        """Make the type with labels, and an empty table; what was there is dropped."""
        quoted = ", ".join(f"'{label}'" for label in labels)
        self.observer.execute(
            f"""
            DROP TABLE IF EXISTS {self.schema}.paint;
            DROP TYPE IF EXISTS {self.schema}.colour;
            CREATE TYPE {self.schema}.colour AS ENUM ({quoted});
            CREATE TABLE {self.schema}.paint (colour {self.schema}.colour)
            """.encode()
        )
        type_ = Enum(*labels, name="colour", schema=self.schema)
        column = Column[str]("colour", type_)
        self.table = Table("paint", MetaData(), column, schema=self.schema)

    def paint(self, connection: Connection, label: str) -> list[str]:
        """Write a row, read all of its label, and commit."""
        colour = self.table.c.colour
        connection.execute(insert(self.table), {"colour": label})
        found = connection.scalars(select(colour).where(colour == label)).all()
        connection.commit()
        return list(found)


@pytest.fixture
def typist(observer: psycopg.Connection[Any], schema: str) -> Typist:
    """Return a table of an enumeration."""
    return Typist(observer, schema)


@wrong_on(ASYNCPG, TYPES)
@pytest.mark.parametrize("labels", [("red", "green"), ("blue", "red")])
def test_a_type_that_was_made_again_is_the_type(
    side: Side, typist: Typist, labels: tuple[str, str]
) -> None:
    """The next transaction writes and reads the new one."""

    def body(connection: Connection) -> list[list[str]]:
        before = typist.paint(connection, "red")
        typist.make(*labels)
        return [before, *(typist.paint(connection, label) for label in labels)]

    assert [["red"], *([label] for label in labels)] == side.run(body)


def test_a_type_that_was_made_again_costs_one_error_at_most(
    side: Side, typist: Typist
) -> None:
    """What was prepared often may fail once, and after the rollback no more."""

    def body(connection: Connection) -> list[list[str]]:
        for _ in range(OFTEN):
            typist.paint(connection, "red")
        typist.make("blue", "red")
        try:
            typist.paint(connection, "blue")
        except DBAPIError:
            connection.rollback()
        connection.execute(delete(typist.table))
        return [typist.paint(connection, label) for label in ("blue", "red")]

    assert [["blue"], ["red"]] == side.run(body)


@on(ASYNCPG, OURS_ASYNC)
def test_a_type_that_is_made_again_in_mid_transaction_is_an_error_under_asyncio(
    side: Side, typist: Typist
) -> None:
    """What went before would be lost with a second attempt; the rollback mends it."""

    def body(connection: Connection) -> object:
        typist.paint(connection, "red")
        connection.execute(text("SELECT 1"))
        typist.make("red", "green")
        found = failure(typist.paint, connection, "red")
        connection.rollback()
        return found, typist.paint(connection, "red")

    assert (Seen("InternalError", "XX000"), ["red"]) == side.run(body)


def test_a_label_that_was_added_is_a_label(
    side: Side, typist: Typist, observer: psycopg.Connection[Any], schema: str
) -> None:
    """A type that grows keeps its statements."""

    def body(connection: Connection) -> list[list[str]]:
        found = [typist.paint(connection, "red")]
        observer.execute(f"ALTER TYPE {schema}.colour ADD VALUE 'blue'".encode())
        insert = INSERT.format(schema=schema, table="paint", value="blue")
        sql = text(f"{insert} RETURNING colour")
        return [*found, list(connection.scalars(sql))]

    assert [["red"], ["blue"]] == side.run(body)


@on(OURS_ASYNC)
def test_a_type_that_gets_a_field_is_an_error_once_under_asyncio(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """What is known of it is less than what comes; what is asked next is known."""
    observer.execute(f"CREATE TYPE {schema}.pair AS (a int)".encode())
    made = f"CREATE TABLE {schema}.pairs AS SELECT CAST(ROW(1) AS {schema}.pair) AS v"
    observer.execute(made.encode())
    table = Table("pairs", MetaData(schema=schema), Column("v"))
    sql = select(table.c.v)

    def body(connection: Connection) -> object:
        before = tuple(connection.scalar(sql) or ())
        connection.commit()
        observer.execute(f"ALTER TYPE {schema}.pair ADD ATTRIBUTE b int".encode())
        found = failure(connection.scalar, sql)
        connection.rollback()
        return before, found, tuple(connection.scalar(sql) or ())

    assert ((1,), Seen("InternalError", None), (1, None)) == side.run(body)
