"""Open a connection on a thread of its own."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_dbapi
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.util.concurrency import await_, in_greenlet

from async_layers.drivers._sqlite.adapter import AsyncAdaptSQLiteConnection
from async_layers.drivers._sqlite.trip import PATIENCE, Trip, outlast
from async_layers.drivers._sqlite.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import aiosqlite


def open_connection(
    *arguments: Any,
    async_creator_fn: Callable[..., Awaitable[aiosqlite.Connection]] | None = None,
    **named: Any,
) -> AsyncAdaptSQLiteConnection:
    """Open a connection, in a greenlet.

    Raises what sqlite3 raises. A cancellation leaves neither file nor thread open.
    """
    if not in_greenlet():
        raise MissingGreenlet(
            "A connection of asyncio's is refused: seen blocking code; write "
            "'sqlite+async_layers' in its URL, or create_async_engine()."
        )
    if async_creator_fn is not None:
        driver = await_(async_creator_fn(*arguments, **named))
        return AsyncAdaptSQLiteConnection(Worker(driver), direct=False)
    opened = list[sqlite3.Connection]()

    def connect() -> sqlite3.Connection:
        opened.append(sqlite3.connect(*arguments, **named))
        return opened[0]

    worker = Worker.start(connect)
    trip = Trip(worker, connect)
    try:
        worker.connection = await_(trip)
    except BaseException as error:
        worker.stop(partial(_close, opened))
        if isinstance(error, asyncio.CancelledError):
            outlast(trip, PATIENCE)
        worker.thread.join(timeout=0.05)
        raise
    direct = not named.get("check_same_thread", True)
    return AsyncAdaptSQLiteConnection(worker, direct=direct)


def _close(opened: list[sqlite3.Connection]) -> None:
    for connection in opened:
        connection.close()


class AsyncSQLiteDBAPI(AsyncAdapt_aiosqlite_dbapi):
    """The module of PEP 249 that SQLAlchemy sees: sqlite3's names, our connect()."""

    def _init_dbapi_attributes(self) -> None:
        super()._init_dbapi_attributes()
        for name in ("DataError", "InterfaceError", "InternalError", "Warning"):
            setattr(self, name, getattr(self.sqlite, name))

    def connect(self, *arguments: Any, **named: Any) -> Any:
        """Open a connection, its own or an `async_creator`'s."""
        return open_connection(*arguments, **named)
