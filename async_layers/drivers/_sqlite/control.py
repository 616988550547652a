"""The transactions of one SQLite connection, in whichever thread it works.

The blocking dialect calls a Control, the asyncio dialect sends its calls to the
connection's thread: what is told to SQLite, and when, is written here alone.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias
from weakref import WeakSet

from async_layers.drivers._sqlite.errors import (
    ConnectionLost,
    closed,
    inherited,
    interrupted,
    is_closed,
    rolled_back,
)
from async_layers.drivers._sqlite.place import Place, place_of
from async_layers.drivers._sqlite.statements import READS, is_outside, reads
from async_layers.drivers._sqlite.waiting import Line, begin_writing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from async_layers.drivers._sqlite.reading import Reading

Description: TypeAlias = "tuple[tuple[str, None, None, None, None, None, None], ...]"
Parameters: TypeAlias = "Sequence[object] | Mapping[str, object]"
Level: TypeAlias = Literal["", "DEFERRED", "IMMEDIATE", "EXCLUSIVE"]
Answer: TypeAlias = "tuple[Description | None, list[object], int, int | None]"


LEGACY = -1  # sqlite3.LEGACY_TRANSACTION_CONTROL


class Begin(NamedTuple):
    """What goes out ahead of the first statement of a transaction."""

    statement: str | None
    writes: bool = False
    query_only: bool = False


class Control:
    """Begin, execute, commit and roll back on one connection of sqlite3.

    `began`: a BEGIN of ours is not ended yet. `begin`: its words, also where SQLite
    refused it, until the transaction is over. `wrote`: a statement that may write
    has been sent since. `lost`: SQLite rolled the transaction back by itself, and
    why. `given_up`: the caller was cancelled and nobody waits; it is set by
    another thread than the one that works. `inherited`: this process is a child
    of the one that opened the connection. `refuses`: one of the last three.
    """

    __slots__ = (
        "__weakref__",
        "_cursor",
        "autocommit",
        "began",
        "begin",
        "dropped",
        "engine",
        "given_up",
        "inherited",
        "kept",
        "line",
        "lock",
        "lost",
        "own_level",
        "place",
        "query_only",
        "read_uncommitted",
        "readings",
        "refuses",
        "wrote",
    )

    def __init__(self, engine: str) -> None:
        """Begin with a connection that has no transaction; `engine` is its name."""
        self.engine = engine
        self.autocommit = LEGACY
        self.began = False
        self.begin: str | None = None
        self.wrote = False
        self.lost: str | None = None
        self.given_up = False
        self.inherited = False
        self.refuses = False
        self.query_only = False
        self.read_uncommitted = False
        self.kept: sqlite3.Connection | None = None
        self._cursor: sqlite3.Cursor | None = None
        self.own_level: Level = ""
        self.place: Place | None = None
        self.line = Line()
        # For threads that share a connection, as those of a StaticPool do.
        self.lock = RLock()
        # None until there is one: a look at an empty set takes as long as a COMMIT.
        self.readings: WeakSet[Reading] | None = None
        self.dropped: list[sqlite3.Cursor] = []

    def set_up(
        self, connection: sqlite3.Connection, path: str, *, opened: bool
    ) -> None:
        """Remember what a new connection was opened with; `opened`: and its log."""
        self.kept = connection
        self.own_level = connection.isolation_level or ""
        self.autocommit = getattr(connection, "autocommit", self.autocommit)
        self.place = place_of(path, opened=opened)

    def execute(
        self,
        connection: sqlite3.Connection,
        begin: Begin | None,
        statement: str,
        parameters: Parameters,
    ) -> Answer:
        """Execute a statement and take all its rows, so that it holds no lock."""
        try:
            # For each statement; prepare() would be a call more.
            if begin is not None or self.refuses or self.dropped:
                self.prepare(connection, begin)
            if not (self.wrote or statement.startswith(READS) or reads(statement)):
                if self.began and is_outside(statement):
                    # It ends what has only read, and has to stand alone.
                    self._say(connection, "COMMIT")
                self.write()
            cursor = connection.cursor()
            try:
                cursor.execute(statement, parameters)
                description = cursor.description
                rows = cursor.fetchall() if description else []
                answer = description, rows, cursor.rowcount, cursor.lastrowid
            finally:
                cursor.close()
            if self.wrote:
                self.after_writing(connection)
        except BaseException as error:
            self.failed(connection, error)
            raise
        return answer

    def executemany(
        self,
        connection: sqlite3.Connection,
        begin: Begin | None,
        statement: str,
        parameters: Iterable[Parameters],
    ) -> Answer:
        """Execute a statement for each of many parameters."""
        try:
            self.prepare(connection, begin)
            self.write()
            cursor = connection.executemany(statement, parameters)
            answer = None, list[object](), cursor.rowcount, cursor.lastrowid
            cursor.close()
            self.after_writing(connection)
        except BaseException as error:
            self.failed(connection, error)
            raise
        return answer

    def prepare(self, connection: sqlite3.Connection, begin: Begin | None) -> None:
        """Begin if there is no transaction yet; refuse a connection that is over."""
        if self.inherited:
            raise inherited(self.engine)
        if self.lost is not None:
            raise rolled_back(self.lost)
        self._close_dropped()
        if begin is not None and not connection.in_transaction:
            if begin.query_only and not self.query_only:
                self._say(connection, "PRAGMA query_only = ON")
                self.query_only = True
            self.begin = begin.statement
            if begin.writes and begin.statement:
                self.write()
                begin_writing(connection, begin.statement, self)
                self.began = True
            elif begin.statement:
                self._say(connection, begin.statement)
                self.began = True
        if self.given_up:
            raise interrupted()

    def write(self) -> None:
        """Note that the transaction may write; not into a file that went away."""
        if self.place is not None:
            self.place.check()
        self.wrote = True

    def _say(self, connection: sqlite3.Connection, statement: str) -> None:
        """Send one of the statements that make a transaction.

        A cursor that is kept saves a third of their price, and the prepared
        statement; `rollback()` and `commit()` of sqlite3 prepare each time.
        """
        if self.kept is None:  # let go
            connection.execute(statement).close()
            return
        cursor = self._cursor
        if cursor is None:
            cursor = self._cursor = connection.cursor()
        cursor.execute(statement)

    def after_writing(self, connection: sqlite3.Connection) -> None:
        """Look where a statement went that was a transaction of its own.

        Whoever began one, the user by a text or sqlite3 by itself, has one.
        """
        self.began = connection.in_transaction
        if not self.began:
            self.wrote = False
            if self.place is not None:
                self.place.check_all(connection)

    def failed(self, connection: sqlite3.Connection, error: BaseException) -> None:
        """Note what an error left of the transaction, and of the connection."""
        if is_closed(error):
            raise closed() from error
        if isinstance(error, ConnectionLost):
            return
        if self.place is not None and (lost := self.place.lost(error)):
            raise lost from error
        if self.began and self.lost is None and not connection.in_transaction:
            self.lost = str(error)
            self.refuses = True

    def ping(self, connection: sqlite3.Connection) -> None:
        """Raise `ConnectionLost` if the connection, or its file, is not what it was."""
        try:
            self.prepare(connection, None)
            connection.execute("SELECT 1").close()
            if self.place is not None:
                self.place.check()
        except BaseException as error:
            self.failed(connection, error)
            raise

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit; a COMMIT that fails leaves no transaction behind.

        SQLAlchemy takes the transaction for ended then, and lets nobody commit it
        again; the next user of the connection would
        (engine/base.py, `_close_special`).
        """
        unheard: str | None = None
        try:
            if self.inherited:
                raise inherited(self.engine)
            if self.lost is not None:
                reason = self.lost
                self.roll_back(connection)
                raise rolled_back(reason)
            self._close_dropped()
            if connection.in_transaction:
                self._commit(connection)
        except sqlite3.ProgrammingError as error:
            if is_closed(error):
                raise closed() from error
            unheard = str(error)  # in another thread: neither COMMIT nor ROLLBACK
            raise
        finally:
            self.ended(connection)
            if unheard:
                self.lost, self.refuses = unheard, True

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            self._say(connection, "COMMIT")
        except BaseException as error:
            self._close_readings()
            if connection.in_transaction:
                self._say(connection, "ROLLBACK")
            self.failed(connection, error)
            raise
        if self.wrote and self.place is not None:
            self.place.check_all(connection)

    def roll_back(self, connection: sqlite3.Connection) -> bool:
        """Roll back if there is a transaction; its streams end with it.

        Return False if SQLite has nothing to roll back.
        """
        if self.inherited:
            return True
        try:
            if self.readings is not None or self.dropped:
                self._close_readings()
            if not connection.in_transaction:
                return False
            self._say(connection, "ROLLBACK")
        except sqlite3.ProgrammingError as error:
            if not is_closed(error):
                raise
        finally:
            self.ended(connection)
        return True

    def ended(self, connection: sqlite3.Connection) -> None:
        """Forget a transaction, and let the next one write."""
        if self.wrote and self.line:
            self.line.call()
        self.began = self.wrote = False
        self.begin = self.lost = None
        self.refuses = self.given_up or self.inherited
        if self.query_only:
            self.query_only = False
            with suppress(sqlite3.ProgrammingError):  # closed
                self._say(connection, "PRAGMA query_only = OFF")

    def let_go(self) -> None:
        """Keep no connection alive that the pool does not have."""
        self.kept = self._cursor = None

    def give_up(self, connection: sqlite3.Connection) -> None:
        """Let go of every lock; whoever was cancelled does not go on by halves."""
        began = self.began
        with suppress(sqlite3.Error):
            self.roll_back(connection)
        if began:
            self.lost = "a cancellation"
            self.refuses = True

    def add_reading(self, reading: Reading) -> None:
        """Remember a stream that is open, for as long as somebody has it."""
        if self.readings is None:
            self.readings = WeakSet()
        self.readings.add(reading)

    def _close_readings(self) -> None:
        readings, self.readings = self.readings, None
        for reading in readings or ():
            reading.close()
        self._close_dropped()

    def _close_dropped(self) -> None:
        """Close the cursors of results that nobody has any more."""
        while self.dropped:
            self.dropped.pop().close()

    def close(self, connection: sqlite3.Connection) -> None:
        """Close the connection; no result that is still open keeps its lock.

        sqlite3 closes a connection when its last statement is gone
        (https://sqlite.org/c3ref/close.html, sqlite3_close_v2). In a child process
        it stays open, as SQLite demands (https://sqlite.org/howtocorrupt.html, 2.6).
        """
        if self.inherited:
            return
        self.let_go()
        self._close_readings()
        connection.close()
