"""The files that a connection has open, and whether they are still there."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, TypeAlias

from async_layers._sqlite import primary_code
from async_layers.drivers._sqlite.errors import moved

if TYPE_CHECKING:
    from async_layers.drivers._sqlite.errors import ConnectionLost

Identity: TypeAlias = "tuple[int, int]"

# What SQLite meets where files were taken away from below it.
_SIGNS = {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
}
_OFTEN = 1.0  # seconds


class Place:
    """Where a database file and its write-ahead log are, and which ones they are.

    In WAL mode SQLite goes on writing into files that were deleted or replaced, and
    everything is lost with its last connection, or disturbs those of the new file
    through the -shm file; without WAL it looks by itself
    (SQLITE_READONLY_DBMOVED). Source: https://sqlite.org/howtocorrupt.html, 2.4,
    "Unlinking or renaming a database file while in use".
    """

    __slots__ = ("_log", "_log_path", "_looked", "file", "path")

    def __init__(self, path: str, *, opened: bool) -> None:
        """Remember the file that is there, and its log if that is open as well.

        Raises OSError if there is no file.
        """
        self.path = path
        self.file = _identity(path)
        self._log_path = f"{path}-wal"
        self._log = _found(self._log_path) if opened else None
        self._looked = time.monotonic()

    def check(self) -> None:
        """Raise `ConnectionLost` if another file, or none, is there now."""
        if _found(self.path) != self.file:
            raise moved(self.path)

    def check_all(self, connection: sqlite3.Connection) -> None:
        """Look at the write-ahead log as well; it lives as long as its connections.

        That it is there is asked each time, and now and then whether it is the same:
        os.stat() of a file that was synced a moment ago takes as long as a third of
        the COMMIT.
        """
        self.check()
        there = os.access(self._log_path, os.F_OK)
        now = time.monotonic()
        if there and self._log is not None and now - self._looked < _OFTEN:
            return
        self._looked = now
        self._check_log(connection)

    def _check_log(self, connection: sqlite3.Connection) -> None:
        """Raise `ConnectionLost` if the log is another one, or gone.

        It is made by whoever writes first, and is gone when this connection has
        left WAL mode.
        """
        log = _found(self._log_path)
        if log == self._log:
            return
        if self._log is not None and _journal(connection) == "wal":
            raise moved(self._log_path)
        self._log = log

    def lost(self, error: BaseException) -> ConnectionLost | None:
        """Return what an error of SQLite's means where the files went away."""
        if primary_code(error) not in _SIGNS:
            return None
        return None if _found(self.path) == self.file else moved(self.path)


def _identity(path: str) -> Identity:
    found = os.stat(path)  # noqa: PTH116 - half the price of Path.stat()
    return found.st_dev, found.st_ino


def _found(path: str) -> Identity | None:
    try:
        return _identity(path)
    except OSError:
        return None


def _journal(connection: sqlite3.Connection) -> object:
    with closing(connection.execute("PRAGMA journal_mode")) as cursor:
        return cursor.fetchone()[0]


def path_of(connection: sqlite3.Connection) -> str:
    """Return the path of a connection's file, '' for a database in memory."""
    with closing(connection.execute("PRAGMA database_list")) as cursor:
        path = next((row[2] for row in cursor.fetchall() if row[1] == "main"), "")
    return path if path and os.path.exists(path) else ""  # noqa: PTH110 - as above


def place_of(path: str, *, opened: bool) -> Place | None:
    """Return the place of a file, None for a database in memory."""
    try:
        return Place(path, opened=opened)
    except OSError:
        return None
