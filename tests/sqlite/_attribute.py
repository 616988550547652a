"""Connections with the attribute that those of Python 3.12 have."""

from __future__ import annotations

import sqlite3


class Begins(sqlite3.Connection):
    """A connection that begins by itself, as one of Python 3.12 can be told."""

    autocommit = False


class Asked(sqlite3.Connection):
    """A connection with the attribute that sqlite3 has since Python 3.12."""

    @property
    def autocommit(self) -> int:  # type: ignore[override,unused-ignore]
        """Answer as it does then: on an open connection, in its thread."""
        self.cursor().close()
        return -1
