"""The helpers by which tasks transfer: each notes what it is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

from async_layers import (
    async_on_commit,
    async_run_transaction,
    async_run_unit_of_work,
    async_sessionmaker,
    async_transaction,
    async_unit_of_work,
)
from tests.faults._load import RETRY, told

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

    from tests.faults._bank import Step
    from tests.faults._book import Attempt

Way: TypeAlias = "Callable[[AsyncEngine, Attempt, list[Step]], Awaitable[None]]"


async def by_transaction(
    engine: AsyncEngine, attempt: Attempt, steps: list[Step]
) -> None:
    """Transfer in a transaction of the connection."""
    scope = async_transaction(engine, deadline=attempt.deadline)
    await _note(attempt, scope, lambda: _in(scope, attempt, steps))


async def by_unit_of_work(
    engine: AsyncEngine, attempt: Attempt, steps: list[Step]
) -> None:
    """Transfer in a transaction of a session."""
    scope = async_unit_of_work(async_sessionmaker(engine), deadline=attempt.deadline)
    await _note(attempt, scope, lambda: _in(scope, attempt, steps))


async def by_run_transaction(
    engine: AsyncEngine, attempt: Attempt, steps: list[Step]
) -> None:
    """Transfer in a transaction of the connection that is run again."""
    with told(attempt):
        await async_run_transaction(
            engine, _do, attempt, steps, retry=RETRY, deadline=attempt.deadline
        )


async def by_run_unit_of_work(
    engine: AsyncEngine, attempt: Attempt, steps: list[Step]
) -> None:
    """Transfer in a transaction of a session that is run again."""
    with told(attempt):
        await async_run_unit_of_work(
            async_sessionmaker(engine),
            _do,
            attempt,
            steps,
            retry=RETRY,
            deadline=attempt.deadline,
        )


async def _note(
    attempt: Attempt, scope: Any, transfer: Callable[[], Awaitable[None]]
) -> None:
    try:
        await transfer()
    finally:
        attempt.outcome = scope.outcome and scope.outcome.value


async def _in(scope: Any, attempt: Attempt, steps: list[Step]) -> None:
    async with scope as opened:
        await _do(opened, attempt, steps)


async def _do(
    opened: AsyncConnection | AsyncSession, attempt: Attempt, steps: list[Step]
) -> None:
    async_on_commit(opened, _hear, attempt)
    for statement, parameters in steps:
        await opened.execute(statement, parameters)


async def _hear(attempt: Attempt) -> None:
    await asyncio.sleep(0)  # a hook is awaited, also where its task is cancelled
    attempt.hear()


WAYS: tuple[Way, ...] = (
    by_transaction,
    by_unit_of_work,
    by_run_transaction,
    by_run_unit_of_work,
)
