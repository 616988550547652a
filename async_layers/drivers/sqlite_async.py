"""SQLite on aiosqlite: `sqlite+async_layers://` in the asyncio world."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import TYPE_CHECKING, Any, cast

import aiosqlite
from sqlalchemy import util
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.util.concurrency import await_, in_greenlet

from async_layers.drivers._sqlite.dialect import SharedSQLiteDialect
from async_layers.drivers._sqlite.opening import AsyncSQLiteDBAPI
from async_layers.drivers._sqlite.there import (
    AsyncSQLiteCursor,
    AsyncSQLiteStreamCursor,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread

    from sqlalchemy import URL, Engine
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import Pool

    from async_layers.drivers._sqlite.adapter import AsyncAdaptSQLiteConnection
    from async_layers.drivers._sqlite.control import Control


class AsyncSQLiteDialect(SharedSQLiteDialect):
    """SQLite for the asyncio world: aiosqlite's connection, one trip a statement.

    `get_driver_connection()` returns aiosqlite's connection, as SQLAlchemy's own
    dialect does; the pool's events get an adapter in front of it.
    """

    supports_statement_cache = True
    is_async = True
    # What it waits for are futures: COMMIT needs no task of its own to go on.
    is_kept = True
    has_terminate = True
    cursor_class = AsyncSQLiteCursor
    stream_cursor_class = AsyncSQLiteStreamCursor

    def __init__(self, **arguments: Any) -> None:
        """Take SQLAlchemy's arguments, and `sqlite`, what each connection is told."""
        super().__init__(**arguments)
        self._leaving = list["Thread"]()

    @classmethod
    def import_dbapi(cls) -> AsyncSQLiteDBAPI:
        """Return the module of PEP 249."""
        return AsyncSQLiteDBAPI(aiosqlite, sqlite3)

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        """Return the pool of SQLAlchemy's own dialect."""
        return SQLiteDialect_aiosqlite.get_pool_class(url)

    def retrieve_dbapi_version(self, dbapi: object) -> util.VersionInfo:
        """Return the version of aiosqlite."""
        del dbapi
        return util.parse_version_string(aiosqlite.__version__)

    def connect(self, *arguments: object, **named: object) -> DBAPIConnection:
        """Open a connection."""
        self.check_connect_args(named)
        self.memory.hold()
        # In place: the connections that are open have the same list.
        self._leaving[:] = [thread for thread in self._leaving if thread.is_alive()]
        # SQLite is compiled for threads, and only one at a time is let near it.
        named.setdefault("check_same_thread", False)
        return super().connect(*arguments, **named)

    def on_connect(self) -> Callable[[DBAPIConnection], None]:
        """Return what tells a new connection its options."""

        def connect(dbapi_connection: DBAPIConnection) -> None:
            adapter = cast("AsyncAdaptSQLiteConnection", dbapi_connection)
            adapter.control.engine = self.engine_name
            adapter.leaving = self._leaving
            adapter.run(self.set_up, adapter.control)

        return connect

    def control_of(self, dbapi_connection: object) -> Control:
        """Return the control of a connection, pooled or not."""
        return cast("AsyncAdaptSQLiteConnection", dbapi_connection).control

    def do_terminate(self, dbapi_connection: DBAPIConnection) -> None:
        """Give a connection up, at once."""
        cast("AsyncAdaptSQLiteConnection", dbapi_connection).terminate()

    def get_driver_connection(self, connection: DBAPIConnection) -> object:
        """Return aiosqlite's connection."""
        return cast("AsyncAdaptSQLiteConnection", connection).driver_connection

    def disposed(self, engine: Engine) -> None:
        """Wait for the threads of connections that were given up before.

        Not for ever: a function defined by the user may never return.
        """
        super().disposed(engine)
        end = time.monotonic() + 10  # seconds
        while in_greenlet() and self._leaving and time.monotonic() < end:
            if self._leaving[-1].is_alive():
                await_(asyncio.sleep(0.001))
            else:
                self._leaving.pop()
