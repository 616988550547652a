"""Each asyncio helper beside the same work in plain SQLAlchemy."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sqlalchemy
import sqlalchemy.ext.asyncio
from sqlalchemy import insert

import async_layers
from tests.benchmarks._measure import Case
from tests.benchmarks._table import (
    ALL,
    LOADED,
    ONE,
    Base,
    Item,
    Loaded,
    create,
    drop,
    rows,
    set_up_by_hand,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


Runner = asyncio.Runner

# What a scope may cost, with its outcome, its guard and its holder.
SCOPE = 1.08


def times(
    runner: Runner, function: Callable[[], Awaitable[None]]
) -> Callable[[int], None]:
    """Return a function that calls another so many times."""

    async def call(count: int) -> None:
        for _ in range(count):
            await function()

    return lambda count: runner.run(call(count))


def by_hand(url: str) -> AsyncEngine:
    """Open an engine as the documentation says."""
    engine = sqlalchemy.ext.asyncio.create_async_engine(
        async_layers.create_async_engine(url).url
    )
    set_up_by_hand(engine.sync_engine)
    return engine


@contextmanager
def cases(url: str) -> Iterator[list[Case]]:
    """Lend the comparisons, with engines that are open and tables that are full."""
    ours, theirs = async_layers.create_async_engine(url), by_hand(url)

    async def set_up() -> None:
        async with ours.begin() as connection:
            await connection.run_sync(create)

    async def tear_down() -> None:
        await theirs.dispose()
        async with ours.begin() as connection:
            await connection.run_sync(drop)
        await ours.dispose()

    with Runner() as runner:
        runner.run(set_up())
        try:
            yield [
                opening(runner, ours),
                transactions(runner, ours, theirs),
                runs(runner, ours),
                reads(runner, ours, theirs),
                savepoints(runner, ours, theirs),
                streams(runner, ours, theirs),
                loads(runner, ours, theirs),
                factories(runner, ours, theirs),
                units_of_work(runner, ours, theirs),
            ]
        finally:
            runner.run(tear_down())


def opening(runner: Runner, ours: AsyncEngine) -> Case:
    """create_async_engine, without connecting."""
    url = ours.url.render_as_string(hide_password=False)

    async def helper() -> None:
        async_layers.create_async_engine(url)

    async def hand() -> None:
        set_up_by_hand(sqlalchemy.ext.asyncio.create_async_engine(url).sync_engine)

    return Case("create_async_engine", times(runner, helper), times(runner, hand))


def transactions(runner: Runner, ours: AsyncEngine, theirs: AsyncEngine) -> Case:
    """async_transaction() beside engine.begin(), with one short SELECT in it."""

    async def helper() -> None:
        async with async_layers.async_transaction(ours) as connection:
            (await connection.execute(ONE)).all()

    async def hand() -> None:
        async with theirs.begin() as connection:
            (await connection.execute(ONE)).all()

    return Case("async_transaction", times(runner, helper), times(runner, hand), SCOPE)


def runs(runner: Runner, ours: AsyncEngine) -> Case:
    """async_run_transaction() beside async_transaction(), where it is not needed."""

    async def function(connection: AsyncConnection) -> None:
        (await connection.execute(ONE)).all()

    async def helper() -> None:
        await async_layers.async_run_transaction(ours, function)

    async def hand() -> None:
        async with async_layers.async_transaction(ours) as connection:
            await function(connection)

    return Case("async_run_transaction", times(runner, helper), times(runner, hand))


def reads(runner: Runner, ours: AsyncEngine, theirs: AsyncEngine) -> Case:
    """async_read() beside connect() in autocommit, with one short SELECT in it."""

    async def helper() -> None:
        async with async_layers.async_read(ours) as connection:
            (await connection.execute(ONE)).all()

    async def hand() -> None:
        async with theirs.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            (await connection.execute(ONE)).all()

    return Case("async_read", times(runner, helper), times(runner, hand), SCOPE)


def savepoints(runner: Runner, ours: AsyncEngine, theirs: AsyncEngine) -> Case:
    """async_savepoint() beside begin_nested(), 10 in a transaction of each."""

    async def helper() -> None:
        async with ours.begin() as connection:
            for _ in range(10):
                async with async_layers.async_savepoint(connection):
                    (await connection.execute(ONE)).all()

    async def hand() -> None:
        async with theirs.begin() as connection:
            for _ in range(10):
                async with connection.begin_nested():
                    (await connection.execute(ONE)).all()

    return Case("async_savepoint", times(runner, helper), times(runner, hand))


def streams(runner: Runner, ours: AsyncEngine, theirs: AsyncEngine) -> Case:
    """async_stream() beside yield_per and partitions(), over all rows."""

    async def helper() -> None:
        async with async_layers.async_stream(ours, ALL) as batches:
            async for _ in batches:
                pass

    async def hand() -> None:
        async with (
            theirs.connect() as connection,
            connection.stream(ALL, execution_options={"yield_per": 1000}) as result,
        ):
            async for _ in result.partitions():
                pass

    return Case("async_stream", times(runner, helper), times(runner, hand))


def loads(runner: Runner, ours: AsyncEngine, theirs: AsyncEngine) -> Case:
    """async_insert_rows() beside an INSERT of many rows, rolled back."""
    table, given = Base.metadata.tables[Loaded.__tablename__], rows(LOADED)

    async def helper() -> None:
        async with ours.connect() as connection, connection.begin() as transaction:
            await async_layers.async_insert_rows(connection, table, given)
            await transaction.rollback()

    async def hand() -> None:
        async with theirs.connect() as connection, connection.begin() as transaction:
            await connection.execute(insert(table), given)
            await transaction.rollback()

    return Case("async_insert_rows", times(runner, helper), times(runner, hand))


def factories(runner: Runner, ours: AsyncEngine, theirs: AsyncEngine) -> Case:
    """async_sessionmaker(), and one session of it."""

    async def helper() -> None:
        await async_layers.async_sessionmaker(ours)().close()

    async def hand() -> None:
        factory = sqlalchemy.ext.asyncio.async_sessionmaker(
            theirs, expire_on_commit=False
        )
        await factory().close()

    return Case("async_sessionmaker", times(runner, helper), times(runner, hand))


def units_of_work(runner: Runner, ours: AsyncEngine, theirs: AsyncEngine) -> Case:
    """async_unit_of_work() beside a session and its begin(), with one object loaded."""
    factory = async_layers.async_sessionmaker(ours)
    plain = sqlalchemy.ext.asyncio.async_sessionmaker(theirs, expire_on_commit=False)

    async def helper() -> None:
        async with async_layers.async_unit_of_work(factory) as session:
            await session.get_one(Item, 1)

    async def hand() -> None:
        async with plain() as session, session.begin():
            await session.get_one(Item, 1)

    return Case("async_unit_of_work", times(runner, helper), times(runner, hand), SCOPE)
