"""How often a statement goes to its connection's thread: ours, and stock beside it.

aiosqlite's own log counts, so that both are counted alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, delete, insert, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.schema import CreateTable

from async_layers import (
    async_read,
    async_savepoint,
    async_stream,
    async_transaction,
)
from tests.sqlite._dialects import ASYNCIO, OURS, open_async_engine
from tests.sqlite._items import IDS, NEW, Item, prepare
from tests.sqlite._trips import Trips, counted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from sqlalchemy import Executable
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

ROWS = 5
WIDE = Table("wide", MetaData(), Column("id", Integer, primary_key=True))


@pytest.fixture
def trips() -> Iterator[Trips]:
    """Return a counter of trips."""
    with counted() as counter:
        yield counter


@pytest.fixture
async def engine(driver: str, tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """Return an engine with a connection in its pool and a table with five rows."""
    engine = open_async_engine(driver, tmp_path / "file.db")
    async with engine.begin() as connection:
        await connection.run_sync(prepare, ROWS)
    yield engine
    await engine.dispose()


def costs(*, stock: int, ours: int) -> pytest.MarkDecorator:
    """Run a test on both dialects, each with the number of its trips."""
    return pytest.mark.parametrize(
        ("driver", "expected"), [(ASYNCIO, stock), (OURS, ours)]
    )


# Statements.


@pytest.mark.parametrize(
    ("statement", "stock"),
    [
        pytest.param(IDS, 4, id="select"),
        pytest.param(IDS.where(Item.id < 0), 4, id="select_nothing"),
        pytest.param(text("WITH one AS (SELECT 1) SELECT * FROM one"), 4, id="with"),
        pytest.param(text("PRAGMA user_version"), 4, id="pragma"),
        pytest.param(NEW, 3, id="insert"),
        pytest.param(NEW.returning(Item.id), 4, id="insert_returning"),
        pytest.param(update(Item).values(name="old"), 3, id="update"),
        pytest.param(
            update(Item).values(name="old").returning(Item.id), 4, id="update_returning"
        ),
        pytest.param(delete(Item), 3, id="delete"),
        pytest.param(delete(Item).returning(Item.id), 4, id="delete_returning"),
        pytest.param(CreateTable(WIDE), 3, id="create_table"),
        pytest.param(text("SAVEPOINT one"), 3, id="savepoint"),
        pytest.param(text("VACUUM"), 3, id="vacuum"),
    ],
)
@pytest.mark.parametrize("driver", [ASYNCIO, OURS])
async def test_statement_is_one_trip(
    engine: AsyncEngine, trips: Trips, statement: Executable, driver: str, stock: int
) -> None:
    """A statement is one trip, whatever it returns, with the BEGIN ahead of it."""
    expected = {ASYNCIO: stock, OURS: 1}[driver]
    async with engine.connect() as connection:
        assert expected == await trips.of(connection.execute(statement))


@costs(stock=4, ours=1)
async def test_second_statement_is_one_trip(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """A statement inside a transaction costs what the first one does."""
    async with engine.connect() as connection:
        await connection.execute(NEW)
        assert expected == await trips.of(connection.execute(IDS))


@costs(stock=3, ours=1)
async def test_statement_that_fails_is_one_trip(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """An error comes back in the trip that ran the statement."""

    async def fail(connection: AsyncConnection) -> None:
        with pytest.raises(Exception, match="no such table"):
            await connection.execute(text("SELECT * FROM missing"))

    async with engine.connect() as connection:
        assert expected == await trips.of(fail(connection))


@costs(stock=3, ours=1)
async def test_executemany_is_one_trip(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """Three thousand rows go to the thread together."""
    rows = [{"name": "new"}] * 3000
    async with engine.connect() as connection:
        assert expected == await trips.of(connection.execute(insert(Item), rows))


@costs(stock=8, ours=3)
async def test_insert_many_values_is_one_trip_a_batch(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """An INSERT of 3000 rows that returns its keys goes in three batches."""
    rows = [{"name": "new"}] * 3000
    statement = insert(Item).returning(Item.id)
    async with engine.connect() as connection:
        assert expected == await trips.of(connection.execute(statement, rows))


@costs(stock=3, ours=1)
async def test_immediate_begin_rides_along(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """BEGIN IMMEDIATE goes with the first statement, as a deferred one does."""
    async with engine.connect() as connection:
        await connection.execution_options(sqlite_begin="IMMEDIATE")
        assert expected == await trips.of(connection.execute(NEW))


# The ends of a transaction.


@costs(stock=1, ours=1)
async def test_commit_is_one_trip(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """What has been written is committed in one trip."""
    async with engine.connect() as connection:
        await connection.execute(NEW)
        assert expected == await trips.of(connection.commit())


@costs(stock=1, ours=1)
async def test_rollback_of_rows_is_one_trip(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """What has been written is rolled back in one trip."""
    async with engine.connect() as connection:
        await connection.execute(NEW)
        assert expected == await trips.of(connection.rollback())


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
@costs(stock=1, ours=0)
async def test_end_of_an_empty_transaction_is_no_trip(
    engine: AsyncEngine, trips: Trips, end: str, expected: int
) -> None:
    """A transaction that sent nothing has nothing to end."""
    async with engine.connect() as connection:
        await connection.begin()
        assert expected == await trips.of(getattr(connection, end)())


@pytest.mark.parametrize("end", ["commit", "rollback", "close"])
@costs(stock=1, ours=0)
async def test_end_of_a_read_is_no_trip(
    engine: AsyncEngine, trips: Trips, end: str, expected: int
) -> None:
    """A transaction that has only read ends without the thread."""
    async with engine.connect() as connection:
        await connection.execute(IDS)
        assert expected == await trips.of(getattr(connection, end)())


@costs(stock=1, ours=0)
async def test_checkout_and_reset_are_no_trip(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """A connection that is lent and given back unused never meets its thread."""

    async def lend() -> None:
        async with engine.connect():
            pass

    assert expected == await trips.of(lend())


@costs(stock=6, ours=2)
async def test_savepoint_is_one_trip_at_either_end(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """A savepoint is set and released as two statements."""

    async def nest(connection: AsyncConnection) -> None:
        async with connection.begin_nested():
            pass

    async with engine.connect() as connection:
        await connection.execute(NEW)
        assert expected == await trips.of(nest(connection))


# Whole bodies.


@costs(stock=5, ours=1)
async def test_connect_select_and_close_is_one_trip(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """Lending a connection, reading and giving it back is the reading alone."""

    async def read() -> None:
        async with engine.connect() as connection:
            await connection.execute(IDS)

    assert expected == await trips.of(read())


@costs(stock=5, ours=2)
async def test_insert_transaction_is_two_trips(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """A transaction of one INSERT is the statement and the COMMIT."""

    async def write() -> None:
        async with engine.begin() as connection:
            await connection.execute(NEW)

    assert expected == await trips.of(write())


@pytest.mark.parametrize(("driver", "expected"), [(OURS, 2)])
async def test_transaction_for_writing_is_two_trips(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """A transaction with the write lock costs no more than one without."""

    async def write() -> None:
        async with async_transaction(engine, write=True) as connection:
            await connection.execute(NEW)

    assert expected == await trips.of(write())


@pytest.mark.parametrize(("driver", "expected"), [(OURS, 1)])
async def test_read_only_transaction_is_one_trip(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """PRAGMA query_only rides along with the statement, as BEGIN does."""

    async def read() -> None:
        async with async_transaction(engine, read_only=True) as connection:
            await connection.execute(IDS)

    assert expected == await trips.of(read())


@costs(stock=10, ours=1)
async def test_autocommit_read_is_one_trip_in_all(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """Reading in autocommit is the statement, and nothing around it."""

    async def read() -> None:
        async with async_read(engine) as connection:
            await connection.execute(IDS)

    assert expected == await trips.of(read())


@costs(stock=10, ours=1)
async def test_autocommit_by_an_option_is_one_trip_in_all(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """An engine's option is no dearer than a connection's."""
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def read() -> None:
        async with autocommit.connect() as connection:
            await connection.execute(IDS)

    assert expected == await trips.of(read())


@costs(stock=10, ours=3)
async def test_savepoint_around_a_read_is_three_trips(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """A savepoint first in a transaction has the BEGIN ahead of it in its trip."""

    async def nest(connection: AsyncConnection) -> None:
        async with async_savepoint(connection):
            await connection.execute(IDS)

    async with engine.connect() as connection:
        assert expected == await trips.of(nest(connection))


@costs(stock=10, ours=1)
async def test_autocommit_write_is_one_trip_in_all(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """What is committed as it is written has nothing more to commit."""
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def write() -> None:
        async with autocommit.begin() as connection:
            await connection.execute(NEW)

    assert expected == await trips.of(write())


@costs(stock=8, ours=3)
async def test_transaction_that_fails_is_its_statements_and_the_rollback(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """An error after a write costs the ROLLBACK besides."""

    async def fail() -> None:
        with pytest.raises(Exception, match="no such table"):
            async with engine.begin() as connection:
                await connection.execute(NEW)
                await connection.execute(text("SELECT * FROM missing"))

    assert expected == await trips.of(fail())


# Streams.


async def grow(engine: AsyncEngine, rows: int) -> None:
    """Add so many rows."""
    async with engine.begin() as connection:
        await connection.execute(insert(Item), [{"name": "more"}] * rows)


async def drain(engine: AsyncEngine, rows: int) -> None:
    """Read so many rows in batches of two, to the end."""
    statement = IDS.limit(rows).execution_options(yield_per=2)
    async with engine.connect() as connection:
        result = await connection.stream(statement)
        assert rows == len([row async for row in result])


# How many trips a stream of so many rows takes, two rows a batch.
STREAMS = {
    ASYNCIO: {0: 6, 1: 6, 2: 7, 3: 7, 4: 8, 5: 8},
    OURS: {0: 1, 1: 1, 2: 1, 3: 2, 4: 2, 5: 3},
}


@pytest.mark.parametrize("rows", range(6))
@pytest.mark.parametrize("driver", STREAMS)
async def test_stream_is_one_trip_a_batch(
    engine: AsyncEngine, trips: Trips, rows: int, driver: str
) -> None:
    """A stream is a trip for each two rows; the last batch says that it is the last."""
    assert STREAMS[driver][rows] == await trips.of(drain(engine, rows))


@costs(stock=12, ours=2)
async def test_stream_without_a_size_is_one_trip_a_thousand_rows(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """A stream that names no batch reads a thousand rows at a time, from the first."""

    async def read() -> None:
        async with engine.connect() as connection:
            rows = await connection.stream_scalars(IDS)
            assert 2000 == len([row async for row in rows])

    await grow(engine, 2000 - ROWS)
    assert expected == await trips.of(read())


@costs(stock=1, ours=1)
async def test_abandoned_stream_is_one_trip_to_close(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """Closing a stream that has rows left frees its lock, on the thread."""
    statement = IDS.execution_options(yield_per=2)
    async with engine.connect() as connection:
        result = await connection.stream(statement)
        await result.fetchone()
        assert expected == await trips.of(result.close())


@costs(stock=0, ours=0)
async def test_stream_that_is_read_is_no_trip_to_close(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """A stream that is read to its end has closed itself."""
    statement = IDS.execution_options(yield_per=2)
    async with engine.connect() as connection:
        result = await connection.stream(statement)
        await result.all()
        assert expected == await trips.of(result.close())


@costs(stock=9, ours=3)
async def test_batches_are_one_trip_each(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """Five rows by two are three trips, the connection's coming and going included."""

    async def read() -> None:
        async with async_stream(engine, IDS, batch=2) as batches:
            assert [2, 2, 1] == [len(batch) async for batch in batches]

    assert expected == await trips.of(read())


