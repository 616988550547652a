"""Bodies that are cancelled at each of their awaits, once and twice.

SQLAlchemy's own sweep looks for connections that leak, for pools that no longer
work and for cancellations that do not arrive. Beside it an observer looks for
halves of transactions and for locks, and nothing may be logged.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sqlite3
from contextlib import closing
from functools import partial
from itertools import count, product
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.testing.cancellation import await_points, sweep

from async_layers import (
    async_read,
    async_savepoint,
    async_stream,
    async_transaction,
)
from async_layers.drivers._sqlite import adapter, opening
from tests.sqlite._dialects import ASYNCIO, OURS, open_async_engine, wrong_on
from tests.sqlite._items import IDS, Item, prepare

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

    Body = Callable[[AsyncEngine, str], Awaitable[None]]

FIVE = IDS.limit(5)


# Bodies; what writes writes two rows of one name.


async def reads(engine: AsyncEngine, _: str) -> None:
    async with engine.connect() as connection:
        await connection.execute(FIVE)


async def reads_in_autocommit(engine: AsyncEngine, _: str) -> None:
    async with async_read(engine) as connection:
        await connection.execute(FIVE)


async def reads_uncommitted(engine: AsyncEngine, _: str) -> None:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="READ UNCOMMITTED")
        await connection.execute(FIVE)


async def reads_only(engine: AsyncEngine, _: str) -> None:
    async with async_transaction(engine, read_only=True) as connection:
        await connection.execute(FIVE)


async def inserts(engine: AsyncEngine, name: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(Item).values(name=name))
        await connection.execute(insert(Item).values(name=name))


async def inserts_at_once(engine: AsyncEngine, name: str) -> None:
    async with async_transaction(engine, write=True) as connection:
        await connection.execute(insert(Item).values(name=name))
        await connection.execute(insert(Item).values(name=name))


async def inserts_many(engine: AsyncEngine, name: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(Item), [{"name": name}, {"name": name}])


async def inserts_and_commits(engine: AsyncEngine, name: str) -> None:
    async with engine.connect() as connection:
        await connection.execute(insert(Item), [{"name": name}, {"name": name}])
        await connection.commit()


async def inserts_and_undoes(engine: AsyncEngine, name: str) -> None:
    async with engine.connect() as connection:
        await connection.execute(insert(Item).values(name=name))
        await connection.rollback()


async def saves(engine: AsyncEngine, name: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(Item).values(name=name))
        async with async_savepoint(connection):
            await connection.execute(insert(Item).values(name=name))


async def works(engine: AsyncEngine, name: str) -> None:
    async with AsyncSession(engine) as session, session.begin():
        await session.scalar(IDS.limit(1))
        session.add_all([Item(name=name), Item(name=name)])


async def streams(engine: AsyncEngine, _: str) -> None:
    async with engine.connect() as connection:
        statement = FIVE.execution_options(yield_per=2)
        async for _row in await connection.stream(statement):
            pass


async def abandons_a_stream(engine: AsyncEngine, _: str) -> None:
    async with engine.connect() as connection:
        result = await connection.stream(FIVE.execution_options(yield_per=2))
        await result.fetchone()
        await result.close()


async def leaves_batches(engine: AsyncEngine, _: str) -> None:
    async with async_stream(engine, FIVE, batch=2) as batches:
        async for _batch in batches:
            break


async def runs_a_cursor(engine: AsyncEngine, name: str) -> None:
    def run(connection: Any) -> None:
        cursor = connection.connection.cursor()
        cursor.execute("INSERT INTO item (name) VALUES (?), (?)", (name, name))
        cursor.close()

    async with engine.begin() as connection:
        await connection.run_sync(run)


BODIES = [
    reads,
    reads_in_autocommit,
    inserts,
    inserts_many,
    saves,
    works,
    streams,
]
FURTHER_BODIES = [
    reads_uncommitted,
    reads_only,
    inserts_at_once,
    inserts_and_commits,
    inserts_and_undoes,
    abandons_a_stream,
    leaves_batches,
    runs_a_cursor,
]
TIMES = {
    "cold": {},
    "warm": {"warm": True},
    "recycle": {"warm": True, "recycle": True},
}


# The sweep.


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    """Hear what aiosqlite says of a connection that it cannot close."""
    caplog.set_level(logging.INFO, "aiosqlite")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give nothing up for want of time: the machine may be busy with other things."""
    for module in (adapter, opening):
        monkeypatch.setattr(module, "PATIENCE", 5000)


