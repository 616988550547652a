"""Several tasks at once: on one session, on one connection, in a group that fails."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import literal, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncSession

from tests.postgresql._dialects import ASYNCIO, on
from tests.postgresql._tasks import becomes

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from tests.postgresql._people import People
    from tests.postgresql._tasks import Ground

pytestmark = on(*ASYNCIO)


async def test_statements_of_a_connected_session_are_run_in_turn(place: Ground) -> None:
    """Each task gets the row that it asked for."""
    async with AsyncSession(place.engine) as session:
        await session.connection()
        found = await asyncio.gather(
            *(session.scalar(select(literal(number))) for number in range(20))
        )
    assert list(range(20)) == found
    assert await place.settles()


async def test_first_statements_of_a_session_at_once_are_refused(
    place: Ground,
) -> None:
    """One of them connects, SQLAlchemy refuses the others, and nothing is lost."""
    async with AsyncSession(place.engine) as session:
        found = await asyncio.gather(
            *(session.scalar(select(literal(number))) for number in range(3)),
            return_exceptions=True,
        )
    assert [0, InvalidRequestError, InvalidRequestError] == [
        type(one) if isinstance(one, Exception) else one for one in found
    ]
    assert await place.settles()


async def test_rows_of_all_tasks_are_in_the_transaction(
    people: People, place: Ground
) -> None:
    """A connection has one transaction, whichever tasks write in it."""
    names = ["anna", "bert", "carl", "dora"]
    async with place.engine.begin() as connection:
        writes = (connection.execute(people.insert(name)) for name in names)
        await asyncio.gather(*writes)
    assert names == people.names()


async def test_group_that_fails_commits_nothing(people: People, place: Ground) -> None:
    """The sibling of the task that fails is cancelled in its statement."""

    async def fails(task: asyncio.Task[object]) -> None:
        assert not task.done()
        raise LookupError

    async with place.engine.connect() as connection:
        await connection.execute(people.insert("carl"))
        with place.held():
            waiting = await place.start(connection.execute(place.waiting))
            with pytest.raises(ExceptionGroup) as caught:
                async with asyncio.TaskGroup() as group:
                    group.create_task(watched(waiting))
                    group.create_task(fails(waiting))
    assert [LookupError] == [type(one) for one in caught.value.exceptions]
    assert (True, []) == (waiting.cancelled(), people.names())
    assert await place.settles()


async def watched(task: asyncio.Task[object]) -> None:
    """Wait for a task, and cancel it with oneself."""
    try:
        await task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_statement_that_times_out_is_cancelled_on_the_server(
    people: People, place: Ground
) -> None:
    """No backend goes on with it, and the next user finds none of its rows."""
    with place.held(), pytest.raises(TimeoutError):
        async with place.engine.begin() as connection:
            await connection.execute(people.insert("carl"))
            async with asyncio.timeout(0.05):
                await connection.execute(place.waiting)
    assert await becomes(lambda: set(place.states()) <= {"idle"})
    async with place.engine.begin() as connection:
        await connection.execute(people.insert("dora"))
    assert ["dora"] == people.names()


async def test_users_of_a_pool_wait_for_one_another(
    people: People, place: Ground
) -> None:
    """Ten tasks, one connection: each has its own transaction, one after another."""

    async def write(number: int) -> None:
        async with place.engine.begin() as connection:
            statement = people.table.insert().values(id=number, name=f"{number}")
            await connection.execute(statement)
            if number % 2:
                await connection.rollback()

    await asyncio.gather(*(write(number) for number in range(10)))
    assert ["0", "2", "4", "6", "8"] == people.names()
    assert await place.settles()


@pytest.mark.parametrize("at", ["execute", "commit"])
async def test_connection_survives_a_cancellation_before_its_turn(
    people: People, place: Ground, at: str
) -> None:
    """A task that is cancelled before it began has asked for nothing."""

    async def never(connection: AsyncConnection) -> None:
        if at == "execute":
            await connection.execute(people.insert("dora"))
        else:
            await connection.commit()

    async with place.engine.begin() as connection:
        await connection.execute(people.insert("carl"))
        task = asyncio.create_task(never(connection))
        task.cancel()
        await asyncio.wait([task])
    assert (True, ["carl"]) == (task.cancelled(), people.names())
