"""What a cancelled task leaves: no lock, no thread, no half of a transaction."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from async_layers import (
    SQLiteOptions,
    async_read,
    async_stream,
    async_transaction,
)
from tests.sqlite._cancelling import (
    ENDLESS,
    ENDLESS_INSERT,
    ENDLESS_INSERTS,
    ENDLESS_STREAM,
    LONG,
    SLOW,
    Ground,
    ground,
)
from tests.sqlite._dialects import ASYNCIO, OURS, open_async_engine, wrong_on
from tests.sqlite._items import COUNT, NEW, Item
from tests.sqlite._trips import counted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

    Body = Callable[[Ground], Coroutine[Any, Any, None]]


@pytest.fixture
async def endless(driver: str, tmp_path: Path) -> AsyncIterator[Ground]:
    """Return an engine whose statements say when they run."""
    async with ground(driver, tmp_path / "file.db") as found:
        yield found


ours = pytest.mark.parametrize("driver", [OURS])


# Bodies with a statement that would run for minutes.


async def selects(endless: Ground) -> None:
    async with endless.engine.connect() as connection:
        await connection.execute(ENDLESS)


async def selects_after_an_insert(endless: Ground) -> None:
    async with endless.engine.begin() as connection:
        await connection.execute(NEW)
        await connection.execute(ENDLESS)


async def inserts(endless: Ground) -> None:
    async with endless.engine.begin() as connection:
        await connection.execute(NEW)
        await connection.execute(ENDLESS_INSERT)


async def inserts_many(endless: Ground) -> None:
    async with endless.engine.begin() as connection:
        await connection.execute(ENDLESS_INSERTS, [{"name": "a"}, {"name": "b"}])


async def inserts_in_a_savepoint(endless: Ground) -> None:
    async with endless.engine.begin() as connection, connection.begin_nested():
        await connection.execute(ENDLESS_INSERT)


async def inserts_in_autocommit(endless: Ground) -> None:
    async with async_read(endless.engine) as connection:
        await connection.execute(ENDLESS_INSERT)


async def works(endless: Ground) -> None:
    async with AsyncSession(endless.engine) as session, session.begin():
        session.add(Item())
        await session.flush()
        await session.execute(ENDLESS)


async def streams(endless: Ground) -> None:
    async with endless.engine.begin() as connection:
        await connection.execute(NEW)
        statement = ENDLESS_STREAM.execution_options(yield_per=2)
        async for _ in await connection.stream(statement):
            pass


async def reads_batches(endless: Ground) -> None:
    statement = select(ENDLESS_STREAM.subquery())
    async with async_stream(endless.engine, statement, batch=2) as batches:
        async for _ in batches:
            pass


async def runs_a_cursor(endless: Ground) -> None:
    def run(connection: Any) -> None:
        cursor = connection.connection.cursor()
        cursor.execute(ENDLESS_INSERT.text)

    async with endless.engine.begin() as connection:
        await connection.run_sync(run)


BODIES = [
    selects,
    selects_after_an_insert,
    inserts,
    inserts_many,
    inserts_in_a_savepoint,
    inserts_in_autocommit,
    works,
    streams,
    reads_batches,
    runs_a_cursor,
]


# A statement.


@wrong_on(ASYNCIO, "it waits for its thread as long as the statement runs")
async def test_cancelled_select_returns_at_once(endless: Ground) -> None:
    """Cancelling takes less than 50 ms, though the query would run for minutes."""
    assert min([await endless.cancel(selects(endless)) for _ in range(3)]) < 0.05


@pytest.mark.parametrize("body", BODIES)
@ours
async def test_cancelled_statement_returns_at_once(body: Body, endless: Ground) -> None:
    """Cancelling takes less than 50 ms, whichever statement runs."""
    assert min([await endless.cancel(body(endless)) for _ in range(3)]) < 0.05


@wrong_on(ASYNCIO, "the cursor keeps the lock until it is collected")
async def test_cancelled_select_frees_the_write_lock(endless: Ground) -> None:
    """Another connection writes at once, without a garbage collection."""

    async def write_and_read() -> None:
        async with endless.engine.begin() as connection:
            await connection.execute(NEW)
            await connection.execute(LONG)

    await endless.cancel(write_and_read(), patience=10)
    assert not endless.is_locked()


@wrong_on(ASYNCIO, "the cursor keeps the lock until it is collected")
async def test_cancelled_session_frees_the_write_lock(endless: Ground) -> None:
    """Another connection writes at once, without a garbage collection."""

    async def flush_and_read() -> None:
        async with AsyncSession(endless.engine) as session, session.begin():
            session.add(Item())
            await session.flush()
            await session.execute(LONG)

    await endless.cancel(flush_and_read(), patience=10)
    assert not endless.is_locked()


@pytest.mark.parametrize("body", BODIES)
@ours
async def test_cancelled_statement_frees_the_write_lock(
    body: Body, endless: Ground
) -> None:
    """Another connection writes at once, without a garbage collection."""
    await endless.cancel(body(endless))
    assert not endless.is_locked()


@pytest.mark.parametrize("body", BODIES)
@ours
async def test_cancelled_transaction_is_undone(body: Body, endless: Ground) -> None:
    """Nothing that the transaction wrote before its cancellation is there."""
    await endless.cancel(body(endless))
    assert [] == endless.names()


@pytest.mark.parametrize("body", BODIES)
@ours
async def test_next_user_has_a_connection_that_works(
    body: Body, endless: Ground
) -> None:
    """The pool lends a connection that begins, writes and commits."""
    await endless.cancel(body(endless))
    async with endless.engine.begin() as connection:
        await connection.execute(NEW)
    assert ["new"] == endless.names()


@ours
async def test_timeout_interrupts_a_statement(endless: Ground) -> None:
    """A timeout of asyncio ends as a TimeoutError, and frees the lock."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await inserts(endless)
    assert not endless.is_locked()


