"""The dialect of SQLite that both worlds share."""

from __future__ import annotations

import os
import sqlite3
from abc import abstractmethod
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import event
from sqlalchemy.dialects.sqlite.base import SQLiteExecutionContext
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.sql.elements import ReleaseSavepointClause

from async_layers._sqlite import DEFAULTS, SQLiteOptions, require_options
from async_layers.drivers._sqlite.control import LEGACY, Begin, Control
from async_layers.drivers._sqlite.errors import (
    ConnectionLost,
    closed,
    ignored,
    is_closed,
)
from async_layers.drivers._sqlite.memory import Memory
from async_layers.drivers._sqlite.place import path_of
from async_layers.drivers._sqlite.statements import (
    READS,
    is_outside,
    sets_foreign_keys,
)
from async_layers.drivers._sqlite.waiting import Line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import URL, Connection, Engine, Pool
    from sqlalchemy.engine.interfaces import (
        ConnectArgsType,
        DBAPIConnection,
        IsolationLevel,
    )
    from sqlalchemy.pool import PoolProxiedConnection

    from async_layers.drivers._sqlite.cursor import Cursor, StreamCursor

_OWN_OPTIONS = frozenset({"sqlite_begin", "sqlite_query_only"})
_BATCH = 1000  # rows, SQLAlchemy's own default for max_row_buffer


@lru_cache
def _begin(mode: str | None, own: str, *, query_only: bool) -> Begin | None:
    """Return what begins a transaction; sqlite3's own isolation_level wins."""
    if mode is None and not query_only:
        return None
    kind = own if mode in {"DEFERRED", None} else mode
    kind = "" if kind == "DEFERRED" else kind or ""
    statement = None if mode is None else f"BEGIN {kind}".strip()
    return Begin(statement, writes=bool(kind), query_only=query_only)


class ExecutionContext(SQLiteExecutionContext):
    """Give each statement a cursor that fetches as it should be fetched."""

    dialect: SharedSQLiteDialect  # pyright: ignore[reportIncompatibleVariableOverride]

    def create_cursor(self) -> Any:
        """Return a cursor that fetches all rows, or one that fetches in batches."""
        connection = self._dbapi_connection.dbapi_connection
        if not self.execution_options.get("stream_results") and not (
            self.dialect.server_side_cursors and self._use_server_side_cursor()  # type: ignore[no-untyped-call]
        ):
            cursor = self.dialect.new_cursor(connection)
        else:
            self._is_server_side = True
            cursor = self.dialect.new_stream_cursor(connection, self._batch())
        if self.dialect._has_events:  # noqa: SLF001 - its listeners may execute it
            cursor.context = self
        return cursor

    def begins(self, statement: str) -> Begin | None:
        """Return what goes out ahead of a statement of the cursor."""
        return self.dialect.begins(cast("Cursor", self.cursor), statement, self)

    def _batch(self) -> int | None:
        """Return how many rows to fetch at a time; all at once of what writes.

        SQLite does not commit beside a statement that writes and is not at its end.
        """
        options = self.execution_options
        if self.is_crud:
            return None
        return options.get("yield_per") or options.get("max_row_buffer") or _BATCH


