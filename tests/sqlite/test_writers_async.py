"""Many writers at once: each reads a counter, adds one and writes it, under asyncio."""

from __future__ import annotations

import asyncio
import sys
from asyncio import Barrier, Event, TaskGroup
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.pool import NullPool

from async_layers import SQLiteOptions, async_transaction, create_async_engine
from tests.sqlite._counter import (
    COUNT,
    SET,
    counted,
    counter,
    in_processes,
    turns,
)
from tests.sqlite._dialects import OURS, wrong_on
from tests.sqlite._ground import async_engine_on, begin_as_documented

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

LOST = "begins when it writes, so that it writes what it read before the other's commit"
LOCKED = "begins DEFERRED, and cannot write what another has written since it read"

EACH = 5  # times that each writer adds one
IMMEDIATE = SQLiteOptions(begin="IMMEDIATE")


def writing(
    driver: str, engine: AsyncEngine
) -> AbstractAsyncContextManager[AsyncConnection]:
    """Begin to write: as ours is told to, or as any dialect begins."""
    return async_transaction(engine, write=True) if driver == OURS else engine.begin()


async def add_one(engine: AsyncEngine) -> None:
    async with async_transaction(engine, write=True) as connection:
        count = (await connection.scalars(COUNT)).one()
        await connection.execute(SET, {"count": count + 1})


