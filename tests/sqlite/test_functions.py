"""Functions of the user's do what they do on the stock dialect."""

from __future__ import annotations

import sqlite3
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DatabaseError, OperationalError

from async_layers import read
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import NAMES, driver_of, engine_on, people, tell, with_stock

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

user: ContextVar[str] = ContextVar("user", default="nobody")


def make_user(connection: sqlite3.Connection) -> None:
    """Make a function that says for whom SQLite works."""
    connection.create_function("user", 0, user.get)


USER = text("SELECT user()")


# --- what they do


@with_stock("pysqlite")
def test_function_of_a_listener_is_called(driver: str, tmp_path: Path) -> None:
    """SQLAlchemy's recipe for functions, on each connection of the pool.

    Source: https://docs.sqlalchemy.org/en/21/dialects/sqlite.html, "User-Defined
    Functions".
    """
    with engine_on(driver, people(tmp_path, 0)) as engine:

        def connect(connection: Any, _: object) -> None:
            connection.create_function("udf", 1, lambda it: f"udf-{it}")

        event.listen(engine, "connect", connect)
        with engine.connect() as connection:
            assert "udf-ok" == connection.scalar(text("SELECT udf('ok')"))
            with engine.connect() as other:
                assert "udf-ok" == other.scalar(text("SELECT udf('ok')"))


@with_stock("pysqlite")
def test_deterministic_function_is_indexed(driver: str, tmp_path: Path) -> None:
    """Named arguments of create_function() reach SQLite."""
    with engine_on(driver, people(tmp_path, 2)) as engine:

        def connect(connection: Any, _: object) -> None:
            connection.create_function(
                "twice", 1, lambda it: it * 2, deterministic=True
            )

        event.listen(engine, "connect", connect)
        with engine.begin() as connection:
            connection.execute(text("CREATE INDEX twice ON person (twice(name))"))
            found = text("SELECT id FROM person WHERE twice(name) = '22'")
            assert 2 == connection.scalar(found)


class Longest:
    """The longest of some words."""

    def __init__(self) -> None:
        """Begin with none."""
        self.word = ""

    def step(self, *words: Any) -> None:
        """Look at one."""
        self.word = max(self.word, *words, key=len)

    def finalize(self) -> Any:
        """Say which it was."""
        return self.word


class Running(Longest):
    """The longest of the words up to a row."""

    def value(self) -> str:
        """Say which it is by now."""
        return self.word

    def inverse(self, *words: str) -> None:
        """Forget one; not needed for a window that only grows."""


def make_tools(connection: sqlite3.Connection) -> None:
    """Make an aggregate, a window function and a collation."""
    connection.create_aggregate("longest", 1, Longest)
    connection.create_window_function("running", 1, Running)
    connection.create_collation("backwards", lambda a, b: (a < b) - (a > b))


LONGEST = text("SELECT longest(column1) FROM (VALUES ('a'), ('ccc'), ('bb'))")
RUNNING = text(
    "SELECT running(column1) OVER (ROWS UNBOUNDED PRECEDING) "
    "FROM (VALUES ('a'), ('ccc'), ('bb'))"
)
SORTED = text(
    "SELECT column1 FROM (VALUES ('a'), ('ccc'), ('bb')) "
    "ORDER BY column1 COLLATE backwards"
)


@with_stock("pysqlite")
def test_aggregate_is_called(driver: str, tmp_path: Path) -> None:
    """An aggregate of one's own sums up."""
    with engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine, make_tools)
        with engine.connect() as connection:
            assert "ccc" == connection.scalar(LONGEST)


@with_stock("pysqlite")
def test_window_function_is_called(driver: str, tmp_path: Path) -> None:
    """A window function of one's own has a value for each row."""
    with engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine, make_tools)
        with engine.connect() as connection:
            assert ["a", "ccc", "ccc"] == connection.scalars(RUNNING).all()


@with_stock("pysqlite")
def test_collation_sorts(driver: str, tmp_path: Path) -> None:
    """A collation of one's own puts in order."""
    with engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine, make_tools)
        with engine.connect() as connection:
            assert ["ccc", "bb", "a"] == connection.scalars(SORTED).all()


@with_stock("pysqlite")
def test_authorizer_is_asked(driver: str, tmp_path: Path) -> None:
    """What an authorizer of one's own denies is refused."""

    def deny(connection: sqlite3.Connection) -> None:
        connection.set_authorizer(
            lambda action, *_: (
                sqlite3.SQLITE_DENY
                if action == sqlite3.SQLITE_DELETE
                else sqlite3.SQLITE_OK
            )
        )

    with engine_on(driver, people(tmp_path, 2)) as engine:
        tell(engine, deny)
        with engine.connect() as connection:
            with pytest.raises(DatabaseError, match="not authorized"):
                connection.execute(text("DELETE FROM person"))
            assert ["1", "2"] == connection.scalars(NAMES).all()


