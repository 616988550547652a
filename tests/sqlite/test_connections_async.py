"""Connections that are told, opened or used otherwise than by a pool alone."""

from __future__ import annotations

import importlib.metadata
from typing import TYPE_CHECKING, Any

import aiosqlite
import pytest
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError, OperationalError

from async_layers import async_engine_scope, create_async_engine
from tests.sqlite._attribute import Asked, Begins
from tests.sqlite._dialects import OURS
from tests.sqlite._ground import (
    CARL,
    NAMES,
    async_driver_of,
    async_engine_on,
    async_memory_on,
    fresh,
    names,
    sent,
    with_stock,
)

if TYPE_CHECKING:
    from pathlib import Path

CLOSED = "The connection to SQLite is closed: seen a statement after close()"


# --- the pool's questions


@with_stock("aiosqlite")
async def test_pre_ping_replaces_a_closed_connection(
    driver: str, tmp_path: Path
) -> None:
    """A connection that was closed in the pool is not lent to anybody."""
    async with async_engine_on(driver, fresh(tmp_path), pool_pre_ping=True) as engine:
        async with engine.connect() as connection:
            first = await async_driver_of(connection)
        await first.close()
        async with engine.connect() as connection:
            assert [] == list(await connection.scalars(NAMES))


async def test_pre_ping_replaces_a_connection_that_was_closed_below(
    tmp_path: Path,
) -> None:
    """A connection whose thread has lost it is not lent to anybody."""
    async with async_engine_on(OURS, fresh(tmp_path), pool_pre_ping=True) as engine:
        async with engine.connect() as connection:
            first = await async_driver_of(connection)
        await first._execute(first._conn.close)
        async with engine.connect() as connection:
            assert [] == list(await connection.scalars(NAMES))


async def test_pre_ping_asks_a_database_in_memory() -> None:
    """A connection to no file is asked for a row, and goes on."""
    async with async_memory_on(OURS, pool_pre_ping=True) as engine:
        seen = sent(engine.sync_engine)
        await engine.dispose()
        async with engine.connect() as connection:
            first = await async_driver_of(connection)
        seen.clear()
        async with engine.connect() as connection:
            assert first is await async_driver_of(connection)
    assert ["SELECT 1"] == seen


@with_stock("aiosqlite")
async def test_rollback_is_skipped_in_autocommit_where_told_so(
    driver: str, tmp_path: Path
) -> None:
    """A transaction of the user's own outlives SQLAlchemy's rollback."""
    file = fresh(tmp_path)
    told: dict[str, Any] = {
        "skip_autocommit_rollback": True,
        "isolation_level": "AUTOCOMMIT",
    }
    async with async_engine_on(driver, file, **told) as engine:
        async with engine.connect() as connection:
            await connection.execute(text("BEGIN"))
            await connection.execute(CARL)
            await connection.rollback()
            await connection.execute(text("COMMIT"))
    assert ["carl"] == names(file)


@with_stock("aiosqlite")
async def test_version_of_the_driver_is_aiosqlites(driver: str, tmp_path: Path) -> None:
    """The dialect names the version of the driver, not of SQLite or of Python."""
    version = importlib.metadata.version("aiosqlite")
    async with async_engine_on(driver, fresh(tmp_path)) as engine:
        found = engine.dialect.dbapi_version
    assert version == ".".join(str(part) for part in found)


# --- connections that the user opens


async def test_creator_of_ones_own_has_autocommit(tmp_path: Path) -> None:
    """The level is changed on the thread of a connection that keeps to it."""
    file = fresh(tmp_path)

    async def creator() -> aiosqlite.Connection:
        return await aiosqlite.connect(file)

    async with async_engine_scope(
        create_async_engine("sqlite://", async_creator=creator)
    ) as engine:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await connection.execute(CARL)
            assert ["carl"] == names(file)
        async with engine.connect() as connection:
            assert "" == (await async_driver_of(connection)).isolation_level


# --- connections that begin by themselves


async def test_connection_that_begins_by_itself_is_refused(tmp_path: Path) -> None:
    """What begins without our BEGIN is told what to write instead."""
    told = {"factory": Begins}
    async with async_engine_on(OURS, fresh(tmp_path), connect_args=told) as engine:
        async with engine.connect() as connection:
            with pytest.raises(InvalidRequestError) as caught:
                await connection.execute(CARL)
    assert (
        "autocommit=False of sqlite3's connection is refused: seen where a "
        "transaction begins; write isolation_level='AUTOCOMMIT', or leave it out."
    ) == str(caught.value)


async def test_connection_with_the_attribute_is_begun_on(tmp_path: Path) -> None:
    """Whoever leaves beginning to us has transactions."""
    file = fresh(tmp_path)
    async with async_engine_on(OURS, file, connect_args={"factory": Asked}) as engine:
        async with engine.begin() as connection:
            await connection.execute(CARL)
    assert ["carl"] == names(file)


async def test_commit_of_nothing_on_a_closed_connection_is_refused(
    tmp_path: Path,
) -> None:
    """A connection that was closed below does not go back to the pool."""
    async with async_engine_on(OURS, fresh(tmp_path)) as engine:
        async with engine.connect() as connection:
            await connection.begin()
            await (await async_driver_of(connection)).close()
            with pytest.raises(OperationalError, match=CLOSED):
                await connection.commit()


async def test_rollback_of_nothing_on_a_closed_connection_is_none(
    tmp_path: Path,
) -> None:
    """There is nothing to undo on a connection that was closed below."""
    async with async_engine_on(OURS, fresh(tmp_path)) as engine:
        async with engine.connect() as connection:
            await connection.begin()
            await (await async_driver_of(connection)).close()
            await connection.rollback()
            assert not connection.in_transaction()
