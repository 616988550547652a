"""What is measured on SQLite, under asyncio: each a context and a unit of work."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING

from sqlalchemy.ext.asyncio import AsyncSession

from tests.benchmarks._table import (
    ALL,
    INSERT,
    LOADED_AT_ONCE,
    ONE,
    Item,
    one_row,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine


@asynccontextmanager
async def select(engine: AsyncEngine) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """SELECT a row on a connection that stays open."""
    async with engine.connect() as connection:

        async def unit() -> None:
            (await connection.execute(ONE)).all()

        yield unit


@asynccontextmanager
async def connect(engine: AsyncEngine) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Take a connection from the pool, SELECT a row, give it back."""

    async def unit() -> None:
        async with engine.connect() as connection:
            (await connection.execute(ONE)).all()

    yield unit


@asynccontextmanager
async def autocommit(
    engine: AsyncEngine,
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Do the same in autocommit."""

    async def unit() -> None:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            (await connection.execute(ONE)).all()

    yield unit


@asynccontextmanager
async def get(engine: AsyncEngine) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Load an object by its primary key, in a session of its own."""

    async def unit() -> None:
        async with AsyncSession(engine) as session:
            await session.get(Item, 1)

    yield unit


@asynccontextmanager
async def insert(engine: AsyncEngine) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Take a connection, INSERT a row, COMMIT, give it back."""
    numbers = count(1)

    async def unit() -> None:
        async with engine.connect() as connection:
            await connection.execute(INSERT, one_row(next(numbers)))
            await connection.commit()

    yield unit


@asynccontextmanager
async def many(engine: AsyncEngine) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """INSERT rows with executemany, ROLLBACK, on a connection that stays open."""
    async with engine.connect() as connection:

        async def unit() -> None:
            await connection.execute(INSERT, LOADED_AT_ONCE)
            await connection.rollback()

        yield unit


@asynccontextmanager
async def stream(engine: AsyncEngine) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Read all rows in batches."""

    async def unit() -> None:
        async with (
            engine.connect() as connection,
            connection.stream(ALL, execution_options={"yield_per": 1000}) as result,
        ):
            async for _ in result.partitions():
                pass

    yield unit


UNITS = {
    "select": select,
    "connect": connect,
    "autocommit": autocommit,
    "get": get,
    "insert": insert,
    "many": many,
    "stream": stream,
}