# --- errors in them


def fail(_: object) -> str:
    """Fail, as a bug would."""
    raise LookupError


def odd() -> Any:
    """Return what SQLite has no type for."""
    return object()


def make_failure(connection: sqlite3.Connection) -> None:
    """Make a function that fails, and one whose value does."""
    connection.create_function("fail", 1, fail)
    connection.create_function("odd", 0, odd)


@with_stock("pysqlite")
def test_error_in_a_function_is_the_statements(driver: str, tmp_path: Path) -> None:
    """An exception in a function of one's own is an OperationalError."""
    with engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine, make_failure)
        with engine.connect() as connection:
            with pytest.raises(
                OperationalError, match="user-defined function raised exception"
            ):
                connection.execute(text("SELECT fail(1)"))


@with_stock("pysqlite")
def test_transaction_goes_on_after_an_error_in_a_function(
    driver: str, tmp_path: Path
) -> None:
    """A statement whose function fails undoes itself, and nothing else."""
    with engine_on(driver, people(tmp_path, 2)) as engine:
        tell(engine, make_failure)
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO person VALUES (3, '3')"))
            with pytest.raises(OperationalError):
                connection.execute(text("UPDATE person SET name = fail(id)"))
            assert ["1", "2", "3"] == connection.scalars(NAMES).all()


@with_stock("pysqlite")
def test_wrong_value_of_a_function_is_the_statements_error(
    driver: str, tmp_path: Path
) -> None:
    """A value that SQLite cannot store is an error like any other."""
    with engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine, make_failure)
        with engine.connect() as connection:
            with pytest.raises(
                OperationalError, match="user-defined function raised exception"
            ):
                connection.execute(text("SELECT odd()"))


# --- where they are called


@with_stock("pysqlite")
def test_function_sees_the_callers_context(driver: str, tmp_path: Path) -> None:
    """A function reads the ContextVars of whoever executes the statement."""
    with engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine, make_user)
        with engine.connect() as connection:
            token = user.set("carl")
            assert "carl" == connection.scalar(USER)
            user.reset(token)
            assert "nobody" == connection.scalar(USER)


@with_stock("pysqlite")
def test_function_in_autocommit_sees_the_callers_context(
    driver: str, tmp_path: Path
) -> None:
    """A function in a statement without a transaction does so, too."""
    with engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine, make_user)
        with read(engine) as connection:
            token = user.set("carl")
            assert "carl" == connection.scalar(USER)
            user.reset(token)


@with_stock("pysqlite")
def test_function_in_a_stream_sees_the_readers_context(
    driver: str, tmp_path: Path
) -> None:
    """A function in a stream reads the ContextVars of whoever reads the batch."""
    statement = text("SELECT user() FROM person")
    with engine_on(driver, people(tmp_path, 8)) as engine:
        tell(engine, make_user)
        with engine.connect() as connection:
            token = user.set("carl")
            result = connection.execute(statement, execution_options={"yield_per": 2})
            assert ("carl",) == result.fetchone()
            user.reset(token)
            assert ("nobody",) == result.fetchall()[-1]


@with_stock("pysqlite")
def test_function_in_many_inserts_sees_the_callers_context(
    driver: str, tmp_path: Path
) -> None:
    """A function in a statement with many parameters does so, too."""
    statement = text("INSERT INTO person VALUES (:id, user())")
    with engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine, make_user)
        with engine.begin() as connection:
            token = user.set("carl")
            connection.execute(statement, [{"id": 1}, {"id": 2}])
            user.reset(token)
            assert ["carl", "carl"] == connection.scalars(NAMES).all()


def test_function_is_called_in_the_callers_thread(tmp_path: Path) -> None:
    """A function of one's own runs where its statement is executed."""
    with engine_on(OURS, people(tmp_path, 0)) as engine:
        tell(engine, lambda it: it.create_function("here", 0, threading.get_ident))
        with engine.connect() as connection:
            here = connection.scalar(text("SELECT here()"))
    assert threading.get_ident() == here


def test_drivers_connection_is_that_of_sqlite3(tmp_path: Path) -> None:
    """`driver_connection` is what the stock dialect has there."""
    with engine_on(OURS, people(tmp_path, 2)) as engine:
        with engine.connect() as connection:
            dbapi = driver_of(connection)
            assert [("1",), ("2",)] == dbapi.execute(NAMES.text).fetchall()
            assert dbapi is connection.connection.dbapi_connection
            assert isinstance(driver_of(connection), sqlite3.Connection)
