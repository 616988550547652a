"""Count the trips to the threads of aiosqlite's connections, whoever sends them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator


class Trips(logging.Handler):
    """Count the pieces of work that aiosqlite's threads say they begin."""

    def __init__(self) -> None:
        """Begin at none."""
        super().__init__()
        self.count = 0
        self._awaited = -1
        self._reached = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        """Count, and do not format."""
        if record.msg == "executing %s":
            self.count += 1
            if self.count == self._awaited:
                self._loop.call_soon_threadsafe(self._reached.set)

    async def begin(self, number: int) -> None:
        """Wait until a thread begins another trip, the nth from now."""
        self._loop = asyncio.get_running_loop()
        self._awaited = self.count + number
        await asyncio.wait_for(self._reached.wait(), timeout=5)

    async def of(self, work: Awaitable[object]) -> int:
        """Await work and return how many trips it took."""
        before = self.count
        await work
        return self.count - before


@contextmanager
def counted() -> Iterator[Trips]:
    """Lend a counter that hears aiosqlite's log, and nobody besides."""
    logger, counter = logging.getLogger("aiosqlite"), Trips()
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(counter)
    try:
        yield counter
    finally:
        logger.removeHandler(counter)
        logger.setLevel(level)
        logger.propagate = propagate