@ours
async def test_task_group_interrupts_the_other_tasks(endless: Ground) -> None:
    """An error in one task of a group cancels the statement of another."""
    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(inserts(endless))
            await asyncio.wait_for(endless.running.wait(), timeout=5)
            raise LookupError
    assert not endless.is_locked()


@ours
async def test_several_tasks_are_cancelled_together(endless: Ground) -> None:
    """Five readers end together, within the time that one may take."""
    seconds = []
    for _ in range(3):
        tasks = [await endless.start(selects(endless)) for _ in range(5)]
        began = perf_counter()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        seconds.append(perf_counter() - began)
        assert all(task.cancelled() for task in tasks)
    assert min(seconds) < 0.05


@ours
async def test_transaction_of_a_cancelled_statement_refuses_to_go_on(
    endless: Ground,
) -> None:
    """Who catches the cancellation inside a transaction cannot commit a half of it."""

    async def go_on() -> None:
        async with endless.engine.connect() as connection:
            await connection.execute(NEW)
            try:
                await connection.execute(ENDLESS)
            except asyncio.CancelledError:
                forgive()
            await connection.execute(NEW)
            await connection.commit()

    task = await endless.start(go_on())
    task.cancel()
    with pytest.raises(Exception, match="Can't reconnect until invalid"):
        await task
    assert [] == endless.names()


@pytest.mark.parametrize("driver", [ASYNCIO, OURS])
async def test_cancellation_keeps_its_message(endless: Ground) -> None:
    """What a task is told when it is cancelled arrives with the cancellation."""

    async def read() -> None:
        async with endless.engine.connect() as connection:
            await connection.execute(LONG)

    task = await endless.start(read())
    task.cancel("because")
    with pytest.raises(asyncio.CancelledError, match="because"):
        await task


