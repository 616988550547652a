"""A statement that runs until it is let go, while other tasks use its connection."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar, cast

from sqlalchemy import event, func, select
from sqlalchemy.util import greenlet_spawn

from tests.postgresql._dialects import open_async_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from typing import Any

    from sqlalchemy import QueuePool
    from sqlalchemy.ext.asyncio import AsyncEngine

    from tests.postgresql._people import Observer

T = TypeVar("T")

_NUMBERS = itertools.count(1)
SECONDS = 5.0


class Ground:
    """An engine whose backends are known by a name, and a lock to wait for.

    `waiting` is a statement that ends when the observer lets the lock go.
    """

    def __init__(self, engine: AsyncEngine, observer: Observer, name: str) -> None:
        """Take the engine, and the name that its backends have."""
        self.engine = engine
        self.name = name
        self._observer = observer
        self._key = observer.info.backend_pid * 1000 + next(_NUMBERS)
        self.waiting = select(func.pg_advisory_xact_lock(self._key))
        self._lent: list[Any] = []
        event.listen(engine.sync_engine, "checkout", self._checked_out)

    def _checked_out(self, _: object, __: object, pooled: object) -> None:
        self._lent.append(pooled)

    async def end(self) -> None:
        """Close all, also what a stock dialect has lost: not the garbage collector."""
        for pooled in self._lent:
            if pooled.is_valid:
                await greenlet_spawn(pooled.invalidate)
        await self.engine.dispose()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the length of the block."""
        self._observer.execute("SELECT pg_advisory_lock(%s)", [self._key])
        try:
            yield
        finally:
            self._observer.execute("SELECT pg_advisory_unlock(%s)", [self._key])

    async def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin work, and return when the server waits for the lock."""
        task = asyncio.create_task(work)
        assert await becomes(lambda: self._is_waited_for() or task.done())
        assert not task.done(), task.exception()
        return task

    def _is_waited_for(self) -> bool:
        found = self._observer.execute(
            "SELECT 1 FROM pg_stat_activity "
            "WHERE application_name = %s AND wait_event_type = 'Lock'",
            [self.name],
        )
        return found.fetchone() is not None

    def states(self) -> list[str]:
        """Return the states of the engine's backends, as the server sees them."""
        rows: list[tuple[str]] = self._observer.execute(
            "SELECT state FROM pg_stat_activity WHERE application_name = %s",
            [self.name],
        ).fetchall()
        return [state for (state,) in rows]

    async def settles(self) -> bool:
        """Say whether the pool has all its connections, and the server only idle ones.

        Soon: a backend that is told to end takes its time.
        """

        def settled() -> bool:
            pool = cast("QueuePool", self.engine.pool)
            return pool.checkedout() == 0 and set(self.states()) <= {"idle"}

        return await becomes(settled)


async def becomes(condition: Callable[[], bool]) -> bool:
    """Say whether a condition comes to hold within some seconds; the loop goes on."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0)
    return True


async def turns() -> None:
    """Let all that can go on without the server go on."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def ground(
    driver: str, url: str, observer: Observer, **arguments: Any
) -> AsyncIterator[Ground]:
    """Lend an engine of one connection, with a name of its own for the server."""
    name = f"async_layers {observer.info.backend_pid} {next(_NUMBERS)}"
    engine = open_async_engine(
        driver,
        url,
        connect_args={"server_settings": {"application_name": name}},
        **{"pool_size": 1, "max_overflow": 0, "pool_timeout": 1} | arguments,
    )
    place = Ground(engine, observer, name)
    try:
        yield place
    finally:
        await place.end()
