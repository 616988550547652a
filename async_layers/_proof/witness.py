"""What a server sees of a connection, told by the server and not by SQLAlchemy."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, cast

from async_layers._trace.labels import label
from async_layers._trace.record import BY_THE_DATABASE
from async_layers._wire import backend_pid, in_transaction

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import psycopg
    from sqlalchemy import AdaptedConnection
    from sqlalchemy.engine.interfaces import DBAPIConnection

    from async_layers.trace import Event


@dataclass(frozen=True, slots=True)
class Sight:
    """What a server saw of one connection after one event.

    `state`: `idle`, `in transaction`, `aborted` (a transaction that takes
    nothing but ROLLBACK) or `gone`. `statements`: what it was sent since the
    last event (SQLite) or last (PostgreSQL). `locks`: what the connection
    holds.
    """

    state: str
    statements: tuple[str, ...]
    locks: tuple[str, ...]

    def __str__(self) -> str:
        """Return the state and the locks, which are the same for every driver."""
        return "; ".join([self.state, *self.locks])


class Witness(Protocol):
    """Sees the connections of one half of a fact."""

    def attend(self, connection: DBAPIConnection) -> None:
        """Take notice of a new connection."""

    def start(self) -> None:
        """Begin with the fact: what connections were sent before is not its affair."""

    def see(self, event: Event, driver: object) -> Sight:
        """Look at a connection after an event."""
        ...

    def untold(self) -> list[str]:
        """Return what connections were sent after the last event that told of them."""
        ...


_STATES = {
    "active": "in transaction",
    "idle": "idle",
    "idle in transaction": "in transaction",
    "idle in transaction (aborted)": "aborted",
}
_ACTIVITY = """
SELECT state, query,
    array(
        SELECT coalesce(relname || ' ' || mode, locktype) FROM pg_locks
        LEFT JOIN pg_class ON pg_class.oid = relation
        WHERE pg_locks.pid = pg_stat_activity.pid AND granted
        AND (locktype = 'advisory' OR relkind = 'r' AND relnamespace NOT IN
            ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)) ORDER BY 1
    )
FROM pg_stat_activity WHERE pid = %s
"""


class PostgreSQLWitness:
    """Reads pg_stat_activity and pg_locks from a connection of its own.

    Source: https://www.postgresql.org/docs/current/monitoring-stats.html.
    """

    def __init__(self, observer: psycopg.Connection[tuple[object, ...]]) -> None:
        self._observer = observer

    def attend(self, connection: DBAPIConnection) -> None:
        """Do nothing: the server knows its backends."""

    def start(self) -> None:
        """Do nothing: the server tells what is, and not what was."""

    def see(self, event: Event, driver: object) -> Sight:  # noqa: ARG002 - SQLite's
        found = self._observer.execute(_ACTIVITY, [backend_pid(driver)]).fetchone()
        if found is None:
            return Sight("gone", (), ())
        state, query, locks = cast("tuple[str, str, list[str]]", found)
        return Sight(_STATES.get(state, state), (label(query),), tuple(locks))

    def untold(self) -> list[str]:
        return []


@dataclass(slots=True)
class _Seen:
    statements: list[str] = field(default_factory=list[str])
    state: str = "idle"


class SQLiteWitness:
    """Hears each statement that SQLite runs, and tries whether the file is locked.

    Source: https://sqlite.org/c3ref/trace_v2.html.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: dict[int, _Seen] = {}

    def attend(self, connection: DBAPIConnection) -> None:
        driver = getattr(connection, "driver_connection", connection)
        seen = self._seen[id(driver)] = _Seen()

        def heard(statement: str) -> None:
            seen.statements.append(label(statement))

        if isinstance(driver, sqlite3.Connection):
            driver.set_trace_callback(heard)
            return

        async def listen(driver: _Aiosqlite) -> None:
            await driver.set_trace_callback(heard)

        cast("AdaptedConnection", connection).run_async(listen)

    def start(self) -> None:
        for seen in self._seen.values():
            seen.statements.clear()

    def see(self, event: Event, driver: object) -> Sight:
        seen = self._seen[id(driver)]
        statements = tuple(dict.fromkeys(seen.statements))
        seen.statements.clear()
        for statement in _done(statements, event):
            if statement.startswith("BEGIN"):
                seen.state = "in transaction"
            elif statement in {"COMMIT", "ROLLBACK"}:
                seen.state = "idle"
        if event.text == BY_THE_DATABASE and not in_transaction(driver):
            seen.state = "idle"  # it does not tell, but it can be asked
        locks = ("write lock",) if is_locked(self._file) else ()
        return Sight(seen.state, statements, locks)

    def untold(self) -> list[str]:
        return [sent for seen in self._seen.values() for sent in seen.statements]


def _done(statements: tuple[str, ...], event: Event) -> tuple[str, ...]:
    """Return the statements that were heard and did what they say.

    Of those that were sent for an event that failed, its own did not; it is not
    heard where SQLite could not even prepare it.
    """
    named = event.text.partition(" x")[0]
    if event.failed and statements and statements[-1] == named:
        return statements[:-1]
    return statements


def is_locked(file: Path) -> bool:
    """Say whether somebody holds the write lock of a file of SQLite."""
    with closing(sqlite3.connect(file, timeout=0)) as probe:
        probe.isolation_level = None
        try:
            probe.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        probe.execute("ROLLBACK")
        return False


class _Aiosqlite(Protocol):
    async def set_trace_callback(self, handler: Callable[[str], None]) -> None: ...
