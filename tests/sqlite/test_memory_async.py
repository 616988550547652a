"""A database in memory has many connections, and one engine, under asyncio."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import AsyncAdaptedQueuePool, NullPool, StaticPool, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.util import greenlet_spawn

from async_layers import SQLiteOptions, async_engine_scope, async_transaction
from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._ground import CARL, DORA, NAMES, Base, async_memory_on, sent

if TYPE_CHECKING:
    from sqlalchemy import Pool
    from sqlalchemy.ext.asyncio import AsyncEngine

TABLES = text("SELECT count(*) FROM sqlite_master")


async def address(engine: AsyncEngine) -> str:
    """Return the URI of an engine's database in memory."""
    async with engine.connect() as connection:
        databases = await connection.execute(text("PRAGMA database_list"))
        return f"file:{databases.all()[0].file}?vfs=memdb"


def tables_at(uri: str) -> int:
    """Count the tables that somebody else finds at a URI."""
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        (count,) = connection.execute(TABLES.text).fetchone()
    return int(count)


# --- connections and transactions


async def test_tasks_share_the_database() -> None:
    """What one task commits another finds."""
    async with async_memory_on(OURS) as engine:
        async with engine.begin() as connection:
            await connection.execute(CARL)

        async def look() -> list[str]:
            async with engine.connect() as connection:
                return list(await connection.scalars(NAMES))

        assert ["carl"] == await asyncio.create_task(look())


@wrong_on("aiosqlite", "all connections are one, with one transaction")
async def test_connections_have_transactions_of_their_own(driver: str) -> None:
    """What one connection rolls back is not what another has done."""
    async with async_memory_on(driver) as engine:
        async with engine.connect() as connection:
            await connection.execute(CARL)
            async with engine.connect() as other:
                await other.execute(text("SELECT 1"))
                await other.rollback()
            await connection.commit()
            assert ["carl"] == list(await connection.scalars(NAMES))


async def test_transaction_begins_and_ends_as_in_a_file() -> None:
    """BEGIN goes out with the first statement; a rollback undoes a savepoint."""
    async with async_memory_on(OURS) as engine:
        seen = sent(engine.sync_engine)
        await greenlet_spawn(engine.sync_engine.pool.dispose)
        async with engine.connect() as connection:
            async with connection.begin_nested():
                await connection.execute(CARL)
            await connection.rollback()
        async with engine.connect() as connection:
            assert [] == list(await connection.scalars(NAMES))
    assert [
        "BEGIN",
        "SAVEPOINT sa_savepoint_1",
        "INSERT INTO person VALUES (1, 'carl')",
        "RELEASE SAVEPOINT sa_savepoint_1",
        "ROLLBACK",
        "BEGIN",
        "SELECT name FROM person ORDER BY id",
        "ROLLBACK",
    ] == seen


async def test_writer_keeps_readers_waiting() -> None:
    """There is no WAL in memory: what is written is not read before it is committed."""
    options = SQLiteOptions(busy_timeout=0.05)
    async with async_memory_on(OURS, sqlite=options) as engine:
        async with engine.connect() as connection, engine.connect() as other:
            await connection.execute(CARL)
            with pytest.raises(OperationalError, match="database is locked"):
                await other.execute(NAMES)
            await connection.commit()
            await other.rollback()
            assert ["carl"] == list(await other.scalars(NAMES))


async def test_writers_wait_for_each_other() -> None:
    """Many write at once, none fails, and no row is lost."""
    async with async_memory_on(OURS, pool_size=8) as engine:

        async def write(number: int) -> None:
            statement = text("INSERT INTO person VALUES (:number, 'somebody')")
            async with async_transaction(engine, write=True) as connection:
                await connection.execute(statement, {"number": number})

        async with asyncio.TaskGroup() as others:
            for number in range(40):
                others.create_task(write(number))
        async with engine.connect() as connection:
            assert 40 == await connection.scalar(text("SELECT count(*) FROM person"))


# --- whose it is, and for how long


