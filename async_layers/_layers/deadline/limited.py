"""A scope that opens within its deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import sessionmaker

from async_layers._layers.deadline.clock import LoopClock, ThreadClock
from async_layers._layers.deadline.limit import OPENING, Limit
from async_layers._layers.deadline.timed import TimedConnection
from async_layers._layers.guard.made import remade

if TYPE_CHECKING:
    from contextvars import Token
    from typing import Self

    from sqlalchemy import Connection


class Opening:
    """A scope from its beginning to its end, in either world: here without a limit."""

    def got(self, connection: Connection) -> None:
        """Limit this connection from now on, and nothing else that is checked out."""

    def __enter__(self) -> Self:
        """Limit what is checked out."""
        return self

    def __exit__(self, *error: object) -> None:
        """Look at the time no more."""

    async def __aenter__(self) -> Self:
        """Limit what is checked out."""
        return self.__enter__()

    async def __aexit__(self, *error: object) -> None:
        """Look at the time no more."""
        self.__exit__()


class LimitedOpening(Opening):
    """One with a limit: what it checks out first has to come within its deadline."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._token: Token[Limit | None] | None = None

    def got(self, connection: Connection) -> None:
        """Limit this connection from now on, and nothing else that is checked out."""
        self._opened()
        timed = cast("TimedConnection", remade(TimedConnection, connection))
        timed.limit = self._limit

    def _opened(self) -> None:
        if self._token is not None:
            OPENING.reset(self._token)
            self._token = None

    def __enter__(self) -> Self:
        """Limit what is checked out."""
        self._token = OPENING.set(self._limit)
        return self

    def __exit__(self, *error: object) -> None:
        """Look at the time no more."""
        self._opened()
        self._limit.stop()


_UNLIMITED = Opening()


def limited(deadline: float | None, opened: object) -> Opening:
    """Open a scope with so many seconds from now on, None for as long as it likes.

    `opened` is its engine or its factory, which says in which world it is.
    """
    if deadline is None:
        return _UNLIMITED
    if isinstance(opened, sessionmaker | async_sessionmaker):
        opened = opened.kw.get("bind")
    # Asyncio's also where a blocking scope runs below it, in run_sync().
    dialect = getattr(opened, "dialect", None)
    is_async = dialect is not None and dialect.is_async
    return LimitedOpening(Limit(deadline, LoopClock() if is_async else ThreadClock()))
