"""The tables of an example, for the length of a block."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from async_layers import async_transaction

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import MetaData
    from sqlalchemy.ext.asyncio import AsyncEngine


@asynccontextmanager
async def async_tables(engine: AsyncEngine, metadata: MetaData) -> AsyncIterator[None]:
    """Create the tables, and drop them on every way out.

    A table that exists already is an error, and stays: it may be yours.
    """
    async with async_transaction(engine) as connection:
        await connection.run_sync(metadata.create_all, checkfirst=False)
    try:
        yield
    finally:
        async with async_transaction(engine) as connection:
            await connection.run_sync(metadata.drop_all)
