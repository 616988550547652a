"""Who looks at the time while an operation runs: a thread, or the event loop."""

from __future__ import annotations

import asyncio
import time
from contextvars import copy_context
from threading import Condition, Thread
from typing import TYPE_CHECKING

from sqlalchemy.util.concurrency import await_

if TYPE_CHECKING:
    from async_layers._layers.deadline.operation import Operation

# The loop's clock may wake somebody this much too early, in seconds.
_EARLY = 0.001


class ThreadClock:
    """A thread that waits for the time; it is there from the first operation on."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._operation: Operation | None = None
        self._thread: Thread | None = None
        self._stopped = False
        self._wakes: float | None = None

    def watch(self, operation: Operation | None) -> None:
        """Watch this one from now on, and no other.

        What is being done to the other one has been done when this returns.
        """
        with self._changed:
            self._operation = operation
            if operation is None:
                return
            if self._thread is None:
                self._thread = Thread(
                    target=self._run, name="async_layers deadline", daemon=True
                )
                self._thread.start()
            elif _is_sooner(operation, self._wakes):
                self._changed.notify()

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                operation = self._operation
                self._wakes = due = operation.next if operation else None
                if operation is None or due is None:
                    self._changed.wait()
                elif (left := due - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    operation.act()


class LoopClock:
    """The event loop, which is asked to call at the time."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # That of the scope's beginning, where nothing is checked out.
        self._context = copy_context()
        self._operation: Operation | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._wakes: float | None = None
        self._asking: asyncio.Task[None] | None = None

    def watch(self, operation: Operation | None) -> None:
        """Watch this one from now on, and no other.

        What is being done to the other one has been done when this returns.
        """
        self._operation = operation
        if operation is not None and _is_sooner(operation, self._wakes):
            self._schedule()
        if self._asking is not None and not self._asking.done():
            await_(asyncio.wait((self._asking,)))

    async def settled(self) -> None:
        """Wait, outside of a greenlet, for what is being done."""
        self._operation = None
        if self._asking is not None:
            await asyncio.wait((self._asking,))

    def stop(self) -> None:
        """Let the loop forget it."""
        self._operation = None
        self._schedule()
        if self._asking is not None:
            self._asking.cancel()

    def _schedule(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._wakes = due = self._operation.next if self._operation else None
        if due is not None:
            left = due - time.monotonic()
            self._handle = self._loop.call_later(
                left, self._wake, context=self._context
            )

    def _wake(self) -> None:
        operation = self._operation
        due = operation.next if operation else None
        if operation and due is not None and due <= time.monotonic() + _EARLY:
            going_on = operation.act()
            if going_on is not None:
                self._asking = self._loop.create_task(going_on)
        self._schedule()


def _is_sooner(operation: Operation, wakes: float | None) -> bool:
    due = operation.next
    return due is not None and (wakes is None or due < wakes)
