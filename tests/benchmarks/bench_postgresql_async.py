"""Our asyncio dialect of PostgreSQL beside SQLAlchemy's own: the same work on both."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.pool import NullPool

from tests.benchmarks._measure import Case
from tests.benchmarks._postgresql import (
    ENTRIES,
    ENTRY,
    FIVE,
    INSERT,
    ONE,
    PAIRS,
    TEXT,
    WIDE,
    Entry,
    Event,
    create,
    drop,
    open_ours_async,
    open_stock_async,
)
from tests.benchmarks.bench_helpers_async import times

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from sqlalchemy import Executable
    from sqlalchemy.ext.asyncio import AsyncEngine

    Unit = Callable[[], Awaitable[None]]
    Work = Callable[[AsyncEngine], AbstractAsyncContextManager[Unit]]

TARGET = 1.02
ID = {"id": 1}


def _reading(statement: Executable, parameters: dict[str, Any] | None = None) -> Work:
    """Return the work that executes a statement on a connection that stays open."""

    @asynccontextmanager
    async def work(engine: AsyncEngine) -> AsyncIterator[Unit]:
        async with engine.connect() as connection:

            async def unit() -> None:
                (await connection.execute(statement, parameters)).all()

            yield unit

    return work


@asynccontextmanager
async def connect(engine: AsyncEngine) -> AsyncIterator[Unit]:
    """Take a connection from the pool, SELECT a row, give it back."""

    async def unit() -> None:
        async with engine.connect() as connection:
            (await connection.execute(ONE)).all()

    yield unit


@asynccontextmanager
async def autocommit(engine: AsyncEngine) -> AsyncIterator[Unit]:
    """Do the same in autocommit."""
    own = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def unit() -> None:
        async with own.connect() as connection:
            (await connection.execute(ONE)).all()

    yield unit


@asynccontextmanager
async def get(engine: AsyncEngine) -> AsyncIterator[Unit]:
    """Load an object by its primary key, in a session of its own."""

    async def unit() -> None:
        async with AsyncSession(engine) as session:
            await session.get(Event, 1)

    yield unit


@asynccontextmanager
async def insert(engine: AsyncEngine) -> AsyncIterator[Unit]:
    """INSERT a row and COMMIT."""

    async def unit() -> None:
        async with engine.begin() as connection:
            await connection.execute(INSERT, ENTRY)

    yield unit


@asynccontextmanager
async def add(engine: AsyncEngine) -> AsyncIterator[Unit]:
    """Add an object in a session and COMMIT."""

    async def unit() -> None:
        async with AsyncSession(engine) as session, session.begin():
            session.add(Entry(**ENTRY))

    yield unit


@asynccontextmanager
async def many(engine: AsyncEngine) -> AsyncIterator[Unit]:
    """INSERT rows with executemany, ROLLBACK, on a connection that stays open."""
    async with engine.connect() as connection:

        async def unit() -> None:
            await connection.execute(INSERT, ENTRIES)
            await connection.rollback()

        yield unit


@asynccontextmanager
async def savepoint(engine: AsyncEngine) -> AsyncIterator[Unit]:
    """Begin and release a savepoint, on a connection that stays open."""
    async with engine.connect() as connection:

        async def unit() -> None:
            async with connection.begin_nested():
                pass

        yield unit


@asynccontextmanager
async def stream(engine: AsyncEngine) -> AsyncIterator[Unit]:
    """Read all rows in batches."""

    async def unit() -> None:
        async with (
            engine.connect() as connection,
            connection.stream(PAIRS, execution_options={"yield_per": 1000}) as result,
        ):
            async for _ in result.partitions():
                pass

    yield unit


WORKS: dict[str, Work] = {
    "SELECT": _reading(ONE),
    "SELECT, 5 parameters": _reading(FIVE),
    "text()": _reading(TEXT, ID),
    "connect, SELECT": connect,
    "autocommit SELECT": autocommit,
    "session.get": get,
    "INSERT, COMMIT": insert,
    "session.add, COMMIT": add,
    "savepoint": savepoint,
    "INSERT 1,000 rows": many,
    "SELECT 10,000 rows": _reading(PAIRS),
    "10,000 rows, 5 types": _reading(WIDE),
    "stream 10,000 rows": stream,
    "new connection, SELECT": connect,
}
NEW = "new connection, SELECT"  # its engines keep none


@contextmanager
def cases(url: str) -> Iterator[list[Case]]:
    """Lend the comparisons, with engines that are open and tables that are full."""
    with asyncio.Runner() as runner:
        opened, working = AsyncExitStack(), AsyncExitStack()

        def lend(engine: AsyncEngine) -> AsyncEngine:
            opened.push_async_callback(engine.dispose)
            return engine

        ours, theirs = lend(open_ours_async(url)), lend(open_stock_async(url))
        new = lend(open_ours_async(url, poolclass=NullPool))
        stock = lend(open_stock_async(url, poolclass=NullPool))

        async def set_up() -> list[Case]:
            async with theirs.begin() as connection:
                await connection.run_sync(create)
            found = list[Case]()
            for name, work in WORKS.items():
                sides = (new, stock) if name == NEW else (ours, theirs)
                left, right = [
                    times(runner, await working.enter_async_context(work(side)))
                    for side in sides
                ]
                found.append(Case(name, left, right, TARGET))
            return found

        async def tear_down() -> None:
            await working.aclose()
            async with theirs.begin() as connection:
                await connection.run_sync(drop)
            await opened.aclose()

        try:
            yield runner.run(set_up())
        finally:
            runner.run(tear_down())
