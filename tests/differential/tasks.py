"""Two threads, or two tasks, at one connection."""
# ruff: noqa: D401 - a scenario says what is, it orders nothing

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from tests.differential._catalogue import cases
from tests.differential._ground import ITEM, do

if TYPE_CHECKING:
    from tests.differential._ground import Ground

_SLOW = text("SELECT 1 FROM pg_sleep(0.1)")
_NEW = ITEM.insert().values(id=4)


@cases("commit", "rollback", "close")
def beside_a_statement(ground: Ground, what: str) -> object:
    """What ends the transaction waits for the statement that another runs."""
    connection, told = ground.engine.connect(), list[Any]()
    connection.execute(_NEW)

    def other() -> None:
        told.append(ground.attempt(do, connection, _SLOW))

    with ground.meanwhile(other):
        ground.wait_until_busy()
        end = ground.attempt(getattr(connection, what))
    connection.close()
    with ground.engine.connect() as again:
        return [told, end, again.execute(text("SELECT 1")).all()]


async def beside_a_statement_async(ground: Ground, what: str) -> object:
    """What ends the transaction waits for the statement that another runs."""
    connection = await ground.async_engine.connect()
    await connection.execute(_NEW)
    other = asyncio.ensure_future(ground.attempt_async(connection.execute(_SLOW)))
    await asyncio.to_thread(ground.wait_until_busy)
    end = await ground.attempt_async(getattr(connection, what)())
    told = await other
    await connection.close()
    async with ground.async_engine.connect() as again:
        rows = (await again.execute(text("SELECT 1"))).all()
        return [[told if type(told).__name__ == "Seen" else None], end, rows]


def two_statements(ground: Ground) -> object:
    """Two statements run one after the other."""
    told = list[Any]()
    with ground.engine.connect() as connection:

        def other() -> None:
            told.append(ground.attempt(lambda: connection.execute(_SLOW).all()))

        with ground.meanwhile(other):
            ground.wait_until_busy()
            mine = ground.attempt(do, connection, _NEW)
        connection.commit()
    return [told, mine]


async def two_statements_async(ground: Ground) -> object:
    """Two statements run one after the other."""
    async with ground.async_engine.connect() as connection:

        async def other() -> object:
            return (await connection.execute(_SLOW)).all()

        async def insert() -> None:
            await connection.execute(_NEW)

        task = asyncio.ensure_future(ground.attempt_async(other()))
        await asyncio.to_thread(ground.wait_until_busy)
        mine = await ground.attempt_async(insert())
        told = await task
        await connection.commit()
        return [[told], mine]
