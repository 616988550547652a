"""Move money between accounts, and see that it is never in two places or in none.

The database refuses a balance below zero. What happens then depends on where the
error is caught: around a savepoint, or around the transaction.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from _program import database
from _tables_async import async_tables
from sqlalchemy import Integer, String, insert, select, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.schema import CheckConstraint, Column, MetaData, Table

from async_layers import (
    async_engine_scope,
    async_read,
    async_savepoint,
    async_transaction,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

# MySQL's drivers know a CHECK by the second name.
REFUSED = (IntegrityError, OperationalError)

account = Table(
    "example_account",
    MetaData(),
    Column("owner", String(20), primary_key=True),
    Column("balance", Integer, nullable=False),
    CheckConstraint("balance >= 0", name="example_account_not_overdrawn"),
)


async def pay(connection: AsyncConnection, payer: str, payee: str, amount: int) -> None:
    """Move an amount; raise one of REFUSED if the payer does not have it.

    The payee is paid first: if the payer cannot pay, there is something to undo.
    """
    for owner, change in ((payee, amount), (payer, -amount)):
        await connection.execute(
            update(account)
            .where(account.c.owner == owner)
            .values(balance=account.c.balance + change)
        )


async def balances(connection: AsyncConnection) -> str:
    """Tell what a connection sees."""
    query = select(account.c.owner, account.c.balance).order_by(account.c.owner)
    rows = await connection.execute(query)
    return ", ".join(f"{owner} {balance}" for owner, balance in rows)


async def others(engine: AsyncEngine) -> str:
    """Tell what another connection sees."""
    async with async_read(engine) as connection:
        return await balances(connection)


async def commit(engine: AsyncEngine) -> None:
    """Leave the block: both changes are kept."""
    async with async_transaction(engine, write=True) as connection:
        await pay(connection, "Ada", "Ben", 30)
    print(f"Ada pays Ben 30.             All see {await others(engine)}.")


async def undo_a_part(engine: AsyncEngine) -> None:
    """Catch the error around a savepoint: the transaction goes on without it."""
    async with async_transaction(engine, write=True) as connection:
        await pay(connection, "Ada", "Ben", 20)
        try:
            async with async_savepoint(connection):
                await pay(connection, "Ada", "Ben", 500)
        except REFUSED:
            print("Ada pays Ben 20 and 500:     500 is refused, 20 stands.")
    print(f"The transaction commits.     All see {await others(engine)}.")


async def undo_all(engine: AsyncEngine) -> None:
    """Catch the error around the transaction: nothing of it is kept."""
    try:
        async with async_transaction(engine, write=True) as connection:
            await pay(connection, "Ada", "Ben", 10)
            print(f"Ada pays Ben 10, not kept.   It sees {await balances(connection)}.")
            await pay(connection, "Ada", "Ben", 500)
    except REFUSED:
        print("Ada pays Ben 500:            refused, all is undone.")
    print(f"The transaction rolls back.  All see {await others(engine)}.")


async def main(url: str) -> None:
    """Open two accounts and move money between them."""
    async with (
        async_engine_scope(url, connect_timeout=5) as engine,
        async_tables(engine, account.metadata),
    ):
        async with async_transaction(engine) as connection:
            opened = [{"owner": "Ada", "balance": 100}, {"owner": "Ben", "balance": 0}]
            await connection.execute(insert(account), opened)
        await commit(engine)
        await undo_a_part(engine)
        await undo_all(engine)


if __name__ == "__main__":
    with database(__doc__) as url:
        asyncio.run(main(url))
