"""A connection is left without a task where leaving it waits for nobody."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from async_layers import (
    async_engine_scope,
    async_sessionmaker,
    async_transaction,
    async_unit_of_work,
)
from async_layers._eager import to_the_end

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def counting_tasks() -> AsyncIterator[list[str]]:
    """Lend the names of the coroutines that tasks are made of."""
    loop = asyncio.get_running_loop()
    made = list[str]()

    def factory(loop: Any, coroutine: Any, **arguments: Any) -> Any:
        made.append(coroutine.__qualname__)
        return asyncio.Task(coroutine, loop=loop, **arguments)

    loop.set_task_factory(factory)
    try:
        yield made
    finally:
        loop.set_task_factory(None)


async def test_connection_that_has_read_is_left_without_a_task(sqlite_url: str) -> None:
    """There is nothing to roll back that waits for a disk."""
    async with async_engine_scope(sqlite_url) as engine:
        async with counting_tasks() as made:
            async with engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        assert [] == made


async def test_transaction_on_postgresql_takes_no_task(postgresql_url: str) -> None:
    """When it has ended the connection goes back at once."""
    async with async_engine_scope(postgresql_url) as engine:
        async with async_transaction(engine):
            pass  # connects, which takes tasks of its own
        async with counting_tasks() as made:
            async with async_transaction(engine) as connection:
                await connection.execute(text("SELECT 1"))
        assert [] == made


async def test_connection_that_has_written_is_left_in_a_task(sqlite_url: str) -> None:
    """A cancellation does not reach the rollback."""
    async with async_engine_scope(sqlite_url) as engine:
        async with counting_tasks() as made:
            async with engine.connect() as connection:
                await connection.execute(text("CREATE TABLE t (x INTEGER)"))
        assert ["_go_on"] == made


async def test_session_whose_transaction_is_over_is_left_without_a_task() -> None:
    """Whatever its driver: nothing is left to be told."""
    async with async_engine_scope("sqlite+aiosqlite://") as engine:
        factory = async_sessionmaker(engine)
        async with factory() as session:
            await session.execute(text("SELECT 1"))
            await session.commit()
            async with counting_tasks() as made:
                await session.__aexit__(None, None, None)
        assert [] == made


async def test_session_in_a_transaction_is_left_in_a_task() -> None:
    """A cancellation does not reach the rollback."""
    async with async_engine_scope("sqlite+aiosqlite://") as engine:
        async with async_sessionmaker(engine)() as session:
            await session.execute(text("SELECT 1"))
            async with counting_tasks() as made:
                await session.__aexit__(None, None, None)
        assert "AsyncSession.close" == made[0]


async def test_session_of_a_users_class_is_left_as_that_says() -> None:
    """What a subclass does when its block is left is done."""
    left = list[str]()

    class Own(AsyncSession):
        async def __aexit__(self, *error: object) -> None:
            left.append("own")
            await super().__aexit__(*error)

    async with async_engine_scope("sqlite+aiosqlite://") as engine:
        async with async_unit_of_work(async_sessionmaker(engine, class_=Own)):
            pass
    assert ["own"] == left


async def test_engine_is_sqlalchemys(sqlite_url: str) -> None:
    """Whoever asks finds SQLAlchemy's classes."""
    async with async_engine_scope(sqlite_url) as engine, engine.connect() as connection:
        assert isinstance(engine, AsyncEngine)
        assert isinstance(connection, AsyncConnection)
        assert connection.engine is engine


async def test_other_drivers_keep_their_task() -> None:
    """What they do may depend on the task that it runs in."""
    async with async_engine_scope("sqlite+aiosqlite://") as engine:
        async with counting_tasks() as made:
            async with engine.connect():
                pass
        assert ["AsyncConnection.close"] == made


async def test_result_and_error_are_the_works() -> None:
    """At once, after a wait, and from what it waits for."""
    future = asyncio.get_running_loop().create_future()

    async def at_once() -> int:
        return 1

    async def later(error: Exception | None = None) -> int:
        await asyncio.sleep(0)
        if error:
            raise error
        return 2

    async def of_a_future() -> str:
        try:
            await future
        except LookupError as error:
            return repr(error)
        return "nothing"

    assert 1 == await to_the_end(at_once())
    assert 2 == await to_the_end(later())
    with pytest.raises(ValueError, match="late"):
        await to_the_end(later(ValueError("late")))
    loop = asyncio.get_running_loop()
    loop.call_soon(future.set_exception, LookupError("found"))
    assert "LookupError('found')" == await to_the_end(of_a_future())


async def test_cancellation_waits_for_the_rest() -> None:
    """The work ends, then the cancellation travels on."""
    begun, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await go.wait()
        done.set()

    async def caller() -> None:
        await to_the_end(work())

    task = asyncio.create_task(caller())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not done.is_set()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


class Named(AsyncEngine):
    """An engine of a user's own class."""


async def test_engine_of_a_class_of_its_own_keeps_it(sqlite_url: str) -> None:
    """It has the helpers, and closes as its class says, however often it is lent."""
    async with async_engine_scope(sqlite_url) as engine:
        named = Named(engine.sync_engine)
        for _ in range(2):
            async with async_transaction(named) as connection:
                assert 1 == await connection.scalar(text("SELECT 1"))
        assert type(named) is Named
