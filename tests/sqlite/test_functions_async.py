"""Functions of the user's do what they do on the stock dialect, under asyncio."""

from __future__ import annotations

import sqlite3
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING

import aiosqlite
import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DatabaseError, OperationalError

from async_layers import async_read
from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._ground import (
    NAMES,
    async_driver_of,
    async_engine_on,
    people,
    tell,
    with_stock,
)

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

user: ContextVar[str] = ContextVar("user", default="nobody")


def make_user(connection: sqlite3.Connection) -> None:
    """Make a function that says for whom SQLite works."""
    connection.create_function("user", 0, user.get)


USER = text("SELECT user()")


# --- what they do


@with_stock("aiosqlite")
async def test_function_of_a_listener_is_called(driver: str, tmp_path: Path) -> None:
    """SQLAlchemy's recipe for functions, on each connection of the pool.

    Source: https://docs.sqlalchemy.org/en/21/dialects/sqlite.html, "User-Defined
    Functions".
    """
    async with async_engine_on(driver, people(tmp_path, 0)) as engine:

        def connect(connection: Any, _: object) -> None:
            connection.create_function("udf", 1, lambda it: f"udf-{it}")

        event.listen(engine.sync_engine, "connect", connect)
        async with engine.connect() as connection:
            assert "udf-ok" == await connection.scalar(text("SELECT udf('ok')"))
            async with engine.connect() as other:
                assert "udf-ok" == await other.scalar(text("SELECT udf('ok')"))


@with_stock("aiosqlite")
async def test_deterministic_function_is_indexed(driver: str, tmp_path: Path) -> None:
    """Named arguments of create_function() reach SQLite."""
    async with async_engine_on(driver, people(tmp_path, 2)) as engine:

        def connect(connection: Any, _: object) -> None:
            connection.create_function(
                "twice", 1, lambda it: it * 2, deterministic=True
            )

        event.listen(engine.sync_engine, "connect", connect)
        async with engine.begin() as connection:
            await connection.execute(text("CREATE INDEX twice ON person (twice(name))"))
            found = text("SELECT id FROM person WHERE twice(name) = '22'")
            assert 2 == await connection.scalar(found)


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


@with_stock("aiosqlite")
async def test_aggregate_is_called(driver: str, tmp_path: Path) -> None:
    """An aggregate of one's own sums up."""
    async with async_engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine.sync_engine, make_tools)
        async with engine.connect() as connection:
            assert "ccc" == await connection.scalar(LONGEST)


@with_stock("aiosqlite")
async def test_window_function_is_called(driver: str, tmp_path: Path) -> None:
    """A window function of one's own has a value for each row."""
    async with async_engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine.sync_engine, make_tools)
        async with engine.connect() as connection:
            assert ["a", "ccc", "ccc"] == list(await connection.scalars(RUNNING))


@with_stock("aiosqlite")
async def test_collation_sorts(driver: str, tmp_path: Path) -> None:
    """A collation of one's own puts in order."""
    async with async_engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine.sync_engine, make_tools)
        async with engine.connect() as connection:
            assert ["ccc", "bb", "a"] == list(await connection.scalars(SORTED))


@with_stock("aiosqlite")
async def test_authorizer_is_asked(driver: str, tmp_path: Path) -> None:
    """What an authorizer of one's own denies is refused."""

    def deny(connection: sqlite3.Connection) -> None:
        connection.set_authorizer(
            lambda action, *_: (
                sqlite3.SQLITE_DENY
                if action == sqlite3.SQLITE_DELETE
                else sqlite3.SQLITE_OK
            )
        )

    async with async_engine_on(driver, people(tmp_path, 2)) as engine:
        tell(engine.sync_engine, deny)
        async with engine.connect() as connection:
            with pytest.raises(DatabaseError, match="not authorized"):
                await connection.execute(text("DELETE FROM person"))
            assert ["1", "2"] == list(await connection.scalars(NAMES))


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


@with_stock("aiosqlite")
async def test_error_in_a_function_is_the_statements(
    driver: str, tmp_path: Path
) -> None:
    """An exception in a function of one's own is an OperationalError."""
    async with async_engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine.sync_engine, make_failure)
        async with engine.connect() as connection:
            with pytest.raises(
                OperationalError, match="user-defined function raised exception"
            ):
                await connection.execute(text("SELECT fail(1)"))


