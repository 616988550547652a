"""The file that a connection has open, and whether it is still there."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from async_layers.drivers._sqlite.errors import moved

if TYPE_CHECKING:
    import sqlite3


class Place(NamedTuple):
    """Where a database file is, and which one it was when it was opened."""

    path: str
    device: int
    inode: int

    def check(self) -> None:
        """Raise `ConnectionLost` if another file, or none, is there now.

        In WAL mode SQLite goes on writing into a file that was deleted or replaced,
        and everything is lost with its last connection; without WAL it looks by
        itself (SQLITE_READONLY_DBMOVED).
        """
        try:
            found = os.stat(self.path)  # noqa: PTH116 - half the price of Path.stat()
        except OSError:
            raise moved(self.path) from None
        if found.st_ino != self.inode or found.st_dev != self.device:
            raise moved(self.path)


def place_of(connection: sqlite3.Connection) -> Place | None:
    """Return the place of a connection's file, None for a database in memory."""
    with closing(connection.execute("PRAGMA database_list")) as cursor:
        path = next((row[2] for row in cursor.fetchall() if row[1] == "main"), "")
    try:
        found = os.stat(path)  # noqa: PTH116 - as above
    except (OSError, ValueError, TypeError):
        return None
    return Place(path, found.st_dev, found.st_ino)
