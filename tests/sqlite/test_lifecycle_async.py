"""From the first connection to the end of the process, in the asyncio world."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import pytest
from aiosqlite.core import _STOP_RUNNING_SENTINEL
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from async_layers import create_async_engine
from tests.sqlite._cancelling import ENDLESS, ground
from tests.sqlite._dialects import ASYNCIO, OURS, open_async_engine, wrong_on
from tests.sqlite._items import COUNT, IDS, NEW, prepare
from tests.sqlite._programs import interrupt, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

CLOSED = "The connection to SQLite is closed: seen a statement after close()"


@pytest.fixture
async def engine(driver: str, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """Return an engine with a table."""
    engine = open_async_engine(driver, tmp_path / "file.db")
    async with engine.begin() as connection:
        await connection.run_sync(prepare)
    yield engine
    await engine.dispose()


ours = pytest.mark.parametrize("driver", [OURS])


async def close_driver(driver: Any) -> None:
    await driver.close()


async def stop_driver(driver: Any) -> None:
    await driver.stop()


async def close_below(driver: Any) -> None:
    await driver._execute(driver._conn.close)


async def end_thread(driver: Any) -> None:
    driver._tx.put_nowait((None, lambda: _STOP_RUNNING_SENTINEL))
    driver._thread.join(timeout=5)


async def driver_of(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


closings = pytest.mark.parametrize(
    "close", [close_driver, stop_driver, close_below, end_thread]
)


# A connection that the user closes below SQLAlchemy, or whose thread is dead.


@wrong_on(ASYNCIO, "a ProgrammingError of sqlite3")
async def test_closed_connection_is_an_operational_error(engine: AsyncEngine) -> None:
    """A statement on a connection that was closed below says so."""
    async with engine.connect() as connection:
        await close_below(await driver_of(connection))
        with pytest.raises(OperationalError, match=CLOSED):
            await connection.execute(COUNT)


@closings
@ours
async def test_closed_connection_is_an_operational_error_in_a_transaction(
    close: Any, engine: AsyncEngine
) -> None:
    """A statement says so in mid-transaction, too."""
    async with engine.connect() as connection:
        await connection.execute(NEW)
        await close(await driver_of(connection))
        with pytest.raises(OperationalError, match=CLOSED):
            await connection.execute(COUNT)


@closings
@ours
async def test_commit_on_a_closed_connection_is_refused(
    close: Any, engine: AsyncEngine
) -> None:
    """A COMMIT that nobody hears is no success."""
    async with engine.connect() as connection:
        await connection.execute(NEW)
        await close(await driver_of(connection))
        with pytest.raises(OperationalError, match=CLOSED):
            await connection.commit()


@closings
@ours
async def test_pool_recovers_from_a_closed_connection(
    close: Any, engine: AsyncEngine
) -> None:
    """The error is told once; the next connection works."""
    async with engine.connect() as connection:
        await connection.execute(NEW)
        await close(await driver_of(connection))
        with pytest.raises(OperationalError):
            await connection.execute(COUNT)
    async with engine.begin() as connection:
        await connection.execute(NEW)
        assert 1 == await connection.scalar(COUNT)


@closings
@ours
async def test_pool_recovers_from_a_connection_that_was_closed_in_it(
    close: Any, engine: AsyncEngine
) -> None:
    """A connection that is closed while nobody has it fails its next user alone."""
    async with engine.connect() as connection:
        driver = await driver_of(connection)
    await close(driver)
    async with engine.connect() as connection:
        with pytest.raises(OperationalError, match=CLOSED):
            await connection.execute(COUNT)
    async with engine.connect() as connection:
        assert 0 == await connection.scalar(COUNT)


# The end of an engine.


@ours
async def test_disposed_engine_has_closed_its_files(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    """The last connection that closes takes the write-ahead log away."""
    log = tmp_path / "file.db-wal"
    assert log.exists()
    await engine.dispose()
    assert not log.exists()


@ours
async def test_disposed_engine_opens_again(engine: AsyncEngine) -> None:
    """An engine works after dispose() as before."""
    await engine.dispose()
    async with engine.begin() as connection:
        await connection.execute(NEW)
        assert 1 == await connection.scalar(COUNT)


async def test_disposed_engine_has_no_thread(tmp_path: Path) -> None:
    """The threads of five connections have ended when dispose() returns."""
    before = set(threading.enumerate())
    engine = open_async_engine(OURS, tmp_path / "file.db")
    connections = [await engine.connect() for _ in range(5)]
    for connection in connections:
        await connection.close()
    await engine.dispose()
    assert set() == set(threading.enumerate()) - before


async def test_cancelled_connections_have_no_thread(tmp_path: Path) -> None:
    """The threads of cancelled statements have ended when dispose() returns."""
    before = set(threading.enumerate())
    async with ground(OURS, tmp_path / "file.db") as endless:

        async def select() -> None:
            async with endless.engine.connect() as connection:
                await connection.execute(ENDLESS)

        tasks = [await endless.start(select()) for _ in range(3)]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert set() == set(threading.enumerate()) - before


async def test_cancelled_dispose_can_be_repeated(tmp_path: Path) -> None:
    """A dispose() that is cancelled half way is completed by another one."""
    before = set(threading.enumerate())
    engine = open_async_engine(OURS, tmp_path / "file.db")
    connections = [await engine.connect() for _ in range(5)]
    for connection in connections:
        await connection.close()
    task = asyncio.create_task(engine.dispose())
    await asyncio.sleep(0)  # the first connection is on its way
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await engine.dispose()
    assert set() == set(threading.enumerate()) - before


async def test_pool_that_keeps_nothing_keeps_no_thread(tmp_path: Path) -> None:
    """A connection of NullPool ends its thread when it is closed."""
    before = set(threading.enumerate())
    engine = open_async_engine(OURS, tmp_path / "file.db", poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))
    assert set() == set(threading.enumerate()) - before
    await engine.dispose()


async def test_ended_threads_are_forgotten(tmp_path: Path) -> None:
    """An engine that opens and closes for long holds no list of its threads."""
    engine = open_async_engine(OURS, tmp_path / "file.db", poolclass=NullPool)
    for _ in range(10):
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    assert len(engine.dialect._leaving) < 3  # type: ignore[attr-defined]
    await engine.dispose()


async def drop(file: Path) -> str:
    """Use an engine, drop it, and return its name."""
    engine = open_async_engine(OURS, file)
    async with engine.begin() as connection:
        await connection.run_sync(prepare)
    async with engine.connect() as connection:
        await connection.execute(COUNT)
    return repr(engine.sync_engine)


# From Python 3.13 on sqlite3 warns as well, of what is dropped unclosed.
drops = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")


@drops
async def test_engine_that_is_dropped_is_named(tmp_path: Path) -> None:
    """Whoever collects a connection that is open says which engine had it."""
    name = await drop(tmp_path / "file.db")
    with pytest.warns(ResourceWarning, match="was never closed") as warned:
        gc.collect()
    assert (
        f"A connection of {name} was never closed; write 'await engine.dispose()' "
        "where the engine's work ends."
    ) in [str(one.message) for one in warned]


@drops
@pytest.mark.filterwarnings("ignore:A connection of:ResourceWarning")
async def test_engine_that_is_dropped_ends_its_thread(tmp_path: Path) -> None:
    """The thread of a connection that nobody disposed of ends by itself."""
    before = set(threading.enumerate())
    await drop(tmp_path / "file.db")
    (thread,) = set(threading.enumerate()) - before
    gc.collect()
    thread.join(timeout=5)
    assert not thread.is_alive()
    assert not (tmp_path / "file.db-wal").exists()


# Event loops.


def test_engine_works_in_two_loops(tmp_path: Path) -> None:
    """A pool that one loop has filled serves the next one."""
    engine = create_async_engine(f"sqlite:///{tmp_path / 'file.db'}")

    async def write() -> int | None:
        async with engine.begin() as connection:
            await connection.run_sync(prepare)
            await connection.execute(NEW)
            return await connection.scalar(COUNT)

    assert 1 == asyncio.run(write())
    assert 2 == asyncio.run(write())
    asyncio.run(engine.dispose())


def test_engine_is_disposed_of_in_a_later_loop(tmp_path: Path) -> None:
    """The loop that disposes need not be the one that connected."""
    before = set(threading.enumerate())
    engine = create_async_engine(f"sqlite:///{tmp_path / 'file.db'}")

    async def connect() -> None:
        opened = [await engine.connect() for _ in range(3)]
        for connection in opened:
            await connection.close()

    asyncio.run(connect())
    asyncio.run(engine.dispose())
    assert set() == set(threading.enumerate()) - before


# Tasks and generators that share a connection.


@ours
async def test_statements_of_two_tasks_come_one_after_another(
    engine: AsyncEngine,
) -> None:
    """Ten tasks on one connection get each the rows of their own statement."""
    async with engine.connect() as connection:
        found = await asyncio.gather(
            *(connection.scalar(text(f"SELECT {number}")) for number in range(10))
        )
    assert [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] == found


async def streamed(engine: AsyncEngine) -> AsyncIterator[int]:
    async with engine.begin() as connection:
        await connection.execute(NEW)
        rows = await connection.stream_scalars(
            IDS.union_all(IDS, IDS), execution_options={"yield_per": 1}
        )
        async for row in rows:
            yield row


@ours
async def test_closed_generator_gives_its_connection_back(
    engine: AsyncEngine, tmp_path: Path
) -> None:
    """A generator that holds a stream and a lock is closed, and holds neither."""
    rows = streamed(engine)
    assert 1 == await anext(rows)
    await rows.aclose()  # type: ignore[attr-defined]
    assert 1 == engine.pool.checkedin()  # type: ignore[attr-defined]
    async with ground(OURS, tmp_path / "file.db") as other:
        assert not other.is_locked()
        assert [] == other.names()


@ours
async def test_dropped_generator_gives_its_connection_back(
    engine: AsyncEngine,
) -> None:
    """A generator that nobody closes is closed by the loop, with its connection."""
    rows = streamed(engine)
    assert 1 == await anext(rows)
    del rows
    await asyncio.sleep(0)  # the loop begins to close it
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
    assert 1 == engine.pool.checkedin()  # type: ignore[attr-defined]
    async with engine.connect() as connection:
        assert 0 == await connection.scalar(COUNT)


# The end of the process, and one that forks.

OPEN = """
import asyncio, os, sys, threading
from sqlalchemy import event, text
from sqlalchemy.exc import OperationalError
from async_layers import create_async_engine

