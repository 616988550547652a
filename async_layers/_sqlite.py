"""What an engine of SQLite tells each of its connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class SQLiteOptions:
    """What an engine tells each of its SQLite connections; None and False: nothing.

    `foreign_keys`: enforce them (`PRAGMA foreign_keys`).
    `journal_mode`: of a database file (`PRAGMA journal_mode`); in WAL readers
    and the writer do not wait for each other.
    `busy_timeout`: how long a statement waits for a lock, in seconds.
    `begin`: the BEGIN that goes out with the first statement of a transaction;
    None leaves beginning to the driver, which begins late or not at all
    (https://docs.sqlalchemy.org/en/21/dialects/sqlite.html, "Enabling
    Non-Legacy SQLite Transactional Modes").
    `memdb`: `sqlite://` is one database in memory for all connections of the
    engine, each with a transaction of its own; False leaves it to SQLAlchemy.

    Connections of a `creator` are told the same, but for `busy_timeout`, which is
    an argument of sqlite3's `connect()`.
    """

    foreign_keys: bool = True
    journal_mode: Literal["WAL", "DELETE", "TRUNCATE", "PERSIST"] | None = "WAL"
    busy_timeout: float | None = 5.0
    begin: Literal["DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None = "DEFERRED"
    memdb: bool = True

    def tell(self, connection: sqlite3.Connection) -> None:
        """Tell a new connection; a database that is only read keeps its journal."""
        if self.journal_mode:
            try:
                connection.execute(f"PRAGMA journal_mode = {self.journal_mode}")
            except Exception as error:
                name = str(getattr(error, "sqlite_errorname", ""))
                if not name.startswith(_READ_ONLY):
                    raise
        if self.foreign_keys:
            connection.execute("PRAGMA foreign_keys = ON")


DEFAULTS = SQLiteOptions()
_READ_ONLY = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR_LOCK")
