"""Connections and sessions as the helpers lend them: guarded, if nobody says no."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_origin

from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from async_layers._layers.guard.callers import of_asyncio
from async_layers._layers.guard.errors import require_guarding
from async_layers._layers.guard.guarded import GuardedSession, guard_connection
from async_layers._layers.guard.guarded_facades import (
    GuardedAsyncConnection,
    GuardedAsyncReader,
    GuardedAsyncSession,
)
from async_layers._layers.guard.made import made, make_below, remade
from async_layers._layers.guard.rules import Guard
from async_layers._layers.implicit import ExplicitSession

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from async_layers._layers.guard.callers import Caller
    from async_layers._layers.guard.errors import Guarding

S = TypeVar("S", bound=Session | AsyncSession)
F = TypeVar("F")


def guarded(engine: Engine, guard: Guarding, *, reading: bool = False) -> Connection:
    """Lend a connection that is guarded.

    One for reading has transactions of one statement, which nobody can share.
    """
    if guard != "on" and require_guarding(guard) == "off":
        return engine.connect()
    connection = engine.connect()
    guard_connection(connection, Guard(get_ident, several_transactions=reading))
    return connection


def async_guarded(
    engine: AsyncEngine, guard: Guarding, *, reading: bool = False
) -> AsyncConnection:
    """Lend a connection that is yet to be opened, and guarded from then on."""
    if guard != "on" and require_guarding(guard) == "off":
        return engine.connect()
    class_ = GuardedAsyncReader if reading else GuardedAsyncConnection
    return remade(class_, engine.connect())


class NewSession(GuardedSession):
    """A session that is guarded from its beginning."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        super().__init__(*arguments, **named)
        self.layers_guard = Guard(get_ident)


class NewAsyncSession(GuardedAsyncSession):
    """A session that is guarded from its beginning."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        super().__init__(*arguments, **named)
        _guard(self.sync_session, of_asyncio)


def guarding_class(class_: type[S], guard: Guarding) -> type[S]:
    """Return the class whose sessions are guarded."""
    if require_guarding(guard) == "off":
        return class_
    plain: type = get_origin(class_) or class_
    if not issubclass(plain, AsyncSession):
        return made(NewSession, class_)
    guarded_class = made(NewAsyncSession, class_)
    make_below(GuardedSession, guarded_class)
    return guarded_class


def guard_session(session: S) -> S:
    """Guard a session from now on; what was done before is not known."""
    if isinstance(session, AsyncSession):
        remade(GuardedAsyncSession, session)
        _guard(session.sync_session, of_asyncio)
    else:
        _guard(session, get_ident)
    return session


def _guard(session: Session, here: Callable[[], Caller]) -> None:
    if not isinstance(session, GuardedSession):
        remade(GuardedSession, session)
    cast("GuardedSession", session).layers_guard = Guard(here)


# Kept, so that it is made once.
_BELOW_ASYNCIO = made(GuardedSession, ExplicitSession)


def noting(factory: F, guard: Guarding) -> F:
    """Note at a factory what its units of work are asked to do, if not told."""
    anything: Any = factory
    anything.layers_guard = guard
    return factory


def lent(factory: Callable[[], S], guard: Guarding | None) -> S:
    """Lend a session that is guarded, if nobody says no here or at its factory."""
    if guard is None:
        guard = getattr(factory, "layers_guard", "on")
    said = guard if guard == "on" else require_guarding(guard)
    if not callable(factory):
        raise ArgumentError(
            f"A factory is refused: seen {factory!r}; write one of sessionmaker() or "
            "async_sessionmaker()."
        )
    session = factory()
    # isinstance() asks SQLAlchemy's facades for an abstract class: a microsecond.
    sync = getattr(session, "sync_session", session)
    if said == "off":
        if isinstance(sync, GuardedSession):
            sync.layers_guard = None
    elif getattr(sync, "layers_guard", None) is None:
        guard_session(session)
    return session
