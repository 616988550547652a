"""What an engine of SQLite tells each of its connections."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy.exc import ArgumentError

if TYPE_CHECKING:
    import sqlite3


@dataclass(frozen=True, slots=True)
class SQLiteOptions:
    """What an engine tells each of its SQLite connections; None and False: nothing.

    Raises `ArgumentError` for what SQLite would ignore.

    `foreign_keys`: enforce them (`PRAGMA foreign_keys`).
    `journal_mode`: of a database file (`PRAGMA journal_mode`); in WAL readers
    and the writer do not wait for each other. None leaves a file as it is: one
    that has been told WAL stays so.
    `busy_timeout`: how long a statement waits for a lock, in seconds; 0 for not
    at all, None for sqlite3's own 5.
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

    def __post_init__(self) -> None:
        """Refuse what SQLite would ignore, or take for something else."""
        if self.journal_mode not in _JOURNAL_MODES:
            raise _refused("journal_mode", self.journal_mode, _JOURNAL_MODES)
        if self.begin not in _BEGINS:
            raise _refused("begin", self.begin, _BEGINS)
        seconds: Any = self.busy_timeout
        if seconds is not None and (
            isinstance(seconds, bool)
            or not isinstance(seconds, int | float)
            or not 0 <= seconds <= _LONGEST
        ):
            raise ArgumentError(
                f"busy_timeout={seconds!r} is refused: seen no number of seconds; "
                f"write one from 0 to {_LONGEST}, or None for sqlite3's own 5."
            )
        for name in ("foreign_keys", "memdb"):
            if not isinstance(getattr(self, name), bool):
                raise _refused(name, getattr(self, name), (True, False))

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


_JOURNAL_MODES = ("WAL", "DELETE", "TRUNCATE", "PERSIST", None)
_BEGINS = ("DEFERRED", "IMMEDIATE", "EXCLUSIVE", None)
_LONGEST = 86_400  # seconds; whoever writes more means milliseconds


def _refused(name: str, value: object, known: tuple[object, ...]) -> ArgumentError:
    return ArgumentError(
        f"{name}={value!r} is refused: seen none of what it can be; write one of "
        f"{', '.join(map(repr, known))}."
    )


def is_ours(database: str, driver: str) -> bool:
    """Say whether a database and its driver are our SQLite dialect, in either world."""
    return database == "sqlite" and driver.startswith("async_layers")


def require_options(options: object) -> SQLiteOptions:
    """Return the options of an engine, or refuse what is none."""
    if not isinstance(options, SQLiteOptions):
        raise ArgumentError(
            f"sqlite={options!r} is refused: seen {type(options).__name__}; write "
            "SQLiteOptions(...), or leave it out."
        )
    return options


DEFAULTS = SQLiteOptions()
_READ_ONLY = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR_LOCK")


def primary_code(error: BaseException) -> int | None:
    """Return SQLite's result code without its extension, None for another's error."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
