"""Layer 3: a session for one unit of work."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import sqlalchemy.ext.asyncio
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from async_layers._finish import finish
from async_layers._transactions import plan_unit_of_work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from sqlalchemy.engine.interfaces import IsolationLevel
    from typing_extensions import TypeVar

    S = TypeVar("S", bound=AsyncSession, default=AsyncSession)


def async_sessionmaker(
    engine: AsyncEngine,
    *,
    class_: type[S] = AsyncSession,  # type: ignore[assignment] # PEP 696 says which S
    expire_on_commit: bool = False,
    **arguments: object,
) -> sqlalchemy.ext.asyncio.async_sessionmaker[S]:
    """Make a factory of sessions whose objects stay loaded after a commit.

    `expire_on_commit` is False in both worlds: an expired attribute loads
    itself when it is read, which asyncio cannot await. SQLAlchemy's own
    arguments pass through. An engine of the other world is refused with
    `ArgumentError`.
    """
    if not isinstance(cast("object", engine), AsyncEngine):
        raise ArgumentError(
            f"async_sessionmaker() is refused: seen {engine!r}; "
            "write an engine from create_async_engine(), or use sessionmaker()."
        )
    return sqlalchemy.ext.asyncio.async_sessionmaker(
        engine,
        class_=class_,
        expire_on_commit=expire_on_commit,
        **cast("dict[str, Any]", arguments),
    )


@asynccontextmanager
async def async_unit_of_work(
    factory: sqlalchemy.ext.asyncio.async_sessionmaker[S],
    *,
    isolation_level: IsolationLevel | None = None,
    read_only: bool = False,
    write: bool = False,
) -> AsyncIterator[S]:
    """Lend a session for the length of one transaction.

    Leaving the block flushes and commits; an exception rolls back and travels
    on; the session is closed on every way out. The options mean what they
    mean to `async_transaction`, and hold for the engine that the factory is bound to.
    """
    async with factory() as session, session.begin():
        plan = plan_unit_of_work(
            session.bind, isolation_level, read_only=read_only, write=write
        )
        if plan.options:
            await finish(session.connection(execution_options=plan.options))
        if plan.first is not None:
            await session.execute(plan.first)
        yield session
