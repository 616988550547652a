"""Layer 3: a session for one unit of work."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import sqlalchemy.orm
from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from async_layers._transactions import plan_unit_of_work

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sqlalchemy.engine.interfaces import IsolationLevel
    from typing_extensions import TypeVar

    S = TypeVar("S", bound=Session, default=Session)


def sessionmaker(
    engine: Engine,
    *,
    class_: type[S] = Session,  # type: ignore[assignment] # PEP 696 says which S
    expire_on_commit: bool = False,
    **arguments: object,
) -> sqlalchemy.orm.sessionmaker[S]:
    """Make a factory of sessions whose objects stay loaded after a commit.

    `expire_on_commit` is False in both worlds: an expired attribute loads
    itself when it is read, which asyncio cannot await. SQLAlchemy's own
    arguments pass through. An engine of the other world is refused with
    `ArgumentError`.
    """
    if not isinstance(cast("object", engine), Engine):
        raise ArgumentError(
            f"sessionmaker() is refused: seen {engine!r}; "
            "write an engine from create_engine(), or use async_sessionmaker()."
        )
    return sqlalchemy.orm.sessionmaker(
        engine,
        class_=class_,
        expire_on_commit=expire_on_commit,
        **cast("dict[str, Any]", arguments),
    )


@contextmanager
def unit_of_work(
    factory: sqlalchemy.orm.sessionmaker[S],
    *,
    isolation_level: IsolationLevel | None = None,
    read_only: bool = False,
    write: bool = False,
) -> Iterator[S]:
    """Lend a session for the length of one transaction.

    Leaving the block flushes and commits; an exception rolls back and travels
    on; the session is closed on every way out. The options mean what they
    mean to `transaction`, and hold for the engine that the factory is bound to.
    """
    with factory() as session, session.begin():
        plan = plan_unit_of_work(
            session.bind, isolation_level, read_only=read_only, write=write
        )
        if plan.options:
            session.connection(execution_options=plan.options)
        if plan.first is not None:
            session.execute(plan.first)
        yield session
