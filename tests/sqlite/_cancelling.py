"""Statements that run until they are stopped, and what others see meanwhile."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
from contextlib import asynccontextmanager, contextmanager, suppress
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Integer, column, event, text

from tests.sqlite._dialects import open_async_engine
from tests.sqlite._items import prepare

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator
    from pathlib import Path
    from typing import Any

    from sqlalchemy import TextClause
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")

# Seconds after which a cancellation, or a lock, is none to wait for.
SLOW = 0.5


def _counting(up_to: str, statement: str) -> TextClause:
    """Return a statement that counts first; `running()` says that it has begun."""
    return text(
        "WITH RECURSIVE number(n) AS "  # noqa: S608 - the tests' own words
        f"(SELECT running() UNION ALL SELECT n + 1 FROM number WHERE n < {up_to}), "
        f"total(n) AS (SELECT count(*) FROM number) {statement}"
    )


# Minutes of counting.
ENDLESS = _counting("1e12", "SELECT n FROM total")
ENDLESS_INSERT = _counting("1e12", "INSERT INTO item (name) SELECT 'lost' FROM total")
ENDLESS_INSERTS = _counting("1e12", "INSERT INTO item (name) SELECT :name FROM total")
# A tenth of a second, or a few.
LONG = _counting("1e6", "SELECT n FROM total")
# Nine rows at once, the tenth never.
ENDLESS_STREAM = text(
    "WITH RECURSIVE number(n) AS "
    "(SELECT 1 UNION ALL "
    "SELECT n + CASE n WHEN 9 THEN running() ELSE 1 END FROM number) "
    "SELECT n FROM number WHERE n < 10"
).columns(column("n", Integer))


class Ground:
    """An engine whose connections say when an endless statement runs.

    `running` is set on the loop by SQL's `running()`, and by a statement that
    begins as `awaited` does.
    """

    def __init__(self, engine: AsyncEngine, observer: sqlite3.Connection) -> None:
        """Listen to new connections of an engine."""
        self.engine = engine
        self.running = asyncio.Event()
        self.awaited: str | None = None
        self._observer = observer
        self._opened: list[sqlite3.Connection] = []
        self._loop = asyncio.get_running_loop()
        event.listen(engine.sync_engine, "connect", self._connected)

    def _connected(self, connection: Any, _: object) -> None:
        connection.create_function("running", 0, self._tell)
        sqlite = connection.driver_connection._conn
        sqlite.set_trace_callback(self._trace)
        self._opened.append(sqlite)

    def _tell(self) -> int:
        self._loop.call_soon_threadsafe(self.running.set)
        return 1

    def _trace(self, statement: str) -> None:
        if self.awaited is not None and statement.startswith(self.awaited):
            self._tell()

    async def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin work and return when its endless statement runs."""
        self.running.clear()
        task = asyncio.create_task(work)
        await asyncio.wait_for(self.running.wait(), timeout=5)
        return task

    async def cancel(
        self, work: Coroutine[Any, Any, object], patience: float = SLOW
    ) -> float:
        """Cancel work in its endless statement; return the seconds that it took.

        A statement that goes on for `patience` seconds is ended from outside.
        """
        task = await self.start(work)
        began = perf_counter()
        task.cancel()
        await asyncio.wait([task], timeout=patience)
        seconds = perf_counter() - began
        self.interrupt()
        await asyncio.wait([task], timeout=5)
        assert task.cancelled()
        return seconds

    def interrupt(self) -> None:
        """End whatever runs on the engine's connections."""
        for connection in self._opened:
            with suppress(sqlite3.ProgrammingError):  # it is closed
                connection.interrupt()

    def is_locked(self) -> bool:
        """Say whether another connection waits in vain for the write lock."""
        try:
            self._observer.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        self._observer.rollback()
        return False

    def names(self) -> list[str]:
        """Return what another connection sees in the table."""
        rows = self._observer.execute("SELECT name FROM item ORDER BY id").fetchall()
        return [name for (name,) in rows]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let another connection hold the write lock."""
        self._observer.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            self._observer.rollback()


@asynccontextmanager
async def ground(driver: str, file: Path, **arguments: Any) -> AsyncIterator[Ground]:
    """Lend an engine of an empty table, and end what a test leaves running.

    Nothing is collected meanwhile, so that nothing but the dialect frees a lock.
    """
    engine = open_async_engine(driver, file, **arguments)
    observer = sqlite3.connect(file, timeout=SLOW, isolation_level=None)
    found = Ground(engine, observer)
    async with engine.begin() as connection:
        await connection.run_sync(prepare)
    gc.disable()
    try:
        yield found
    finally:
        gc.enable()
        found.interrupt()
        observer.close()
        await engine.dispose()
