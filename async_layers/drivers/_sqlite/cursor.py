"""Cursors that have their rows, whichever thread fetched them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from async_layers.drivers._sqlite.errors import stream_ended
from async_layers.drivers._sqlite.reading import open_reading

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Concatenate, ParamSpec, Self

    from async_layers.drivers._sqlite.control import (
        Answer,
        Begin,
        Control,
        Description,
        Parameters,
    )
    from async_layers.drivers._sqlite.dialect import ExecutionContext
    from async_layers.drivers._sqlite.reading import Batch, Opened, Reading

    P = ParamSpec("P")

T = TypeVar("T")
_NONE = iter(list[object]())


class Cursor(ABC):
    """A cursor of PEP 249 whose rows are fetched when it executes.

    An open sqlite3 cursor holds a lock, sees what is written after it was executed
    and fails where it is read: three things that a thread hop away nobody can
    have at a tolerable price. So neither world has them.
    """

    connection: Any
    context: ExecutionContext | None = None
    control: Control
    description: Description | None = None
    rowcount = -1
    lastrowid: int | None = None
    arraysize = 1
    _rows: Iterator[object] = _NONE

    def __init__(self, connection: object, control: Control) -> None:
        """Make a cursor of a connection; this is no trip to its thread."""
        self.connection = connection
        self.control = control

    @abstractmethod
    def run(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        /,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Do work on the connection of sqlite3 where that lives."""

    def perform(
        self, begin: Begin | None, operation: str, parameters: Parameters
    ) -> None:
        """Execute a statement, after what begins its transaction."""
        self._have(self.run(self.control.execute, begin, operation, parameters))

    def perform_many(
        self, begin: Begin | None, operation: str, parameters: Iterable[Parameters]
    ) -> None:
        """Execute a statement for each of the parameters, after what begins."""
        self._have(self.run(self.control.executemany, begin, operation, parameters))

    def _have(self, answer: Answer) -> None:
        self.description, rows, self.rowcount, self.lastrowid = answer
        self._rows = iter(rows)

    def execute(self, operation: str, parameters: Parameters | None = None) -> Self:
        """Execute a statement and fetch its rows.

        It begins a transaction for a listener of SQLAlchemy's `do_execute`; else
        sqlite3 begins as it likes.
        """
        self.perform(self._begins(operation), operation, parameters or ())
        return self

    def executemany(self, operation: str, parameters: Iterable[Parameters]) -> Self:
        """Execute a statement once for each of the parameters."""
        self.perform_many(self._begins(operation), operation, parameters)
        return self

    def _begins(self, operation: str) -> Begin | None:
        context = self.context
        return None if context is None else context.begins(operation)

    def fetchone(self) -> object:
        """Return the next row, None after the last."""
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> Sequence[object]:
        """Return the next rows, `arraysize` unless a number is given."""
        return list(islice(self._rows, self.arraysize if size is None else size))

    def fetchall(self) -> Sequence[object]:
        """Return the rows that are left."""
        return list(self._rows)

    def __iter__(self) -> Iterator[object]:
        """Give the rows one by one."""
        return iter(self.fetchone, None)

    def close(self) -> None:
        """Forget the rows; SQLite has closed the cursor long ago."""
        self._rows = _NONE

    async def _async_soft_close(self) -> None:
        """Do what SQLAlchemy asks under asyncio of a cursor that is read: nothing."""
        return

    def setinputsizes(self, sizes: object) -> None:
        """Ignore the sizes, as PEP 249 allows."""
        del sizes

    def setoutputsize(self, size: object, column: object = None) -> None:
        """Ignore the size, as PEP 249 allows."""
        del size, column


class StreamCursor(Cursor, ABC):
    """A cursor that fetches its rows in batches."""

    def __init__(self, connection: object, control: Control, batch: int | None) -> None:
        """Make a cursor that fetches `batch` rows at a time, all for None."""
        super().__init__(connection, control)
        self._batch = batch
        self._reading: Reading | None = None
        self._over = True
        self._waiting = list[object]()

    def perform(
        self, begin: Begin | None, operation: str, parameters: Parameters
    ) -> None:
        """Execute a statement, after what begins, and fetch the first batch."""
        self.close()
        self.description, batch, reading, self.rowcount, self.lastrowid = self.run(
            self._open, begin, operation, parameters
        )
        self._take(batch, reading)

    def _open(
        self,
        connection: sqlite3.Connection,
        begin: Begin | None,
        operation: str,
        parameters: Parameters,
    ) -> Opened:
        return open_reading(
            self.control, connection, begin, operation, parameters, self._batch
        )

    def _take(self, batch: Batch, reading: Reading) -> None:
        rows, self._over = batch
        self._waiting = self._waiting + rows if self._waiting else rows
        self._reading = None if self._over else reading

    def fetchone(self) -> object:
        """Return the next row, None after the last."""
        return next(iter(self.fetchmany(1)), None)

    def fetchmany(self, size: int | None = None) -> Sequence[object]:
        """Return the next rows; those that wait here already cost nothing."""
        size = self.arraysize if size is None else size
        if len(self._waiting) < size and not self._over:
            missing = size - len(self._waiting)
            self._read(None if self._batch is None else max(missing, self._batch))
        rows, self._waiting = self._waiting[:size], self._waiting[size:]
        return rows

    def fetchall(self) -> Sequence[object]:
        """Return the rows that are left."""
        if not self._over:
            self._read(None)
        rows, self._waiting = self._waiting, []
        return rows

    def _read(self, size: int | None) -> None:
        reading = self._reading
        # An error, a rollback or a close ends a stream ahead of its last row.
        if reading is None or reading.closed:
            raise stream_ended()
        self._take(self.run(reading.read, size), reading)

    def close(self) -> None:
        """Let go of the result, and of the lock that it holds."""
        self._waiting = []
        reading, self._reading = self._reading, None
        if reading and not reading.closed:
            self.run(lambda _: reading.close())