COUNT = text("SELECT count(*) FROM item")
NEW = text("INSERT INTO item (name) VALUES ('new')")
engine = create_async_engine(f"sqlite:///{sys.argv[1]}")

def tell(words):
    os.write(1, f"{words}\\n".encode())

async def count():
    async with engine.connect() as connection:
        return await connection.scalar(COUNT)

def child(work, *arguments):
    process = os.fork()
    if not process:
        try:
            asyncio.run(work(*arguments))
        except OperationalError as error:
            tell(error.orig)
        finally:
            os._exit(0)
    os.waitpid(process, 0)

async def create():
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS item (name)"))

asyncio.run(create())
"""
FORGOTTEN = (
    "SAWarning: The process ends and Engine(sqlite+async_layers:///{}) was not "
    "disposed of; write 'await engine.dispose()' where the engine's work ends."
)
REFUSED = (
    "A connection of Engine(sqlite+async_layers:///{}) is refused: seen in a child "
    "process of the one that opened it, where SQLite loses its locks; write "
    "engine.dispose(close=False) first in the child process.\n"
)


def test_process_that_forgets_to_dispose_ends(tmp_path: Path) -> None:
    """The process ends in spite of its threads, and names the engine."""
    file = tmp_path / "file.db"
    program = f"""{OPEN}
