"""The sides that do the same work on SQLite, each on a database file of its own.

All have foreign keys, WAL, the same `synchronous` and a busy timeout of five seconds
(sqlite3's own); the stock engines are otherwise as SQLAlchemy makes them.
"""

from __future__ import annotations

import asyncio
import shutil
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest.mock import patch

import aiosqlite
import sqlalchemy
import sqlalchemy.ext.asyncio
from sqlalchemy import event

import async_layers
from tests.benchmarks import bench_sqlite, bench_sqlite_async, bench_sqlite_raw
from tests.benchmarks._table import create
from tests.benchmarks.bench_helpers import times
from tests.benchmarks.bench_helpers_async import times as async_times

if TYPE_CHECKING:
    from asyncio import Runner
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from sqlalchemy import Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection

STORED = 100_000
STOCK, OURS = "stock", "ours"
TO_THREAD_STOCK, TO_THREAD_OURS = "to_thread stock", "to_thread ours"
ASYNC_STOCK, ASYNC_OURS = "async stock", "async ours"
ALONE, HOP = "aiosqlite alone", "hop"


@contextmanager
def database() -> Iterator[Path]:
    """Lend a folder with a full database, `full.db`, to be copied."""
    with TemporaryDirectory() as directory:
        path = Path(directory, "full.db")
        engine = sqlalchemy.create_engine(f"sqlite+pysqlite:///{path}")
        with engine.begin() as connection:
            create(connection, STORED)
        engine.dispose()
        yield path


@contextmanager
def sides(
    runner: Runner, full: Path, what: str, synchronous: str
) -> Iterator[Mapping[str, Callable[[int], None]]]:
    """Lend what each side does, to be called with how many times to do it."""
    with ExitStack() as stack, TemporaryDirectory(dir=full.parent) as directory:

        def copied(side: str) -> Path:
            return Path(shutil.copy(full, Path(directory, f"{side}.db")))

        units = {
            side: _blocking(stack, side, copied(side), what, synchronous)
            for side in (STOCK, OURS, TO_THREAD_STOCK, TO_THREAD_OURS)
        }
        works = {side: times(units[side]) for side in (STOCK, OURS)}
        for side in (TO_THREAD_STOCK, TO_THREAD_OURS):
            works[side] = async_times(runner, _threaded(units[side]))
        opened = AsyncExitStack()
        stack.callback(lambda: runner.run(opened.aclose()))
        for side in (ASYNC_STOCK, ASYNC_OURS):
            unit = _asyncio(opened, side, copied(side), what, synchronous)
            works[side] = async_times(runner, runner.run(unit))
        alone, hop = runner.run(_alone(opened, copied(ALONE), what, synchronous))
        yield {
            **works,
            ALONE: async_times(runner, alone),
            HOP: async_times(runner, hop),
        }


def trips(runner: Runner, full: Path, what: str) -> Mapping[str, int]:
    """Count how often a unit of each asyncio side asks aiosqlite's thread."""
    puts = [0]

    class Counted(SimpleQueue[object]):
        def put_nowait(self, item: object) -> None:
            puts[0] += 1
            super().put_nowait(item)

        def put(self, item: object, *_: object) -> None:
            puts[0] += 1
            super().put(item)

    async def one(side: str) -> int:
        async with AsyncExitStack() as opened:
            directory = opened.enter_context(TemporaryDirectory(dir=full.parent))
            path = Path(shutil.copy(full, directory))
            unit = await _asyncio(opened, side, path, what, "FULL")
            for _ in range(2):
                await unit()
            before = puts[0]
            await unit()
            return puts[0] - before

    with patch("aiosqlite.core.SimpleQueue", Counted):
        return {side: runner.run(one(side)) for side in (ASYNC_STOCK, ASYNC_OURS)}


def _blocking(
    stack: ExitStack, side: str, path: Path, what: str, synchronous: str
) -> Callable[[], None]:
    if side in {STOCK, TO_THREAD_STOCK}:
        engine = sqlalchemy.create_engine(f"sqlite+pysqlite:///{path}")
        _set_up_stock(engine)
    else:
        engine = async_layers.create_engine(f"sqlite:///{path}")
    _tell(engine, f"PRAGMA synchronous = {synchronous}")
    stack.callback(engine.dispose)
    return stack.enter_context(bench_sqlite.UNITS[what](engine))


def _threaded(unit: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    """Return a unit that is done in a thread, all of it in one call."""

    async def threaded() -> None:
        await asyncio.to_thread(unit)

    return threaded


async def _asyncio(
    opened: AsyncExitStack, side: str, path: Path, what: str, synchronous: str
) -> Callable[[], Awaitable[None]]:
    if side == ASYNC_STOCK:
        engine = sqlalchemy.ext.asyncio.create_async_engine(
            f"sqlite+aiosqlite:///{path}"
        )
        _set_up_stock(engine.sync_engine)
    else:
        engine = async_layers.create_async_engine(f"sqlite:///{path}")
    _tell(engine.sync_engine, f"PRAGMA synchronous = {synchronous}")
    opened.push_async_callback(engine.dispose)
    return await opened.enter_async_context(bench_sqlite_async.UNITS[what](engine))


async def _alone(
    opened: AsyncExitStack, path: Path, what: str, synchronous: str
) -> tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]:
    """Return the unit of aiosqlite alone, and a trip of its own."""
    connection = await opened.enter_async_context(aiosqlite.connect(path))
    for pragma in (*_STOCK_PRAGMAS, f"PRAGMA synchronous = {synchronous}"):
        await connection.execute(pragma)
    return (
        bench_sqlite_raw.UNITS[what](connection),
        bench_sqlite_raw.hop(connection),
    )


_STOCK_PRAGMAS = ("PRAGMA journal_mode = WAL", "PRAGMA foreign_keys = ON")


def _set_up_stock(engine: Engine) -> None:
    for pragma in _STOCK_PRAGMAS:
        _tell(engine, pragma)


def _tell(engine: Engine, pragma: str) -> None:
    def connect(connection: DBAPIConnection, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute(pragma)
        cursor.close()

    event.listen(engine, "connect", connect)
