"""Who ends a transaction may change on purpose."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, overload

from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from async_layers._layers.guard.guarded import guard_of

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.orm import Session

    from async_layers._layers.guard.callers import Caller


@overload
def hand_over(target: Connection | Session, to: threading.Thread) -> None: ...
@overload
def hand_over(
    target: AsyncConnection | AsyncSession, to: asyncio.Task[object]
) -> None: ...


def hand_over(
    target: Connection | Session | AsyncConnection | AsyncSession,
    to: threading.Thread | asyncio.Task[object],
) -> None:
    """Have another task, or thread, end the transaction that this one began.

    It may commit, roll back and close from now on; this one may go on when it has
    ended. Only who began the transaction hands it over. What is not guarded is left
    as it is. Raises `ArgumentError` for what is no task, or no thread, and for one
    that has ended.
    """
    taker: Caller | None = None
    if isinstance(target, AsyncConnection | AsyncSession):
        kind = "task that has not ended"
        if isinstance(to, asyncio.Task) and not to.done():
            taker = to
    else:
        kind = "thread that runs"
        if isinstance(to, threading.Thread) and to.is_alive():
            taker = to.ident
    if taker is None:
        raise ArgumentError(f"hand_over() is refused: seen {to!r}; write a {kind}.")
    if isinstance(target, AsyncConnection):
        guard = guard_of(target.sync_connection)
    elif isinstance(target, AsyncSession):
        guard = guard_of(target.sync_session)
    else:
        guard = guard_of(target)
    if guard is not None:
        guard.hand_over(guard.here(), taker)
