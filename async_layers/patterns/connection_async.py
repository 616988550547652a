"""Facts of layer 2: the connection and its transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import insert

from async_layers import async_transaction
from async_layers.patterns.tables import Account

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


async def commit_as_you_go(engine: AsyncEngine) -> None:
    """Each commit ends a transaction; the next statement begins another."""
    async with engine.connect() as connection:
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        await connection.commit()
        await connection.execute(insert(Account).values(id=4, owner="dora", balance=20))
        await connection.commit()


async def raise_inside(engine: AsyncEngine) -> None:
    """An exception that leaves the block rolls back and travels on."""
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account).values(id=3, owner="carl", balance=10))
        raise LookupError


async def unique_violation(engine: AsyncEngine) -> None:
    """A statement that violates a constraint fails and rolls back its block."""
    async with async_transaction(engine) as connection:
        await connection.execute(insert(Account).values(id=3, owner="anna", balance=10))
