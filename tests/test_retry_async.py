"""What only asyncio has: a call that is cancelled, and groups of tasks in it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

import pytest
from sqlalchemy import text

from async_layers import (
    Retry,
    async_engine_scope,
    async_run_transaction,
    async_transaction,
    attempt_number,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

WITHIN = 10.0  # seconds


@pytest.fixture
async def engine(sqlite_url: str) -> AsyncIterator[AsyncEngine]:
    """Return an engine with an empty table of numbers."""
    async with async_engine_scope(sqlite_url) as found:
        async with async_transaction(found) as connection:
            await connection.execute(text("CREATE TABLE number (n INTEGER)"))
        yield found


async def add(connection: AsyncConnection, number: int) -> None:
    """Insert a number."""
    await connection.execute(text("INSERT INTO number VALUES (:n)"), {"n": number})


async def numbers(engine: AsyncEngine) -> list[int]:
    """Return the numbers that are there."""
    async with async_transaction(engine) as connection:
        return list(await connection.scalars(text("SELECT n FROM number")))


async def collide(connection: AsyncConnection) -> NoReturn:
    """Write, and fail in a way that is worth another attempt."""
    await add(connection, 1)
    raise LookupError


async def test_a_call_that_is_cancelled_in_a_pause_ends(engine: AsyncEngine) -> None:
    """The cancellation travels on at once, and says how many attempts there were."""
    pausing = asyncio.Event()
    retry = Retry(
        wait_initial=3600,
        wait_max=3600,
        timeout=None,
        retryable=lambda error: isinstance(error, LookupError),
        before_sleep=lambda _: pausing.set(),
    )

    async def twice(connection: AsyncConnection) -> None:
        await collide(connection)

    task = asyncio.create_task(async_run_transaction(engine, twice, retry=retry))
    async with asyncio.timeout(WITHIN):
        await pausing.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert [] == await numbers(engine)


async def test_a_function_that_is_cancelled_is_not_run_again(
    engine: AsyncEngine,
) -> None:
    """What it has done is rolled back, and the cancellation travels on."""
    begun, calls = asyncio.Event(), list[int]()

    async def function(connection: AsyncConnection) -> None:
        calls.append(attempt_number())
        await add(connection, 1)
        begun.set()
        await asyncio.Event().wait()

    retry = Retry(wait_initial=0, retryable=lambda _: True)
    task = asyncio.create_task(async_run_transaction(engine, function, retry=retry))
    async with asyncio.timeout(WITHIN):
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
    assert ([1], []) == (calls, await numbers(engine))
    assert ["The transaction was rolled back."] == caught.value.__notes__


async def in_a_group(*errors: type[Exception] | None) -> None:
    """Raise errors in the tasks of a group, all at once."""
    ready = asyncio.Barrier(len(errors))

    async def work(error: type[Exception] | None) -> None:
        await ready.wait()
        if error is not None:
            raise error

    async with asyncio.TaskGroup() as group:
        for error in errors:
            group.create_task(work(error))


async def test_a_group_is_run_again_if_each_of_its_errors_is(
    engine: AsyncEngine,
) -> None:
    """Tasks of the function that collide are run again with it."""

    async def function(connection: AsyncConnection) -> int:
        await add(connection, attempt_number())
        await in_a_group(*[LookupError if attempt_number() == 1 else None] * 2)
        return attempt_number()

    retry = Retry(
        wait_initial=0, retryable=lambda error: isinstance(error, LookupError)
    )
    assert 2 == await async_run_transaction(engine, function, retry=retry)
    assert [2] == await numbers(engine)


async def test_a_group_with_another_error_is_run_once(engine: AsyncEngine) -> None:
    """One error that is final is final for all."""
    calls = list[int]()

    async def function(_: AsyncConnection) -> None:
        calls.append(attempt_number())
        await in_a_group(LookupError, ValueError)

    retry = Retry(
        wait_initial=0, retryable=lambda error: isinstance(error, LookupError)
    )
    with pytest.raises(ExceptionGroup):
        await async_run_transaction(engine, function, retry=retry)
    assert [1] == calls


async def test_calls_at_the_same_time_count_for_themselves(
    engine: AsyncEngine,
) -> None:
    """The number of an attempt is that of the task's own call."""
    seen = list[tuple[int, int]]()

    async def function(connection: AsyncConnection, failures: int) -> None:
        await connection.scalar(text("SELECT 1"))
        if attempt_number() <= failures:
            raise LookupError
        seen.append((failures, attempt_number()))

    retry = Retry(wait_initial=0, retryable=lambda _: True)
    await asyncio.gather(
        *(async_run_transaction(engine, function, n, retry=retry) for n in range(3))
    )
    assert [(0, 1), (1, 2), (2, 3)] == sorted(seen)