@pytest.fixture(autouse=True, scope="module")
def frozen() -> Iterator[None]:
    """Let the sweep's many collections pass over what is there already."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Sweep:
    """A body that is swept on one file, and what an observer sees there."""

    def __init__(self, driver: str, file: Path, **arguments: Any) -> None:
        """Make the file, with a table of five rows."""
        self._driver, self._file, self._arguments = driver, file, arguments
        self._numbers = count()
        self.locks = 0

    async def run(self, body: Body, **options: Any) -> list[str]:
        """Cancel a body at each of its awaits; return what SQLAlchemy finds wrong."""
        engine = self._open()
        await prepared(engine)
        await engine.dispose()

        async def scenario(engine: AsyncEngine) -> None:
            try:
                await body(engine, f"name {next(self._numbers)}")
            except asyncio.CancelledError:
                self.locks += self._is_locked()
                raise

        found: list[str] = await sweep(self._open, scenario, **options)  # type: ignore[no-untyped-call] # SQLAlchemy's tests have no types
        gc.collect()  # what is pending and lost says so
        return found

    def _open(self) -> AsyncEngine:
        return open_async_engine(self._driver, self._file, **self._arguments)

    def _is_locked(self) -> bool:
        with closing(sqlite3.connect(self._file, timeout=0.5)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
            return False

    def halves(self) -> list[tuple[str, int]]:
        """Return the names that another connection does not see twice."""
        with closing(sqlite3.connect(self._file)) as other:
            return other.execute(
                "SELECT name, count(*) FROM item WHERE name LIKE 'name %' "
                "GROUP BY name HAVING count(*) <> 2"
            ).fetchall()


@pytest.mark.parametrize(
    ("body", "time"),
    [
        *product(BODIES, TIMES),
        *product(FURTHER_BODIES, ["warm"]),
    ],
)
async def test_double_cancellation_leaves_nothing(
    body: Body, time: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Cancelled at each await, and at each of the clean-up, a body leaves no trace.

    A sweep with two cancellations has those with one in it.
    """
    swept = Sweep(OURS, tmp_path / "file.db")
    assert [] == await swept.run(body, cancels=2, **TIMES[time])
    assert 0 == swept.locks
    assert [] == swept.halves()
    assert [] == caplog.messages


@pytest.mark.parametrize("body", [reads, inserts, abandons_a_stream])
@pytest.mark.parametrize(
    "arguments", [{"pool_pre_ping": True}, {"pool_reset_on_return": "commit"}], ids=str
)
async def test_double_cancellation_leaves_nothing_in_other_pools(
    body: Body,
    arguments: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A pool that pings, or resets otherwise, is as safe."""
    swept = Sweep(OURS, tmp_path / "file.db", **arguments)
    assert [] == await swept.run(body, cancels=2, warm=True)
    assert 0 == swept.locks
    assert [] == swept.halves()
    assert [] == caplog.messages


@wrong_on(ASYNCIO, "the cursor of a cancelled statement keeps the write lock")
async def test_cancelled_session_locks_out_nobody(driver: str, tmp_path: Path) -> None:
    """Cancelled at each await, a session leaves no lock to wait for."""
    arguments = {"timeout": 0}
    swept = Sweep(driver, tmp_path / "file.db", connect_args=arguments)
    assert [] == await swept.run(works, warm=True)
    assert 0 == swept.locks


@wrong_on(ASYNCIO, "its own task, which closes the connection, never ends")
async def test_cancelled_recycling_leaves_no_task_behind(
    driver: str, tmp_path: Path
) -> None:
    """Once the engine is disposed of, none of its tasks is pending."""
    body = partial(reads, _="")
    for number in count(1):
        engine = open_async_engine(driver, tmp_path / "file.db")
        await prepared(engine)
        engine.pool._invalidate(None)  # type: ignore[arg-type] # as the sweep does
        with await_points((number,)) as points:
            await asyncio.wait([points.create_task(body(engine))])
        await engine.dispose()
        await end_of_other_tasks()
        if not points.cancelled_at:
            break


async def end_of_other_tasks() -> None:
    """Fail for tasks that do not end soon, and end them."""
    others = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
    if others:
        _, pending = await asyncio.wait(others, timeout=0.2)
        for task in pending:
            task.cancel()
        assert not pending


async def prepared(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(prepare, 6)