class SharedSQLiteDialect(SQLiteDialect_pysqlite):
    """SQLAlchemy's dialect of SQLite, with transactions that are right.

    BEGIN goes out with the first statement of a transaction, on every Python:
    https://docs.sqlalchemy.org/en/21/dialects/sqlite.html, "SQLite Transactions and
    the sqlite3 driver", says what goes wrong without.
    """

    driver = "async_layers"
    supports_statement_cache = True
    supports_server_side_cursors = True
    execution_ctx_cls = ExecutionContext
    cursor_class: type[Cursor]
    stream_cursor_class: type[StreamCursor]

    def __init__(self, sqlite: SQLiteOptions = DEFAULTS, **arguments: Any) -> None:
        """Take SQLAlchemy's own arguments, and what each connection is told."""
        super().__init__(**arguments)
        self.options = require_options(sqlite)
        self.memory = Memory()
        self._lines = dict[object, Line]()
        self._begin = _begin(sqlite.begin, "", query_only=False)
        self.engine_name = "the engine"

    @abstractmethod
    def control_of(self, dbapi_connection: object) -> Control:
        """Return the control of a connection, pooled or not."""

    def new_cursor(self, dbapi_connection: object) -> Cursor:
        """Return a cursor that fetches all its rows when it executes."""
        return self.cursor_class(dbapi_connection, self.control_of(dbapi_connection))

    def new_stream_cursor(self, dbapi_connection: object, batch: int | None) -> Cursor:
        """Return a cursor that fetches `batch` rows at a time, all for None."""
        return self.stream_cursor_class(
            dbapi_connection, self.control_of(dbapi_connection), batch
        )

    # --- the engine

    @classmethod
    def engine_created(cls, engine: Engine) -> None:
        """Name the dialect's engine, and let it end what outlives a connection."""
        dialect = cast("SharedSQLiteDialect", engine.dialect)
        dialect.engine_name = repr(engine)
        # dispose() calls its listeners whether or not the engine is known to have
        # any; if it is, each connection joins their lists, as long as two SELECTs.
        known = "_has_events" in vars(engine)
        event.listen(engine, "engine_disposed", dialect.disposed)
        if not known:
            vars(engine).pop("_has_events", None)  # the class's own holds again

    def disposed(self, engine: Engine) -> None:
        """End the database in memory; it lives as long as its engine."""
        del engine
        self.memory.release()

    def get_dialect_pool_class(self, url: URL) -> type[Pool]:
        """Return the pool of a database file for one in memory, too."""
        if self._is_ours(url):
            url = url.set(database="memdb")
        return self.get_pool_class(url)

    def _is_ours(self, url: URL) -> bool:
        return self.options.memdb and url.database in {None, "", ":memory:"}

    def create_connect_args(self, url: URL) -> ConnectArgsType:
        """Return sqlite3's arguments; a memory database is one for all connections."""
        if self._is_ours(url):
            url = self.memory.url(url)
        arguments, named = super().create_connect_args(url)
        if self.options.busy_timeout is not None:
            named.setdefault("timeout", self.options.busy_timeout)
        return arguments, named

    def check_connect_args(self, named: Mapping[str, object]) -> None:
        """Refuse what takes beginning out of this dialect's hands by half."""
        if named.get("autocommit", LEGACY) != LEGACY:
            raise ArgumentError(
                "connect_args['autocommit'] is refused: seen "
                f"{named['autocommit']!r}, by which sqlite3 begins or does not; write "
                "isolation_level='AUTOCOMMIT', or leave it out."
            )

    def set_up(self, connection: sqlite3.Connection, control: Control) -> None:
        """Tell a new connection what the options say."""
        self.memory.hold()
        functions = super().on_connect()
        functions(cast("DBAPIConnection", connection))
        path = path_of(connection)
        # A database in memory has no journal, and says so only when nobody writes.
        journal_mode = self.options.journal_mode if path else None
        replace(self.options, journal_mode=journal_mode).tell(connection)
        control.set_up(connection, path, opened=journal_mode is not None)
        # A child process begins with a line in which none of its parent's stand.
        line = os.getpid(), control.place and control.place.file
        control.line = self._lines.setdefault(line, Line())

    # --- transactions

    def do_begin(self, dbapi_connection: PoolProxiedConnection) -> None:
        """Refuse a connection that begins by itself; BEGIN goes out later."""
        try:
            # An attribute of sqlite3 since Python 3.12.
            autocommit = getattr(
                dbapi_connection.dbapi_connection, "autocommit", LEGACY
            )
        except sqlite3.ProgrammingError as error:
            if is_closed(error):
                raise closed() from error
            raise
        if autocommit != LEGACY:
            raise InvalidRequestError(
                f"autocommit={autocommit!r} of sqlite3's connection is refused: seen "
                "where a transaction begins; write isolation_level='AUTOCOMMIT', or "
                "leave it out."
            )

    def do_execute(
        self,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any = None,
    ) -> None:
        """Execute a statement, the first of a transaction after a BEGIN."""
        begin = self.begins(cursor, statement, context)
        cursor.perform(begin, statement, parameters)

    def do_execute_no_params(
        self, cursor: Any, statement: str, context: Any = None
    ) -> None:
        """Execute a statement without parameters."""
        self.do_execute(cursor, statement, (), context)

    def do_executemany(
        self,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any = None,
    ) -> None:
        """Execute a statement for many parameters."""
        begin = self.begins(cursor, statement, context)
        cursor.perform_many(begin, statement, parameters)

    def begins(
        self, cursor: Cursor, statement: str, context: ExecutionContext | None
    ) -> Begin | None:
        """Return what goes out ahead of a statement; None in AUTOCOMMIT."""
        connection = cursor.connection
        try:
            if connection.in_transaction or context is None:
                if cursor.control.wrote and sets_foreign_keys(statement):
                    raise ignored(statement)
                return None
            own = connection.isolation_level
        except sqlite3.ProgrammingError as error:
            if is_closed(error):
                raise closed() from error
            raise  # pragma: no cover - no other is known
        if own is None or (not statement.startswith(READS) and is_outside(statement)):
            return None
        options = context.execution_options
        if not own and _OWN_OPTIONS.isdisjoint(options):
            return self._begin
        mode = options.get("sqlite_begin", self.options.begin)
        return _begin(mode, own, query_only=bool(options.get("sqlite_query_only")))

    def do_rollback_to_savepoint(self, connection: Connection, name: str) -> None:
        """Roll back to a savepoint; in AUTOCOMMIT end the transaction that it began.

        SQLAlchemy returns to a savepoint once at the most.
        """
        super().do_rollback_to_savepoint(connection, name)  # type: ignore[no-untyped-call]
        driver: Any = connection.connection.dbapi_connection
        if driver.isolation_level is None:
            release = ReleaseSavepointClause(name)  # type: ignore[no-untyped-call]
            connection.execute(release)

    def do_ping(self, dbapi_connection: DBAPIConnection) -> bool:
        """Say that the connection is alive and its file is still there."""
        self.new_cursor(dbapi_connection).run(self.control_of(dbapi_connection).ping)
        return True

    def set_isolation_level(
        self, dbapi_connection: DBAPIConnection, level: IsolationLevel
    ) -> None:
        """Change the level between two transactions, without a statement if it can.

        sqlite3 commits what is open when its isolation_level becomes None.
        """
        connection = cast("sqlite3.Connection", dbapi_connection)
        in_transaction = _is_open(connection)
        if in_transaction is None:
            return  # closed; its first statement says so
        if in_transaction:
            raise InvalidRequestError(
                f"isolation_level={level!r} is refused: seen a transaction that is "
                "open; write it ahead of the transaction, or commit() or rollback()."
            )
        if level == "AUTOCOMMIT":
            connection.isolation_level = None
            return
        control = self.control_of(dbapi_connection)
        if connection.isolation_level is None:
            connection.isolation_level = cast("Any", control.own_level)
        uncommitted = level == "READ UNCOMMITTED"
        if control.read_uncommitted != uncommitted:
            connection.execute(f"PRAGMA read_uncommitted = {int(uncommitted)}")
            control.read_uncommitted = uncommitted

    def reset_isolation_level(self, dbapi_conn: Any) -> None:
        """Give the level back; what its last user left open is rolled back."""
        if _is_open(dbapi_conn):
            dbapi_conn.rollback()
        super().reset_isolation_level(dbapi_conn)  # type: ignore[no-untyped-call]

    def is_disconnect(self, e: Exception, connection: object, cursor: object) -> bool:
        """Say whether an error leaves a connection that is of no more use."""
        del connection, cursor
        return isinstance(e, ConnectionLost)


def _is_open(connection: Any) -> bool | None:
    """Say whether a connection has a transaction open; None if it is closed."""
    try:
        return bool(connection.in_transaction)
    except sqlite3.ProgrammingError as error:
        if is_closed(error):
            return None
        raise  # pragma: no cover - no other is known
