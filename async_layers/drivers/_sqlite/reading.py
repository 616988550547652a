"""A result that is read in batches, on the thread that has the connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from async_layers.drivers._sqlite.errors import stream_ended
from async_layers.drivers._sqlite.statements import reads

if TYPE_CHECKING:
    import sqlite3

    from async_layers.drivers._sqlite.control import (
        Begin,
        Control,
        Description,
        Parameters,
    )

Batch: TypeAlias = "tuple[list[object], bool]"
Opened: TypeAlias = "tuple[Description | None, Batch, Reading, int, int | None]"


class Reading:
    """The open cursor of a result, read one row ahead.

    The row ahead says whether a batch is the last one, so that nobody has to come
    back for nothing; both worlds read the same rows at the same time.
    """

    __slots__ = ("__weakref__", "_ahead", "_control", "_cursor", "closed")

    def __init__(self, control: Control, cursor: sqlite3.Cursor) -> None:
        """Take over an executed cursor until it is read or closed."""
        self._control = control
        self._cursor = cursor
        self._ahead = list[object]()
        self.closed = False
        control.add_reading(self)

    def read(self, connection: sqlite3.Connection, size: int | None) -> Batch:
        """Return up to `size` rows, all of them for None; and whether that was all."""
        if self.closed:
            raise stream_ended()
        try:
            if size is None:
                rows = self._ahead + self._cursor.fetchall()
            else:
                wanted = size + 1 - len(self._ahead)
                rows = self._ahead + self._cursor.fetchmany(wanted)
        except BaseException as error:
            self.close()
            self._control.failed(connection, error)
            raise
        if size is None or len(rows) <= size:
            self.close()
            return rows, True
        self._ahead = [rows.pop()]
        return rows, False

    def __del__(self) -> None:
        """Leave the cursor of a result that nobody has any more to its connection.

        Whoever closes it waits for SQLite's mutex, which a statement may hold in
        another thread for as long as it runs.
        """
        if not self.closed:
            self._control.dropped.append(self._cursor)

    def close(self) -> None:
        """Let go of the lock that an open result holds."""
        if not self.closed:
            self.closed = True
            self._cursor.close()


def open_reading(  # noqa: PLR0913, PLR0917 - a statement, and how it is read
    control: Control,
    connection: sqlite3.Connection,
    begin: Begin | None,
    statement: str,
    parameters: Parameters,
    size: int | None,
) -> Opened:
    """Execute a statement and read its first batch."""
    try:
        control.prepare(connection, begin)
        if not control.wrote and not reads(statement):
            control.write()
        cursor = connection.execute(statement, parameters)
    except BaseException as error:
        control.failed(connection, error)
        raise
    reading = Reading(control, cursor)
    # Read first: only then is the number of changed rows known.
    description = cursor.description
    if not description or not reads(statement):
        # SQLite does not commit beside a write that is not at its end.
        size = None
    batch = reading.read(connection, size)
    rowcount, lastrowid = cursor.rowcount, cursor.lastrowid
    if control.wrote and batch[1]:
        control.after_writing(connection)
    return description, batch, reading, rowcount, lastrowid
