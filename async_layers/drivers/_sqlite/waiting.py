"""Wait for SQLite's write lock: first come first served, and not for ever."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import deque
from threading import Event, Lock
from typing import TYPE_CHECKING

from async_layers._sqlite import primary_code

if TYPE_CHECKING:
    from async_layers.drivers._sqlite.control import Control

# Seconds between two looks: of the first in the line at the lock, where another
# process may have it, and of the others at whether somebody still waits for them.
_TURN = 0.0005, 0.002
_LOOK = 0.010


class Line:
    """Who waits for one database, first come first served.

    The first one alone looks at the lock: now and then, and as soon as a transaction
    of the same line ends. So a busy process asks as often as one writer.
    """

    __slots__ = ("_guard", "_waiting")

    def __init__(self) -> None:
        """Begin with nobody."""
        self._guard = Lock()
        self._waiting = deque[Event]()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def join(self) -> Event:
        """Stand at the end; the event comes when it may be one's turn."""
        ticket = Event()
        with self._guard:
            self._waiting.append(ticket)
        return ticket

    def is_first(self, ticket: Event) -> bool:
        """Say whether nobody came earlier."""
        return self._waiting[0] is ticket

    def leave(self, ticket: Event) -> None:
        """Let the others move up."""
        with self._guard:
            self._waiting.remove(ticket)
        self.call()

    def call(self) -> None:
        """Let the first one look."""
        if self._waiting:
            with self._guard:
                if self._waiting:
                    self._waiting[0].set()


def begin_writing(
    connection: sqlite3.Connection, statement: str, control: Control
) -> None:
    """Take the write lock, or raise when the connection's busy timeout is over.

    SQLite's own wait sleeps for up to 0.1 s between two looks, so that whoever
    comes later may go first; it ends neither with sqlite3_interrupt() nor with a
    signal. A BEGIN that did not begin has done nothing and can be sent again.
    """
    milliseconds = int(connection.execute("PRAGMA busy_timeout").fetchone()[0])
    end = time.monotonic() + milliseconds / 1000
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        if control.line or not _began(connection, statement, end, control):
            _stand_in_line(connection, statement, end, control)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {milliseconds}")


def _stand_in_line(
    connection: sqlite3.Connection, statement: str, end: float, control: Control
) -> None:
    line = control.line
    ticket = line.join()
    try:
        while True:
            first = line.is_first(ticket)
            over = control.given_up or time.monotonic() >= end
            if (first or over) and _began(connection, statement, end, control):
                return
            ticket.wait(random.uniform(*_TURN) if first else _LOOK)  # noqa: S311 - no secret
            ticket.clear()
    finally:
        line.leave(ticket)


def _began(
    connection: sqlite3.Connection, statement: str, end: float, control: Control
) -> bool:
    try:
        connection.execute(statement)
    except sqlite3.OperationalError as error:
        busy = primary_code(error) == sqlite3.SQLITE_BUSY
        if not busy or control.given_up or time.monotonic() >= end:
            raise
        return False
    return True
