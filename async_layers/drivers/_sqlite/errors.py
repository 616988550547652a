"""What the dialects of SQLite refuse or lose, in one sentence each."""

from __future__ import annotations

import sqlite3


class ConnectionLost(sqlite3.OperationalError):
    """The connection is of no more use; the pool opens another one."""


def closed() -> ConnectionLost:
    """Return the error for a connection that was closed behind SQLAlchemy's back."""
    return ConnectionLost(
        "The connection to SQLite is closed: seen a statement after close() or stop() "
        "of the driver's own connection; leave closing to SQLAlchemy."
    )


def moved(path: str) -> ConnectionLost:
    """Return the error for a file that went away below its connections."""
    return ConnectionLost(
        f"The database file was deleted or replaced: seen that {path!r} is not what "
        "this connection opened, so that what it writes is lost; write it again, on "
        "a new connection."
    )


def inherited(engine: str) -> sqlite3.OperationalError:
    """Return the error for a connection that a parent process opened."""
    return sqlite3.OperationalError(
        f"A connection of {engine} is refused: seen in a child process of the one "
        "that opened it, where SQLite loses its locks; write "
        "engine.dispose(close=False) first in the child process."
    )


def interrupted() -> sqlite3.OperationalError:
    """Return SQLite's own error for a statement that was interrupted."""
    return sqlite3.OperationalError("interrupted")


def rolled_back(reason: str) -> sqlite3.OperationalError:
    """Return the error for a transaction that SQLite ended by itself."""
    return sqlite3.OperationalError(
        f"The transaction is gone: seen SQLite roll it back after {reason!r}; write "
        "rollback() and run the whole transaction again."
    )


def stream_ended() -> sqlite3.ProgrammingError:
    """Return the error for a stream that is read after its end."""
    return sqlite3.ProgrammingError(
        "A batch of a stream is refused: seen the stream ended by an error, a rollback "
        "or a close; read it to its end before, or execute it again."
    )


def ignored(statement: str) -> sqlite3.OperationalError:
    """Return the error for what SQLite does not do in a transaction, silently."""
    return sqlite3.OperationalError(
        f"{statement!r} is refused: seen in a transaction, where SQLite ignores it; "
        "write it as the first statement of a transaction, or SQLiteOptions."
    )


def is_closed(error: BaseException) -> bool:
    """Say whether sqlite3 refused a closed connection."""
    return isinstance(error, sqlite3.ProgrammingError) and "closed database" in str(
        error
    )
