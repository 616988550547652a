"""One trip to a connection's thread and back."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from sqlalchemy.util.concurrency import await_

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Seconds that a caller who was cancelled waits for a statement, and between two
# interruptions: one that comes between two statements has no effect.
PATIENCE = 0.03
_TURN = 0.002


class Trip(Generic[T]):
    """Work that a connection's thread does, and the future that waits for it.

    It runs in the caller's context, so that functions defined by the user see its
    ContextVars. A loop that is closed by then waits for nothing.
    """

    __slots__ = ("_context", "_loop", "_work", "future", "over")

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Callable[[], T]) -> None:
        """Prepare work for a thread."""
        self._loop = loop
        self._work = work
        self._context = copy_context()
        self.future: asyncio.Future[T] = loop.create_future()
        self.over = False

    def __call__(self) -> None:
        """Do the work; called on the connection's thread."""
        result: T | None = None
        error: BaseException | None = None
        try:
            result = self._context.run(self._work)
        except StopIteration as stop:  # a future takes no such exception
            error = RuntimeError(f"work on the connection raised {stop!r}")
        except BaseException as raised:  # noqa: BLE001 - it is raised where it is awaited
            error = raised
        try:
            self._loop.call_soon_threadsafe(self._arrive, result, error)
        except RuntimeError:  # the loop is closed, and nobody is left to be told
            self.over = True

    def _arrive(self, result: T | None, error: BaseException | None) -> None:
        self.over = True
        future = self.future
        if future.done():
            return
        if error is None:
            future.set_result(cast("T", result))
        else:
            future.set_exception(error)

    async def wait(self, seconds: float | None) -> None:
        """Wait for the thread once more, after the future was cancelled."""
        self.future = self._loop.create_future()
        await asyncio.wait([self.future], timeout=seconds)
        if self.future.done() and not self.future.cancelled():
            self.future.exception()  # it was asked for; the caller is cancelled


def outlast(
    trip: Trip[T], patience: float | None, interrupt: Callable[[], None] | None = None
) -> bool:
    """Wait for a trip whose caller was cancelled, through further cancellations.

    Up to `patience` seconds, interrupting it all the while. Return whether it is
    over.
    """
    loop = asyncio.get_running_loop()
    end = None if patience is None else loop.time() + patience
    while not trip.over:
        if end is not None and loop.time() > end:
            return False
        if interrupt:
            interrupt()
        try:
            await_(trip.wait(None if end is None else _TURN))
        except asyncio.CancelledError:
            continue
    return True
