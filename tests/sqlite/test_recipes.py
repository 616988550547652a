"""What users tell a stock engine of SQLite goes on working."""

from __future__ import annotations

import sqlite3
import sys
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import NullPool, StaticPool, event, text
from sqlalchemy.exc import ArgumentError, IntegrityError, InvalidRequestError

from async_layers import create_engine, engine_scope, read, savepoint
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import (
    CARL,
    DORA,
    EVE,
    NAMES,
    begin_as_documented,
    driver_of,
    engine_on,
    fresh,
    names,
    sent,
    tables,
    with_stock,
)

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from sqlalchemy import Connection, Pool

VISIT = text("INSERT INTO visit VALUES (1, 99)")


def begins(seen: list[str]) -> list[str]:
    """Return the BEGINs of what was sent."""
    return [statement for statement in seen if statement.startswith("BEGIN")]


# --- who begins


@with_stock("pysqlite")
def test_documented_begin_is_the_only_one(driver: str, tmp_path: Path) -> None:
    """With SQLAlchemy's recipe, isolation_level=None and a BEGIN, that one is sent."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        seen = sent(engine)
        begin_as_documented(engine)
        with engine.begin() as connection:
            connection.execute(NAMES)
            with connection.begin_nested():
                connection.execute(CARL)
    assert ["carl"] == names(file)
    assert [
        "BEGIN",
        "SELECT name FROM person ORDER BY id",
        "SAVEPOINT sa_savepoint_1",
        "INSERT INTO person VALUES (1, 'carl')",
        "RELEASE SAVEPOINT sa_savepoint_1",
        "COMMIT",
    ] == seen


@with_stock("pysqlite")
def test_documented_begin_is_rolled_back(driver: str, tmp_path: Path) -> None:
    """With SQLAlchemy's recipe a rollback undoes DDL and savepoints."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        begin_as_documented(engine)
        with engine.connect() as connection:
            connection.execute(text("CREATE TABLE town (id INTEGER)"))
            with connection.begin_nested():
                connection.execute(CARL)
            connection.rollback()
    assert [] == names(file)
    assert ["person", "letter", "visit"] == tables(file)


def test_documented_begin_goes_with_our_savepoints(tmp_path: Path) -> None:
    """With isolation_level=None and a BEGIN of one's own there are savepoints."""
    file = fresh(tmp_path)
    arguments = {"connect_args": {"isolation_level": None}}
    with engine_on(OURS, file, **arguments) as engine:
        event.listen(engine, "begin", lambda it: it.exec_driver_sql("BEGIN"))
        with engine.begin() as connection:
            with pytest.raises(LookupError):
                with savepoint(connection):
                    connection.execute(CARL)
                    raise LookupError
            connection.execute(DORA)
    assert ["dora"] == names(file)


@with_stock("pysqlite")
def test_begin_of_a_listener_is_the_only_one(driver: str, tmp_path: Path) -> None:
    """A listener that begins as a writer needs nothing else."""
    with engine_on(driver, fresh(tmp_path)) as engine:
        seen = sent(engine)
        event.listen(engine, "begin", lambda it: it.exec_driver_sql("BEGIN IMMEDIATE"))
        with engine.begin() as connection:
            connection.execute(CARL)
    assert ["BEGIN IMMEDIATE"] == begins(seen)


@with_stock("pysqlite")
def test_begin_in_a_statement_is_the_only_one(driver: str, tmp_path: Path) -> None:
    """A first statement that is a BEGIN begins, and the commit ends it."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        seen = sent(engine)
        with engine.begin() as connection:
            connection.execute(text("BEGIN IMMEDIATE"))
            connection.execute(CARL)
    assert ["carl"] == names(file)
    assert [
        "BEGIN IMMEDIATE",
        "INSERT INTO person VALUES (1, 'carl')",
        "COMMIT",
    ] == seen


def test_commit_in_a_statement_ends_what_rollback_undoes(tmp_path: Path) -> None:
    """After a COMMIT of one's own the next statement begins again."""
    file = fresh(tmp_path)
    with engine_on(OURS, file) as engine:
        with engine.connect() as connection:
            connection.execute(CARL)
            connection.execute(text("COMMIT"))
            connection.execute(DORA)
            connection.rollback()
    assert ["carl"] == names(file)


def test_isolation_level_of_the_driver_is_the_begin(tmp_path: Path) -> None:
    """An argument of sqlite3 that says how to begin is heard."""
    arguments = {"connect_args": {"isolation_level": "IMMEDIATE"}}
    with engine_on(OURS, fresh(tmp_path), **arguments) as engine:
        seen = sent(engine)
        with engine.begin() as connection:
            connection.execute(NAMES)
    assert ["BEGIN IMMEDIATE"] == begins(seen)


def test_isolation_level_of_the_driver_returns_after_autocommit(tmp_path: Path) -> None:
    """What the driver was told holds again when AUTOCOMMIT ends."""
    arguments = {"connect_args": {"isolation_level": "IMMEDIATE"}, "pool_size": 1}
    with engine_on(OURS, fresh(tmp_path), **arguments) as engine:
        seen = sent(engine)
        with read(engine) as connection:
            connection.execute(CARL)
        with engine.begin() as connection:
            connection.execute(DORA)
    assert ["BEGIN IMMEDIATE"] == begins(seen)


