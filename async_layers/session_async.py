"""Layer 3: a session for one unit of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import sqlalchemy.ext.asyncio
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from async_layers._finish import finish
from async_layers._layers.deadline.limited import limited
from async_layers._layers.engine import adopt
from async_layers._layers.guard.lending import guarding_class, lent, noting
from async_layers._layers.holding.behalf import in_the_name_of_caller
from async_layers._layers.implicit import explicit_class
from async_layers._layers.sync import adopt_for, sync_of
from async_layers._transactions import plan_unit_of_work
from async_layers.scope_async import async_scoped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from sqlalchemy.engine.interfaces import IsolationLevel
    from typing_extensions import TypeVar

    from async_layers._layers.guard.errors import Guarding
    from async_layers.scope_async import AsyncScope

    S = TypeVar("S", bound=AsyncSession, default=AsyncSession)


def async_sessionmaker(
    engine: AsyncEngine,
    *,
    class_: type[S] = AsyncSession,  # type: ignore[assignment] # PEP 696 says which S
    expire_on_commit: bool = False,
    guard: Guarding = "on",
    **arguments: object,
) -> sqlalchemy.ext.asyncio.async_sessionmaker[S]:
    """Make a factory of guarded sessions whose objects stay loaded after a commit.

    `expire_on_commit` is False in both worlds: an expired attribute loads
    itself when it is read, which asyncio cannot await, and refuses with
    `ImplicitIOError`. `guard` refuses, with `GuardError`, what two tasks or threads
    would do to each other in one session, as in `async_transaction`; it stands in a
    subclass of `class_`. SQLAlchemy's own arguments pass through. An engine of the
    other world is refused with `ArgumentError`.
    """
    if not isinstance(cast("object", engine), AsyncEngine):
        raise ArgumentError(
            f"async_sessionmaker() is refused: seen {engine!r}; "
            "write an engine from create_async_engine(), or use sessionmaker()."
        )
    factory = sqlalchemy.ext.asyncio.async_sessionmaker(
        adopt(engine),
        class_=guarding_class(explicit_class(class_), guard),
        expire_on_commit=expire_on_commit,
        **cast("dict[str, Any]", arguments),
    )
    return noting(factory, guard)


@async_scoped
async def async_unit_of_work(  # noqa: PLR0913 - what it can be given
    scope: AsyncScope[S],
    factory: sqlalchemy.ext.asyncio.async_sessionmaker[S],
    *,
    isolation_level: IsolationLevel | None = None,
    read_only: bool = False,
    write: bool = False,
    deadline: float | None = None,
    guard: Guarding | None = None,
) -> AsyncIterator[S]:
    """Lend a session for the length of one transaction.

    Leaving the block flushes and commits; an exception rolls back and travels
    on; the session is closed on every way out. The options mean what they
    mean to `async_transaction`, and hold for the engine that the factory is bound to:
    with a deadline its connection is checked out at once.
    """
    async with (
        limited(deadline, factory) as limit,
        lent(factory, guard) as session,
        session.begin(),
    ):
        scope.watch_session(adopt_for(session.sync_session))
        plan = plan_unit_of_work(
            session.sync_session.bind,
            isolation_level,
            read_only=read_only,
            write=write,
            deadline=deadline,
        )
        if plan.options or deadline is not None:
            opening = session.connection(execution_options=plan.options)
            connection = await finish(in_the_name_of_caller(opening))
            limit.got(sync_of(connection))
        if plan.first is not None:
            await session.execute(plan.first)
        scope.lend(session.sync_session)
        yield session
