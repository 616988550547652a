"""What lies beneath SQLAlchemy's error: the one of the DBAPI, and the driver's."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import asyncpg
import psycopg
import pytest
from sqlalchemy import event, text

from async_layers.drivers._postgresql.errors import emulated
from tests.postgresql import _faults
from tests.postgresql._dialects import ASYNCIO, ASYNCPG, BLOCKING, on, wrong_on
from tests.postgresql._faults import (
    Seen,
    raised,
    seen,
)

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection, Engine, ExceptionContext
    from sqlalchemy.exc import DBAPIError

    from tests.postgresql._dialects import Side

frozen, quiet = _faults.frozen, _faults.quiet

GROUND = """
CREATE TABLE {schema}.person (id int PRIMARY KEY, name varchar(5) NOT NULL);
INSERT INTO {schema}.person VALUES (1, 'anna')
"""
INSERT = "INSERT INTO {schema}.person VALUES (1, 'bob')"


def unique(schema: str) -> str:
    """Return a statement that breaks a unique constraint."""
    return INSERT.format(schema=schema)


def test_sqlstate_is_an_attribute_of_the_original_error(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """`orig.sqlstate` is the server's code."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(connection: Connection) -> object:
        error = raised(connection.execute, text(unique(schema)))
        return getattr(error.orig, "sqlstate", None)

    assert "23505" == side.run(body)


@on(*ASYNCIO)
def test_what_users_of_asyncpg_read_is_still_there(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """`orig.pgcode` and `orig.detail` are as in SQLAlchemy's own dialect."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(connection: Connection) -> object:
        error: Any = raised(connection.execute, text(unique(schema)))
        return error.orig.pgcode, error.orig.detail, type(error.orig).__name__

    expected = ("23505", "Key (id)=(1) already exists.", "UniqueViolationError")
    assert expected == side.run(body)


@on(*ASYNCIO)
def test_driver_exception_is_asyncpgs_own_error(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """`driver_exception` is what asyncpg raised, and the cause of the error too."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(connection: Connection) -> DBAPIError:
        return raised(connection.execute, text(unique(schema)))

    error = side.run(body)
    assert asyncpg.UniqueViolationError is type(error.driver_exception)
    assert error.orig is not None
    assert error.driver_exception is error.orig.__cause__


@on(*BLOCKING)
def test_driver_exception_is_psycopgs_own_error(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """`driver_exception` is what psycopg raised."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(connection: Connection) -> DBAPIError:
        return raised(connection.execute, text(unique(schema)))

    assert psycopg.errors.UniqueViolation is type(side.run(body).driver_exception)


def test_an_error_of_the_server_leaves_the_connection_valid(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """After the rollback the same connection goes on."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(connection: Connection) -> object:
        error = raised(connection.execute, text(unique(schema)))
        connection.rollback()
        return error.connection_invalidated, connection.scalar(text("SELECT 2"))

    assert (False, 2) == side.run(body)


def test_an_error_survives_pickling(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """An error that another process sent has its class and its SQLSTATE."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(connection: Connection) -> DBAPIError:
        return raised(connection.execute, text(unique(schema)))

    copied = pickle.loads(pickle.dumps(side.run(body)))  # noqa: S301 - our own
    assert Seen("IntegrityError", "23505") == seen(copied)


@wrong_on(ASYNCPG, "an error has no diag")
def test_diag_survives_pickling(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """An error that another process sent still names the constraint."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(connection: Connection) -> DBAPIError:
        return raised(connection.execute, text(unique(schema)))

    copied: Any = pickle.loads(pickle.dumps(side.run(body)))  # noqa: S301 - our own
    diagnostic = getattr(copied.orig, "diag", None)
    assert "person_pkey" == getattr(diagnostic, "constraint_name", None)


def test_handle_error_sees_what_the_caller_sees(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """The event has the same error, and its original."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(engine: Engine) -> object:
        heard: list[ExceptionContext] = []

        def hear(context: ExceptionContext) -> None:
            heard.append(context)

        event.listen(engine, "handle_error", hear)
        try:
            with engine.connect() as connection:
                error = raised(connection.execute, text(unique(schema)))
        finally:
            event.remove(engine, "handle_error", hear)
        return [
            (
                one.sqlalchemy_exception is error,
                one.original_exception is error.orig,
                one.is_disconnect,
            )
            for one in heard
        ]

    assert [(True, True, False)] == side.on_engine(body)


def test_a_raw_cursor_raises_the_error_of_the_dbapi(
    side: Side, observer: psycopg.Connection[Any], schema: str
) -> None:
    """Below SQLAlchemy's own wrapping the class is the one of the dialect's DBAPI."""
    observer.execute(GROUND.format(schema=schema).encode())

    def body(engine: Engine) -> str | None:
        dbapi: Any = engine.dialect.loaded_dbapi
        raw = engine.raw_connection()
        try:
            cursor = raw.cursor()
            with pytest.raises(dbapi.IntegrityError) as caught:
                cursor.execute(unique(schema))
            cursor.close()
            state: str | None = caught.value.sqlstate
            return state
        finally:
            raw.close()

    assert "23505" == side.on_engine(body)


@pytest.mark.parametrize(
    ("message", "name"),
    [
        ("the connection is closed", "OperationalError"),
        ("the server expects 1 argument", "ProgrammingError"),
        ("another operation is in progress", "InterfaceError"),
    ],
)
def test_an_error_of_asyncpgs_interface_has_the_class_of_its_message(
    message: str, name: str
) -> None:
    """It has no SQLSTATE, and one class for all."""
    found = emulated(asyncpg.InterfaceError(message))
    assert (name, message) == (type(found).__name__, str(found))
