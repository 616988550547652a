"""The sides that do the same work on SQLite, each on a database file of its own."""

from __future__ import annotations

import asyncio
import shutil
import time
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest.mock import patch

import sqlalchemy

from tests.benchmarks._measure import Sample
from tests.benchmarks._opening import (
    ALONE,
    ASYNC_OURS,
    ASYNC_STOCK,
    HOP,
    OURS,
    STOCK,
    TO_THREAD_OURS,
    TO_THREAD_STOCK,
    open_alone,
    open_asyncio,
    open_blocking,
)
from tests.benchmarks._table import create
from tests.benchmarks.bench_helpers import times

if TYPE_CHECKING:
    from asyncio import Runner
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    Work = Callable[[int], Sample | None]


STORED = 100_000
FEWEST_HOPS = 500  # a single one, by a thread that is not warm, says little


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
) -> Iterator[Mapping[str, Work]]:
    """Lend what each side does, to be called with how many times to do it."""
    with TemporaryDirectory(dir=full.parent) as directory, ExitStack() as stack:

        def copied(side: str) -> Path:
            return Path(shutil.copy(full, Path(directory, f"{side}.db")))

        units = {
            side: open_blocking(stack, side, copied(side), what, synchronous)
            for side in (STOCK, OURS, TO_THREAD_STOCK, TO_THREAD_OURS)
        }
        works: dict[str, Work] = {side: times(units[side]) for side in (STOCK, OURS)}
        for side in (TO_THREAD_STOCK, TO_THREAD_OURS):
            works[side] = _awaited(runner, _threaded(units[side]))
        opened = AsyncExitStack()
        stack.callback(lambda: runner.run(opened.aclose()))
        for side in (ASYNC_STOCK, ASYNC_OURS):
            unit = open_asyncio(opened, side, copied(side), what, synchronous)
            works[side] = _awaited(runner, runner.run(unit))
        alone, hop = runner.run(open_alone(opened, copied(ALONE), what, synchronous))
        works[ALONE] = _awaited(runner, alone)
        works[HOP] = _awaited(runner, hop, FEWEST_HOPS)
        yield works


def _awaited(
    runner: Runner, unit: Callable[[], Awaitable[None]], fewest: int = 1
) -> Work:
    """Return what takes its own sample; to start a loop is not part of it."""

    async def call(count: int) -> Sample:
        start = time.perf_counter(), time.process_time()
        for _ in range(count):
            await unit()
        return Sample(time.perf_counter() - start[0], time.process_time() - start[1])

    def work(count: int) -> Sample:
        done = max(count, fewest)
        taken = runner.run(call(done))
        return Sample(taken.clock * count / done, taken.processor * count / done)

    return work


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
            unit = await open_asyncio(opened, side, path, what, "FULL")
            for _ in range(2):
                await unit()
            before = puts[0]
            await unit()
            return puts[0] - before

    with patch("aiosqlite.core.SimpleQueue", Counted):
        return {side: runner.run(one(side)) for side in (ASYNC_STOCK, ASYNC_OURS)}


def _threaded(unit: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    """Return a unit that is done in a thread, all of it in one call."""

    async def threaded() -> None:
        await asyncio.to_thread(unit)

    return threaded
