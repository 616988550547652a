"""One trip to a connection's thread and back."""

from __future__ import annotations

import asyncio
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from sqlalchemy.util.concurrency import await_

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from async_layers.drivers._sqlite.worker import Worker

T = TypeVar("T")

# A caller who was cancelled waits this many turns for a statement, and interrupts it
# in each: what comes between two statements has no effect. Counted, they last longer
# where the machine has no time for the thread either.
PATIENCE = 15
_TURN = 0.002  # seconds


class Trip(Generic[T]):
    """Work that a connection's thread does, and what its caller awaits.

    It runs in the caller's context, so that functions defined by the user see its
    ContextVars. It goes off when it is awaited: outside of a greenlet SQLAlchemy
    refuses to, and then nothing has been sent that nobody waits for.

    It is awaited as an asyncio.Future is (asyncio/futures.py, `isfuture`), by one
    task, which goes on as soon as the loop hears of the end: a Future would have
    it wait for another turn of the loop, a seventh of the way.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_callback",
        "_callback_context",
        "_cancelled",
        "_context",
        "_error",
        "_loop",
        "_message",
        "_result",
        "_waiter",
        "_work",
        "_worker",
        "over",
        "sent",
    )

    def __init__(self, worker: Worker, work: Callable[[], T]) -> None:
        """Prepare work for a thread."""
        self._loop = asyncio.get_running_loop()
        self._worker = worker
        self._work = work
        self._context = copy_context()
        self._asyncio_future_blocking = False
        self._callback: Callable[[Trip[T]], object] | None = None
        self._callback_context: Context | None = None
        self._cancelled = False
        self._error: BaseException | None = None
        self._result: T | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.sent = self.over = False

    def send(self) -> None:
        """Give the work to the thread."""
        self.sent = True
        self._worker.send(self)

    def __call__(self) -> None:
        """Do the work; called on the connection's thread.

        aiosqlite's thread remembers its last piece of work until it has the next:
        that must not keep a connection, a task or rows from being collected.
        """
        work, context = self._work, self._context
        del self._work, self._context, self._worker
        try:
            self._result = context.run(work)
        except StopIteration as stop:  # no coroutine can be thrown one
            self._error = RuntimeError(f"work on the connection raised {stop!r}")
        except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
            self._error = error
        try:
            self._loop.call_soon_threadsafe(self._arrive)
        except RuntimeError:  # the loop is closed, and nobody is left to be told
            self.over = True
            self._forget()

    def _arrive(self) -> None:
        self.over = True
        if self._waiter:
            self._waiter.set_result(None)
        elif self._callback and not self._cancelled:
            cast("Context", self._callback_context).run(self._callback, self)

    def _forget(self) -> None:
        self._result = self._error = self._callback = self._callback_context = None

    # What a task asks of a future.

    def __await__(self) -> Generator[Trip[T], None, T]:
        """Go to the thread, wait for it, and return what it returned."""
        self.send()
        try:
            # The loop, which hears of the end, does not turn before this.
            self._asyncio_future_blocking = True
            yield self
            return self.result()
        finally:
            self._forget()

    def done(self) -> bool:
        """Say whether the task need not wait any more."""
        return self.over or self._cancelled

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that waits."""
        return self._loop

    def add_done_callback(
        self, callback: Callable[[Trip[T]], object], *, context: Context
    ) -> None:
        """Remember how the one task that waits is woken."""
        self._callback, self._callback_context = callback, context
        if self.over:  # the thread was back before anybody waited
            self._loop.call_soon(callback, self, context=context)

    def cancel(self, msg: str | None = None) -> bool:
        """Let the task go on without the thread, cancelled."""
        if self.over or self._cancelled or not self._callback:
            return False
        self._cancelled = True
        self._message = msg
        self._loop.call_soon(self._callback, self, context=self._callback_context)
        return True

    def result(self) -> T:
        """Return what the work returned, or raise what it raised."""
        if self._cancelled and not self._waiter:
            message = () if self._message is None else (self._message,)
            raise asyncio.CancelledError(*message)
        if self._error is not None:
            raise self._error
        return cast("T", self._result)

    async def wait(self, seconds: float | None) -> None:
        """Wait for a thread that has been sent to and is not back, for a time."""
        self._waiter = self._loop.create_future()
        await asyncio.wait([self._waiter], timeout=seconds)


def outlast(
    trip: Trip[T], patience: int | None, interrupt: Callable[[], None] | None = None
) -> asyncio.CancelledError | None:
    """Wait for a trip that has been sent, through cancellations; return the last one.

    For up to `patience` turns, None for ever, interrupting the statement in each.
    """
    cancelled: asyncio.CancelledError | None = None
    turns = 0
    while not trip.over and (patience is None or turns < patience):
        turns += 1
        if interrupt:
            interrupt()
        try:
            await_(trip.wait(None if patience is None else _TURN))
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled
