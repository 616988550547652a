"""aiosqlite's connection as SQLAlchemy's greenlets use it: one trip a statement."""

from __future__ import annotations

import asyncio
import sqlite3
import warnings
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.util.concurrency import await_, in_greenlet

from async_layers.drivers._sqlite.control import Control
from async_layers.drivers._sqlite.errors import closed, inherited
from async_layers.drivers._sqlite.lifecycle import unwatch, watch
from async_layers.drivers._sqlite.there import AsyncSQLiteCursor
from async_layers.drivers._sqlite.trip import PATIENCE, Trip, outlast

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread
    from typing import Concatenate, ParamSpec

    from sqlalchemy.connectors.asyncio import AsyncIODBAPIConnection

    from async_layers.drivers._sqlite.control import Level, Parameters
    from async_layers.drivers._sqlite.cursor import Cursor
    from async_layers.drivers._sqlite.worker import Worker

    P = ParamSpec("P")

T = TypeVar("T")


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
        "_is_cut",
        "_sqlite",
        "_worker",
        "control",
        "leaving",
    )

    def __init__(self, worker: Worker, *, direct: bool) -> None:
        """Take over an open connection; `direct`: other threads may use it."""
        self._connection = cast("AsyncIODBAPIConnection", worker.driver)
        self._worker = worker
        self._sqlite = worker.connection
        self._direct = direct
        self._abandoned = self._is_cut = False
        self._away = 0
        self.control = Control("an engine")
        # Threads that end, and that nobody has waited for yet.
        self.leaving: list[Thread] = []
        watch(self.control, worker.thread)

    # Trips.

    def run(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        /,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Do work on the thread; a cancellation interrupts it."""

        def interruptible() -> T:
            try:
                return work(self._sqlite, *arguments, **named)
            finally:
                # Nobody waits for it any more.
                if self.control.given_up:
                    self.control.give_up(self._sqlite)

        return self._go(interruptible)

    def _go(self, work: Callable[[], T], *, interrupt: bool = True) -> T:
        """Go to the thread, wait, and come back; never leave it half way."""
        if self.control.inherited:
            raise inherited(self.control.engine)
        if self._worker.is_gone():
            raise closed()
        trip = Trip(self._worker, work)
        self._away += 1
        try:
            return await_(trip)
        except BaseException as error:
            if trip.sent and not trip.over:
                self._cancelled(trip, error, interrupt=interrupt)
            elif isinstance(error, GeneratorExit):
                self._abandoned = True  # nobody can wait any more
            raise
        finally:
            self._away -= 1

    def _cancelled(
        self, trip: Trip[T], error: BaseException, *, interrupt: bool
    ) -> None:
        """Wait for the thread: not long for a statement, to the end for a COMMIT."""
        interrupt = interrupt or self._is_cut
        if interrupt:
            self.control.given_up = self.control.refuses = True
        # Whoever closes a coroutine cannot be made to wait.
        if isinstance(error, asyncio.CancelledError):
            if interrupt:
                outlast(trip, PATIENCE, self._sqlite.interrupt)
            else:
                outlast(trip, None)
        if not trip.over:
            self._abandoned = True
        elif self._away == 1:
            # It is usable again; what somebody else sent meanwhile is refused.
            self.control.given_up = False
            self.control.refuses = self.control.lost is not None

    # PEP 249, and what SQLAlchemy asks besides.

    @property
    def in_transaction(self) -> bool:
        """Say whether SQLite has a transaction open; no trip."""
        return self._sqlite.in_transaction

    @property
    def autocommit(self) -> object:
        """The one that sqlite3 was opened with, since Python 3.12; no trip."""
        return self.control.autocommit

    @property
    def isolation_level(self) -> Level | None:
        """The one of sqlite3: None is autocommit; no trip."""
        level: Any = self._sqlite.isolation_level
        return level  # type: ignore[no-any-return]

    @isolation_level.setter
    def isolation_level(self, value: Level | None) -> None:
        if self._direct and not self._away and not self._sqlite.in_transaction:
            self._sqlite.isolation_level = cast("Any", value)
        else:
            self.run(setattr, "isolation_level", value)

    def cursor(self) -> Cursor:
        """Return a cursor that fetches when it executes; no trip."""
        return AsyncSQLiteCursor(self, self.control)

    def execute(self, operation: str, parameters: Parameters | None = None) -> Cursor:
        """Execute a statement with a cursor of its own."""
        return self.cursor().execute(operation, parameters)

    def commit(self) -> None:
        """Commit what has been written; no trip for what has only read."""
        if self.control.inherited and self.control.began:
            raise inherited(self.control.engine)
        if self._worker.is_gone():
            raise closed()
        self._end(self.control.commit)

    def rollback(self) -> None:
        """Roll back what has been written; no trip for what has only read."""
        if self._abandoned:
            raise closed()
        if not self._worker.is_gone():
            self._end(self.control.roll_back)

    @property
    def ends_at_once(self) -> bool:
        """Whether COMMIT and ROLLBACK wait for nothing: no disk, no lock, no thread."""
        control, sqlite = self.control, self._sqlite
        try:
            silent = not (
                sqlite.in_transaction
                or control.query_only
                or control.readings is not None
                or control.dropped
            )
        except sqlite3.ProgrammingError:  # closed; the control says so
            silent = True
        used = self._worker.was_used()
        here = self._direct and not (self._away or control.wrote or used)
        return silent or here

    def _end(self, end: Callable[[sqlite3.Connection], object]) -> None:
        if self.ends_at_once:
            end(self._sqlite)
        else:
            self._go(partial(end, self._sqlite), interrupt=False)

    def cut(self) -> None:
        """Interrupt what runs, and wait not even for a COMMIT that is cancelled."""
        self._is_cut = True
        self._sqlite.interrupt()

    def close(self) -> None:
        """Close the connection; its thread has ended when this returns."""
        self._leave(self.control.close, None)
        if in_greenlet():
            self._worker.thread.join(timeout=1)

    def terminate(self) -> None:
        """Give the connection up: its locks are gone when this returns.

        Closing goes on in the thread, which ends by itself; `dispose()` waits for
        it. Where the garbage collector calls, nobody can wait.
        """
        if self._away:  # somebody else's statement
            self.control.given_up = self.control.refuses = True
            self._sqlite.interrupt()
        self._leave(self.control.give_up, PATIENCE)

    def _leave(
        self, last: Callable[[sqlite3.Connection], None], patience: int | None
    ) -> None:
        """Let the thread do one thing more, wait for that, and end it."""
        if self.control.inherited:
            return
        if self._worker.is_gone():
            self._bury()
            return
        if self._abandoned or not in_greenlet():
            self._stop()
            return
        trip = Trip(self._worker, partial(last, self._sqlite))
        trip.send()
        self._stop()
        cancelled = outlast(trip, patience)
        if cancelled:
            raise cancelled
        if trip.over:
            trip.result()

    def _bury(self) -> None:
        """Close here what a thread that is dead has left open, with its locks."""
        if self._worker.is_dead():
            with suppress(sqlite3.Error):
                self.control.close(self._sqlite)
            self._worker.forget()
            unwatch(self.control)

    def _stop(self) -> None:
        self._worker.stop(partial(self.control.close, self._sqlite))
        unwatch(self.control)
        self.leaving.append(self._worker.thread)

    def __del__(self) -> None:
        """Stop the thread of a connection that nobody closed, and say so."""
        if self.control.inherited:
            self._worker.forget()
        elif not self._worker.is_gone():
            self._stop()
            warnings.warn(
                f"A connection of {self.control.engine} was never closed; write "
                "'await engine.dispose()' where the engine's work ends.",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    # What sqlite3's connection has besides.

    def create_function(self, *arguments: Any, **named: Any) -> None:
        """Create a function of SQL, as sqlite3's connection does."""
        self.run(lambda sqlite: sqlite.create_function(*arguments, **named))

    def create_aggregate(self, *arguments: Any) -> None:
        """Create an aggregate of SQL, as sqlite3's connection does."""
        self.run(lambda sqlite: sqlite.create_aggregate(*arguments))

    def create_collation(self, *arguments: Any) -> None:
        """Create a collation of SQL, as sqlite3's connection does."""
        self.run(lambda sqlite: sqlite.create_collation(*arguments))