@with_stock("aiosqlite")
async def test_transaction_goes_on_after_an_error_in_a_function(
    driver: str, tmp_path: Path
) -> None:
    """A statement whose function fails undoes itself, and nothing else."""
    async with async_engine_on(driver, people(tmp_path, 2)) as engine:
        tell(engine.sync_engine, make_failure)
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO person VALUES (3, '3')"))
            with pytest.raises(OperationalError):
                await connection.execute(text("UPDATE person SET name = fail(id)"))
            assert ["1", "2", "3"] == list(await connection.scalars(NAMES))


@with_stock("aiosqlite")
async def test_wrong_value_of_a_function_is_the_statements_error(
    driver: str, tmp_path: Path
) -> None:
    """A value that SQLite cannot store is an error like any other."""
    async with async_engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine.sync_engine, make_failure)
        async with engine.connect() as connection:
            with pytest.raises(
                OperationalError, match="user-defined function raised exception"
            ):
                await connection.execute(text("SELECT odd()"))


# --- where they are called

WITHOUT = "the connection's thread has a context of its own"


@wrong_on("aiosqlite", WITHOUT)
async def test_function_sees_the_callers_context(driver: str, tmp_path: Path) -> None:
    """A function reads the ContextVars of whoever executes the statement."""
    async with async_engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine.sync_engine, make_user)
        async with engine.connect() as connection:
            token = user.set("carl")
            assert "carl" == await connection.scalar(USER)
            user.reset(token)
            assert "nobody" == await connection.scalar(USER)


@wrong_on("aiosqlite", WITHOUT)
async def test_function_in_autocommit_sees_the_callers_context(
    driver: str, tmp_path: Path
) -> None:
    """A function in a statement without a transaction does so, too."""
    async with async_engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine.sync_engine, make_user)
        async with async_read(engine) as connection:
            token = user.set("carl")
            assert "carl" == await connection.scalar(USER)
            user.reset(token)


@wrong_on("aiosqlite", WITHOUT)
async def test_function_in_a_stream_sees_the_readers_context(
    driver: str, tmp_path: Path
) -> None:
    """A function in a stream reads the ContextVars of whoever reads the batch."""
    statement = text("SELECT user() FROM person")
    async with async_engine_on(driver, people(tmp_path, 8)) as engine:
        tell(engine.sync_engine, make_user)
        async with engine.connect() as connection:
            token = user.set("carl")
            result = await connection.stream(
                statement, execution_options={"yield_per": 2}
            )
            assert ("carl",) == await result.fetchone()
            user.reset(token)
            assert ("nobody",) == (await result.fetchall())[-1]


@wrong_on("aiosqlite", WITHOUT)
async def test_function_in_many_inserts_sees_the_callers_context(
    driver: str, tmp_path: Path
) -> None:
    """A function in a statement with many parameters does so, too."""
    statement = text("INSERT INTO person VALUES (:id, user())")
    async with async_engine_on(driver, people(tmp_path, 0)) as engine:
        tell(engine.sync_engine, make_user)
        async with engine.begin() as connection:
            token = user.set("carl")
            await connection.execute(statement, [{"id": 1}, {"id": 2}])
            user.reset(token)
            assert ["carl", "carl"] == list(await connection.scalars(NAMES))


async def test_function_is_called_in_the_connections_thread(tmp_path: Path) -> None:
    """A function of one's own does not stop the event loop."""
    async with async_engine_on(OURS, people(tmp_path, 0)) as engine:
        tell(
            engine.sync_engine,
            lambda it: it.create_function("here", 0, threading.get_ident),
        )
        async with engine.connect() as connection:
            here = await connection.scalar(text("SELECT here()"))
    assert threading.get_ident() != here


async def test_drivers_connection_is_that_of_aiosqlite(tmp_path: Path) -> None:
    """`driver_connection` is what the stock dialect has there."""
    async with async_engine_on(OURS, people(tmp_path, 2)) as engine:
        async with engine.connect() as connection:
            dbapi = await async_driver_of(connection)
            assert [("1",), ("2",)] == await dbapi.execute_fetchall(NAMES.text)
            assert isinstance(dbapi, aiosqlite.Connection)


async def test_adapter_has_the_methods_of_sqlite3(tmp_path: Path) -> None:
    """What a listener gets makes aggregates and collations without an await."""
    async with async_engine_on(OURS, people(tmp_path, 0)) as engine:

        def connect(connection: Any, _: object) -> None:
            connection.create_aggregate("longest", 1, Longest)
            connection.create_collation("backwards", lambda a, b: (a < b) - (a > b))

        event.listen(engine.sync_engine, "connect", connect)
        async with engine.connect() as connection:
            assert "ccc" == await connection.scalar(LONGEST)
            assert ["ccc", "bb", "a"] == list(await connection.scalars(SORTED))
