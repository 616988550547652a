"""Leave a connection without a task, where leaving it waits for nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.ext.asyncio.base import _run_to_completion

from async_layers._sqlite import is_ours

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

T = TypeVar("T")


def leave_eagerly(engine: AsyncEngine) -> AsyncEngine:
    """Return the engine, whose connections close at once if they can.

    SQLAlchemy closes them in a task of their own, which a cancellation does not
    reach: three turns of the loop, where on SQLite nothing is left to wait for when
    a transaction has only read. This is for our own dialect: what another driver
    does may depend on the task that it runs in.
    """
    if is_ours(engine.dialect.name, engine.dialect.driver):
        engine.__class__ = _EagerEngine
    return engine


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Do work here for as long as it waits for nobody, and the rest in a task."""
    try:
        awaited = work.send(None)
    except StopIteration as over:
        result: T = over.value
        return result
    return await _run_to_completion(_go_on(_Rest(work, awaited)))


class _Rest(Generic[T]):
    """A coroutine that has begun, and what it awaits."""

    def __init__(self, work: Coroutine[Any, Any, T], awaited: object) -> None:
        self._work = work
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, T]:
        """Go on with it as `await` would."""
        awaited = self._awaited
        while True:
            try:
                try:
                    value = yield awaited
                except BaseException as error:  # noqa: BLE001 - the coroutine's own
                    awaited = self._work.throw(error)
                else:
                    awaited = self._work.send(value)
            except StopIteration as over:
                result: T = over.value
                return result


async def _go_on(rest: _Rest[T]) -> T:
    return await rest


class _EagerConnection(AsyncConnection):
    """SQLAlchemy's connection, left eagerly."""

    __slots__ = ()

    async def __aexit__(self, *error: object) -> None:
        """Close the connection, to the end."""
        await to_the_end(self.close())


class _EagerEngine(AsyncEngine):
    """SQLAlchemy's engine, with connections that are left eagerly."""

    __slots__ = ()

    _connection_cls = _EagerConnection
