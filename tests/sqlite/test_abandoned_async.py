"""Statements that nobody waits for any more: what becomes of their connection."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.util import greenlet_spawn

from tests.sqlite._cancelling import ENDLESS, ground
from tests.sqlite._dialects import OURS, open_async_engine
from tests.sqlite._ground import (
    CARL,
    NAMES,
    async_driver_of,
    fresh,
    is_locked,
    names,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

WAIT = text("SELECT wait()")


class Waiting:
    """An engine whose SQL has `wait()`, which nothing ends but `free`."""

    def __init__(self, file: Path) -> None:
        """Open an engine."""
        self.began = threading.Event()
        self.free = threading.Event()
        self.engine = open_async_engine(OURS, file)
        event.listen(self.engine.sync_engine, "connect", self._connected)

    def _connected(self, connection: Any, _: object) -> None:
        connection.create_function("wait", 0, self._wait)

    def _wait(self) -> int:
        self.began.set()
        self.free.wait(timeout=10)
        return 1

    async def begun(self) -> None:
        """Return when a statement waits."""
        assert await asyncio.to_thread(self.began.wait, 5)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a database with the tables."""
    return fresh(tmp_path)


@pytest.fixture
def threads() -> Iterator[None]:
    """See to it that no connection's thread is left."""

    def found() -> list[threading.Thread]:
        return [
            one for one in threading.enumerate() if "_connection_worker" in one.name
        ]

    before = found()
    yield
    assert before == found()


@asynccontextmanager
async def waiting(file: Path) -> AsyncIterator[tuple[Waiting, AsyncConnection]]:
    """Lend a connection that has written, and end what it leaves."""
    found = Waiting(file)
    connection = await found.engine.connect()
    await connection.execute(CARL)
    try:
        yield found, connection
    finally:
        found.free.set()
        await connection.close()
        await found.engine.dispose()


async def works(engine: AsyncEngine) -> bool:
    """Say whether a connection of an engine can write; it is rolled back."""
    async with engine.connect() as connection:
        await connection.execute(CARL)
        return ["carl"] == list(await connection.scalars(NAMES))


# A coroutine that is closed: nobody can wait in it.


@pytest.mark.usefixtures("threads")
async def test_closed_coroutine_gives_its_connection_up(file: Path) -> None:
    """A coroutine that is closed while its statement runs does not wait for it."""
    async with waiting(file) as (found, connection):
        statement = connection.execute(WAIT)
        statement.send(None)
        await found.begun()
        statement.close()
        assert connection.invalidated
        found.free.set()
        await connection.close()
        await found.engine.dispose()
        assert not is_locked(file)
        assert [] == names(file)


@pytest.mark.usefixtures("threads")
async def test_coroutine_that_is_closed_too_late_gives_its_connection_up(
    file: Path,
) -> None:
    """A statement that has ended, and whose coroutine has not heard, is no other."""
    async with waiting(file) as (found, connection):
        driver = await async_driver_of(connection)
        statement = connection.execute(WAIT)
        statement.send(None)
        found.free.set()
        await driver._execute(int)  # it is behind the statement
        statement.close()
        assert connection.invalidated
        await connection.close()
        await found.engine.dispose()
        assert not is_locked(file)
        assert [] == names(file)


# A loop that is closed.


@pytest.mark.usefixtures("threads")
def test_statement_outlives_its_loop(file: Path) -> None:
    """The thread ends a statement whose loop is closed, and tells nobody."""
    found = Waiting(file)
    loop = asyncio.new_event_loop()

    async def connect() -> tuple[AsyncConnection, Any]:
        connection = await found.engine.connect()
        return connection, await async_driver_of(connection)

    connection, driver = loop.run_until_complete(connect())
    statement = connection.execute(WAIT)
    task = loop.create_task(statement)
    task.add_done_callback(lambda _: None)
    loop.run_until_complete(found.begun())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
    ended = threading.Event()
    driver._tx.put_nowait((None, ended.set))
    found.free.set()
    assert ended.wait(timeout=5)
    statement.close()
    assert connection.invalidated
    task._log_destroy_pending = False  # type: ignore[attr-defined]

    async def rest() -> bool:
        await connection.close()
        try:
            return await works(found.engine)
        finally:
            await found.engine.dispose()

    assert asyncio.run(rest())


