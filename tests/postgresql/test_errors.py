"""Errors of the server: their classes, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg.errors
from sqlalchemy import text

from tests.postgresql import _faults
from tests.postgresql._dialects import ASYNCPG, wrong_on
from tests.postgresql._faults import (
    Seen,
    failure,
)

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection, Engine

    from tests.postgresql._dialects import Side

frozen, quiet = _faults.frozen, _faults.quiet

CLASSES = "most SQLSTATEs have no class of their own, and become a bare DBAPIError"

# Classes of PEP 249, the narrow ones first.
NAMES = [
    *("DataError", "OperationalError", "IntegrityError", "InternalError"),
    *("ProgrammingError", "NotSupportedError", "DatabaseError"),
]
# What no list of errors has: PostgreSQL's own code of a warning, and codes of users.
UNLISTED = {
    "01000": "DatabaseError",
    "0AZZZ": "NotSupportedError",
    "08ZZZ": "OperationalError",
    "22ZZZ": "DataError",
    "23ZZZ": "IntegrityError",
    "25ZZZ": "InternalError",
    "40ZZZ": "OperationalError",
    "42ZZZ": "ProgrammingError",
    "57ZZZ": "OperationalError",
    "HVZZZ": "OperationalError",
    "P1234": "ProgrammingError",
    "XXZZZ": "InternalError",
    "U1234": "DatabaseError",
}


def listed() -> dict[str, str]:
    """Return the SQLSTATEs that psycopg knows, with the class of PEP 249 of each."""
    return {
        one.sqlstate: next(
            name for name in NAMES if issubclass(one, getattr(psycopg, name))
        )
        for one in vars(psycopg.errors).values()
        if isinstance(one, type) and issubclass(one, psycopg.Error) and one.sqlstate
    }


def plan_failure(observer: psycopg.Connection[Any], schema: str) -> str:
    """Make a function that fails with an SQLSTATE; return a statement that calls it."""
    observer.execute(
        f"""
        CREATE FUNCTION {schema}.fail(code text) RETURNS int LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'planned' USING ERRCODE = code; END $$
        """.encode()
    )
    return f"SELECT {schema}.fail(:code)"


@wrong_on(ASYNCPG, CLASSES)
def test_an_sqlstate_has_the_class_that_psycopg_gives_it(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """Every code has its class of PEP 249, and none alone ends a connection."""
    statement = text(plan_failure(observer, schema))
    expected = listed() | UNLISTED

    def body(connection: Connection) -> dict[str, Seen]:
        return {
            code: failure(connection.execute, statement, {"code": code})
            for code in expected
        }

    found = side.run(body, isolation_level="AUTOCOMMIT")
    assert {code: Seen(name, code) for code, name in expected.items()} == found
    assert len(expected) > 250


# Statements that fail, what each world shows of them, and what is there.
GROUND = """
CREATE TABLE {schema}.person (id int PRIMARY KEY, name varchar(5) NOT NULL,
    age int CONSTRAINT grown CHECK (age > 17), boss int REFERENCES {schema}.person,
    room int4range, EXCLUDE USING gist (room WITH &&));
INSERT INTO {schema}.person VALUES (1, 'anna', 30, NULL, '[1,5)');
CREATE SEQUENCE {schema}.number;
CREATE VIEW {schema}.adult AS SELECT * FROM {schema}.person;
CREATE FUNCTION {schema}.two() RETURNS int LANGUAGE plpgsql AS
    $$ DECLARE i int; BEGIN SELECT 1 INTO STRICT i FROM generate_series(1, 2);
    RETURN i; END $$;
