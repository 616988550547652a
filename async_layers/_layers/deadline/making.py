"""Make a connection, and wait for it no longer than so many seconds."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Generic, TypeVar

from sqlalchemy.util.concurrency import greenlet_spawn

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

# Seconds for a driver to hear that its connecting is cancelled.
_PATIENCE = 0.5


class _Making(Generic[T]):
    """What is made in a thread, and whether somebody waits for it."""

    def __init__(self, make: Callable[[], T], drop: Callable[[T], object]) -> None:
        self._make = make
        self._drop = drop
        self._lock = Lock()
        self._made = Event()
        self._result: tuple[T] | None = None
        self._error: BaseException | None = None
        self._unwanted = False

    def run(self) -> None:
        """Make it; close what nobody wants any more."""
        try:
            made = self._make()
        except BaseException as error:  # noqa: BLE001 - it is raised by who waits
            self._error = error
        else:
            with self._lock:
                self._result = (made,)
                unwanted = self._unwanted
            if unwanted:
                with suppress(Exception):  # nobody is left to be told
                    self._drop(made)
        self._made.set()

    def wait(self, seconds: float) -> T | None:
        """Return what was made in time; None: it is not wanted any more."""
        try:
            self._made.wait(seconds)
        finally:
            with self._lock:
                self._unwanted = self._result is None
        if self._error is not None:
            raise self._error
        return None if self._result is None else self._result[0]


def make_in_thread(
    make: Callable[[], T], seconds: float, drop: Callable[[T], object]
) -> T | None:
    """Make it in a thread of its own, which goes on without anybody if it is late.

    What it makes then is dropped. No driver can be told to connect within less than
    a whole second, and none bounds the look at a name.
    """
    making = _Making(make, drop)
    Thread(
        target=copy_context().run,
        args=(making.run,),
        name="async_layers connecting",
        daemon=True,
    ).start()
    return making.wait(seconds)


async def make_in_task(
    work: Coroutine[object, object, T], seconds: float, drop: Callable[[T], object]
) -> T | None:
    """Make it in a task of its own, which is cancelled if it is late."""
    task = asyncio.create_task(work)
    in_time = False
    try:
        await asyncio.wait((task,), timeout=seconds)
        in_time = task.done()
    finally:
        if not in_time:
            task.add_done_callback(partial(_drop, drop))
            task.cancel()
            await asyncio.wait((task,), timeout=_PATIENCE)
    return task.result() if in_time else None


def _drop(drop: Callable[[T], object], task: asyncio.Task[T]) -> None:
    """Drop what was made too late; the error of one that failed is nobody's."""
    if not task.cancelled() and task.exception() is None:
        # psycopg's closing is awaited, and waits for nobody.
        asyncio.ensure_future(greenlet_spawn(drop, task.result())).add_done_callback(
            _overlook
        )


def _overlook(dropping: asyncio.Future[object]) -> None:
    """Look at an error that is nobody's, so that the loop does not tell of it."""
    _ = dropping.cancelled() or dropping.exception()
