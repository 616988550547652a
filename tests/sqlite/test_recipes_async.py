"""What users tell a stock engine of SQLite goes on working, under asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiosqlite
import pytest
from sqlalchemy import Connection, NullPool, StaticPool, event, text
from sqlalchemy.exc import ArgumentError

from async_layers import (
    async_engine_scope,
    async_read,
    async_savepoint,
    create_async_engine,
)
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import (
    CARL,
    DORA,
    EVE,
    NAMES,
    async_driver_of,
    async_engine_on,
    begin_as_documented,
    fresh,
    names,
    sent,
    tables,
    with_stock,
)

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from sqlalchemy import Pool


def begins(seen: list[str]) -> list[str]:
    """Return the BEGINs of what was sent."""
    return [statement for statement in seen if statement.startswith("BEGIN")]


# --- who begins


@with_stock("aiosqlite")
async def test_documented_begin_is_the_only_one(driver: str, tmp_path: Path) -> None:
    """With SQLAlchemy's recipe, isolation_level=None and a BEGIN, that one is sent."""
    file = fresh(tmp_path)
    async with async_engine_on(driver, file) as engine:
        seen = sent(engine.sync_engine)
        begin_as_documented(engine.sync_engine)
        async with engine.begin() as connection:
            await connection.execute(NAMES)
            async with connection.begin_nested():
                await connection.execute(CARL)
    assert ["carl"] == names(file)
    assert [
        "BEGIN",
        "SELECT name FROM person ORDER BY id",
        "SAVEPOINT sa_savepoint_1",
        "INSERT INTO person VALUES (1, 'carl')",
        "RELEASE SAVEPOINT sa_savepoint_1",
        "COMMIT",
    ] == seen


@with_stock("aiosqlite")
async def test_documented_begin_is_rolled_back(driver: str, tmp_path: Path) -> None:
    """With SQLAlchemy's recipe a rollback undoes DDL and savepoints."""
    file = fresh(tmp_path)
    async with async_engine_on(driver, file) as engine:
        begin_as_documented(engine.sync_engine)
        async with engine.connect() as connection:
            await connection.execute(text("CREATE TABLE town (id INTEGER)"))
            async with connection.begin_nested():
                await connection.execute(CARL)
            await connection.rollback()
    assert [] == names(file)
    assert ["person", "letter", "visit"] == tables(file)


async def test_documented_begin_goes_with_our_savepoints(tmp_path: Path) -> None:
    """With isolation_level=None and a BEGIN of one's own there are savepoints."""
    file = fresh(tmp_path)
    arguments = {"connect_args": {"isolation_level": None}}
    async with async_engine_on(OURS, file, **arguments) as engine:
        event.listen(
            engine.sync_engine, "begin", lambda it: it.exec_driver_sql("BEGIN")
        )
        async with engine.begin() as connection:
            with pytest.raises(LookupError):
                async with async_savepoint(connection):
                    await connection.execute(CARL)
                    raise LookupError
            await connection.execute(DORA)
    assert ["dora"] == names(file)


@with_stock("aiosqlite")
async def test_begin_of_a_listener_is_the_only_one(driver: str, tmp_path: Path) -> None:
    """A listener that begins as a writer needs nothing else."""
    async with async_engine_on(driver, fresh(tmp_path)) as engine:
        seen = sent(engine.sync_engine)
        event.listen(
            engine.sync_engine,
            "begin",
            lambda it: it.exec_driver_sql("BEGIN IMMEDIATE"),
        )
        async with engine.begin() as connection:
            await connection.execute(CARL)
    assert ["BEGIN IMMEDIATE"] == begins(seen)


@with_stock("aiosqlite")
async def test_begin_in_a_statement_is_the_only_one(
    driver: str, tmp_path: Path
) -> None:
    """A first statement that is a BEGIN begins, and the commit ends it."""
    file = fresh(tmp_path)
    async with async_engine_on(driver, file) as engine:
        seen = sent(engine.sync_engine)
        async with engine.begin() as connection:
            await connection.execute(text("BEGIN IMMEDIATE"))
            await connection.execute(CARL)
    assert ["carl"] == names(file)
    assert [
        "BEGIN IMMEDIATE",
        "INSERT INTO person VALUES (1, 'carl')",
        "COMMIT",
    ] == seen


async def test_commit_in_a_statement_ends_what_rollback_undoes(tmp_path: Path) -> None:
    """After a COMMIT of one's own the next statement begins again."""
    file = fresh(tmp_path)
    async with async_engine_on(OURS, file) as engine:
        async with engine.connect() as connection:
            await connection.execute(CARL)
            await connection.execute(text("COMMIT"))
            await connection.execute(DORA)
            await connection.rollback()
    assert ["carl"] == names(file)


async def test_isolation_level_of_the_driver_is_the_begin(tmp_path: Path) -> None:
    """An argument of sqlite3 that says how to begin is heard."""
    arguments = {"connect_args": {"isolation_level": "IMMEDIATE"}}
    async with async_engine_on(OURS, fresh(tmp_path), **arguments) as engine:
        seen = sent(engine.sync_engine)
        async with engine.begin() as connection:
            await connection.execute(NAMES)
    assert ["BEGIN IMMEDIATE"] == begins(seen)