async def test_engines_never_meet() -> None:
    """Each engine has a database of its own."""
    async with async_memory_on(OURS) as engine, async_memory_on(OURS) as another:
        async with engine.begin() as connection:
            await connection.execute(CARL)
        async with another.begin() as connection:
            await connection.execute(DORA)
            assert ["dora"] == list(await connection.scalars(NAMES))
        async with engine.begin() as connection:
            assert ["carl"] == list(await connection.scalars(NAMES))


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite+async_layers://"]
)
async def test_each_way_to_write_memory_is_shared(url: str) -> None:
    """Every URL of a database in memory is one for all connections."""
    async with async_engine_scope(url) as engine:
        assert isinstance(engine.sync_engine.pool, AsyncAdaptedQueuePool)
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with engine.connect() as connection, engine.connect() as other:
            assert 1 == await connection.scalar(TABLES)
            assert 1 == await other.scalar(TABLES)


@pytest.mark.parametrize("pool", [NullPool, StaticPool])
async def test_database_outlives_each_of_its_connections(pool: type[Pool]) -> None:
    """Whatever the pool, the database is there for the next connection."""
    async with async_memory_on(OURS, poolclass=pool) as engine:
        async with engine.begin() as connection:
            await connection.execute(CARL)
        async with engine.connect() as connection:
            assert ["carl"] == list(await connection.scalars(NAMES))


async def test_database_outlives_its_pool() -> None:
    """A pool that closes its connections does not end the database."""
    async with async_memory_on(OURS) as engine:
        uri = await address(engine)
        await greenlet_spawn(engine.sync_engine.pool.dispose)
        assert 1 == tables_at(uri)


async def test_database_ends_with_dispose() -> None:
    """`dispose()` ends a database in memory."""
    async with async_memory_on(OURS) as engine:
        uri = await address(engine)
    assert 0 == tables_at(uri)


async def test_engine_begins_a_new_database_after_dispose() -> None:
    """An engine that is used after `dispose()` has an empty database."""
    async with async_memory_on(OURS) as engine:
        await engine.dispose()
        async with engine.connect() as connection:
            assert 0 == await connection.scalar(TABLES)


async def test_connection_that_is_lent_outlives_dispose() -> None:
    """`dispose()` does not take the database from a connection that is in use."""
    async with async_memory_on(OURS) as engine:
        async with engine.connect() as connection:
            await connection.execute(CARL)
            await engine.dispose()
            await connection.commit()
            assert ["carl"] == list(await connection.scalars(NAMES))
            await connection.invalidate()  # its pool is gone, and nobody else closes it


# --- what is left to SQLAlchemy


async def test_memory_can_be_left_to_sqlalchemy() -> None:
    """With memdb=False a database in memory is what SQLAlchemy makes of it."""
    options = SQLiteOptions(memdb=False)
    async with async_memory_on(OURS, sqlite=options) as engine:
        assert isinstance(engine.sync_engine.pool, StaticPool)
        async with engine.begin() as connection:
            assert 1 == await connection.scalar(text("PRAGMA foreign_keys"))
            await connection.execute(CARL)
        async with engine.connect() as connection:
            assert ["carl"] == list(await connection.scalars(NAMES))


async def test_shared_cache_is_left_to_sqlalchemy() -> None:
    """A URI of SQLAlchemy's documentation is the database that it names.

    Source: https://docs.sqlalchemy.org/en/21/dialects/sqlite.html, "Using a
    Shared-Cache Memory Database".
    """
    url = "sqlite:///file:of_async_layers_async?mode=memory&cache=shared&uri=true"
    async with async_engine_scope(url, poolclass=AsyncAdaptedQueuePool) as engine:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(CARL)
        uri = "file:of_async_layers_async?mode=memory&cache=shared"
        assert 1 == tables_at(uri)
        async with engine.connect() as connection, engine.connect() as other:
            assert ["carl"] == list(await connection.scalars(NAMES))
            assert ["carl"] == list(await other.scalars(NAMES))
