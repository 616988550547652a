"""aiosqlite's connection and thread; the one place that knows their private names.

SQLAlchemy's own adapter uses the same ones (dialects/sqlite/aiosqlite.py). The
version of aiosqlite is bounded in pyproject.toml for their sake.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import aiosqlite
from aiosqlite.core import _STOP_RUNNING_SENTINEL

if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue
    from threading import Thread


class _Connection(aiosqlite.Connection):
    """aiosqlite's connection, which tells whether somebody uses it by its own names.

    The adapter warns, which knows the engine's name.
    """

    used = False

    async def _execute(self, fn: Any, *args: Any, **kwargs: Any) -> Any:
        """Note that what comes may have written."""
        self.used = True
        execute = cast("Any", super())._execute
        return await execute(fn, *args, **kwargs)

    def __del__(self) -> None:
        """Leave it to the adapter, which is collected with this one, or earlier."""


# Whoever asks for the driver's name is told aiosqlite's.
_Connection.__module__ = aiosqlite.Connection.__module__


class Worker:
    """A thread that does one piece of work after another on its connection."""

    __slots__ = ("_put", "driver", "thread")

    def __init__(self, driver: aiosqlite.Connection) -> None:
        """Take over aiosqlite's connection, open or not."""
        self.driver = driver
        self.thread: Thread = driver._thread
        queue: SimpleQueue[tuple[None, Callable[[], object]]] = cast("Any", driver._tx)  # pyright: ignore[reportUnknownMemberType]
        self._put = queue.put_nowait

    @classmethod
    def start(cls, connector: Callable[[], sqlite3.Connection]) -> Worker:
        """Start a thread without a connection, which does not keep the process."""
        worker = cls(_Connection(connector, iter_chunk_size=64))
        worker.thread.daemon = True
        worker.thread.start()
        return worker

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection of sqlite3; ValueError, aiosqlite's, if there is none."""
        return self.driver._conn

    @connection.setter
    def connection(self, connection: sqlite3.Connection) -> None:
        self.driver._connection = connection

    def is_dead(self) -> bool:
        """Say whether the thread ended and left its connection open."""
        return self.driver._connection is not None and not self.thread.is_alive()

    def was_used(self) -> bool:
        """Say whether somebody else has sent work since this was asked."""
        used: bool = getattr(self.driver, "used", True)
        self.driver.used = False  # type: ignore[attr-defined]
        return used

    def send(self, work: Callable[[], object]) -> None:
        """Let the thread do work that tells of its end by itself."""
        self._put((None, work))

    def is_gone(self) -> bool:
        """Say whether somebody ended the connection or its thread."""
        driver = self.driver
        return (
            driver._connection is None
            or not driver._running
            or not self.thread.is_alive()
        )

    def stop(self, close: Callable[[], None]) -> None:
        """Let the thread close the connection and end, after what it has to do."""
        self._put((None, partial(_stop, close)))
        self.forget()

    def forget(self) -> None:
        """Let aiosqlite take the connection for closed."""
        self.driver._running = False
        self.driver._connection = None


def _stop(close: Callable[[], None]) -> object:
    with suppress(sqlite3.Error):
        close()
    return _STOP_RUNNING_SENTINEL
