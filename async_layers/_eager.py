"""Close streams always; close all else without a task where nobody is waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.ext.asyncio.base import StartableContext, _run_to_completion

from async_layers._finish import finish

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Generator

    from sqlalchemy.ext.asyncio import AsyncResult

T = TypeVar("T")


def close_in_time(engine: AsyncEngine) -> AsyncEngine:
    """Return the engine, whose streams are closed, and its connections at once.

    SQLAlchemy closes a stream only where no exception leaves its block. It closes
    connections in a task of their own, which a cancellation does not
    reach: three turns of the loop, where nothing is left to wait for when the
    transaction has ended. This is for our own dialects: what another driver does may
    depend on the task that it runs in.
    """
    if type(engine) is not AsyncEngine:  # ours already, or a class of the user's own
        return engine
    ours = getattr(engine.dialect, "is_kept", False)
    engine.__class__ = EagerEngine if ours else ClosingEngine
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


class _Stream(StartableContext["AsyncResult[Any]"]):
    """A stream that is closed however its block is left, as is documented."""

    __slots__ = ("_opening", "_result")

    def __init__(self, opening: Awaitable[AsyncResult[Any]]) -> None:
        self._opening = opening

    async def start(self, is_ctxmanager: bool = False) -> AsyncResult[Any]:  # noqa: FBT001, FBT002 - SQLAlchemy's
        """Open the stream."""
        del is_ctxmanager
        self._result = await self._opening
        return self._result

    async def __aexit__(
        self, class_: object, error: BaseException | None, traceback: object
    ) -> None:
        """Close the stream, to the end."""
        # stream_scalars() that is awaited ends its own block in this way.
        if not isinstance(error, GeneratorExit):
            await _run_to_completion(self._result.close())


class ClosingConnection(AsyncConnection):
    """SQLAlchemy's connection, whose streams are closed."""

    __slots__ = ()

    def stream(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - typed there
        """Open a stream, to be awaited or to be a block."""
        return _Stream(super().stream(*arguments, **options))


class ClosingEngine(AsyncEngine):
    """SQLAlchemy's engine, whose connections close their streams."""

    __slots__ = ()

    _connection_cls = ClosingConnection

    def execution_options(self, **options: Any) -> AsyncEngine:  # noqa: ANN401 - theirs
        """Return an engine like this one, with options."""
        return type(self)(self.sync_engine.execution_options(**options))

    async def dispose(self, close: bool = True) -> None:  # noqa: FBT001, FBT002 - SQLAlchemy's
        """Dispose of the pool, to the end: half of it would be short of connections."""
        await finish(super().dispose(close))


class EagerConnection(ClosingConnection):
    """SQLAlchemy's connection, left eagerly."""

    __slots__ = ()

    async def __aexit__(self, *error: object) -> None:
        """Close the connection, to the end."""
        await to_the_end(self.close())


class EagerEngine(ClosingEngine):
    """SQLAlchemy's engine, with connections that are left eagerly."""

    __slots__ = ()

    _connection_cls = EagerConnection


class EagerSession(AsyncSession):
    """SQLAlchemy's session, left eagerly where its transaction has ended."""

    async def __aexit__(self, *error: object) -> None:
        """Close the session, to the end."""
        leave: Any = super().__aexit__
        # Whatever its driver: no connection has anything left to be told.
        if self.in_transaction() or leave.__func__ is not AsyncSession.__aexit__:
            await leave(*error)
        else:
            await to_the_end(self.close())