@wrong_on(ASYNCIO, "its cursor waits for SQLite's mutex, on the thread of the loop")
async def test_dropped_stream_does_not_hold_the_loop(endless: Ground) -> None:
    """A result that dies while a statement runs does not wait for its end."""
    held = list[object]()

    async def stream_and_count() -> None:
        async with endless.engine.connect() as connection:
            result = await connection.stream(
                text("SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3"),
                execution_options={"yield_per": 1},
            )
            held.append(result)
            del result
            await connection.execute(ENDLESS)

    task = await endless.start(stream_and_count())
    rescue = threading.Timer(SLOW, endless.interrupt)
    rescue.start()
    began = perf_counter()
    held.clear()
    seconds = perf_counter() - began
    rescue.cancel()
    task.cancel()
    await asyncio.wait([task])
    assert seconds < SLOW / 2


# Waiting for a lock.


@ours
async def test_wait_for_the_write_lock_is_cancelled(endless: Ground) -> None:
    """A transaction that waits for BEGIN IMMEDIATE is cancelled within 50 ms."""
    endless.awaited = "BEGIN IMMEDIATE"

    async def write() -> None:
        async with async_transaction(endless.engine, write=True) as connection:
            await connection.execute(NEW)

    with endless.locked():
        assert min([await endless.cancel(write()) for _ in range(3)]) < 0.05


@ours
async def test_lock_is_not_taken_for_a_cancelled_wait(endless: Ground) -> None:
    """Once the lock is free, nobody takes it in the name of a cancelled task."""
    endless.awaited = "BEGIN IMMEDIATE"

    async def write() -> None:
        async with async_transaction(endless.engine, write=True) as connection:
            await connection.execute(NEW)

    with endless.locked():
        await endless.cancel(write())
    assert not endless.is_locked()
    assert [] == endless.names()


@ours
async def test_wait_in_the_busy_handler_is_left_behind(endless: Ground) -> None:
    """The caller returns within 50 ms, though SQLite's own wait cannot be ended."""
    endless.awaited = "INSERT"
    with endless.locked():
        seconds = [await endless.cancel(deferred(endless)) for _ in range(3)]
    assert min(seconds) < 0.05


@ours
async def test_statement_that_is_left_behind_takes_no_lock(endless: Ground) -> None:
    """When SQLite's own wait is over, the statement is interrupted and undone."""
    endless.awaited = "INSERT"
    with endless.locked():
        await endless.cancel(deferred(endless))
    await endless.engine.dispose()
    assert not endless.is_locked()
    assert [] == endless.names()


async def test_thread_that_is_left_behind_ends_by_dispose(tmp_path: Path) -> None:
    """The thread that waited in vain has ended when dispose() returns."""
    before = set(threading.enumerate())
    async with ground(OURS, tmp_path / "file.db") as endless:
        endless.awaited = "INSERT"
        with endless.locked():
            await endless.cancel(deferred(endless))
    assert set() == set(threading.enumerate()) - before


async def deferred(endless: Ground) -> None:
    async with endless.engine.begin() as connection:
        await connection.execute(NEW)


# The ends of a transaction.

JOURNAL = SQLiteOptions(journal_mode="DELETE")


async def commits(endless: Ground) -> None:
    async with endless.engine.begin() as connection:
        await connection.execute(NEW)


async def test_cancelled_commit_is_committed(tmp_path: Path) -> None:
    """A COMMIT on its way goes on to its end; then the cancellation travels on."""
    file = tmp_path / "file.db"
    async with ground(OURS, file, sqlite=JOURNAL) as endless:
        endless.awaited = "COMMIT"
        with closing(sqlite3.connect(file)) as reader:
            rows = reader.execute("SELECT 1 FROM sqlite_master")
            task = await endless.start(commits(endless))
            task.cancel()
            rows.close()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ["new"] == endless.names()


async def test_cancelled_commit_that_fails_is_rolled_back(tmp_path: Path) -> None:
    """A COMMIT that meets SQLITE_BUSY leaves nothing, cancelled or not."""
    options = SQLiteOptions(journal_mode="DELETE", busy_timeout=0.05)
    file = tmp_path / "file.db"
    async with ground(OURS, file, sqlite=options) as endless:
        endless.awaited = "COMMIT"
        with closing(sqlite3.connect(file)) as reader:
            rows = reader.execute("SELECT 1 FROM sqlite_master")
            task = await endless.start(commits(endless))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            rows.close()
        assert not endless.is_locked()
        assert [] == endless.names()


