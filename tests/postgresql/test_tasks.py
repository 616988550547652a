"""Two tasks on one connection: what the one asks for waits for the other's statement.

The pool gets back what it lent, and no backend keeps a transaction.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import literal, select
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from tests.postgresql._dialects import ASYNCIO, ASYNCPG, on, wrong_on
from tests.postgresql._tasks import SECONDS, turns

if TYPE_CHECKING:
    from tests.postgresql._people import People
    from tests.postgresql._tasks import Ground

NO_TURNS = "commit, rollback and close do not wait for a statement under way"
NO_TURNS_IN_STREAMS = "a fetch does not wait for a statement under way"


async def ended(*tasks: asyncio.Task[object]) -> None:
    """Wait for the end of tasks, and raise what one raised."""
    _, pending = await asyncio.wait(tasks, timeout=SECONDS)
    assert not pending
    for task in tasks:
        task.result()


@wrong_on(ASYNCPG, NO_TURNS, among=ASYNCIO)
@pytest.mark.parametrize(("end", "kept"), [("commit", ["carl"]), ("rollback", [])])
async def test_end_of_a_transaction_waits(
    people: People, place: Ground, end: str, kept: list[str]
) -> None:
    """It comes after the statement that another task executes."""
    async with place.engine.connect() as connection:
        await connection.execute(people.insert("carl"))
        with place.held():
            first = await place.start(connection.execute(place.waiting))
            second = asyncio.create_task(getattr(connection, end)())
            await turns()
            before = second.done()
        await ended(first, second)
    assert (False, kept) == (before, people.names())
    assert await place.settles()


@wrong_on(ASYNCPG, NO_TURNS, among=ASYNCIO)
@pytest.mark.parametrize(("end", "kept"), [("commit", ["carl"]), ("rollback", [])])
async def test_end_of_a_session_waits(
    people: People, place: Ground, end: str, kept: list[str]
) -> None:
    """A session's statement is its connection's."""
    async with AsyncSession(place.engine) as session:
        await session.execute(people.insert("carl"))
        with place.held():
            first = await place.start(session.execute(place.waiting))
            second = asyncio.create_task(getattr(session, end)())
            await turns()
        await asyncio.wait([first, second], timeout=SECONDS)
        second.result()
    assert kept == people.names()
    assert await place.settles()


@wrong_on(ASYNCPG, NO_TURNS, among=ASYNCIO)
async def test_closing_a_connection_waits(people: People, place: Ground) -> None:
    """The pool gets it back rolled back, and the next user finds it so."""
    connection = await place.engine.connect()
    await connection.execute(people.insert("carl"))
    with place.held():
        first = await place.start(connection.execute(place.waiting))
        second = asyncio.create_task(connection.close())
        await turns()
    await asyncio.wait([first, second], timeout=SECONDS)
    second.result()
    assert await place.settles()
    async with place.engine.begin() as connection:
        await connection.execute(people.insert("dora"))
    assert ["dora"] == people.names()


@wrong_on(ASYNCPG, NO_TURNS, among=ASYNCIO)
async def test_closing_a_session_waits(people: People, place: Ground) -> None:
    """No connection is lost to the pool."""
    session = AsyncSession(place.engine)
    await session.execute(people.insert("carl"))
    with place.held():
        first = await place.start(session.execute(place.waiting))
        second = asyncio.create_task(session.close())
        await turns()
    await asyncio.wait([first, second], timeout=SECONDS)
    second.result()
    assert await place.settles()
    assert [] == people.names()


@on(*ASYNCIO)
async def test_invalidating_a_connection_in_use_ends_it(
    people: People, place: Ground
) -> None:
    """The statement under way fails; the pool opens another connection."""
    async with place.engine.connect() as connection:
        await connection.execute(people.insert("carl"))
        with place.held():
            first = await place.start(connection.execute(place.waiting))
            second = asyncio.create_task(connection.invalidate())
            await asyncio.wait([first, second], timeout=SECONDS)
            second.result()
            assert isinstance(first.exception(), SQLAlchemyError)
    assert await place.settles()
    async with place.engine.begin() as connection:
        await connection.execute(people.insert("dora"))
    assert ["dora"] == people.names()


@wrong_on(ASYNCPG, NO_TURNS_IN_STREAMS, among=ASYNCIO)
async def test_fetch_waits_for_a_statement(people: People, place: Ground) -> None:
    """A stream and a statement in turn, from two tasks, both get what they asked."""
    people.add(120)
    ids = select(people.table.c.id).order_by(people.table.c.id)
    async with place.engine.connect() as connection:
        rows = (await connection.stream(ids)).scalars()
        found = [await anext(rows)]
        with place.held():
            first = await place.start(connection.execute(place.waiting))
            second = asyncio.create_task(rows.all())
            await turns()
            before = second.done()
        await ended(first, second)
        found += second.result()
    assert (False, list(range(1, 121))) == (before, found)
    assert await place.settles()


@wrong_on(ASYNCPG, NO_TURNS_IN_STREAMS, among=ASYNCIO)
async def test_stream_and_statements_of_two_tasks_mix(
    people: People, place: Ground
) -> None:
    """Each task has its own rows, whoever is first."""
    people.add(300)
    table = people.table

    async def stream() -> list[int]:
        statement = select(table.c.id).execution_options(yield_per=7)
        return [row.id async for row in await connection.stream(statement)]

    async def count() -> list[int]:
        found: list[int] = []
        for number in range(30):
            found += await connection.scalars(select(literal(number)))
        return found

    async with place.engine.connect() as connection:
        await connection.execute(select(1))
        rows, counted = await asyncio.gather(stream(), count())
    assert (300, list(range(30))) == (len(set(rows)), counted)
    assert await place.settles()


@wrong_on(ASYNCPG, NO_TURNS, among=ASYNCIO)
async def test_commit_that_waits_its_turn_can_be_cancelled(
    people: People, place: Ground
) -> None:
    """Nothing is committed; SQLAlchemy gives the connection up, whoever is using it."""
    async with place.engine.connect() as connection:
        await connection.execute(people.insert("carl"))
        with place.held():
            first = await place.start(connection.execute(place.waiting))
            second = asyncio.create_task(connection.commit())
            await turns()
            second.cancel()
            await asyncio.wait([second], timeout=SECONDS)
        await asyncio.wait([first], timeout=SECONDS)
    assert (True, []) == (second.cancelled(), people.names())
    assert isinstance(first.exception(), OperationalError)
    assert await place.settles()


@on(*ASYNCIO)
async def test_cancelled_statement_lets_the_next_task_go_on(
    people: People, place: Ground
) -> None:
    """Its connection is given up, and with it what nobody committed."""
    connection = await place.engine.connect()
    await connection.execute(people.insert("carl"))
    with place.held():
        first = await place.start(connection.execute(place.waiting))
        second = asyncio.create_task(connection.rollback())
        await turns()
        first.cancel()
        await asyncio.wait([first, second], timeout=SECONDS)
    await connection.close()
    assert (True, True) == (first.cancelled(), second.done())
    assert await place.settles()
    async with place.engine.begin() as connection:
        await connection.execute(people.insert("dora"))
    assert ["dora"] == people.names()