async def lend_three():
    connections = [await engine.connect() for _ in range(3)]
    for connection in connections:
        await connection.close()
    tell(await count())

asyncio.run(lend_three())
"""
    exit_code, words, errors = run(program, file)
    assert (0, "0\n") == (exit_code, words)
    assert 1 == errors.count(FORGOTTEN.format(file))


def test_process_that_disposes_says_nothing(tmp_path: Path) -> None:
    """An engine that is disposed of leaves no thread and no warning."""
    program = f"""{OPEN}
asyncio.run(engine.dispose())
tell(threading.active_count())
"""
    assert (0, "1\n", "") == run(program, tmp_path / "file.db")


ENDLESS_PROGRAM = """
async def select():
    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection, _):
        connection.create_function("running", 0, running)

    await engine.dispose()
    async with engine.begin() as connection:
        await connection.execute(NEW)
        await connection.execute(text(
            "WITH RECURSIVE number(n) AS "
            "(SELECT running() UNION ALL SELECT n + 1 FROM number WHERE n < 1e12) "
            "SELECT count(*) FROM number"
        ))
"""


def test_interrupted_process_ends(tmp_path: Path) -> None:
    """Ctrl-C interrupts a statement that would run for minutes, and undoes the rest."""
    program = f"""{OPEN}{ENDLESS_PROGRAM}
