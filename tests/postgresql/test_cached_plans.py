"""Statements that were prepared for a table that has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from tests.postgresql import _faults
from tests.postgresql._dialects import ASYNCPG, wrong_on
from tests.postgresql._faults import Seen, failure

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side

frozen, quiet = _faults.frozen, _faults.quiet

UNSAID = "the SQLSTATE of a plan that is invalid is dropped"
OWN = "a text that changes a table leaves what is prepared for it as it was"

OFTEN = 8  # executions: psycopg prepares a statement at the sixth
INVALID = Seen("NotSupportedError", "0A000")

TABLE = """
CREATE TABLE {schema}.plan (n int);
INSERT INTO {schema}.plan VALUES (1)
"""
READ = "SELECT * FROM {schema}.plan"
ADD = "ALTER TABLE {schema}.plan ADD COLUMN name text DEFAULT 'x'"
WIDEN = "ALTER TABLE {schema}.plan ALTER COLUMN n TYPE bigint"


class Planner:
    """A connection's statements on a table, of which others change the shape."""

    def __init__(self, observer: psycopg.Connection[Any], schema: str) -> None:
        """Make the table."""
        self.observer, self.schema = observer, schema
        self.elsewhere(TABLE)

    def sql(self, statement: str) -> str:
        """Return a statement with the name of the schema."""
        return statement.format(schema=self.schema)

    def elsewhere(self, statement: str) -> None:
        """Run a statement on another connection."""
        self.observer.execute(self.sql(statement).encode())

    def read(self, connection: Connection) -> list[tuple[object, ...]]:
        """Return the rows of the table."""
        return [tuple(row) for row in connection.execute(text(self.sql(READ)))]

    def prepare(self, connection: Connection) -> None:
        """Read so often that the statement is prepared, and end the transaction."""
        for _ in range(OFTEN):
            self.read(connection)
        connection.commit()


@pytest.fixture
def planner(observer: psycopg.Connection[Any], schema: str) -> Planner:
    """Return a table, and statements on it."""
    return Planner(observer, schema)


# --- a table that changes


@wrong_on(ASYNCPG, UNSAID)
@pytest.mark.parametrize("change", [ADD, WIDEN], ids=["column", "type"])
def test_a_plan_that_another_connection_made_invalid_is_not_supported(
    side: Side, planner: Planner, change: str
) -> None:
    """The server refuses to return rows of another shape: 0A000."""

    def body(connection: Connection) -> Seen:
        planner.prepare(connection)
        planner.elsewhere(change)
        return failure(planner.read, connection)

    assert INVALID == side.run(body)


def test_a_plan_that_was_invalid_is_made_anew(side: Side, planner: Planner) -> None:
    """After the rollback the same statement returns the new rows."""

    def body(connection: Connection) -> object:
        planner.prepare(connection)
        planner.elsewhere(ADD)
        failure(planner.read, connection)
        connection.rollback()
        return planner.read(connection)

    assert [(1, "x")] == side.run(body)


def test_a_plan_that_is_invalid_costs_one_error_in_all(
    side: Side, planner: Planner
) -> None:
    """Each statement that was prepared may fail once, and not again."""

    def body(connection: Connection) -> list[object]:
        planner.prepare(connection)
        planner.elsewhere(ADD)
        failure(planner.read, connection)
        connection.rollback()
        planner.prepare(connection)
        planner.prepare(connection)
        return [planner.read(connection)]

    assert [[(1, "x")]] == side.run(body)


@wrong_on(ASYNCPG, UNSAID)
def test_a_plan_that_is_invalid_fails_its_transaction(
    side: Side, planner: Planner
) -> None:
    """What follows the error is 25P02, as after any other."""

    def body(connection: Connection) -> Seen:
        planner.prepare(connection)
        planner.elsewhere(ADD)
        failure(planner.read, connection)
        return failure(connection.execute, text("SELECT 1"))

    assert Seen("InternalError", "25P02") == side.run(body)


@wrong_on(ASYNCPG, OWN)
@pytest.mark.parametrize("change", [ADD, WIDEN], ids=["column", "type"])
def test_a_text_that_alters_a_table_makes_its_plans_anew(
    side: Side, planner: Planner, change: str
) -> None:
    """A connection that changes a table itself reads it at once, in one transaction."""
    expected = [(1, "x")] if change == ADD else [(1,)]

    def body(connection: Connection) -> object:
        planner.prepare(connection)
        connection.execute(text(planner.sql(change)))
        return planner.read(connection)

    assert expected == side.run(body)


@wrong_on(ASYNCPG, OWN)
def test_the_drivers_own_sql_that_alters_a_table_makes_its_plans_anew(
    side: Side, planner: Planner
) -> None:
    """`exec_driver_sql` is no other way."""

    def body(connection: Connection) -> object:
        planner.prepare(connection)
        connection.exec_driver_sql(planner.sql(ADD))
        return planner.read(connection)

    assert [(1, "x")] == side.run(body)


@wrong_on(ASYNCPG, OWN)
def test_a_rolled_back_change_makes_its_plans_anew(
    side: Side, planner: Planner
) -> None:
    """What was read inside a transaction that changed a table is not there after it."""

    def body(connection: Connection) -> object:
        connection.execute(text(planner.sql(ADD)))
        inside = [planner.read(connection) for _ in range(OFTEN)][-1]
        connection.rollback()
        return inside, planner.read(connection)

    assert ([(1, "x")], [(1,)]) == side.run(body)


@wrong_on(ASYNCPG, OWN)
def test_a_change_that_a_savepoint_rolls_back_makes_its_plans_anew(
    side: Side, planner: Planner
) -> None:
    """A savepoint takes a change of a table back, and what is prepared for it."""

    def body(connection: Connection) -> object:
        savepoint = connection.begin_nested()
        connection.execute(text(planner.sql(ADD)))
        inside = [planner.read(connection) for _ in range(OFTEN)][-1]
        savepoint.rollback()
        return inside, planner.read(connection)

    assert ([(1, "x")], [(1,)]) == side.run(body)
