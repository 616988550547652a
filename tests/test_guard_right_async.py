"""What several tasks may do with one transaction, one after the other."""

from __future__ import annotations

import asyncio
import gc
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest
from sqlalchemy import event, insert, text

from async_layers import (
    GuardError,
    async_engine_scope,
    async_sessionmaker,
    async_transaction,
    async_unit_of_work,
)
from async_layers.patterns.tables import Account
from tests._living import OtherTask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
    from sqlalchemy.orm import Session

    from async_layers._proof.scratch import Scratch

ONE = text("SELECT 1")
CARL = insert(Account).values(id=3, owner="carl", balance=7)
ENDS = ["commit", "rollback", "close", "invalidate"]


@pytest.fixture
async def engine(sqlite_place: Scratch) -> AsyncIterator[AsyncEngine]:
    """Return an engine on SQLite, with fresh tables."""
    sqlite_place.fresh()
    async with async_engine_scope(sqlite_place.urls["async"]) as engine:
        yield engine
        assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]


def refused(*words: str) -> Any:
    """Expect the guard's error, with these words."""
    return pytest.raises(GuardError, match="(?s)" + ".*".join(words))


async def test_child_that_is_awaited_is_right(place: Scratch) -> None:
    """What a task does while its parent waits for it is its parent's affair."""
    async with async_engine_scope(place.urls["async"]) as engine:
        factory = async_sessionmaker(engine)
        async with factory() as session:

            async def use() -> object:
                async with session.begin_nested():
                    return await session.scalar(ONE)

            await session.execute(CARL)
            await asyncio.wait_for(session.execute(ONE), 5)
            for _ in range(2):
                async with asyncio.TaskGroup() as group:
                    group.create_task(use())
            assert 1 == await asyncio.wait_for(use(), 5)
            await asyncio.wait_for(session.commit(), 5)
            await asyncio.shield(session.close())
    assert "account 3 carl 7" in (place.rows() or [])


async def test_commit_of_a_function_in_wait_for_is_right(engine: AsyncEngine) -> None:
    """`wait_for` makes a task in Python 3.11, which ends what its caller began."""
    async with async_sessionmaker(engine)() as session:

        async def commit() -> None:
            await session.commit()

        await session.execute(ONE)
        await asyncio.wait_for(commit(), 5)
        assert not session.in_transaction()


async def test_commit_of_a_task_that_is_awaited_is_refused(
    engine: AsyncEngine,
) -> None:
    """Who began the transaction lives, though it waits: it may commit by itself."""
    async with async_transaction(engine) as connection:

        async def commit() -> None:
            await connection.commit()

        with refused("commit", "which began"):
            await asyncio.create_task(commit())


async def test_method_that_is_called_here_and_run_elsewhere_is_ours(
    engine: AsyncEngine,
) -> None:
    """Who calls a method counts, not the task that runs what it returns."""
    async with async_transaction(engine) as connection:
        await asyncio.create_task(connection.commit())
        assert not connection.in_transaction()


async def test_method_of_a_task_that_has_ended_is_of_who_runs_it(
    engine: AsyncEngine,
) -> None:
    """Nobody is judged by a task that is over."""
    async with async_sessionmaker(engine)() as session:

        async def call() -> Any:
            return session.execute(ONE)

        statement = await asyncio.create_task(call())
        await statement
        await session.commit()


async def test_fixture_of_several_tasks_is_right(engine: AsyncEngine) -> None:
    """What sets up has ended, what tests waits, and what tears down is a third."""
    factory = async_sessionmaker(engine)

    @asynccontextmanager
    async def dependency() -> AsyncIterator[AsyncSession]:
        async with factory() as session:
            yield session

    for lent in (dependency, lambda: async_unit_of_work(factory)):
        block: Any = lent()
        session = await asyncio.create_task(block.__aenter__())
        async with OtherTask() as test:
            await test.do(lambda session=session: session.execute(ONE))  # type: ignore[misc]
            await asyncio.create_task(block.__aexit__(None, None, None))


async def test_factory_begins_and_ends(place: Scratch) -> None:
    """`factory.begin()` ends its transaction in a task of SQLAlchemy's own."""
    async with async_engine_scope(place.urls["async"]) as engine:
        async with async_sessionmaker(engine).begin() as session:
            session.add(Account(id=3, owner="carl", balance=7))
    assert "account 3 carl 7" in (place.rows() or [])


async def test_blocking_function_has_blocks_of_its_own(engine: AsyncEngine) -> None:
    """What `run_sync` runs is one operation, with transactions within."""

    def work(session: Session) -> object:
        with session.begin():
            with session.begin_nested(), session.connection().begin_nested():
                return session.scalar(ONE)

    async with async_sessionmaker(engine)() as session:
        assert 1 == await session.run_sync(work)


async def test_statement_of_a_listener_for_commit_is_right(
    engine: AsyncEngine,
) -> None:
    """COMMIT runs in a task of its own, and what listens to it is part of it."""
    said: list[object] = []

    def listen(connection: Any) -> None:
        said.append(connection.exec_driver_sql("SELECT 1").scalar())

    event.listen(engine.sync_engine, "commit", listen)
    async with async_unit_of_work(async_sessionmaker(engine)) as session:
        await session.connection()
    assert [1] == said


async def test_owner_that_has_ended_is_no_owner(engine: AsyncEngine) -> None:
    """A transaction is anybody's when the task that began it is over."""
    async with async_sessionmaker(engine)() as session:
        await asyncio.create_task(execute(session))
        await session.commit()
        assert not session.in_transaction()


async def execute(session: AsyncSession) -> None:
    """Begin a transaction in the task that runs this."""
    await session.execute(ONE)


async def test_task_is_not_kept_alive(engine: AsyncEngine) -> None:
    """A session in a transaction holds no task that has ended."""
    async with async_sessionmaker(engine)() as session:
        task = asyncio.create_task(execute(session))
        await task
        gone = ref(task)
        del task
        await asyncio.sleep(0)  # the turn of the loop that has woken this task ends
        gc.collect()
        assert gone() is None
        await session.commit()