# Sessions.


@costs(stock=6, ours=1)
async def test_get_is_one_trip(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """A session that gets one object and closes pays for the SELECT alone."""

    async def get() -> None:
        async with AsyncSession(engine) as session:
            assert await session.get(Item, 1)

    assert expected == await trips.of(get())


@costs(stock=12, ours=5)
async def test_flush_of_new_objects_is_one_trip_each(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """Objects whose keys SQLite makes are inserted one by one."""
    async with AsyncSession(engine) as session:
        session.add_all([Item() for _ in range(5)])
        assert expected == await trips.of(session.flush())


@costs(stock=3, ours=1)
async def test_flush_of_objects_with_keys_is_one_trip(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """Objects that bring their keys are inserted together."""
    async with AsyncSession(engine) as session:
        session.add_all([Item(id=n) for n in range(10, 15)])
        assert expected == await trips.of(session.flush())


@costs(stock=9, ours=3)
async def test_unit_of_work_is_its_statements_and_the_commit(
    engine: AsyncEngine, trips: Trips, expected: int
) -> None:
    """Get, change and commit are a SELECT, an UPDATE and a COMMIT."""

    async def work() -> None:
        async with AsyncSession(engine) as session, session.begin():
            item = await session.get_one(Item, 1)
            item.name = "changed"

    assert expected == await trips.of(work())


# Connections.


async def open_and_close(driver: str, file: Path, connections: int) -> None:
    engine = open_async_engine(driver, file)
    opened = [await engine.connect() for _ in range(connections)]
    for connection in opened:
        await connection.close()
    await engine.dispose()


# How many trips so many connections take, from the first to the last.
LIFETIMES = {ASYNCIO: {1: 16, 2: 27, 3: 38}, OURS: {1: 5, 2: 9, 3: 13}}


@pytest.mark.parametrize("connections", [1, 2, 3])
@pytest.mark.parametrize("driver", LIFETIMES)
async def test_lifetime_of_a_connection_is_four_trips(
    trips: Trips, tmp_path: Path, connections: int, driver: str
) -> None:
    """Opening, options, closing, the thread's end; the first asks one thing more."""
    lifetime = open_and_close(driver, tmp_path / "file.db", connections)
    assert LIFETIMES[driver][connections] == await trips.of(lifetime)


@costs(stock=4, ours=1)
async def test_ping_is_one_trip(
    driver: str, tmp_path: Path, trips: Trips, expected: int
) -> None:
    """A pool that pings asks the thread once."""
    engine = open_async_engine(driver, tmp_path / "file.db", pool_pre_ping=True)
    async with engine.connect():
        pass
    connection = engine.connect()
    assert expected == await trips.of(connection.start())
    await connection.close()
    await engine.dispose()