# A task that is cancelled twice in the same turn of the loop.


async def test_cancellation_that_is_repeated_at_once_is_one(tmp_path: Path) -> None:
    """Whoever is cancelled again before it hears of it ends once, without a lock."""
    async with ground(OURS, tmp_path / "file.db") as endless:

        async def insert() -> None:
            async with endless.engine.begin() as connection:
                await connection.execute(text("INSERT INTO item (name) VALUES ('a')"))
                await connection.execute(ENDLESS)

        task = await endless.start(insert())
        assert task.cancel()
        assert task.cancel()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()
        assert not endless.is_locked()
        assert [] == endless.names()


# A connection that is given up while another task's statement runs on it.


async def test_invalidated_connection_interrupts_another_tasks_statement(
    tmp_path: Path,
) -> None:
    """A statement that would run for minutes ends when its connection is given up."""
    async with ground(OURS, tmp_path / "file.db") as endless:
        async with endless.engine.connect() as connection:
            await connection.execute(text("INSERT INTO item (name) VALUES ('a')"))
            task = await endless.start(selected(connection))
            await asyncio.wait_for(connection.invalidate(), timeout=5)
            assert not endless.is_locked()
            with pytest.raises(OperationalError, match="interrupted"):
                await asyncio.wait_for(task, timeout=5)


async def selected(connection: AsyncConnection) -> None:
    await connection.execute(ENDLESS)


async def test_work_behind_a_cancelled_statement_is_undone(tmp_path: Path) -> None:
    """What another task does on a connection that is given up holds no lock."""
    free = threading.Event()

    def insert(sqlite: sqlite3.Connection) -> None:
        free.wait(timeout=5)
        sqlite.execute("INSERT INTO item (name) VALUES ('a')")

    async with ground(OURS, tmp_path / "file.db") as endless:
        async with endless.engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).dbapi_connection
            task = await endless.start(selected(connection))
            behind = asyncio.ensure_future(greenlet_spawn(raw.run, insert))
            await asyncio.sleep(0)  # it is on its way
            task.cancel()
            await asyncio.wait([task], timeout=5)
            assert not behind.done()
            free.set()
            await asyncio.wait_for(behind, timeout=5)
        await endless.engine.dispose()
        assert not endless.is_locked()
        assert [] == endless.names()


@pytest.mark.usefixtures("threads")
async def test_invalidated_connection_does_not_wait_for_a_function(file: Path) -> None:
    """A function that SQLite cannot interrupt does not keep whoever gives up."""
    async with waiting(file) as (found, connection):
        task = asyncio.ensure_future(connection.execute(WAIT))
        await found.begun()
        await asyncio.wait_for(connection.invalidate(), timeout=5)
        assert not task.done()
        found.free.set()
        with pytest.raises(OperationalError, match="interrupted"):
            await asyncio.wait_for(task, timeout=5)
        await found.engine.dispose()
        assert [] == names(file)


# A raw connection, which SQLAlchemy does not give up by itself.


@pytest.mark.usefixtures("threads")
async def test_raw_connection_that_is_left_behind_is_not_used_again(file: Path) -> None:
    """A connection whose statement goes on without its caller is not pooled."""
    found = Waiting(file)
    raw = await greenlet_spawn(found.engine.sync_engine.raw_connection)
    task = asyncio.ensure_future(greenlet_spawn(raw.cursor().execute, WAIT.text))
    await found.begun()
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
    with pytest.raises(sqlite3.OperationalError, match="The connection to SQLite is"):
        await greenlet_spawn(raw.rollback)
    await greenlet_spawn(raw.close)
    found.free.set()
    assert await works(found.engine)
    await found.engine.dispose()


# An engine that is disposed of where nobody can wait.


@pytest.mark.usefixtures("threads")
async def test_engine_is_disposed_of_without_await(file: Path) -> None:
    """Blocking dispose() sends the connections' threads away, and does not wait."""
    engine = open_async_engine(OURS, file)
    async with engine.begin() as connection:
        await connection.execute(CARL)
        driver = await async_driver_of(connection)
    engine.sync_engine.dispose()
    driver._thread.join(timeout=5)
    assert not driver._thread.is_alive()
    assert not file.with_name("file.db-wal").exists()
    await engine.dispose()