async def undoes(connection: AsyncConnection) -> None:
    await connection.rollback()


async def leaves(connection: AsyncConnection) -> None:
    await connection.close()


async def invalidates(connection: AsyncConnection) -> None:
    await connection.invalidate()


@pytest.mark.parametrize("end", [undoes, leaves, invalidates])
@ours
async def test_cancelled_end_is_rolled_back(
    end: Callable[[AsyncConnection], Coroutine[Any, Any, None]], endless: Ground
) -> None:
    """A ROLLBACK on its way goes on to its end; then the cancellation travels on."""

    async def undo() -> None:
        connection = await endless.engine.connect()
        await connection.execute(NEW)
        cancel_when_this_waits()
        await end(connection)

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(undo())
    assert not endless.is_locked()
    assert [] == endless.names()


def cancel_when_this_waits() -> None:
    """Cancel the current task at its next await, when that is on its way."""
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().call_soon(task.cancel)


def forgive() -> None:
    """Take a cancellation back that was caught."""
    task = asyncio.current_task()
    assert task
    task.uncancel()


@ours
async def test_cancelled_close_of_a_stream_keeps_its_transaction(
    endless: Ground,
) -> None:
    """Who catches the cancellation of a stream's close commits all or nothing."""

    async def go_on(connection: Any) -> None:
        await connection.execute(NEW)
        result = await connection.stream(
            text("SELECT 1 UNION SELECT 2 UNION SELECT 3"),
            execution_options={"yield_per": 1},
        )
        cancel_when_this_waits()
        with pytest.raises(asyncio.CancelledError):
            await result.close()
        forgive()
        await connection.execute(NEW)

    try:
        async with endless.engine.begin() as connection:
            await go_on(connection)
    except OperationalError:
        assert [] == endless.names()
    else:
        assert ["new", "new"] == endless.names()


# Connecting.


async def test_cancelled_connect_ends_its_thread(tmp_path: Path) -> None:
    """A connection that waits while it is opened is given up, and its thread ends."""
    file, before = tmp_path / "file.db", set(threading.enumerate())
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name)")
        other.execute("BEGIN EXCLUSIVE")
        engine = open_async_engine(OURS, file)
        with counted() as trips:
            task = asyncio.ensure_future(engine.connect().start())
            await trips.begin(2)  # the first opens the file, the second its journal
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        other.rollback()
    await engine.dispose()
    assert set() == set(threading.enumerate()) - before


async def test_cancelled_connect_leaves_a_pool_that_works(tmp_path: Path) -> None:
    """The next user of a pool of one connection gets one that works."""
    file = tmp_path / "file.db"
    async with ground(OURS, file, pool_size=1, max_overflow=0) as endless:
        await endless.engine.dispose()
        event.listen(endless.engine.sync_engine, "connect", count_for_ever, once=True)
        await endless.cancel(commits(endless))
        await commits(endless)
        assert ["new"] == endless.names()


def count_for_ever(connection: Any, _: object) -> None:
    connection.execute(ENDLESS.text)


# Other tasks.


@ours
async def test_statement_of_another_task_ends_with_the_connection(
    endless: Ground,
) -> None:
    """A cancelled task takes along what another runs on its connection."""
    async with endless.engine.connect() as connection:
        other = await endless.start(connection.execute(ENDLESS))
        own = asyncio.create_task(connection.execute(COUNT))
        await asyncio.sleep(0)
        own.cancel()
        await asyncio.wait([own, other], timeout=5)
        assert own.cancelled()
        with pytest.raises(OperationalError, match=r"interrupted|closed"):
            await other
    await commits(endless)
    assert ["new"] == endless.names()
