"""SQLite on sqlite3: `sqlite+async_layers://` in the blocking world."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import event

from async_layers.drivers._sqlite.control import Control
from async_layers.drivers._sqlite.dialect import SharedSQLiteDialect
from async_layers.drivers._sqlite.here import SQLiteCursor, SQLiteStreamCursor
from async_layers.drivers._sqlite.lifecycle import watch

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from sqlalchemy import URL, Engine
    from sqlalchemy.engine import Dialect
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection


class SQLiteDialect(SharedSQLiteDialect):
    """SQLite for the blocking world: sqlite3's connection, and a control beside it.

    `get_driver_connection()` and the pool's events get the connection of sqlite3
    itself.
    """

    supports_statement_cache = True
    cursor_class = SQLiteCursor
    stream_cursor_class = SQLiteStreamCursor

    def __init__(self, **arguments: Any) -> None:
        """Take SQLAlchemy's arguments, and `sqlite`, what each connection is told."""
        super().__init__(**arguments)
        self._controls = dict[int, Control]()

    @classmethod
    def get_async_dialect_cls(cls, url: URL) -> type[Dialect]:
        """Return the asyncio dialect that the same URL means there."""
        del url
        from async_layers.drivers.sqlite_async import (  # noqa: PLC0415 - aiosqlite
            AsyncSQLiteDialect,
        )

        return AsyncSQLiteDialect

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Let go of a connection that leaves its pool."""
        super().engine_created(engine)
        dialect = cast("SQLiteDialect", engine.dialect)

        def let_go(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
            dialect.control_of(connection).let_go()

        event.listen(engine.pool, "detach", let_go)

    def connect(self, *arguments: object, **named: object) -> DBAPIConnection:
        """Open a connection."""
        self.check_connect_args(named)
        self.memory.hold()
        return super().connect(*arguments, **named)

    def on_connect(self) -> Callable[[DBAPIConnection], None]:
        """Return what tells a new connection its options."""

        def connect(dbapi_connection: DBAPIConnection) -> None:
            connection = cast("sqlite3.Connection", dbapi_connection)
            control = self._controls[id(connection)] = Control(self.engine_name)
            self.set_up(connection, control)
            watch(control)

        return connect

    def disposed(self, engine: Engine) -> None:
        """Keep no connection that the pool has let go; a child keeps its parent's."""
        super().disposed(engine)
        for control in list(self._controls.values()):
            if not control.inherited:
                control.let_go()

    def control_of(self, dbapi_connection: object) -> Control:
        """Return the control of a connection of sqlite3."""
        control = self._controls.get(id(dbapi_connection))
        if control is None:
            control = self._controls[id(dbapi_connection)] = Control(self.engine_name)
        return control

    def do_commit(self, dbapi_connection: PoolProxiedConnection) -> None:
        """Commit, or leave nothing to commit."""
        connection: Any = dbapi_connection.dbapi_connection
        control = self.control_of(connection)
        with control.lock:
            control.commit(connection)

    def do_rollback(self, dbapi_connection: PoolProxiedConnection) -> None:
        """Roll back; sqlite3's own rollback() is called where SQLite has nothing."""
        connection: Any = dbapi_connection.dbapi_connection
        if self.skip_autocommit_rollback and connection.isolation_level is None:
            return
        control = self._controls.get(id(connection)) or self.control_of(connection)
        with control.lock:
            if not control.roll_back(connection):
                dbapi_connection.rollback()

    def do_close(self, dbapi_connection: DBAPIConnection) -> None:
        """Close the connection and the results that are open on it."""
        control = self.control_of(dbapi_connection)
        self._controls.pop(id(dbapi_connection), None)
        control.close(cast("sqlite3.Connection", dbapi_connection))
