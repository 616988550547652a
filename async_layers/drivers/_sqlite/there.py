"""Cursors that send their work to the connection's thread: the asyncio world's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from async_layers.drivers._sqlite.cursor import Cursor, StreamCursor

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from typing import Concatenate, ParamSpec

    P = ParamSpec("P")

T = TypeVar("T")


class _There:
    """Do the work of a cursor on the connection's thread."""

    connection: Any

    def run(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        /,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Go to the thread and come back with the result."""
        result: T = self.connection.run(work, *arguments, **named)
        return result


class AsyncSQLiteCursor(_There, Cursor):
    """A cursor that fetches all its rows in the trip that executes."""


class AsyncSQLiteStreamCursor(_There, StreamCursor):
    """A cursor that fetches its rows in batches, a trip each."""
