"""Whether a standby has replayed a position of its primary's log; no I/O."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError

from async_layers._options import require_seconds

if TYPE_CHECKING:
    from sqlalchemy import Connection, Row, TextClause
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncConnection

# A commit is acknowledged when it is flushed, but for synchronous_commit=off.
POSITION: Final = text(
    "SELECT CAST(CASE current_setting('synchronous_commit') WHEN 'off' THEN "
    "pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END AS text)"
)
_LOOK = text(
    "SELECT NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= "
    "CAST(CAST(:position AS text) AS pg_lsn), "
    "CAST(pg_last_wal_replay_lsn() AS text), current_setting('transaction_isolation')"
)
_FIXED = frozenset({"repeatable read", "serializable"})


class StandbyBehindError(TimeoutError):
    """A standby has not replayed a position in the time that was given.

    `position` is what was waited for, `replayed` how far the standby has come.
    """

    def __init__(self, position: str, replayed: str | None, seconds: float) -> None:
        super().__init__(
            f"A read is refused: seen a standby at {replayed} after {seconds} seconds "
            f"and not yet at {position}; read from the primary, or wait for longer."
        )
        self.position = position
        self.replayed = replayed


def require_postgresql(name: str, database: str) -> None:
    """Refuse a database that has no standbys of this kind."""
    if database != "postgresql":
        raise InvalidRequestError(
            f"{name} is refused: seen {database!r}, whose standbys it does not know; "
            "write an engine of 'postgresql://'."
        )


class Waiting:
    """How long to wait for a standby, and whether it has caught up."""

    def __init__(
        self, connection: Connection | AsyncConnection, position: str, seconds: float
    ) -> None:
        require_postgresql("wait_for_position()", connection.dialect.name)
        require_seconds("within", seconds, or_none=True)
        self._connection = connection
        self._position = position
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._pause = 0.001
        self.look: TextClause = _LOOK.bindparams(position=position)

    def pause(self, row: Row[Any]) -> float | None:
        """Return the seconds until the next look; None where it is reached.

        Raises `StandbyBehindError` where the time is over.
        """
        reached, replayed, level = cast("tuple[bool, str | None, str]", row)
        if level in _FIXED and not _is_autocommit(self._connection):
            raise InvalidRequestError(
                f"wait_for_position() is refused: seen a transaction in {level!r}, "
                "which sees nothing of what is replayed after its first statement; "
                "wait on a connection of read(), or in READ COMMITTED."
            )
        if reached:
            return None
        left = self._end - time.monotonic()
        if left <= 0:
            raise StandbyBehindError(self._position, replayed, self._seconds)
        pause, self._pause = self._pause, min(2 * self._pause, 0.1)
        return min(pause, left)


def _is_autocommit(connection: Connection | AsyncConnection) -> bool:
    sync = cast("Connection", getattr(connection, "sync_connection", connection))
    return sync.dialect.detect_autocommit_setting(
        cast("DBAPIConnection", sync.connection.dbapi_connection)
    )