async def add_one_in_a_session(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as session, session.begin():
        count = (await session.scalars(COUNT)).one()
        await session.execute(SET, {"count": count + 1})


async def count_up(
    engine: AsyncEngine, writers: int, add: Callable[[AsyncEngine], Awaitable[None]]
) -> None:
    """Let tasks add one at the same time; raise what one of them raised."""
    start = Barrier(writers)

    async def write() -> None:
        await start.wait()
        for _ in range(EACH):
            await add(engine)

    async with asyncio.timeout(60), TaskGroup() as tasks:
        for _ in range(writers):
            tasks.create_task(write())


def count_in_a_process(file: str) -> None:
    """Count, as one of several processes."""

    async def count() -> None:
        engine = create_async_engine(f"sqlite:///{file}", pool_size=5)
        await count_up(engine, 5, add_one)
        await engine.dispose()

    print("ready", flush=True)  # noqa: T201 - its parent reads it
    sys.stdin.readline()
    asyncio.run(count())


async def read_both_then_write(driver: str, engine: AsyncEngine) -> None:
    """Let a second writer come while the first one has read and not yet written."""
    first_read, second_read = Event(), Event()

    async def write_second() -> None:
        await first_read.wait()
        async with writing(driver, engine) as connection:
            count = (await connection.scalars(COUNT)).one()
            second_read.set()
            await connection.execute(SET, {"count": count + 1})

    async with asyncio.timeout(30), TaskGroup() as tasks:
        tasks.create_task(write_second())
        async with writing(driver, engine) as connection:
            count = (await connection.scalars(COUNT)).one()
            first_read.set()
            # On ours it cannot read yet: this is the time that it has to try.
            with suppress(TimeoutError):
                seconds = 0.2 if driver == OURS else 30
                await asyncio.wait_for(second_read.wait(), timeout=seconds)
            await connection.execute(SET, {"count": count + 1})


# --- two


@wrong_on("aiosqlite", LOST)
async def test_second_writer_does_not_lose_the_first_ones_count(
    driver: str, tmp_path: Path
) -> None:
    """Whoever reads in order to write waits for the writer that came first."""
    file = counter(tmp_path)
    async with async_engine_on(driver, file) as engine:
        await read_both_then_write(driver, engine)
    assert 2 == counted(file)


@wrong_on("aiosqlite", LOCKED)
async def test_reading_does_not_keep_a_writer_from_writing(
    driver: str, tmp_path: Path
) -> None:
    """The lock is there before the first statement, so that the last one succeeds."""
    file = counter(tmp_path)
    async with async_engine_on(driver, file) as engine:
        if driver != OURS:
            begin_as_documented(engine.sync_engine)
        try:
            await read_both_then_write(driver, engine)
        except* OperationalError as errors:
            raise errors.exceptions[0] from None
    assert 2 == counted(file)


async def test_writer_gives_up_after_the_busy_timeout(tmp_path: Path) -> None:
    """Who waits for longer than `busy_timeout` gets SQLite's own error, at BEGIN."""
    file = counter(tmp_path)
    options = SQLiteOptions(busy_timeout=0.05)
    async with async_engine_on(OURS, file, sqlite=options) as engine:
        async with async_transaction(engine, write=True) as connection:
            await connection.execute(COUNT)
            with pytest.raises(OperationalError, match="database is locked") as caught:
                await add_one(engine)
        assert "SQLITE_BUSY" == caught.value.orig.sqlite_errorname  # type: ignore[union-attr]
        await add_one(engine)
    assert 1 == counted(file)


async def test_writer_that_gave_up_waits_again_next_time(tmp_path: Path) -> None:
    """The busy timeout of a connection is the same after it has waited in turns."""
    file = counter(tmp_path)
    options = SQLiteOptions(busy_timeout=0.05)
    async with async_engine_on(OURS, file, sqlite=options, pool_size=2) as engine:
        async with (
            async_transaction(engine, write=True) as first,
            engine.connect() as connection,
        ):
            await first.execute(COUNT)
            await connection.execution_options(sqlite_begin="IMMEDIATE")
            with pytest.raises(OperationalError, match="database is locked"):
                await connection.execute(COUNT)
            await connection.rollback()
            await connection.execution_options(sqlite_begin="DEFERRED")
            pragma = await connection.exec_driver_sql("PRAGMA busy_timeout")
            timeout = pragma.scalar()
    assert 50 == timeout


# --- twenty


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
async def test_twenty_tasks_that_write_lose_nothing(
    journal: str, tmp_path: Path
) -> None:
    """None is refused with "database is locked", and none overwrites another's."""
    file = counter(tmp_path, journal)
    options = SQLiteOptions(journal_mode=None)
    async with async_engine_on(OURS, file, sqlite=options, pool_size=20) as engine:
        await count_up(engine, 20, add_one)
    assert 100 == counted(file)


async def test_twenty_tasks_with_sessions_lose_nothing(tmp_path: Path) -> None:
    """An engine that begins IMMEDIATE makes a writer of every session."""
    file = counter(tmp_path)
    async with async_engine_on(OURS, file, sqlite=IMMEDIATE, pool_size=20) as engine:
        await count_up(engine, 20, add_one_in_a_session)
    assert 100 == counted(file)


async def test_twenty_tasks_with_connections_of_their_own_lose_nothing(
    tmp_path: Path,
) -> None:
    """A file that is opened and closed for each transaction is no exception."""
    file = counter(tmp_path)
    async with async_engine_on(OURS, file, poolclass=NullPool) as engine:
        await count_up(engine, 20, add_one)
    assert 100 == counted(file)


async def test_twenty_tasks_open_a_file_at_once(tmp_path: Path) -> None:
    """Its change to WAL, which needs the file alone, refuses nobody."""
    file = counter(tmp_path, "DELETE")
    async with async_engine_on(OURS, file, pool_size=20) as engine:
        await count_up(engine, 20, add_one)
        async with engine.connect() as connection:
            pragma = await connection.exec_driver_sql("PRAGMA journal_mode")
            mode = pragma.scalar()
    assert "wal" == mode
    assert 100 == counted(file)


def test_four_processes_of_five_tasks_lose_nothing(tmp_path: Path) -> None:
    """Writers of several processes wait for each other as those of one do."""
    file = counter(tmp_path)
    assert ["", "", "", ""] == in_processes(count_in_a_process, file)
    assert 100 == counted(file)


# --- in turns


async def test_writers_are_served_in_the_order_in_which_they_came(
    tmp_path: Path,
) -> None:
    """Nobody who comes later goes first, however long the first one waits."""
    file = counter(tmp_path)
    served = list[int]()
    async with async_engine_on(OURS, file, pool_size=20) as engine:

        async def write(number: int) -> None:
            async with async_transaction(engine, write=True) as connection:
                await connection.execute(COUNT)
                served.append(number)

        async with TaskGroup() as tasks:
            async with async_transaction(engine, write=True) as connection:
                await connection.execute(COUNT)
                for number in range(10):
                    tasks.create_task(write(number))
                    await wait_for(engine, number + 1)
    assert [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] == served


async def test_writer_who_comes_again_stands_behind_the_others(
    tmp_path: Path,
) -> None:
    """Five writers who come three times each are served in three equal rounds."""
    file = counter(tmp_path)
    served = list[int]()
    async with async_engine_on(OURS, file, pool_size=5) as engine:

        async def write(number: int) -> None:
            for _ in range(3):
                async with async_transaction(engine, write=True) as connection:
                    await connection.execute(COUNT)
                    served.append(number)
                    await wait_for(engine, min(4, 15 - len(served)))

        async with TaskGroup() as tasks:
            for number in range(5):
                tasks.create_task(write(number))
    assert 3 * served[:5] == served


async def wait_for(engine: AsyncEngine, writers: int) -> None:
    for pause in turns(engine.sync_engine, writers):
        await asyncio.sleep(pause)
