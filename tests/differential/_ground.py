"""What a scenario stands on: tables of its own, engines of its side, an observer."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, cast

import psycopg
from sqlalchemy import Column, Integer, MetaData, String, Table, text
from sqlalchemy.ext.asyncio import AsyncEngine

from async_layers._wire import backend_pid
from tests.differential._outcome import see
from tests.differential._server import Server, reach

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from sqlalchemy import Connection, Engine, Executable
    from sqlalchemy.orm import Session

    from tests.differential._outcome import Seen
    from tests.differential._sides import Side

PATIENCE = 2.0

ITEM = Table(
    "item",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String),
    Column("n", Integer),
)
_TABLES = """
    CREATE TABLE item (id int PRIMARY KEY, name text, n int);
    INSERT INTO item VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30);
"""

# What is prepared and holds a lock on a table of a schema.
_PREPARED = """
    SELECT DISTINCT gid FROM pg_prepared_xacts prepared
    JOIN pg_locks own ON own.transactionid = prepared.transaction
    JOIN pg_locks held USING (virtualtransaction)
    JOIN pg_class ON pg_class.oid = held.relation
    WHERE held.pid IS NULL AND relnamespace = %s::regnamespace
"""

P = ParamSpec("P")


class Ground:
    """What one run of one scenario stands on."""

    def __init__(self, side: Side, server: Server, name: str) -> None:
        self.side = side
        self.application = self.schema = name
        self.server = server
        self.opened: list[Engine | AsyncEngine] = []
        self._engine: Engine | None = None
        server.observer.execute(
            f"CREATE SCHEMA {name}; SET search_path = {name}, public;"
            f"SET lock_timeout = '500ms'; {_TABLES}".encode()
        )

    @property
    def engine(self) -> Engine:
        """The engine of most scenarios; it has connected once."""
        if self._engine is None:
            self._engine = self.open()
        return self._engine

    @property
    def async_engine(self) -> AsyncEngine:
        """The same engine, to the asyncio body of a scenario."""
        found = self.opened[-1]
        assert isinstance(found, AsyncEngine)
        return found

    def open(self, *, used: bool = True, **options: Any) -> Engine:
        """Open another engine; unless told otherwise it has connected once."""
        opened = self.side.open(
            self.server.url, self.application, self.schema, **options
        )
        self.opened.append(opened)
        engine = opened.sync_engine if isinstance(opened, AsyncEngine) else opened
        if used:
            engine.connect().close()
            if self.server.log:
                self.observe(self.server.mark(self.application))
        return engine

    def observe(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement on the observer's connection; return its rows, if any."""
        cursor = self.server.observer.execute(sql.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []

    def attempt(
        self, action: Callable[P, object], *arguments: P.args, **named: P.kwargs
    ) -> object | Seen:
        """Return what an action returns, or the error that it raises."""
        try:
            return action(*arguments, **named)
        except Exception as error:  # noqa: BLE001 - any error is an outcome
            return see(error)

    async def attempt_async(self, awaitable: Awaitable[object]) -> object | Seen:
        """Return what is awaited, or the error that it raises."""
        try:
            return await awaitable
        except Exception as error:  # noqa: BLE001 - any error is an outcome
            return see(error)

    def wait_for(self, sql: str, *parameters: object) -> None:
        """Return when a query of the observer's finds a row."""
        with reach(self.server.url) as observer:
            end = time.monotonic() + PATIENCE
            while not observer.execute(sql.encode(), parameters).fetchall():
                if time.monotonic() > end:
                    raise TimeoutError(sql)
                time.sleep(0.003)

    def wait_until_busy(self) -> None:
        """Return when a connection of ours runs a statement that sleeps."""
        self.wait_for(
            "SELECT 1 FROM pg_stat_activity WHERE application_name = %s"
            " AND state = 'active' AND wait_event = 'PgSleep'",
            self.application,
        )

    def kill(self, connection: Connection | Session) -> None:
        """End the backend of a connection, and return when it is gone."""
        pid = pid_of(connection)
        self.observe("SELECT pg_terminate_backend(%s)", pid)
        self.wait_for(
            "SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)",
            pid,
        )

    def end_busy(self, function: str) -> None:
        """Call a function of the server on the backend that sleeps."""
        self.wait_until_busy()
        with reach(self.server.url) as observer:
            observer.execute(
                f"SELECT {function}(pid) FROM pg_stat_activity"  # noqa: S608
                " WHERE application_name = %s AND state = 'active'".encode(),
                [self.application],
            )

    @contextmanager
    def meanwhile(self, action: Callable[[], object]) -> Iterator[None]:
        """Run an action in a thread beside the block."""
        thread = threading.Thread(target=action, daemon=True)
        thread.start()
        try:
            yield
        finally:
            thread.join(2 * PATIENCE)

    def rows(self) -> tuple[str, ...]:
        """Return each row of each table, as others see it."""
        found = self.observe(
            "SELECT relname FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = %s::regnamespace ORDER BY 1",
            self.schema,
        )
        return tuple(
            line for (name,) in found for line in self._lines(cast("str", name))
        )

    def _lines(self, name: str) -> list[str]:
        try:
            rows = self.observe(f'SELECT t::text FROM "{name}" t ORDER BY 1')  # noqa: S608
        except psycopg.errors.LockNotAvailable:
            return [f"{name} locked"]
        return [f"{name} {row}" for (row,) in rows]

    def left(self) -> tuple[str, ...]:
        """Return what the connections were left in, but for the idle ones."""
        asked = (
            "SELECT state FROM pg_stat_activity"
            " WHERE application_name = %s AND state <> 'idle' ORDER BY 1"
        )
        end = time.monotonic() + 0.25  # a backend whose client is gone, goes
        while (left := self.observe(asked, self.application)) and (
            time.monotonic() < end
        ):
            time.sleep(0.01)
        pools = (cast("Any", engine.pool) for engine in self.opened)
        out = sum(pool.checkedout() for pool in pools if hasattr(pool, "checkedout"))
        states = [str(state) for (state,) in left]
        return (*states, *[f"{out} checked out"] * bool(out))

    def clear(self) -> None:
        """End the connections that are left and drop the tables."""
        for (prepared,) in self.observe(_PREPARED, self.schema):
            self.observe(f"ROLLBACK PREPARED '{prepared}'")
        self.observe(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"  # noqa: S608 - ours
            f" WHERE application_name = '{self.application}';"
            "SET client_min_messages = warning; SET lock_timeout = '5s';"
            f"DROP SCHEMA {self.schema} CASCADE"
        )


def pid_of(connection: Connection | Session) -> int | None:
    """Return the process id of a connection's backend."""
    known = cast("Any", connection)
    if hasattr(known, "get_bind"):
        known = known.connection()
    return backend_pid(known.connection.driver_connection)


def rows(connection: Connection | Session, sql: str, **parameters: Any) -> list[Any]:
    """Return the rows of a `text()`."""
    return [tuple(row) for row in connection.execute(text(sql), parameters)]


def run(connection: Connection | Session, sql: str, **parameters: Any) -> None:
    """Run a `text()`."""
    connection.execute(text(sql), parameters)


def do(connection: Connection, statement: Executable, given: Any = None) -> None:
    """Execute a statement; what it returns is not looked at."""
    connection.execute(statement, given)


def add(connection: Connection | Session, number: int) -> None:
    """Insert an item."""
    connection.execute(ITEM.insert(), {"id": number, "name": "new", "n": 0})
