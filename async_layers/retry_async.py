"""Layers 2 and 3: a transaction that is run again as a whole."""

from __future__ import annotations

from asyncio import sleep
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from async_layers._retry.calls import require_engine, require_factory
from async_layers._retry.functions import async_require_function, async_result_of
from async_layers._retry.run import Run
from async_layers.connection_async import async_transaction
from async_layers.session_async import async_unit_of_work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import sqlalchemy.ext.asyncio
    from sqlalchemy.engine.interfaces import IsolationLevel
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

    from async_layers._retry.policy import Retry
    from async_layers.scope_async import AsyncScope

    S = TypeVar("S", bound=AsyncSession)

T = TypeVar("T")
U = TypeVar("U")
Ts = TypeVarTuple("Ts")


async def async_run_transaction(  # noqa: PLR0913 - what a transaction can be given
    engine: AsyncEngine,
    function: Callable[[AsyncConnection, *Ts], Awaitable[T]],
    *arguments: *Ts,
    retry: Retry | None = None,
    isolation_level: IsolationLevel | None = None,
    read_only: bool = False,
    write: bool = False,
    deadline: float | None = None,
) -> T:
    """Call a function with a connection in a transaction, again if that has to be.

    What it returns is returned when its transaction is committed. After a
    serialization failure, a deadlock, a connection that is lost before COMMIT began,
    a cached plan that is stale, a busy SQLite, or a server that cannot be reached, the
    whole function is called again with a fresh transaction, as `retry` says: what it
    does elsewhere it does again. The last error travels on, with a note of
    how many attempts there were; `attempt_number()` tells the function.

    Never run again: what may have been committed (`Outcome.UNKNOWN`), and what was
    cancelled. `InvalidRequestError` refuses a call inside an open transaction of the
    same engine, and a function that returns after its transaction was rolled back.
    `deadline` holds for all attempts and pauses together; the other options are those
    of `async_transaction`. Keyword arguments reach the function by `functools.partial`.
    """
    require_engine(async_run_transaction, engine, AsyncEngine)
    async_require_function(async_run_transaction, function)
    return await _run(
        Run(async_run_transaction, retry, deadline),
        lambda left: async_transaction(
            engine,
            isolation_level=isolation_level,
            read_only=read_only,
            write=write,
            deadline=left,
        ),
        lambda connection: function(connection, *arguments),
    )


async def async_run_unit_of_work(  # noqa: PLR0913 - what a transaction can be given
    factory: sqlalchemy.ext.asyncio.async_sessionmaker[S],
    function: Callable[[S, *Ts], Awaitable[T]],
    *arguments: *Ts,
    retry: Retry | None = None,
    isolation_level: IsolationLevel | None = None,
    read_only: bool = False,
    write: bool = False,
    deadline: float | None = None,
) -> T:
    """Call a function with a session in a unit of work, again if that has to be.

    Each attempt has a fresh session: what an earlier one has loaded is not there. All
    else is as with `async_run_transaction`.
    """
    require_factory(async_run_unit_of_work, factory, AsyncEngine)
    async_require_function(async_run_unit_of_work, function)
    return await _run(
        Run(async_run_unit_of_work, retry, deadline),
        lambda left: async_unit_of_work(
            factory,
            isolation_level=isolation_level,
            read_only=read_only,
            write=write,
            deadline=left,
        ),
        lambda session: function(session, *arguments),
    )


async def _run(
    run: Run,
    opened: Callable[[float | None], AsyncScope[U]],
    function: Callable[[U], Awaitable[T]],
) -> T:
    with run:
        while True:
            try:
                async with run.starts(opened(run.left)) as target:
                    run.begins()
                    result = await async_result_of(run.helper, function(target))
            except BaseException as error:
                if not run.goes_on(error):
                    raise
            else:
                return run.ends(result)
            await sleep(run.pause)
