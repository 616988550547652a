"""What an error says: the server's own words, whichever driver carried them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from sqlalchemy import text

from tests.postgresql import _faults
from tests.postgresql._dialects import (
    ASYNCPG,
    BLOCKING,
    OURS,
    OURS_ASYNC,
    PSYCOPG,
    on,
    wrong_on,
)
from tests.postgresql._faults import (
    raised,
)

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection

    from tests.postgresql._dialects import Side

frozen, quiet = _faults.frozen, _faults.quiet

NO_DIAGNOSTICS = "an error has no diag"

FIELDS = [
    *("severity", "severity_nonlocalized", "sqlstate", "message_primary"),
    *("message_detail", "message_hint", "statement_position", "internal_position"),
    *("internal_query", "context", "schema_name", "table_name", "column_name"),
    *("datatype_name", "constraint_name", "source_file", "source_line"),
    "source_function",
]

GROUND = """
CREATE DOMAIN {schema}.grown AS int CONSTRAINT grown CHECK (VALUE > 17);
CREATE TABLE {schema}.person (id int PRIMARY KEY, name varchar(5) NOT NULL);
INSERT INTO {schema}.person VALUES (1, 'anna');
CREATE FUNCTION {schema}.fail() RETURNS int LANGUAGE plpgsql AS
$$ BEGIN
    EXECUTE 'SELECT nothing FROM {schema}.person';
    RETURN 1;
END $$;
CREATE FUNCTION {schema}.raise() RETURNS int LANGUAGE plpgsql AS
$$ BEGIN
    RAISE EXCEPTION 'planned' USING DETAIL = 'the detail', HINT = 'the hint',
    ERRCODE = 'U1234', COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 'd', TABLE = 't',
    SCHEMA = 's';
END $$
"""
STATEMENTS = [
    "INSERT INTO {schema}.person VALUES (1, 'bob')",
    "INSERT INTO {schema}.person VALUES (2, NULL)",
    "INSERT INTO {schema}.person VALUES (2, 'robert')",
    "SELECT CAST(5 AS {schema}.grown)",
    "SELECT id, nothing FROM {schema}.person",
    "SELECT {schema}.fail()",
    "SELECT {schema}.raise()",
    "SELECT 'é', 1 / 0",
]
INSERT = "INSERT INTO {schema}.person VALUES (:id, 'bob')"


def unique(schema: str) -> str:
    """Return a statement that breaks a unique constraint."""
    return STATEMENTS[0].format(schema=schema)


def fields(error: object) -> dict[str, str | None]:
    """Return each field that psycopg has of an error of the server."""
    diagnostic = getattr(error, "diag", None)
    assert diagnostic is not None
    return {name: getattr(diagnostic, name) for name in FIELDS}


@wrong_on(ASYNCPG, NO_DIAGNOSTICS)
def test_diag_has_every_field_that_psycopg_has(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """What the server says of an error is at hand by psycopg's names."""
    observer.execute(GROUND.format(schema=schema).encode())
    expected = dict[str, dict[str, str | None]]()
    for statement in STATEMENTS:
        with pytest.raises(psycopg.Error) as caught:
            observer.execute(statement.format(schema=schema).encode())
        expected[statement] = fields(caught.value)

    def body(connection: Connection) -> dict[str, dict[str, str | None]]:
        found = dict[str, dict[str, str | None]]()
        for statement in STATEMENTS:
            sql = text(statement.format(schema=schema))
            error = raised(connection.execute, sql)
            found[statement] = fields(error.orig)
            connection.rollback()
        return found

    assert expected == side.run(body)


@wrong_on(ASYNCPG, NO_DIAGNOSTICS)
def test_diag_names_the_constraint(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """A program tells which constraint was broken without reading the message."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(connection: Connection) -> object:
        error = raised(connection.execute, text(unique(schema)))
        diagnostic = getattr(error.orig, "diag", None)
        return [
            getattr(diagnostic, name, None)
            for name in ("constraint_name", "table_name", "message_detail")
        ]

    expected = ["person_pkey", "person", "Key (id)=(1) already exists."]
    assert expected == side.run(body)


def test_an_error_prints_the_message_and_the_statement(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """`str(error)` holds the server's words, the statement and its parameters."""
    observer.execute(GROUND.format(schema=schema).encode())
    insert = text(INSERT.format(schema=schema))

    def body(connection: Connection) -> str:
        return str(raised(connection.execute, insert, {"id": 1}))

    printed = side.run(body)
    words = [
        'duplicate key value violates unique constraint "person_pkey"',
        f"[SQL: INSERT INTO {schema}.person",
        "[parameters: ",
    ]
    assert words == [word for word in words if word in printed]


@wrong_on(ASYNCPG, "str(error) leaves the detail out")
def test_an_error_prints_its_detail(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """`str(error)` says which key it was that exists."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(connection: Connection) -> str:
        return str(raised(connection.execute, text(unique(schema))))

    assert "\nDETAIL:  Key (id)=(1) already exists.\n" in side.run(body)


@on(PSYCOPG, OURS, OURS_ASYNC)
def test_a_field_that_no_error_has_is_an_attribute_error(side: Side) -> None:
    """A name that is misspelt does not read as nothing said."""

    def body(connection: Connection) -> bool:
        error: Any = raised(connection.exec_driver_sql, "SELECT 1 / 0").orig
        assert error.diag.message_detail is None
        return hasattr(error.diag, "message_detial")

    assert not side.run(body)


@wrong_on(ASYNCPG, "an error of asyncpg's has the class of its own interface")
@pytest.mark.parametrize("parameters", [(1,), (1, 2, 3)])
def test_another_number_of_parameters_is_an_error_of_the_program(
    side: Side, parameters: tuple[int, ...]
) -> None:
    """The driver counts, and nothing is sent: the transaction lives on."""
    marks = ("%s", "%s") if side.driver in BLOCKING else ("$1", "$2")
    sql = "SELECT CAST({} AS int), CAST({} AS int)".format(*marks)

    def body(connection: Connection) -> tuple[str, object]:
        error = raised(connection.exec_driver_sql, sql, parameters)
        alive = connection.exec_driver_sql("SELECT 1").scalar()
        return type(error).__name__, alive

    assert ("ProgrammingError", 1) == side.run(body)


@on(PSYCOPG, OURS, OURS_ASYNC)
def test_row_of_a_batch_that_has_too_few_values_is_an_error_of_the_program(
    side: Side,
) -> None:
    """As of a single statement; nothing is sent."""
    marks = ("%s", "%s") if side.driver in BLOCKING else ("$1", "$2")
    sql = "SELECT CAST({} AS int), {}".format(*marks)

    def body(connection: Connection) -> str:
        error = raised(connection.exec_driver_sql, sql, [(1,), (2,)])
        return type(error).__name__

    assert "ProgrammingError" == side.run(body)
