"""What a connection that a parent process opened does in its child, under asyncio."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from aiosqlite.core import _STOP_RUNNING_SENTINEL
from sqlalchemy.exc import OperationalError

from tests.sqlite._dialects import OURS, open_async_engine
from tests.sqlite._ground import CARL, DORA, async_engine_on, fresh, names
from tests.sqlite._inherited import as_child

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from async_layers.drivers._sqlite.control import Control
    from async_layers.drivers._sqlite.worker import Worker

REFUSED = (
    r"A connection of Engine\(sqlite\+async_layers:///.*\) is refused: seen in a "
    r"child process of the one that opened it"
)


class Open(NamedTuple):
    """A connection with a transaction that has written, and what is below it."""

    engine: AsyncEngine
    connection: AsyncConnection
    driver: Any
    control: Control
    worker: Worker
    file: Path


async def below(connection: AsyncConnection) -> tuple[Any, Control, Worker]:
    """Return aiosqlite's connection, and what the adapter has beside it."""
    adapter: Any = (await connection.get_raw_connection()).dbapi_connection
    return adapter.driver_connection, adapter.control, adapter._worker


def end(worker: Worker, sqlite: sqlite3.Connection) -> None:
    """Close what nobody but a child knows any more, and end its thread."""
    worker.send(sqlite.close)
    worker.send(lambda: _STOP_RUNNING_SENTINEL)
    worker.thread.join(timeout=5)
    assert not worker.thread.is_alive()


@pytest.fixture
async def inherited(tmp_path: Path) -> AsyncIterator[Open]:
    """Return a connection that has written and not committed."""
    file = fresh(tmp_path)
    async with async_engine_on(OURS, file) as engine:
        connection = await engine.connect()
        await connection.execute(CARL)
        yield Open(engine, connection, *await below(connection), file)
        await connection.close()


async def test_inherited_connection_executes_nothing(inherited: Open) -> None:
    """A statement is refused, and the transaction of the parent has not got it."""
    with as_child(inherited.control, inherited.worker):
        with pytest.raises(OperationalError, match=REFUSED):
            await inherited.connection.execute(DORA)
    await inherited.connection.commit()
    assert ["carl"] == names(inherited.file)


async def test_inherited_connection_executes_nothing_for_many(inherited: Open) -> None:
    """A statement for many parameters is refused as well."""
    rows = [{"id": 2}, {"id": 3}]
    with as_child(inherited.control, inherited.worker):
        with pytest.raises(OperationalError, match=REFUSED):
            await inherited.connection.exec_driver_sql(
                "INSERT INTO person (id) VALUES (:id)", rows
            )
    await inherited.connection.commit()
    assert ["carl"] == names(inherited.file)


async def test_inherited_transaction_is_not_committed(inherited: Open) -> None:
    """A COMMIT is refused, and the transaction of the parent stays open."""
    with as_child(inherited.control, inherited.worker):
        with pytest.raises(OperationalError, match=REFUSED):
            await inherited.connection.commit()
    assert inherited.driver.in_transaction
    assert [] == names(inherited.file)
    await inherited.driver.rollback()


async def test_inherited_transaction_is_not_rolled_back(inherited: Open) -> None:
    """A rollback is no error, and the parent can still commit."""
    with as_child(inherited.control, inherited.worker):
        await inherited.connection.rollback()
    await inherited.driver.commit()
    assert ["carl"] == names(inherited.file)


async def test_inherited_connection_is_not_closed(inherited: Open) -> None:
    """What a child gives back and disposes of, its parent still has."""
    sqlite = inherited.driver._conn
    with as_child(inherited.control, inherited.worker):
        await inherited.connection.close()
        await inherited.engine.dispose()
    sqlite.commit()
    assert ["carl"] == names(inherited.file)
    end(inherited.worker, sqlite)


async def test_inherited_connection_is_kept(inherited: Open) -> None:
    """An engine that is disposed of in a child lets go of nothing that is in use."""
    with as_child(inherited.control, inherited.worker):
        await inherited.engine.dispose()
    await inherited.connection.commit()
    assert ["carl"] == names(inherited.file)
    await inherited.connection.invalidate()  # its pool is no more


async def used(file: Path) -> tuple[AsyncEngine, Any, Control, Worker]:
    """Return an engine with a connection in its pool, and what is below that."""
    engine = open_async_engine(OURS, file)
    async with engine.connect() as connection:
        return engine, *await below(connection)


async def test_inherited_connection_is_dropped_in_silence(tmp_path: Path) -> None:
    """A child that drops what its parent opened neither closes it nor warns."""
    engine, driver, control, worker = await used(fresh(tmp_path))
    sqlite = driver._conn
    with as_child(control, worker):
        await engine.dispose(close=False)
        del engine
        gc.collect()
        assert driver._connection is None
    assert (1,) == sqlite.execute("SELECT 1").fetchone()
    end(worker, sqlite)
