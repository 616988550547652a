"""A database in memory that all connections of an engine share."""

from __future__ import annotations

import sqlite3
import weakref
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from sqlalchemy import URL


class Memory:
    """Name a database of the memdb VFS, and hold it open between connections.

    `:memory:` gives each connection a database of its own, or all of them one
    connection with one transaction; here each has its transaction on one database.
    Source: https://sqlite.org/src/file/src/memdb.c.
    """

    def __init__(self) -> None:
        """Choose a name that no other engine has."""
        self._name = f"file:/async_layers_{uuid4().hex}"
        self._held: list[sqlite3.Connection] = []
        self._used = False
        weakref.finalize(self, _close, self._held)

    def url(self, url: URL) -> URL:
        """Return the URL of this database in place of `:memory:`."""
        self._used = True
        query = {**url.query, "vfs": "memdb", "uri": "true"}
        return url.set(database=self._name, query=query)

    def hold(self) -> None:
        """Keep the database from its first connection on."""
        if self._used and not self._held:
            self._held.append(
                sqlite3.connect(
                    f"{self._name}?vfs=memdb", uri=True, check_same_thread=False
                )
            )

    def release(self) -> None:
        """Let the database end with its last connection."""
        _close(self._held)


def _close(held: list[sqlite3.Connection]) -> None:
    while held:
        held.pop().close()
