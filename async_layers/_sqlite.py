"""SQLite's transactions, made to begin where the other databases begin theirs."""

from __future__ import annotations

import weakref
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, cast
from uuid import uuid4

from sqlalchemy import event
from sqlalchemy.exc import ArgumentError

from async_layers._wire import in_transaction

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import URL, Connection, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import ConnectionPoolEntry


@dataclass(frozen=True, slots=True)
class SQLiteOptions:
    """What an engine tells each of its SQLite connections; None and False: nothing.

    `foreign_keys`: enforce them (`PRAGMA foreign_keys`).
    `journal_mode`: of a database file (`PRAGMA journal_mode`); in WAL readers
    and the writer do not wait for each other.
    `busy_timeout`: how long a statement waits for a lock, in seconds.
    `begin`: the explicit BEGIN that a transaction starts with; None leaves
    beginning to the driver, which begins late or not at all
    (https://docs.sqlalchemy.org/en/21/dialects/sqlite.html, "Enabling
    Non-Legacy SQLite Transactional Modes").
    `memdb`: `sqlite://` is one database in memory for all connections of the
    engine, each with a transaction of its own; False leaves it to SQLAlchemy.

    Connections of a `creator` are told the same.
    """

    foreign_keys: bool = True
    journal_mode: Literal["WAL", "DELETE", "TRUNCATE", "PERSIST"] | None = "WAL"
    busy_timeout: float | None = 5.0
    begin: Literal["DEFERRED", "IMMEDIATE", "EXCLUSIVE"] | None = "DEFERRED"
    memdb: bool = True

    def pragmas(self) -> list[str]:
        """Return the statements for a new connection, the timeout first."""
        statements = list[str]()
        if self.busy_timeout is not None:
            statements.append(f"PRAGMA busy_timeout = {int(self.busy_timeout * 1000)}")
        if self.journal_mode:
            statements.append(f"PRAGMA journal_mode = {self.journal_mode}")
        if self.foreign_keys:
            statements.append("PRAGMA foreign_keys = ON")
        return statements


DEFAULTS = SQLiteOptions()
_READ_ONLY = ("SQLITE_READONLY", "SQLITE_CANTOPEN")


def sqlite_arguments(
    url: URL, options: SQLiteOptions, arguments: Mapping[str, object]
) -> tuple[URL, SQLiteOptions]:
    """Return the URL and the options for SQLite; the user's own arguments win."""
    if url.get_backend_name() != "sqlite":
        return url, options
    connect_args = cast("dict[str, object]", arguments["connect_args"])
    if "autocommit" in connect_args:
        raise ArgumentError(
            "connect_args['autocommit'] is refused: seen "
            f"{connect_args['autocommit']!r}, beside which no BEGIN of ours has a "
            "place; write isolation_level='AUTOCOMMIT', or leave it out."
        )
    if "timeout" in {*url.query, *connect_args}:
        options = replace(options, busy_timeout=None)
    if options.memdb and url.database in {None, "", ":memory:"}:
        url = _memory_url(url)
    return url, options


def _memory_url(url: URL) -> URL:
    """Return a URL whose connections share one new database in memory.

    Each connection has a transaction of its own, which `:memory:` gives
    either to none (a database a connection) or to all (one connection).
    Source: https://sqlite.org/src/file/src/memdb.c.
    """
    query = {**url.query, "vfs": "memdb", "uri": "true"}
    return url.set(database=f"file:/async_layers_{uuid4().hex}", query=query)


def configure_sqlite(engine: Engine | AsyncEngine, options: SQLiteOptions) -> None:
    """Tell each connection of an engine what the options say; do nothing else yet."""
    sync_engine = cast("Engine", getattr(engine, "sync_engine", engine))
    pragmas = options.pragmas()

    def connect(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        for pragma in pragmas:
            _set_up(connection, pragma)

    if "sqlite_begin" not in sync_engine.get_execution_options():
        sync_engine.update_execution_options(sqlite_begin=options.begin)
    event.listen(sync_engine, "connect", connect)
    event.listen(sync_engine, "reset", _reset)
    event.listen(sync_engine, "begin", _begin)
    if sync_engine.url.query.get("vfs") == "memdb":
        _keep_memory(sync_engine)


def _run(connection: DBAPIConnection, statement: str) -> None:
    with closing(connection.cursor()) as cursor:
        cursor.execute(statement)


def _set_up(connection: DBAPIConnection, pragma: str) -> None:
    """Tell a new connection; a database that is only read keeps its journal."""
    try:
        _run(connection, pragma)
    except Exception as error:
        name = str(getattr(error, "sqlite_errorname", ""))
        if "journal_mode" not in pragma or not name.startswith(_READ_ONLY):
            raise


class _Driver(Protocol):
    """What is asked of sqlite3's connection, and of aiosqlite's."""

    isolation_level: str | None
    in_transaction: bool


def _driver(dbapi_connection: object) -> _Driver:
    found = getattr(dbapi_connection, "driver_connection", dbapi_connection)
    return cast("_Driver", found)


def _begin(connection: Connection) -> None:
    """Send the BEGIN of a transaction, none in autocommit."""
    options = connection.get_execution_options()
    pooled = connection.connection
    if options.get("sqlite_query_only"):
        pooled.info["async_layers_query_only"] = True
        connection.exec_driver_sql("PRAGMA query_only = ON")
    driver = _driver(pooled.dbapi_connection)
    # None is SQLAlchemy's AUTOCOMMIT (pysqlite.py, detect_autocommit_setting).
    if driver.isolation_level is None or driver.in_transaction:
        return
    mode = cast("str | None", options.get("sqlite_begin"))
    if mode == "DEFERRED":
        # The user's own isolation_level, an argument of sqlite3, wins.
        own = driver.isolation_level
        connection.exec_driver_sql(f"BEGIN {own}" if own else "BEGIN")
    elif mode:
        connection.exec_driver_sql(f"BEGIN {mode}")


class _ResetState(Protocol):
    asyncio_safe: bool


def _reset(
    connection: DBAPIConnection,
    record: ConnectionPoolEntry | None,
    state: _ResetState,
) -> None:
    """Give the next user a connection without a transaction, and one that writes.

    SQLAlchemy takes a transaction whose COMMIT met SQLITE_BUSY for ended and
    does not roll it back (engine/base.py, `_close_special`).
    """
    if not state.asyncio_safe:
        return
    if in_transaction(_driver(connection)):  # False also where it is closed
        connection.rollback()
    # A detached connection has no record, and no next user.
    if record and record.info.pop("async_layers_query_only", False):
        _run(connection, "PRAGMA query_only = OFF")


def _keep_memory(engine: Engine) -> None:
    """Hold a database in memory open from the first connection to dispose()."""
    import sqlite3  # noqa: PLC0415 - 5 ms that others need not pay

    held = list[sqlite3.Connection]()
    database = f"{engine.url.database}?vfs=memdb"

    def connect(_: DBAPIConnection, __: ConnectionPoolEntry) -> None:
        if not held:
            held.append(sqlite3.connect(database, uri=True, check_same_thread=False))

    def release(_: Engine | None = None) -> None:
        while held:
            held.pop().close()

    event.listen(engine, "connect", connect)
    event.listen(engine, "engine_disposed", release)
    weakref.finalize(engine, release)
