"""Layer 3: a session for one unit of work."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import sqlalchemy.orm
from sqlalchemy import Engine
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from async_layers._layers.deadline.limited import limited
from async_layers._layers.engine import adopt
from async_layers._layers.guard.lending import guarding_class, lent, noting
from async_layers._layers.sync import adopt_for
from async_layers._transactions import plan_unit_of_work
from async_layers.scope import scoped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sqlalchemy.engine.interfaces import IsolationLevel
    from typing_extensions import TypeVar

    from async_layers._layers.guard.errors import Guarding
    from async_layers.scope import Scope

    S = TypeVar("S", bound=Session, default=Session)


def sessionmaker(
    engine: Engine,
    *,
    class_: type[S] = Session,  # type: ignore[assignment] # PEP 696 says which S
    expire_on_commit: bool = False,
    guard: Guarding = "on",
    **arguments: object,
) -> sqlalchemy.orm.sessionmaker[S]:
    """Make a factory of guarded sessions whose objects stay loaded after a commit.

    `expire_on_commit` is False in both worlds: an expired attribute loads
    itself when it is read, which asyncio cannot await, and refuses with
    `ImplicitIOError`. `guard` refuses, with `GuardError`, what two tasks or threads
    would do to each other in one session, as in `transaction`; it stands in a
    subclass of `class_`. SQLAlchemy's own arguments pass through. An engine of the
    other world is refused with `ArgumentError`.
    """
    if not isinstance(cast("object", engine), Engine):
        raise ArgumentError(
            f"sessionmaker() is refused: seen {engine!r}; "
            "write an engine from create_engine(), or use async_sessionmaker()."
        )
    factory = sqlalchemy.orm.sessionmaker(
        adopt(engine),
        class_=guarding_class(class_, guard),
        expire_on_commit=expire_on_commit,
        **cast("dict[str, Any]", arguments),
    )
    return noting(factory, guard)


@scoped
def unit_of_work(  # noqa: PLR0913 - what it can be given
    scope: Scope[S],
    factory: sqlalchemy.orm.sessionmaker[S],
    *,
    isolation_level: IsolationLevel | None = None,
    read_only: bool = False,
    write: bool = False,
    deadline: float | None = None,
    guard: Guarding | None = None,
) -> Iterator[S]:
    """Lend a session for the length of one transaction.

    Leaving the block flushes and commits; an exception rolls back and travels
    on; the session is closed on every way out. The options mean what they
    mean to `transaction`, and hold for the engine that the factory is bound to:
    with a deadline its connection is checked out at once.
    """
    with (
        limited(deadline, factory) as limit,
        lent(factory, guard) as session,
        session.begin(),
    ):
        scope.watch_session(adopt_for(session))
        plan = plan_unit_of_work(
            session.bind,
            isolation_level,
            read_only=read_only,
            write=write,
            deadline=deadline,
        )
        if plan.options or deadline is not None:
            connection = session.connection(execution_options=plan.options)
            limit.got(connection)
        if plan.first is not None:
            session.execute(plan.first)
        scope.lend(session)
        yield session
