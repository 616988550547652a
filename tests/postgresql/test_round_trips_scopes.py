"""What outcome, guard and holders add to a scope: no round trip, in either world."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text

from async_layers import (
    Outcome,
    async_engine_scope,
    async_read,
    async_run_transaction,
    async_sessionmaker,
    async_transaction,
    async_unit_of_work,
    engine_scope,
    read,
    run_transaction,
    sessionmaker,
    transaction,
    unit_of_work,
)

if TYPE_CHECKING:
    from tests.postgresql._proxy import Proxy


ONE = text("SELECT 1")


def test_scopes_take_their_round_trips(proxy: Proxy) -> None:
    """A read is one trip, a transaction of one statement three, in any scope."""
    with engine_scope(proxy.url) as engine:
        with read(engine) as connection:
            connection.execute(ONE)
        with proxy.counting() as reading, read(engine) as connection:
            connection.execute(ONE)
        scope = transaction(engine)
        with proxy.counting() as once, scope as connection:
            connection.execute(ONE)
        with proxy.counting() as work, unit_of_work(sessionmaker(engine)) as session:
            session.execute(ONE)
        with proxy.counting() as run:
            run_transaction(engine, lambda connection: connection.execute(ONE))
    assert scope.outcome is Outcome.COMMITTED
    counted = [each.round_trips for each in (reading, once, work, run)]
    assert [1, 3, 3, 3] == counted


async def test_asyncio_scopes_take_their_round_trips(proxy: Proxy) -> None:
    """A read is one trip, a transaction of one statement three, in any scope."""
    async with async_engine_scope(proxy.url) as engine:
        async with async_read(engine) as connection:
            await connection.execute(ONE)
        with proxy.counting() as reading:
            async with async_read(engine) as connection:
                await connection.execute(ONE)
        scope = async_transaction(engine)
        with proxy.counting() as once:
            async with scope as connection:
                await connection.execute(ONE)
        with proxy.counting() as work:
            async with async_unit_of_work(async_sessionmaker(engine)) as session:
                await session.execute(ONE)
        with proxy.counting() as run:
            await async_run_transaction(
                engine, lambda connection: connection.execute(ONE)
            )
    assert scope.outcome is Outcome.COMMITTED
    counted = [each.round_trips for each in (reading, once, work, run)]
    assert [1, 3, 3, 3] == counted