@with_stock("pysqlite")
def test_isolation_level_none_is_autocommit(driver: str, tmp_path: Path) -> None:
    """Where a listener tells sqlite3 not to begin, and nobody does, nobody does."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:

        def connect(connection: Any, _: object) -> None:
            connection.isolation_level = None

        event.listen(engine, "connect", connect)
        with engine.connect() as connection:
            connection.execute(CARL)
            connection.rollback()
    assert ["carl"] == names(file)


# --- the attribute of Python 3.12


def test_autocommit_of_the_driver_is_refused(tmp_path: Path) -> None:
    """The argument of Python 3.12 takes the place of BEGIN, and is refused."""
    arguments = {"connect_args": {"autocommit": False}}
    with engine_on(OURS, fresh(tmp_path), **arguments) as engine:
        with pytest.raises(ArgumentError, match="seen False, by which sqlite3 begins"):
            engine.connect()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="autocommit is of Python 3.12")
@pytest.mark.parametrize("value", [False, True])
def test_autocommit_attribute_is_refused(
    value: bool,  # noqa: FBT001 - a case
    tmp_path: Path,
) -> None:
    """The attribute, set by a listener, is refused where a transaction begins."""
    with engine_on(OURS, fresh(tmp_path)) as engine:

        def connect(connection: Any, _: object) -> None:
            connection.autocommit = value

        event.listen(engine, "connect", connect)
        with engine.connect() as connection:
            with pytest.raises(InvalidRequestError, match=f"autocommit={value} of"):
                connection.execute(NAMES)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="autocommit is of Python 3.12")
@with_stock("pysqlite")
def test_documented_foreign_keys_are_heard(driver: str, tmp_path: Path) -> None:
    """SQLAlchemy's recipe for foreign keys sets the attribute and takes it back.

    Source: https://docs.sqlalchemy.org/en/21/dialects/sqlite.html, "Foreign Key
    Support".
    """
    with engine_on(driver, fresh(tmp_path)) as engine:

        def set_sqlite_pragma(connection: Any, _: object) -> None:
            before = connection.autocommit
            connection.autocommit = True
            cursor = connection.cursor()
            cursor.execute("PRAGMA foreign_keys=ON")
            cursor.close()
            connection.autocommit = before

        event.listen(engine, "connect", set_sqlite_pragma)
        with engine.connect() as connection:
            with pytest.raises(IntegrityError):
                connection.execute(VISIT)


# --- pools, creators and events


@pytest.mark.parametrize("pool", [NullPool, StaticPool])
def test_pool_of_ones_own_is_used(pool: type[Pool], tmp_path: Path) -> None:
    """Transactions are right with a pool that the user chooses."""
    file = fresh(tmp_path)
    with engine_on(OURS, file, poolclass=pool) as engine:
        assert isinstance(engine.pool, pool)
        with engine.connect() as connection:
            connection.execute(CARL)
        with engine.begin() as connection:
            connection.execute(DORA)
    assert ["dora"] == names(file)


def test_temporary_table_outlives_a_commit_in_a_static_pool(tmp_path: Path) -> None:
    """With one connection for all, a temporary table is there for the next user."""
    with engine_on(OURS, fresh(tmp_path), poolclass=StaticPool) as engine:
        with engine.begin() as connection:
            connection.execute(text("CREATE TEMPORARY TABLE town (name TEXT)"))
            connection.execute(text("INSERT INTO town VALUES ('Ulm')"))
        with engine.begin() as connection:
            assert "Ulm" == connection.scalar(text("SELECT name FROM town"))


def test_creator_of_ones_own_has_our_transactions(tmp_path: Path) -> None:
    """A connection that the user opens is told the same and begins alike."""
    file = fresh(tmp_path)

    def creator() -> sqlite3.Connection:
        return sqlite3.connect(file, check_same_thread=False)

    with engine_scope(create_engine("sqlite://", creator=creator)) as engine:
        seen = sent(engine)
        with engine.connect() as connection:
            assert 1 == connection.scalar(text("PRAGMA foreign_keys"))
            assert "wal" == connection.scalar(text("PRAGMA journal_mode"))
            connection.rollback()
            seen.clear()
            with connection.begin_nested():
                connection.execute(CARL)
    assert [] == names(file)
    assert "BEGIN" == seen[0]


@with_stock("pysqlite")
def test_cursor_of_an_event_can_be_used(driver: str, tmp_path: Path) -> None:
    """A listener may ask SQLite something with the cursor that it is given."""
    answers: list[object] = []

    def ask(
        _connection: Connection,
        cursor: Any,
        _statement: str,
        _parameters: object,
        _context: object,
        _executemany: object,
    ) -> None:
        cursor.execute("SELECT 40 + 2")
        answers.extend(cursor.fetchone())

    with engine_on(driver, fresh(tmp_path)) as engine:
        with engine.connect() as connection:
            event.listen(connection, "before_cursor_execute", ask)
            assert [] == connection.scalars(NAMES).all()
    assert [42] == answers


@with_stock("pysqlite")
def test_begin_of_the_drivers_connection_is_ended(driver: str, tmp_path: Path) -> None:
    """A transaction that was begun on the driver's connection is not begun twice."""
    file = fresh(tmp_path)
    with engine_on(driver, file) as engine:
        with engine.connect() as connection:
            driver_of(connection).execute("BEGIN")
            connection.execute(EVE)
            connection.commit()
    assert ["eve"] == names(file)


@with_stock("pysqlite")
def test_two_phases_are_not_there(driver: str, tmp_path: Path) -> None:
    """SQLite has no two-phase commit, and SQLAlchemy says so."""
    with engine_on(driver, fresh(tmp_path)) as engine:
        with engine.connect() as connection:
            with pytest.raises(NotImplementedError):
                connection.begin_twophase()
