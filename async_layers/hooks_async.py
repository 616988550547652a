"""Layers 2 and 3: what happens after a commit, and only then."""

from __future__ import annotations

import asyncio
from inspect import isawaitable
from typing import TYPE_CHECKING, ParamSpec, cast

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from async_layers._finish import finish, seconds_left
from async_layers._layers.hooks.registering import refuse_target, register

if TYPE_CHECKING:
    from collections.abc import Callable

    from async_layers._layers.hooks.due import Due

P = ParamSpec("P")


def async_on_commit(
    target: AsyncConnection | AsyncSession,
    function: Callable[P, object],
    /,
    *arguments: P.args,
    **named: P.kwargs,
) -> None:
    """Call a function after the commit of the transaction that the target is in.

    The target is the connection of a `transaction` or the session of a `unit_of_work`.
    Hooks run in the order in which they came, when the connection is back in its
    pool, so that they may begin transactions of their own; nobody calls them after a
    rollback, of a savepoint around them either, or where the outcome is unknown.

    What hooks raise undoes nothing and stops no other hook. It leaves the scope in an
    `ExceptionGroup`; an exception that leaves the scope already is not replaced:
    then it is logged (`async_layers.hooks`) and noted. A cancellation waits for the
    hooks within `finish_within` seconds.

    Raises `ArgumentError` for what cannot be called, and `InvalidRequestError` for a
    target without a scope and after the scope's end.
    """
    if not isinstance(cast("object", target), AsyncConnection | AsyncSession):
        raise refuse_target(target, "async_on_commit", "on_commit")
    if isinstance(target, AsyncSession):
        register(target.sync_session, function, arguments, named)
    else:
        register(target.sync_connection, function, arguments, named)


async def async_run_hooks(due: Due, error: BaseException | None) -> None:
    """Call the hooks that are due; `error` is what leaves the scope already."""
    running = _Running(due)
    timer: asyncio.TimerHandle | None = None
    if isinstance(error, asyncio.CancelledError):
        timer = running.give_up_in(seconds_left(error, due.within))
    try:
        await finish(running.run(), due.within, running.give_up)
    except asyncio.CancelledError as cancelled:
        due.report(cancelled)
        raise
    finally:
        if timer is not None:
            timer.cancel()
    due.report(error)


class _Running:
    """The hooks in a task of their own, which outlasts a cancellation of ours."""

    def __init__(self, due: Due) -> None:
        self._due = due
        self._task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Call one hook after the other, and await what it returns."""
        self._task = asyncio.current_task()
        for call, name in self._due.calls():
            with self._due.trying(name):
                returned = call()
                if isawaitable(returned):
                    await returned

    def give_up_in(self, seconds: float) -> asyncio.TimerHandle | None:
        """Give up after some seconds, or now if there are none."""
        if seconds > 0:
            return asyncio.get_running_loop().call_later(seconds, self.give_up)
        self.give_up()
        return None

    def give_up(self) -> None:
        """End the hook that runs, and begin no other."""
        self._due.stop()
        if self._task is not None:
            self._task.cancel()
