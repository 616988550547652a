"""Whatever helper is cancelled, wherever: all or nothing, and nothing is left."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert

from async_layers import async_transaction
from async_layers._proof.facts import load_facts
from async_layers.patterns.tables import Account
from tests.sweep.cancelled import Body, Swept, once_and_twice, sweep

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from async_layers._proof.facts import Fact
    from async_layers._proof.scratch import Scratch

PLACES = {"sqlite": "sqlite", "asyncpg": "postgresql"}
CASES = [
    pytest.param(place, fact, id=f"{place}-{fact.name}")
    for place, database in PLACES.items()
    for fact in load_facts("transactions")
    if database in fact.databases
]
CARL = {"id": 3, "owner": "carl", "balance": 10}
DORA = {"id": 4, "owner": "dora", "balance": 20}

# aiosqlite forgets a connection that is cancelled while it is opened or at work;
# from Python 3.13 on sqlite3 warns when it is collected.
forgets = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect what a test leaves while its filters hold, and no more than that."""
    gc.freeze()
    yield
    gc.collect()


@forgets
@pytest.mark.parametrize(("driver", "fact"), CASES)
def test_fact_is_cancelled(
    driver: str, fact: Fact, request: pytest.FixtureRequest
) -> None:
    """It ends as a cancellation, its rows whole, with no connection and no task."""
    place: Scratch = request.getfixturevalue(f"{driver}_place")
    body = Body(fact.name, fact.argument(), fact.asyncio)
    swept = asyncio.run(sweep(body, place))
    assert [] == swept.found
    assert (swept.runs == 0) == (fact.name in ASK_NOTHING)


def test_awaits_are_spread() -> None:
    """Some awaits of many are spread evenly, each once alone and once with the next."""
    assert [(1,), (1, 2), (4,), (4, 5), (7,), (7, 8)] == list(once_and_twice(9, 3))
    assert [(1,), (1, 2)] == list(once_and_twice(1, 3))


# Their time is over before the database is asked for anything.
ASK_NOTHING = {"transactions.deadline_that_is_over"}

LEAKS: list[AsyncConnection] = []


async def halves(engine: AsyncEngine) -> None:
    """Commit one row after the other, as if both were one."""
    try:
        async with async_transaction(engine) as connection:
            await connection.execute(insert(Account), CARL)
    finally:
        await asyncio.shield(one_more(engine))


async def one_more(engine: AsyncEngine) -> None:
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), DORA)


async def leaks(engine: AsyncEngine) -> None:
    """Keep a connection that nobody closes."""
    connection = await engine.connect()
    LEAKS.append(connection)
    async with async_transaction(engine) as other:
        await other.execute(insert(Account), CARL)
    await connection.close()


async def replaces(engine: AsyncEngine) -> None:
    """Raise another exception in the place of the cancellation."""
    try:
        async with async_transaction(engine) as connection:
            await connection.execute(insert(Account), CARL)
    except asyncio.CancelledError:
        raise LookupError from None


async def forks(engine: AsyncEngine) -> None:
    """Leave a task behind."""
    task = asyncio.create_task(asyncio.sleep(30))
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), CARL)
    task.cancel()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (halves, "half done"),
        (leaks, "connections are lent"),
        (replaces, "ended with LookupError"),
        (forks, "tasks are left"),
    ],
)
def test_sweep_finds(
    body: Callable[[AsyncEngine], Awaitable[None]], words: str, asyncpg_place: Scratch
) -> None:
    """A body that does one of these is found out."""

    async def planted() -> Swept:
        swept = await sweep(Body("planted", "engine", body), asyncpg_place)
        while LEAKS:
            if not LEAKS[-1].closed:
                await LEAKS[-1].invalidate()
                await LEAKS[-1].close()
            LEAKS.pop()
        return swept

    swept = asyncio.run(planted())
    assert any(words in found for found in swept.found)
