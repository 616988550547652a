"""To which event loop a pool's connections belong."""

from __future__ import annotations

from threading import current_thread
from typing import TYPE_CHECKING, Any
from weakref import ref

from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.pool import NullPool, QueuePool

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task

    from sqlalchemy import Engine, Pool


class Home:
    """The event loop of a pool, and the thread that ran it."""

    __slots__ = ("_number", "_thread", "loop")

    loop: ref[AbstractEventLoop]

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.loop = ref(loop)
        self._number = id(loop)
        self._thread = current_thread().name

    def __str__(self) -> str:
        loop = self.loop()
        if loop is None:
            state = "gone"
        elif loop.is_closed():
            state = "closed"
        else:
            state = "running" if loop.is_running() else "at rest"
        return f"loop {self._number:#x} ({state}, thread {self._thread!r})"


def pool_at_home(engine: Engine, task: Task[Any]) -> Pool:
    """Return the engine's pool, or refuse it to another loop than its own.

    A connection waits for its server in one loop. The first that checks one out has
    the pool until it is disposed of; a pool that has nothing of the first loop left in
    it is made anew. SQLite's connections wait for a thread, in any loop, and a
    database in memory would be gone.
    """
    pool = engine.pool
    noted: Any = pool
    loop = task.get_loop()
    try:
        home: Home = noted.home
    except AttributeError:
        # Its connections live no longer than they are used.
        if not isinstance(pool, NullPool):
            noted.home = Home(loop)
        return pool
    if home.loop() is loop or engine.dialect.name == "sqlite":
        return pool
    if _is_empty(pool):
        engine.pool = pool.recreate()
        return pool_at_home(engine, task)
    raise InvalidRequestError(
        f"A connection is refused in {Home(loop)}: seen an engine whose pool belongs "
        f"to {home}; write `await engine.dispose()` at the end of each loop, "
        "poolclass=NullPool, or an engine for each loop."
    )


def refuse_waiting(pool: Pool, task: Task[Any] | None, error: RuntimeError) -> None:
    """Refuse to wait where another loop waits: asyncio's queue belongs to one loop."""
    if task is None or "different event loop" not in str(error):
        return
    raise InvalidRequestError(
        f"To wait for a connection is refused in {Home(task.get_loop())}: seen all of "
        f"them in use, and a pool in which another loop has waited ({pool.status()}); "
        "write a larger pool_size, poolclass=NullPool, or an engine for each loop."
    ) from error


def _is_empty(pool: Pool) -> bool:
    """Say whether a pool has no connection, neither in nor out; some do not tell."""
    return (
        isinstance(pool, QueuePool) and not pool.checkedin() and not pool.checkedout()
    )