async def test_isolation_level_of_the_driver_returns_after_autocommit(
    tmp_path: Path,
) -> None:
    """What the driver was told holds again when AUTOCOMMIT ends."""
    arguments = {"connect_args": {"isolation_level": "IMMEDIATE"}, "pool_size": 1}
    async with async_engine_on(OURS, fresh(tmp_path), **arguments) as engine:
        seen = sent(engine.sync_engine)
        async with async_read(engine) as connection:
            await connection.execute(CARL)
        async with engine.begin() as connection:
            await connection.execute(DORA)
    assert ["BEGIN IMMEDIATE"] == begins(seen)


@with_stock("aiosqlite")
async def test_isolation_level_none_is_autocommit(driver: str, tmp_path: Path) -> None:
    """Where a listener tells sqlite3 not to begin, and nobody does, nobody does."""
    file = fresh(tmp_path)
    async with async_engine_on(driver, file) as engine:

        def connect(connection: Any, _: object) -> None:
            connection.isolation_level = None

        event.listen(engine.sync_engine, "connect", connect)
        async with engine.connect() as connection:
            await connection.execute(CARL)
            await connection.rollback()
    assert ["carl"] == names(file)


# --- the attribute of Python 3.12


async def test_autocommit_of_the_driver_is_refused(tmp_path: Path) -> None:
    """The argument of Python 3.12 takes the place of BEGIN, and is refused."""
    arguments = {"connect_args": {"autocommit": False}}
    async with async_engine_on(OURS, fresh(tmp_path), **arguments) as engine:
        with pytest.raises(ArgumentError, match="seen False, by which sqlite3 begins"):
            await engine.connect()


# --- pools, creators and events


@pytest.mark.parametrize("pool", [NullPool, StaticPool])
async def test_pool_of_ones_own_is_used(pool: type[Pool], tmp_path: Path) -> None:
    """Transactions are right with a pool that the user chooses."""
    file = fresh(tmp_path)
    async with async_engine_on(OURS, file, poolclass=pool) as engine:
        assert isinstance(engine.pool, pool)
        async with engine.connect() as connection:
            await connection.execute(CARL)
        async with engine.begin() as connection:
            await connection.execute(DORA)
    assert ["dora"] == names(file)


async def test_temporary_table_outlives_a_commit_in_a_static_pool(
    tmp_path: Path,
) -> None:
    """With one connection for all, a temporary table is there for the next user."""
    async with async_engine_on(OURS, fresh(tmp_path), poolclass=StaticPool) as engine:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TEMPORARY TABLE town (name TEXT)"))
            await connection.execute(text("INSERT INTO town VALUES ('Ulm')"))
        async with engine.begin() as connection:
            assert "Ulm" == await connection.scalar(text("SELECT name FROM town"))


async def test_creator_of_ones_own_has_our_transactions(tmp_path: Path) -> None:
    """A connection that the user opens is told the same and begins alike."""
    file = fresh(tmp_path)

    async def creator() -> aiosqlite.Connection:
        return await aiosqlite.connect(file)

    async with async_engine_scope(
        create_async_engine("sqlite://", async_creator=creator)
    ) as engine:
        seen = sent(engine.sync_engine)
        async with engine.connect() as connection:
            assert 1 == await connection.scalar(text("PRAGMA foreign_keys"))
            assert "wal" == await connection.scalar(text("PRAGMA journal_mode"))
            await connection.rollback()
            seen.clear()
            async with connection.begin_nested():
                await connection.execute(CARL)
    assert [] == names(file)
    assert "BEGIN" == seen[0]


@with_stock("aiosqlite")
async def test_cursor_of_an_event_can_be_used(driver: str, tmp_path: Path) -> None:
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

    async with async_engine_on(driver, fresh(tmp_path)) as engine:
        async with engine.connect() as connection:
            event.listen(connection.sync_connection, "before_cursor_execute", ask)
            assert [] == list(await connection.scalars(NAMES))
    assert [42] == answers


@with_stock("aiosqlite")
async def test_begin_of_the_drivers_connection_is_ended(
    driver: str, tmp_path: Path
) -> None:
    """A transaction that was begun on the driver's connection is not begun twice."""
    file = fresh(tmp_path)
    async with async_engine_on(driver, file) as engine:
        async with engine.connect() as connection:
            dbapi = await async_driver_of(connection)
            await dbapi.execute("BEGIN")
            await connection.execute(EVE)
            await connection.commit()
    assert ["eve"] == names(file)


@with_stock("aiosqlite")
async def test_two_phases_are_not_there(driver: str, tmp_path: Path) -> None:
    """SQLite has no two-phase commit, and SQLAlchemy says so."""
    async with async_engine_on(driver, fresh(tmp_path)) as engine:
        async with engine.connect() as connection:
            with pytest.raises(NotImplementedError):
                await connection.run_sync(Connection.begin_twophase)
