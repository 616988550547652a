"""Facts of transactions that survive: their outcome, and what happens after it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select
from sqlalchemy.exc import TimeoutError  # noqa: A004 - the pool's

from async_layers import (
    Outcome,
    Retry,
    async_engine_scope,
    async_on_commit,
    async_run_transaction,
    async_run_unit_of_work,
    async_savepoint,
    async_transaction,
    async_unit_of_work,
    attempt_number,
)
from async_layers.patterns.tables import Account

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import (
        AsyncConnection,
        AsyncEngine,
        AsyncSession,
        async_sessionmaker,
    )

# Accounts 1 (anna, 100) and 2 (bert, 50) are there when a fact begins.
CARL = {"id": 3, "owner": "carl", "balance": 10}


# The outcome


async def outcome_of_commit(engine: AsyncEngine) -> Outcome | None:
    """A scope that has committed says so."""
    scope = async_transaction(engine)
    async with scope as connection:
        await connection.execute(insert(Account), CARL)
    return scope.outcome


async def outcome_of_rollback(engine: AsyncEngine) -> tuple[Outcome | None, list[str]]:
    """A scope that has rolled back says so, and so does the exception."""
    scope = async_transaction(engine)
    try:
        async with scope as connection:
            await connection.execute(insert(Account), CARL)
            raise LookupError  # noqa: TRY301 - it leaves the scope first
    except LookupError as error:
        return scope.outcome, error.__notes__


async def outcome_of_unit_of_work(
    factory: async_sessionmaker[AsyncSession],
) -> Outcome | None:
    """A unit of work that has committed says so."""
    scope = async_unit_of_work(factory)
    async with scope as session:
        session.add(Account(**CARL))
    return scope.outcome


async def outcome_of_savepoint(
    engine: AsyncEngine,
) -> tuple[Outcome | None, Outcome | None]:
    """A savepoint is released or rolled back; the transaction around it decides."""
    async with async_transaction(engine) as connection:
        released, rolled_back = async_savepoint(connection), async_savepoint(connection)
        async with released:
            await connection.execute(insert(Account), CARL)
        try:
            async with rolled_back:
                raise LookupError  # noqa: TRY301 - it leaves the scope first
        except LookupError:
            return released.outcome, rolled_back.outcome


# After the commit


async def hooks_after_commit(engine: AsyncEngine) -> list[object]:
    """Hooks run in their order after the commit, when the connection is back."""
    said = list[object]()

    async def count() -> None:
        async with async_transaction(engine) as connection:
            said.append(await connection.scalar(select(func.count(Account.id))))

    async with async_transaction(engine) as connection:
        async_on_commit(connection, said.append, "committed")
        async_on_commit(connection, count)
        await connection.execute(insert(Account), CARL)
    return said


async def hooks_after_rollback(
    factory: async_sessionmaker[AsyncSession],
) -> list[object]:
    """Hooks do not run after a rollback."""
    said = list[object]()
    try:
        async with async_unit_of_work(factory) as session:
            session.add(Account(**CARL))
            async_on_commit(session, said.append, "committed")
            await session.flush()
            raise LookupError  # noqa: TRY301 - it leaves the scope first
    except LookupError:
        return said


async def hooks_of_savepoints(engine: AsyncEngine) -> list[object]:
    """A hook within a savepoint that is rolled back is dropped with it."""
    said = list[object]()
    async with async_transaction(engine) as connection:
        async with async_savepoint(connection):
            async_on_commit(connection, said.append, "released")
        nested = await connection.begin_nested()
        async_on_commit(connection, said.append, "rolled back")
        await nested.rollback()
    return said


async def hooks_that_fail(engine: AsyncEngine) -> list[object]:
    """A hook that fails undoes nothing, stops no other, and reaches the caller."""
    said = list[object]()
    try:
        async with async_transaction(engine) as connection:
            async_on_commit(connection, int, "no number")
            async_on_commit(connection, said.append, "committed")
            await connection.execute(insert(Account), CARL)
    except ExceptionGroup as group:
        said.append(group.message)
    return said


# Implicit I/O


async def refresh_of_one_attribute(factory: async_sessionmaker[AsyncSession]) -> int:
    """A refresh loads the attribute that it names, where reading it cannot."""
    async with factory() as session:
        account = await session.get_one(Account, 1)
        await session.refresh(account, ["entries"])
        return len(account.entries)


# Running again

AGAIN = Retry(wait_initial=0, retryable=lambda error: isinstance(error, LookupError))


async def run_again_as_a_whole(engine: AsyncEngine) -> int:
    """A transaction that fails is run again as a whole: what it wrote is there once."""

    async def work(connection: AsyncConnection) -> int:
        await connection.execute(insert(Account), CARL)
        if attempt_number() == 1:
            raise LookupError
        return attempt_number()

    return await async_run_transaction(engine, work, retry=AGAIN)


async def run_again_with_a_fresh_session(
    factory: async_sessionmaker[AsyncSession],
) -> int:
    """Each attempt has a session of its own, without what an earlier one changed."""

    async def work(session: AsyncSession) -> int:
        account = await session.get_one(Account, 1)
        account.balance += 1
        if attempt_number() == 1:
            raise LookupError
        return account.balance

    return await async_run_unit_of_work(factory, work, retry=AGAIN)


async def run_inside_a_transaction(engine: AsyncEngine) -> None:
    """A call inside an open transaction is refused: it is no whole."""
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account), CARL)
        await async_run_transaction(
            engine, lambda inner: inner.execute(insert(Account), CARL)
        )


# The deadline


async def deadline_in_time(engine: AsyncEngine) -> Outcome | None:
    """A scope that ends within its deadline is as any other; PostgreSQL is told it."""
    scope = async_transaction(engine, deadline=60)
    async with scope as connection:
        await connection.execute(insert(Account), CARL)
    return scope.outcome


async def deadline_that_is_over(engine: AsyncEngine) -> None:
    """A scope whose time is over asks for nothing, not even for a connection."""
    async with async_transaction(engine, deadline=1e-9) as connection:
        await connection.execute(insert(Account), CARL)


# The pool


async def pool_names_who_holds_it(engine: AsyncEngine) -> bool:
    """The error of an exhausted pool names the line that has each connection."""
    one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01}
    async with async_engine_scope(engine.url, **one) as small, async_transaction(small):
        try:
            async with async_transaction(small):
                return False
        except TimeoutError as error:
            return "in pool_names_who_holds_it, " in str(error)


# The guard


async def rollback_by_another(engine: AsyncEngine) -> str:
    """A rollback by another is refused while who began lives: nothing is lost."""
    async with async_transaction(engine) as connection:

        async def roll_back() -> None:
            await connection.rollback()

        await connection.execute(insert(Account), CARL)
        (refused,) = await asyncio.gather(roll_back(), return_exceptions=True)
    return type(refused).__name__
