"""Bodies that are cancelled at each of their awaits, once and twice.

SQLAlchemy's own sweep looks for connections that leak, for pools that no longer
work and for cancellations that do not arrive. Beside it an observer looks for
halves of transactions, the pool for transactions that come back open, and nothing
may be logged.
"""

from __future__ import annotations

import gc
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Integer, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from async_layers import async_read, async_savepoint, async_stream, async_transaction
from tests.postgresql._sweep import Sweep

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.postgresql._people import People
    from tests.postgresql._sweep import Body

NUMBERS = select(literal(1)).union_all(*(select(literal(n)) for n in (2, 3, 4, 5)))


# Bodies; what writes writes two rows, `number` and the one after it.


def rows(number: int) -> list[dict[str, int]]:
    """Return two rows."""
    return [{"id": number}, {"id": number + 1}]


async def reads(engine: AsyncEngine, _: People, __: int) -> None:
    async with engine.connect() as connection:
        await connection.execute(NUMBERS)


async def reads_in_autocommit(engine: AsyncEngine, _: People, __: int) -> None:
    async with async_read(engine) as connection:
        await connection.execute(NUMBERS)


async def reads_serializable(engine: AsyncEngine, _: People, __: int) -> None:
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="SERIALIZABLE")
        await connection.execute(NUMBERS)


async def inserts(engine: AsyncEngine, people: People, number: int) -> None:
    async with engine.begin() as connection:
        for row in rows(number):
            await connection.execute(insert(people.table), row)


async def inserts_many(engine: AsyncEngine, people: People, number: int) -> None:
    async with async_transaction(engine) as connection:
        await connection.execute(insert(people.table), rows(number))


async def inserts_in_autocommit(
    engine: AsyncEngine, people: People, number: int
) -> None:
    first, second = rows(number)
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        # Two types are two batches, and yet one transaction.
        mixed: list[dict[str, Any]] = [first, {"id": float(second["id"])}]
        await connection.execute(insert(people.table), mixed)


async def inserts_and_commits(engine: AsyncEngine, people: People, number: int) -> None:
    async with engine.connect() as connection:
        await connection.execute(insert(people.table), rows(number))
        await connection.commit()


async def inserts_and_undoes(engine: AsyncEngine, people: People, number: int) -> None:
    async with engine.connect() as connection:
        await connection.execute(insert(people.table), rows(number)[:1])
        await connection.rollback()


async def saves(engine: AsyncEngine, people: People, number: int) -> None:
    first, second = rows(number)
    async with engine.begin() as connection:
        await connection.execute(insert(people.table), first)
        async with async_savepoint(connection):
            await connection.execute(insert(people.table), second)


async def works(engine: AsyncEngine, people: People, number: int) -> None:
    person = people.mapped()
    async with AsyncSession(engine) as session, session.begin():
        for row in rows(number):
            one = person()
            one.id = row["id"]
            session.add(one)


async def streams(engine: AsyncEngine, _: People, __: int) -> None:
    async with engine.connect() as connection:
        statement = NUMBERS.execution_options(yield_per=2)
        async for _row in await connection.stream(statement):
            pass


async def leaves_batches(engine: AsyncEngine, _: People, __: int) -> None:
    async with async_stream(engine, NUMBERS, batch=2) as batches:
        async for _batch in batches:
            break


async def rounds(engine: AsyncEngine, _: People, __: int) -> None:
    async with engine.connect() as connection:
        # A value that the codec would not take, so that it is prepared again.
        await connection.execute(select(literal(2.5, Integer)))


# The sweep.


@pytest.fixture(autouse=True, scope="module")
def frozen() -> None:
    """Let the sweep's many collections pass over what is there already, for good."""
    gc.collect()
    gc.freeze()


ONCE = [
    *product(
        [reads, inserts, works, streams],
        [{}, {"warm": True}, {"warm": True, "recycle": True}],
    ),
    *product(
        [
            reads_in_autocommit,
            reads_serializable,
            inserts_many,
            inserts_and_commits,
            inserts_and_undoes,
            saves,
            leaves_batches,
            rounds,
        ],
        [{"warm": True}],
    ),
]
TWICE = [
    reads,
    inserts,
    inserts_in_autocommit,
    inserts_and_commits,
    inserts_and_undoes,
    streams,
]


@pytest.mark.parametrize(("body", "options"), ONCE)
async def test_cancellation_leaves_nothing(
    body: Body,
    options: dict[str, Any],
    people: People,
    postgresql_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Cancelled at each await, a body leaves no trace: it is done or undone."""
    swept = Sweep(postgresql_url, people)
    assert [] == await swept.run(body, **options)
    assert (0, [], True) == (swept.open, swept.halves(), await swept.ends())
    assert [] == caplog.messages


@pytest.mark.parametrize("body", TWICE)
async def test_double_cancellation_leaves_nothing(
    body: Body,
    people: People,
    postgresql_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Cancelled again in the clean-up, it leaves no more."""
    swept = Sweep(postgresql_url, people)
    assert [] == await swept.run(body, cancels=2, warm=True)
    assert (0, [], True) == (swept.open, swept.halves(), await swept.ends())
    assert [] == caplog.messages


@pytest.mark.parametrize("body", [reads, inserts])
@pytest.mark.parametrize(
    "arguments",
    [{"pool_pre_ping": True}, {"pool_reset_on_return": "commit"}],
    ids=["ping", "commit"],
)
async def test_cancellation_leaves_nothing_in_other_pools(
    body: Body,
    arguments: dict[str, Any],
    people: People,
    postgresql_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A pool that pings, or resets otherwise, is as safe."""
    swept = Sweep(postgresql_url, people, **arguments)
    assert [] == await swept.run(body, warm=True)
    assert (0, [], True) == (swept.open, swept.halves(), await swept.ends())
    assert [] == caplog.messages
