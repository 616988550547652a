"""Import a CSV file of thousands of lines: all of it, or nothing.

A line that cannot be read is reported with its number, and nothing is kept.
"""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING

from _program import database
from _tables_async import async_tables
from _weather import FILE, parse, reading
from sqlalchemy import func, select

from async_layers import (
    async_engine_scope,
    async_insert_rows,
    async_read,
    async_stream,
    async_transaction,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy.ext.asyncio import AsyncEngine


async def load(engine: AsyncEngine, lines: Iterable[str]) -> None:
    """Import all lines, or none."""
    try:
        async with async_transaction(engine, write=True) as connection:
            count = await async_insert_rows(connection, reading, parse(lines))
        print(f"Imported {count} rows.")
    except ValueError as error:
        print(f"Refused {error}.")
    async with async_read(engine) as connection:
        total = await connection.scalar(select(func.count()).select_from(reading))
    print(f"The table has {total} rows.")


async def summarize(engine: AsyncEngine) -> None:
    """Print a line for each station, as the rows arrive."""
    station, celsius = reading.c.station, reading.c.celsius
    what = station, func.min(celsius), func.max(celsius), func.sum(reading.c.rain_mm)
    query = select(*what).group_by(station).order_by(station)
    async with async_stream(engine, query, batch=2) as batches:
        async for rows in batches:
            for name, coldest, warmest, rain in rows:
                print(f"{name:<11}{coldest} to {warmest} C, {rain} mm of rain")


async def main(url: str) -> None:
    """Import a file with a mistake on its last line, then without, and sum it up."""
    async with (
        async_engine_scope(url, connect_timeout=5) as engine,
        async_tables(engine, reading.metadata),
    ):
        # Reading a line blocks for less time than sending its row takes.
        with FILE.open(encoding="utf-8", newline="") as lines:
            await load(engine, chain(lines, ["Harbour,2024-02-30,8.1,0.0"]))
        with FILE.open(encoding="utf-8", newline="") as lines:
            await load(engine, lines)
        await summarize(engine)


if __name__ == "__main__":
    with database(__doc__) as url:
        asyncio.run(main(url))
