"""A cancellation while COMMIT or ROLLBACK is under way is told how it ended."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from async_layers import (
    Outcome,
    async_sessionmaker,
    async_transaction,
    async_unit_of_work,
    create_async_engine,
)
from async_layers._wire import in_transaction
from tests.postgresql._dialects import ASYNCPG, OURS_ASYNC, open_async_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.postgresql._people import People
    from tests.postgresql._proxy import Proxy

    Idiom = Callable[[AsyncEngine, People], Awaitable[object]]

PSYCOPG_ASYNC = "psycopg_async"
COMMITTED = ["The transaction was committed."]
UNKNOWN = (
    "The outcome of the transaction is unknown: "
    "the connection was lost while COMMIT was under way."
)
ROLLED_BACK = ["The transaction was rolled back."]


@asynccontextmanager
async def opened(
    driver: str, proxy: Proxy, **options: object
) -> AsyncIterator[AsyncEngine]:
    """Lend an engine through the proxy, with a connection in its pool."""
    url = proxy.url
    if driver == PSYCOPG_ASYNC:
        url = url.replace("postgresql", "postgresql+psycopg", 1)
        engine = create_async_engine(url, execution_options=options)
    else:
        engine = open_async_engine(driver, url, execution_options=options)
    try:
        async with engine.connect():
            pass
        yield engine
    finally:
        proxy.heal()
        await engine.dispose()


async def scope(engine: AsyncEngine, people: People) -> None:
    async with async_transaction(engine) as connection:
        await connection.execute(people.insert("carl"))


async def unit_of_work(engine: AsyncEngine, people: People) -> None:
    async with async_unit_of_work(async_sessionmaker(engine)) as session:
        await session.execute(people.insert("carl"))


async def begin(engine: AsyncEngine, people: People) -> None:
    async with engine.begin() as connection:
        await connection.execute(people.insert("carl"))


async def as_you_go(engine: AsyncEngine, people: People) -> None:
    async with engine.connect() as connection:
        await connection.execute(people.insert("carl"))
        await connection.commit()


async def session_begin(engine: AsyncEngine, people: People) -> None:
    async with AsyncSession(engine) as session, session.begin():
        await session.execute(people.insert("carl"))


async def session_commit(engine: AsyncEngine, people: People) -> None:
    async with AsyncSession(engine) as session:
        await session.execute(people.insert("carl"))
        await session.commit()


IDIOMS = [scope, unit_of_work, begin, as_you_go, session_begin, session_commit]


async def cancelled_in_commit(
    proxy: Proxy, work: Awaitable[object], times: int = 1
) -> list[str]:
    """Cancel work when its COMMIT is done and the answer held; return its notes."""
    proxy.cut_messages(0, of="server", since_commit=True, act="hold")
    task = asyncio.ensure_future(work)
    assert await asyncio.to_thread(proxy.happens)
    for _ in range(times):
        task.cancel()
        await asyncio.wait((task,), timeout=0.01)
        assert not task.done()
    proxy.heal()
    return await notes_of(task)


async def notes_of(task: asyncio.Future[object]) -> list[str]:
    """Return the notes of a task that ends cancelled."""
    try:
        await task
    except asyncio.CancelledError as error:
        return list(error.__notes__)
    return ["it was not cancelled"]


@pytest.mark.parametrize("idiom", IDIOMS)
@pytest.mark.parametrize("driver", [OURS_ASYNC, PSYCOPG_ASYNC])
async def test_commit_ends_before_the_cancellation(
    driver: str, idiom: Idiom, proxy: Proxy, people: People
) -> None:
    """COMMIT is waited for in every idiom; the cancellation tells that it is done."""
    async with opened(driver, proxy) as engine:
        notes = await cancelled_in_commit(proxy, idiom(engine, people))
        assert (COMMITTED, ["carl"]) == (notes, people.names())
        assert 0 == engine.pool.checkedout()
        await as_you_go_again(engine, people)


async def as_you_go_again(engine: AsyncEngine, people: People) -> None:
    """Commit once more: the pool goes on."""
    async with engine.begin() as connection:
        await connection.execute(people.insert("dora"))
    assert ["carl", "dora"] == people.names()


async def test_sqlalchemy_tells_nobody(proxy: Proxy, people: People) -> None:
    """On an engine of its own a COMMIT that is done is a cancellation, no more."""
    async with opened(ASYNCPG, proxy) as engine:
        proxy.cut_messages(0, of="server", since_commit=True, act="hold")
        task = asyncio.ensure_future(begin(engine, people))
        assert await asyncio.to_thread(proxy.happens)
        task.cancel()
        proxy.heal()
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        assert ([], ["carl"]) == (
            getattr(raised.value, "__notes__", []),
            people.names(),
        )


@pytest.mark.parametrize("driver", [OURS_ASYNC, ASYNCPG, PSYCOPG_ASYNC])
async def test_scope_knows_its_outcome(
    driver: str, proxy: Proxy, people: People
) -> None:
    """A scope that is cancelled twice in its COMMIT has committed, on any engine."""
    async with opened(driver, proxy) as engine:
        transaction = async_transaction(engine)

        async def work() -> None:
            async with transaction as connection:
                await connection.execute(people.insert("carl"))

        notes = await cancelled_in_commit(proxy, work(), times=2)
        assert (COMMITTED, Outcome.COMMITTED) == (notes, transaction.outcome)
        assert ["carl"] == people.names()


@pytest.mark.parametrize("driver", [OURS_ASYNC, PSYCOPG_ASYNC])
async def test_commit_is_waited_for_within_a_bound(
    driver: str, proxy: Proxy, people: People
) -> None:
    """A COMMIT without an answer is given up; its outcome is unknown."""
    async with opened(driver, proxy, finish_within=0.05) as engine:
        transaction = async_transaction(engine)

        async def work() -> None:
            async with transaction as connection:
                await connection.execute(people.insert("carl"))

        proxy.cut_messages(0, of="server", since_commit=True, act="hold")
        task = asyncio.ensure_future(work())
        assert await asyncio.to_thread(proxy.happens)
        task.cancel()
        done, _ = await asyncio.wait((task,), timeout=5)
        assert {task} == done
        assert [UNKNOWN] == await notes_of(task)
        assert Outcome.UNKNOWN is transaction.outcome
        proxy.heal()
        assert (["carl"], 0) == (people.names(), engine.pool.checkedout())


@pytest.mark.parametrize("driver", [OURS_ASYNC, PSYCOPG_ASYNC])
async def test_rollback_ends_before_the_cancellation(
    driver: str, proxy: Proxy, people: People
) -> None:
    """A cancellation while a block rolls back waits for the answer."""
    async with opened(driver, proxy) as engine:
        leaving = asyncio.Event()

        async def work() -> None:
            async with async_transaction(engine) as connection:
                await connection.execute(people.insert("carl"))
                raw = await connection.get_raw_connection()
                driven.append(raw.driver_connection)
                proxy.black_hole()
                leaving.set()
                raise LookupError

        driven = list[object]()
        task = asyncio.ensure_future(work())
        await leaving.wait()
        task.cancel()
        await asyncio.wait((task,), timeout=0.01)
        assert not task.done()
        proxy.heal()
        assert ROLLED_BACK == await notes_of(task)
        assert ([], False) == (people.names(), in_transaction(driven[0]))