def running():
    tell("running")
    return 1

async def main():
    # A signal between two turns of the loop waits for the second one.
    turning = asyncio.create_task(turn())
    try:
        await select()
    finally:
        turning.cancel()
        tell(await count())
        await engine.dispose()

async def turn():
    while True:
        await asyncio.sleep(0.01)

asyncio.run(main())
"""
    exit_code, words, errors = interrupt(program, tmp_path / "file.db")
    assert "running\n0\n" == words
    assert errors.endswith("KeyboardInterrupt\n")
    assert 0 != exit_code


def test_process_whose_loop_is_closed_in_mid_statement_ends(tmp_path: Path) -> None:
    """A statement that nobody can wait for any more does not keep the process."""
    file = tmp_path / "file.db"
    program = f"""{OPEN}{ENDLESS_PROGRAM}
def running():
    loop.call_soon_threadsafe(loop.stop)
    return 1

loop = asyncio.new_event_loop()
task = loop.create_task(select())
loop.run_forever()
loop.close()
"""
    exit_code, _, errors = run(program, file)
    assert 0 == exit_code
    assert FORGOTTEN.format(file) in errors


def test_pool_is_refused_after_a_fork(tmp_path: Path) -> None:
    """A child process is told what to write instead of its parent's connections."""
    file = tmp_path / "file.db"
    program = f"""{OPEN}
child(count)
asyncio.run(engine.dispose())
"""
    assert (0, REFUSED.format(file), "") == run(program, file)


def test_inherited_transaction_is_refused(tmp_path: Path) -> None:
    """A child process neither adds to its parent's transaction nor commits it."""
    file = tmp_path / "file.db"
    program = f"""{OPEN}
async def main():
    connection = await engine.connect()
    await connection.execute(NEW)
    child(connection.execute, NEW)
    child(connection.commit)
    await connection.commit()
    await connection.close()
    tell(await count())
    await engine.dispose()

asyncio.run(main())
"""
    refused = REFUSED.format(file)
    assert (0, f"{refused}{refused}1\n", "") == run(program, file)


def test_parent_goes_on_after_a_fork(tmp_path: Path) -> None:
    """What a child process closes and drops does not touch its parent's transaction."""
    program = f"""{OPEN}
async def leave(connection):
    await connection.close()
    await engine.dispose()

async def main():
    connection = await engine.connect()
    await connection.execute(NEW)
    child(leave, connection)
    await connection.execute(NEW)
    await connection.commit()
    await connection.close()
    tell(await count())
    await engine.dispose()

asyncio.run(main())
"""
    assert (0, "2\n", "") == run(program, tmp_path / "file.db")


def test_child_works_on_connections_of_its_own(tmp_path: Path) -> None:
    """After dispose(close=False) a child process writes, and its parent reads it."""
    program = f"""{OPEN}
async def write():
    await engine.dispose(close=False)
    async with engine.begin() as connection:
        await connection.execute(NEW)
    await engine.dispose()

async def read():
    tell(await count())
    await engine.dispose()

child(write)
asyncio.run(read())
"""
    assert (0, "1\n", "") == run(program, tmp_path / "file.db")
