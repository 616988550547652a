"""aiosqlite's connection as SQLAlchemy's greenlets use it: one trip a statement."""

from __future__ import annotations

import asyncio
import sqlite3
import warnings
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar

import aiosqlite
from aiosqlite.core import (
    _STOP_RUNNING_SENTINEL,  # noqa: PLC2701 - what ends its thread
)
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.util.concurrency import await_, in_greenlet

from async_layers.drivers._sqlite.control import Control
from async_layers.drivers._sqlite.cursor import Cursor, StreamCursor
from async_layers.drivers._sqlite.errors import closed, inherited
from async_layers.drivers._sqlite.lifecycle import unwatch, watch
from async_layers.drivers._sqlite.trip import PATIENCE, Trip, outlast

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Concatenate, ParamSpec

    from threading import Thread

    from async_layers.drivers._sqlite.control import Parameters

    P = ParamSpec("P")

T = TypeVar("T")


class _There:
    """Do the work of a cursor on the connection's thread."""

    __slots__ = ()

    connection: AsyncAdaptSQLiteConnection

    def run(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        /,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Go to the thread and come back with the result."""
        return self.connection.run(work, *arguments, **named)


class AsyncSQLiteCursor(_There, Cursor):
    """A cursor that fetches all its rows in the trip that executes."""

    __slots__ = ()


class AsyncSQLiteStreamCursor(_There, StreamCursor):
    """A cursor that fetches its rows in batches, a trip each."""

    __slots__ = ()


class AsyncAdaptSQLiteConnection(AdaptedConnection):
    """A connection of PEP 249 in front of aiosqlite's, for use in a greenlet.

    On the caller's own thread it asks sqlite3 only what is known in memory, and
    rolls back, or commits, what has only read: that waits neither for a disk nor
    for a lock, and costs less there than to send it away.
    """

    __slots__ = (
        "__weakref__",
        "_abandoned",
        "_away",
        "_direct",
        "_sqlite",
        "control",
        "leaving",
    )

    _connection: aiosqlite.Connection

    def __init__(
        self,
        connection: aiosqlite.Connection,
        sqlite: sqlite3.Connection,
        *,
        direct: bool,
    ) -> None:
        """Take over an open connection; `direct`: other threads may use it."""
        self._connection = connection
        self._sqlite = sqlite
        self._direct = direct
        self._abandoned = False
        self._away = 0
        self.control = Control("an engine")
        # Threads that nobody has waited for yet.
        self.leaving: list[Thread] = []
        watch(self.control, connection._thread)  # noqa: SLF001 - it has no other name

    # --- trips

    def run(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        /,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Do work on the thread; a cancellation interrupts it."""
        return self._go(
            partial(self._work, partial(work, self._sqlite, *arguments, **named))
        )

    def _work(self, work: Callable[[], T]) -> T:
        """Do work; what nobody waits for any more is rolled back at once."""
        try:
            return work()
        finally:
            if self.control.given_up:
                self.control.give_up(self._sqlite)

    def _go(self, work: Callable[[], T], *, interrupt: bool = True) -> T:
        """Go to the thread, wait, and come back; never leave it half way."""
        trip = self._send(work)
        self._away += 1
        try:
            return await_(trip.future)
        except BaseException as error:
            if not trip.over:
                self._cancelled(trip, error, interrupt=interrupt)
            raise
        finally:
            self._away -= 1

    def _send(self, work: Callable[[], T]) -> Trip[T]:
        if self.control.inherited:
            raise inherited(self.control.engine)
        if self._is_gone():
            raise closed()
        trip = Trip(asyncio.get_running_loop(), work)
        self._connection._tx.put_nowait((None, trip))  # noqa: SLF001 - as SQLAlchemy does
        return trip

    def _is_gone(self) -> bool:
        """Say whether somebody ended the connection or its thread."""
        driver = self._connection
        return (
            driver._connection is None  # noqa: SLF001 - as SQLAlchemy does
            or not driver._running  # noqa: SLF001 - as above
            or not driver._thread.is_alive()  # noqa: SLF001 - as above
        )

    def _cancelled(
        self, trip: Trip[T], error: BaseException, *, interrupt: bool
    ) -> None:
        """Wait for the thread: not long for a statement, to the end for a COMMIT."""
        if interrupt:
            self.control.given_up = True
        # Whoever closes a coroutine cannot be made to wait.
        patient = isinstance(error, asyncio.CancelledError)
        over = patient and (
            outlast(trip, PATIENCE, self._sqlite.interrupt)
            if interrupt
            else outlast(trip, None)
        )
        self._abandoned = not over

    # --- PEP 249

    @property
    def in_transaction(self) -> bool:
        """Say whether SQLite has a transaction open; no trip."""
        return self._sqlite.in_transaction

    @property
    def isolation_level(self) -> str | None:
        """The one of sqlite3: None is autocommit; no trip."""
        return self._sqlite.isolation_level

    @isolation_level.setter
    def isolation_level(
        self, value: Literal["DEFERRED", "IMMEDIATE", "EXCLUSIVE", ""] | None
    ) -> None:
        def change(connection: sqlite3.Connection) -> None:
            connection.isolation_level = value

        if self._direct and not self._away and not self._sqlite.in_transaction:
            change(self._sqlite)
        else:
            self.run(change)

    def cursor(self, server_side: bool = False) -> Cursor:  # noqa: FBT001, FBT002 - as SQLAlchemy's
        """Return a cursor that fetches when it executes, or in batches; no trip."""
        if server_side:
            return AsyncSQLiteStreamCursor(self, self.control, 1)
        return AsyncSQLiteCursor(self, self.control)

    def execute(self, operation: str, parameters: Parameters | None = None) -> Cursor:
        """Execute a statement with a cursor of its own."""
        return self.cursor().execute(operation, parameters)

    def commit(self) -> None:
        """Commit what has been written; no trip for what has only read."""
        if not self._is_gone():
            self._end(self.control.commit)
        elif self.control.began:
            raise closed()

    def rollback(self) -> None:
        """Roll back what has been written; no trip for what has only read."""
        if not self._is_gone():
            self._end(self.control.roll_back)

    def _end(self, end: Callable[[sqlite3.Connection], None]) -> None:
        control, sqlite = self.control, self._sqlite
        silent = not (sqlite.in_transaction or control.query_only)
        if silent or (self._direct and not self._away and not control.wrote):
            end(sqlite)
        else:
            self._go(partial(end, sqlite), interrupt=False)

    def close(self) -> None:
        """Close the connection; its thread has ended when this returns."""
        if self.control.inherited or self._is_gone():
            return
        trip = self._send(partial(self.control.close, self._sqlite))
        self._stop()
        try:
            await_(trip.future)
        except asyncio.CancelledError:
            outlast(trip, None)
            raise
        finally:
            self._connection._thread.join(timeout=1)  # noqa: SLF001 - as above

    def terminate(self) -> None:
        """Give the connection up: its locks are gone when this returns.

        Closing goes on in the thread, which ends by itself; `dispose()` waits for
        it. Where the garbage collector calls, nobody can wait.
        """
        if self.control.inherited or self._is_gone():
            return
        if self._away:  # somebody else's statement
            self.control.given_up = True
            self._sqlite.interrupt()
        wait = in_greenlet() and not self._abandoned
        trip = self._send(partial(self.control.give_up, self._sqlite)) if wait else None
        self._stop()
        if trip is None:
            return
        try:
            await_(asyncio.wait([trip.future], timeout=PATIENCE))
        except asyncio.CancelledError:
            outlast(trip, PATIENCE)
            raise

    def _stop(self) -> None:
        """Let the thread close the connection and end, after what it has to do."""
        driver = self._connection
        last = partial(_close_and_stop, self.control, self._sqlite)
        driver._tx.put_nowait((None, last))  # noqa: SLF001 - as above
        # aiosqlite's own words for a connection that is closed.
        driver._running = False  # noqa: SLF001 - as above
        driver._connection = None  # noqa: SLF001 - as above
        unwatch(self.control)
        self.leaving.append(driver._thread)  # noqa: SLF001 - as above

    def __del__(self) -> None:
        """Stop the thread of a connection that nobody closed, and say so."""
        if self.control.inherited:
            self._connection._connection = None  # noqa: SLF001 - nor does aiosqlite warn
        elif not self._is_gone():
            self._stop()
            warnings.warn(
                f"A connection of {self.control.engine} was never closed; write "
                "'await engine.dispose()' where the engine's work ends.",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    # --- what sqlite3's connection has besides

    def create_function(self, *arguments: object, **named: object) -> None:
        """Create a function of SQL, as sqlite3's connection does."""
        self.run(lambda sqlite: sqlite.create_function(*arguments, **named))

    def create_aggregate(self, *arguments: object) -> None:
        """Create an aggregate of SQL, as sqlite3's connection does."""
        self.run(lambda sqlite: sqlite.create_aggregate(*arguments))

    def create_collation(self, *arguments: object) -> None:
        """Create a collation of SQL, as sqlite3's connection does."""
        self.run(lambda sqlite: sqlite.create_collation(*arguments))


def _close_and_stop(control: Control, sqlite: sqlite3.Connection) -> object:
    """Close a connection on its thread and end that."""
    with suppress(sqlite3.Error):
        control.close(sqlite)
    return _STOP_RUNNING_SENTINEL


def open_connection(
    *arguments: object,
    async_creator_fn: Callable[..., Awaitable[aiosqlite.Connection]] | None = None,
    **named: object,
) -> AsyncAdaptSQLiteConnection:
    """Open a connection on a thread of its own, in a greenlet.

    Raises what sqlite3 raises; a cancellation leaves neither file nor thread open.
    """
    if async_creator_fn is not None:
        driver = await_(async_creator_fn(*arguments, **named))
        return AsyncAdaptSQLiteConnection(driver, driver._conn, direct=False)
    opened = list[sqlite3.Connection]()
    connector = partial(_open, opened, arguments, named)
    driver = aiosqlite.Connection(connector, iter_chunk_size=64)
    driver._thread.daemon = True
    driver._thread.start()
    trip = Trip(asyncio.get_running_loop(), connector)
    driver._tx.put_nowait((None, trip))
    try:
        driver._connection = await_(trip.future)
    except BaseException as error:
        driver._tx.put_nowait((None, partial(_close_all_and_stop, opened)))
        if isinstance(error, asyncio.CancelledError):
            outlast(trip, PATIENCE)
        driver._thread.join(timeout=PATIENCE)
        raise
    direct = not named.get("check_same_thread", True)
    return AsyncAdaptSQLiteConnection(driver, driver._connection, direct=direct)


def _open(
    opened: list[sqlite3.Connection],
    arguments: tuple[object, ...],
    named: dict[str, object],
) -> sqlite3.Connection:
    """Open a connection, and let others close it if nobody waits for it."""
    opened.append(sqlite3.connect(*arguments, **named))
    return opened[0]


def _close_all_and_stop(opened: list[sqlite3.Connection]) -> object:
    for connection in opened:
        connection.close()
    return _STOP_RUNNING_SENTINEL
