"""A task that comes too late: its connection went back to the pool while it waited."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import literal, select
from sqlalchemy.exc import SQLAlchemyError

from tests.postgresql._dialects import ASYNCIO, ASYNCPG, wrong_on
from tests.postgresql._tasks import SECONDS, turns

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from tests.postgresql._people import People
    from tests.postgresql._tasks import Ground

NO_TURNS = "close does not wait for a statement under way"
OTHERS = "a portal is asked for, whoever has the connection now"


@wrong_on(ASYNCPG, NO_TURNS, among=ASYNCIO)
@pytest.mark.parametrize("late", ["execute", "stream", "begin_nested"])
async def test_statement_that_waits_behind_a_close_is_refused(
    people: People, place: Ground, late: str
) -> None:
    """It would begin a transaction on a connection that is the pool's again."""
    connection = await place.engine.connect()
    works: dict[str, Callable[[], Awaitable[object]]] = {
        "execute": lambda: connection.execute(people.insert("carl")),
        "stream": lambda: connection.stream(select(literal(1))),
        "begin_nested": lambda: connection.begin_nested().start(),
    }
    with place.held():
        first = await place.start(connection.execute(place.waiting))
        second = asyncio.create_task(connection.close())
        await turns()
        third = asyncio.ensure_future(works[late]())
        await turns()
    await over(first, second, third)
    second.result()
    assert isinstance(third.exception(), SQLAlchemyError)
    assert await place.settles()
    async with place.engine.begin() as connection:
        await connection.execute(people.insert("dora"))
    assert ["dora"] == people.names()


@wrong_on(ASYNCPG, OTHERS, among=ASYNCIO)
async def test_rows_that_nobody_fetched_leave_the_next_user_alone(
    people: People, place: Ground
) -> None:
    """A fetch after the close fails, and not in somebody else's transaction."""
    people.add(90)
    async with place.engine.connect() as connection:
        rows = await connection.stream(select(people.table.c.id))
        await rows.fetchone()
    async with place.engine.begin() as other:
        await other.execute(people.insert("carl"))
        with pytest.raises(SQLAlchemyError):
            await rows.fetchall()
        await other.execute(people.insert("dora"))
    assert ["carl", "dora"] == people.names()[-2:]


@wrong_on(ASYNCPG, NO_TURNS, among=ASYNCIO)
async def test_commit_that_waits_behind_a_close_commits_nothing(
    people: People, place: Ground
) -> None:
    """What the next user of the connection writes is the next user's to commit."""
    connection = await place.engine.connect()
    await connection.execute(people.insert("carl"))
    with place.held():
        first = await place.start(connection.execute(place.waiting))
        second = asyncio.create_task(connection.close())
        await turns()
        third = asyncio.create_task(connection.commit())
        fourth = asyncio.create_task(next_user(people, place))
        await turns()
    tasks = [first, second, third, fourth]
    await over(*tasks)
    second.result()
    assert [True] * 4 == [task.done() for task in tasks]
    assert isinstance(third.exception(), Warning | None)
    assert await place.settles()
    assert [] == people.names()


async def over(*tasks: asyncio.Future[Any]) -> None:
    """Wait until tasks are over, and ask each for its error, so that none is logged."""
    done, _ = await asyncio.wait(tasks, timeout=SECONDS)
    for task in done:
        task.exception()


async def next_user(people: People, place: Ground) -> None:
    """Write, and roll back."""
    async with place.engine.connect() as connection:
        await connection.execute(people.insert("dora"))
        await turns()
