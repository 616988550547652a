"""Wait for SQLite's write lock, in turns that are short."""

from __future__ import annotations

import random
import sqlite3
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from async_layers.drivers._sqlite.control import Control

_SHORTEST, _LONGEST = 0.0005, 0.010  # seconds
_PRIMARY_CODE = 0xFF


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
        longest = _SHORTEST
        while not _began(connection, statement, end, control):
            time.sleep(random.uniform(_SHORTEST, longest))  # noqa: S311 - no secret
            longest = min(2 * longest, _LONGEST)
    finally:
        connection.execute(f"PRAGMA busy_timeout = {milliseconds}")


def _began(
    connection: sqlite3.Connection, statement: str, end: float, control: Control
) -> bool:
    try:
        connection.execute(statement)
    except sqlite3.OperationalError as error:
        busy = error.sqlite_errorcode & _PRIMARY_CODE == sqlite3.SQLITE_BUSY
        if not busy or control.given_up or time.monotonic() >= end:
            raise
        return False
    return True
