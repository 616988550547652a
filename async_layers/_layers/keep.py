"""Go on with work, in the task that it is in, though that task is cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from async_layers._finish import GRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from contextvars import Context

T = TypeVar("T")


class Keep(Generic[T]):
    """Work to await, which a cancellation waits for; it travels on afterwards.

    As `finish`, but in the same task, and in no more turns of the loop than the work
    itself: between the task and each future that the work waits for stands one that
    can be cancelled alone. Not for work that cancels its own task, as `asyncio.timeout`
    does: it would be heard as somebody else.
    """

    def __init__(
        self,
        work: Coroutine[Any, Any, T],
        within: float,
        give_up: Callable[[], object],
    ) -> None:
        """Take the work, and what ends it so many seconds after a cancellation."""
        self._work = work
        self._within = within
        self._give_up = give_up
        self._cancelled: asyncio.CancelledError | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._awaited: Any = None

    def __await__(self) -> Generator[Any, Any, T]:
        """Do the work to its end."""
        try:
            while True:
                self._awaited = self._work.send(None)
                yield from self._waiting()
        except StopIteration as over:
            result: T = over.value
        except (Exception, asyncio.CancelledError):
            if self._cancelled is not None:
                raise self._cancelled  # noqa: B904 - the work's error is its context
            raise
        finally:
            self._work.close()  # whoever awaits it may be closed before its end
            if self._timer is not None:
                self._timer.cancel()
        if self._cancelled is not None:
            raise self._cancelled
        return result

    def _waiting(self) -> Generator[Any, Any, None]:
        """Wait for what the work waits for, whoever is cancelled meanwhile."""
        future = self._awaited
        if future is None:  # a turn of the loop, and no more
            try:
                yield
            except asyncio.CancelledError as error:
                self._hear(error)
            return
        future._asyncio_future_blocking = False  # noqa: SLF001 - asyncio's
        beside = _Beside(future)
        while not future.done():
            try:
                yield beside
            except asyncio.CancelledError as error:
                self._hear(error)
            beside.again()
        beside.leave()

    def _hear(self, error: asyncio.CancelledError) -> None:
        """Keep a cancellation for later; from the first one on the time is short."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._within, self._end)
        vars(error)["until"] = self._timer.when()
        self._cancelled = error

    def _end(self) -> None:
        """End the work from outside, and soon, if it goes on, by a cancellation."""
        self._give_up()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(GRACE, self._cancel)

    def _cancel(self) -> None:
        if self._awaited is not None:
            self._awaited.cancel()


class _Beside:
    """What a task waits for beside a future: it wakes the task in the same turn."""

    _callback: Callable[[_Beside], object] | None = None

    def __init__(self, future: Any) -> None:  # noqa: ANN401 - a future, or like one
        self._future = future
        self.again()

    def again(self) -> None:
        """Be waited for once more: anyio, for one, cancels in each turn of the loop."""
        self._asyncio_future_blocking = True
        self._is_cancelled = False

    def leave(self) -> None:
        """Wake nobody any more: what was done in the turn of a cancellation may."""
        self._callback = None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that waits."""
        loop: asyncio.AbstractEventLoop = self._future.get_loop()
        return loop

    def add_done_callback(
        self, callback: Callable[[_Beside], object], *, context: Context
    ) -> None:
        """Wake the one task that waits, when the future is done."""
        is_first = self._callback is None
        self._callback, self._context = callback, context
        if is_first:
            self._future.add_done_callback(self._wake, context=context)

    def _wake(self, _: object) -> None:
        if not self._is_cancelled and self._callback is not None:
            self._callback(self)

    def cancel(self, msg: str | None = None) -> bool:
        """Wake the task without the future, cancelled."""
        if self._is_cancelled or self._callback is None or self._future.done():
            return False
        self._is_cancelled, self._message = True, msg
        self.get_loop().call_soon(self._callback, self, context=self._context)
        return True

    def result(self) -> None:
        """Raise the cancellation; what the future has is the work's."""
        if self._is_cancelled:
            message = () if self._message is None else (self._message,)
            raise asyncio.CancelledError(*message)