CREATE FUNCTION {schema}.sure() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN ASSERT false; RETURN 1; END $$;
CREATE FUNCTION {schema}.bare() RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no code'; END $$
"""
LOCK = "SELECT * FROM {schema}.person FOR UPDATE NOWAIT"
CHANGE = "UPDATE {schema}.person SET age = age + 1"
REAL = {
    "SELECT 1 / 0": Seen("DataError", "22012"),
    "SELECT 2147483647 + 1": Seen("DataError", "22003"),
    "SELECT CAST('five' AS int)": Seen("DataError", "22P02"),
    "SELECT CAST('someday' AS date)": Seen("DataError", "22007"),
    "SELECT CAST('2026-02-30' AS date)": Seen("DataError", "22008"),
    "SELECT substring('a' FROM 1 FOR -1)": Seen("DataError", "22011"),
    "SELECT regexp_matches('a', '(')": Seen("DataError", "2201B"),
    "SELECT chr(0)": Seen("OperationalError", "54000"),
    "SELECT (SELECT generate_series(1, 2))": Seen("ProgrammingError", "21000"),
    "SELEC": Seen("ProgrammingError", "42601"),
    "SELECT * FROM nowhere": Seen("ProgrammingError", "42P01"),
    "SELECT nothing": Seen("ProgrammingError", "42703"),
    "SELECT nothing()": Seen("ProgrammingError", "42883"),
    "SELECT CAST('a' AS nothing)": Seen("ProgrammingError", "42704"),
    "SELECT CAST(now() AS int)": Seen("ProgrammingError", "42846"),
    "SET ROLE nobody": Seen("DataError", "22023"),
    "CREATE TABLE nowhere.t ()": Seen("ProgrammingError", "3F000"),
    "CREATE TABLE {schema}.person ()": Seen("ProgrammingError", "42P07"),
    "DROP TABLE {schema}.person": Seen("InternalError", "2BP01"),
    "VACUUM": Seen("InternalError", "25001"),
    "ROLLBACK TO SAVEPOINT nowhere": Seen("OperationalError", "3B001"),
    "FETCH nothing": Seen("ProgrammingError", "34000"),
    "EXECUTE nothing": Seen("ProgrammingError", "26000"),
    "SELECT currval('{schema}.number')": Seen("OperationalError", "55000"),
    "INSERT INTO {schema}.person VALUES (1, 'bob')": Seen("IntegrityError", "23505"),
    "INSERT INTO {schema}.person VALUES (2, NULL)": Seen("IntegrityError", "23502"),
    "INSERT INTO {schema}.person VALUES (2, 'bob', 5)": Seen("IntegrityError", "23514"),
    "INSERT INTO {schema}.person VALUES (2, 'robert')": Seen("DataError", "22001"),
    "INSERT INTO {schema}.person VALUES (2, 'bob', 20, 9)": Seen(
        "IntegrityError", "23503"
    ),
    "INSERT INTO {schema}.person VALUES (2, 'bob', 20, 1, '[2,3)')": Seen(
        "IntegrityError", "23P01"
    ),
    "SELECT {schema}.two()": Seen("ProgrammingError", "P0003"),
    "SELECT {schema}.sure()": Seen("ProgrammingError", "P0004"),
    "SELECT {schema}.bare()": Seen("ProgrammingError", "P0001"),
}


@wrong_on(ASYNCPG, CLASSES)
def test_an_error_of_the_server_has_the_class_of_its_sqlstate(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """What PostgreSQL itself refuses is classed as psycopg classes it."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(connection: Connection) -> dict[str, Seen]:
        found = dict[str, Seen]()
        for statement in REAL:
            sql = text(statement.format(schema=schema))
            found[statement] = failure(connection.execute, sql)
            connection.rollback()
        return found

    assert REAL == side.run(body)


@wrong_on(ASYNCPG, CLASSES)
def test_a_lock_that_is_taken_is_an_operational_error(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """NOWAIT on a row that another transaction holds is 55P03."""
    observer.execute(GROUND.format(schema=schema).encode())
    lock = text(LOCK.format(schema=schema))

    def body(engine: Engine) -> Seen:
        with engine.connect() as first, engine.connect() as second:
            first.execute(lock)
            return failure(second.execute, lock)

    assert Seen("OperationalError", "55P03") == side.on_engine(body)


@wrong_on(ASYNCPG, CLASSES)
def test_a_serialization_failure_is_an_operational_error(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """A row that another transaction has changed since the snapshot is 40001."""
    observer.execute(GROUND.format(schema=schema).encode())
    change = CHANGE.format(schema=schema)

    def body(connection: Connection) -> Seen:
        connection.execute(text("SELECT 1"))
        observer.execute(change.encode())
        return failure(connection.execute, text(change))

    found = side.run(body, isolation_level="REPEATABLE READ")
    assert Seen("OperationalError", "40001") == found


@wrong_on(ASYNCPG, CLASSES)
def test_a_failed_transaction_refuses_what_follows(side: Side) -> None:
    """After an error every statement is 25P02, until the rollback."""

    def body(connection: Connection) -> tuple[Seen, object]:
        failure(connection.execute, text("SELECT 1 / 0"))
        refused = failure(connection.execute, text("SELECT 1"))
        connection.rollback()
        return refused, connection.scalar(text("SELECT 2"))

    assert (Seen("InternalError", "25P02"), 2) == side.run(body)


@wrong_on(ASYNCPG, CLASSES)
def test_an_error_in_a_read_only_transaction_is_an_internal_error(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """A write in a transaction that only reads is 25006."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(connection: Connection) -> Seen:
        return failure(connection.execute, text(CHANGE.format(schema=schema)))

    found = side.run(body, postgresql_readonly=True)
    assert Seen("InternalError", "25006") == found


def test_a_warning_of_the_server_is_no_error(side: Side) -> None:
    """RAISE WARNING lets the statement succeed, and Python hears nothing."""
    sql = text("DO $$ BEGIN RAISE WARNING 'planned' USING ERRCODE = '01000'; END $$")

    def body(connection: Connection) -> object:
        connection.execute(sql)
        return connection.scalar(text("SELECT 1"))

    assert 1 == side.run(body)
