"""A small database to stand on, what SQLite was told, and what others see of it."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

import async_layers
from async_layers import SQLiteOptions
from tests.sqlite._dialects import OURS, open_async_engine, open_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path
    from typing import Any

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

CARL = text("INSERT INTO person VALUES (1, 'carl')")
DORA = text("INSERT INTO person VALUES (2, 'dora')")
EVE = text("INSERT INTO person VALUES (3, 'eve')")
NAMES = text("SELECT name FROM person ORDER BY id")

_IMPATIENT = SQLiteOptions(journal_mode="DELETE", busy_timeout=0.05)

_TABLES = """
PRAGMA synchronous = OFF;
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT);
CREATE TABLE letter (
    id INTEGER PRIMARY KEY,
    person_id INTEGER REFERENCES person DEFERRABLE INITIALLY DEFERRED
);
CREATE TABLE visit (
    id INTEGER PRIMARY KEY,
    person_id INTEGER REFERENCES person
);
"""


class Base(DeclarativeBase):
    """The mapped tables of these tests."""


class Person(Base):
    """One of the people in the database."""

    __tablename__ = "person"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


@contextmanager
def engine_on(driver: str, file: Path, **arguments: Any) -> Iterator[Engine]:
    """Lend a blocking engine of a database file."""
    engine = open_engine(driver, file, **arguments)
    try:
        yield engine
    finally:
        engine.dispose()


@asynccontextmanager
async def async_engine_on(
    driver: str, file: Path, **arguments: Any
) -> AsyncIterator[AsyncEngine]:
    """Lend an asyncio engine of a database file."""
    engine = open_async_engine(driver, file, **arguments)
    try:
        yield engine
    finally:
        await engine.dispose()


def fresh(folder: Path) -> Path:
    """Make a database file with the tables, and return it."""
    file = folder / "file.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(_TABLES)
    return file


def names(file: Path) -> list[str]:
    """Return the names that another user of the database sees."""
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT name FROM person ORDER BY id")
        return [name for (name,) in found]


def tables(file: Path) -> list[str]:
    """Return the tables that another user of the database sees."""
    with closing(sqlite3.connect(file)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        return [name for (name,) in found]


def sent(engine: Engine) -> list[str]:
    """Return a list that grows with each statement that SQLite begins to run.

    SQLite itself tells (https://sqlite.org/c3ref/trace_v2.html), on the driver's own
    connection, after what the dialect tells a new one.
    """
    seen: list[str] = []

    def connect(connection: Any, _: object) -> None:
        if isinstance(connection, AdaptedConnection):
            connection.run_async(lambda driver: driver.set_trace_callback(seen.append))
        else:
            connection.set_trace_callback(seen.append)

    event.listen(engine, "connect", connect)
    return seen


def begin_as_documented(engine: Engine) -> None:
    """Let SQLAlchemy emit BEGIN, as its documentation shows.

    Source: https://docs.sqlalchemy.org/en/21/dialects/sqlite.html, "Using SQLAlchemy
    to emit BEGIN in lieu of SQLite's transaction control".
    """

    def do_connect(connection: Any, _: object) -> None:
        connection.isolation_level = None

    def do_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    event.listen(engine, "connect", do_connect)
    event.listen(engine, "begin", do_begin)


def driver_of(connection: Connection) -> Any:
    """Return the driver's own connection."""
    return connection.connection.driver_connection


async def async_driver_of(connection: AsyncConnection) -> Any:
    """Return the driver's own connection."""
    pooled = await connection.get_raw_connection()
    return pooled.driver_connection


@contextmanager
def rollback_journal_on(driver: str, file: Path) -> Iterator[Engine]:
    """Lend a blocking engine of one connection, whose COMMIT a reader is in the way of.

    It does not wait for readers for long.
    """
    if driver == OURS:
        engine = open_engine(driver, file, sqlite=_IMPATIENT, pool_size=1)
    else:
        url = f"sqlite+{driver}:///{file}"
        engine = create_engine(url, connect_args={"timeout": 0.05}, pool_size=1)
    try:
        yield engine
    finally:
        engine.dispose()


@asynccontextmanager
async def async_rollback_journal_on(
    driver: str, file: Path
) -> AsyncIterator[AsyncEngine]:
    """Lend an asyncio engine of one connection, whose COMMIT a reader is in the way of.

    It does not wait for readers for long.
    """
    if driver == OURS:
        engine = open_async_engine(driver, file, sqlite=_IMPATIENT, pool_size=1)
    else:
        url = f"sqlite+{driver}:///{file}"
        engine = create_async_engine(url, connect_args={"timeout": 0.05}, pool_size=1)
    try:
        yield engine
    finally:
        await engine.dispose()


@contextmanager
def reading(file: Path) -> Iterator[None]:
    """Read from the database all the while, as another user of it."""
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM person").fetchone()
        yield
        connection.rollback()


def with_stock(driver: str) -> pytest.MarkDecorator:
    """Run a test on a stock dialect and on ours, which do the same."""
    return pytest.mark.parametrize("driver", [driver, OURS])


def people(folder: Path, count: int) -> Path:
    """Make a database file with so many people, named after their number."""
    file = fresh(folder)
    rows = [(number, str(number)) for number in range(1, count + 1)]
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executemany("INSERT INTO person VALUES (?, ?)", rows)
    return file


def is_locked(file: Path) -> bool:
    """Say whether somebody keeps another user of the database from writing."""
    with closing(sqlite3.connect(file, timeout=0)) as connection:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return True
        connection.rollback()
    return False


def tell(engine: Engine, what: Callable[[sqlite3.Connection], object]) -> None:
    """Tell each new connection of sqlite3 something, on the thread that has it."""

    def connect(connection: Any, _: object) -> None:
        if isinstance(connection, AdaptedConnection):
            connection.run_async(lambda driver: driver._execute(what, driver._conn))
        else:
            what(connection)

    event.listen(engine, "connect", connect)


@contextmanager
def memory_on(driver: str, **arguments: Any) -> Iterator[Engine]:
    """Lend a blocking engine of a database in memory, with the tables."""
    if driver == OURS:
        engine = async_layers.create_engine("sqlite://", **arguments)
    else:
        engine = create_engine(f"sqlite+{driver}://", **arguments)
    try:
        with engine.begin() as connection:
            Base.metadata.create_all(connection)
        yield engine
    finally:
        engine.dispose()


@asynccontextmanager
async def async_memory_on(driver: str, **arguments: Any) -> AsyncIterator[AsyncEngine]:
    """Lend an asyncio engine of a database in memory, with the tables."""
    if driver == OURS:
        engine = async_layers.create_async_engine("sqlite://", **arguments)
    else:
        engine = create_async_engine(f"sqlite+{driver}://", **arguments)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield engine
    finally:
        await engine.dispose()
