"""Cursors that do their work where they are asked: the blocking world's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from async_layers.drivers._sqlite.cursor import Cursor, StreamCursor

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from typing import Concatenate, ParamSpec

    from async_layers.drivers._sqlite.control import Begin, Control, Parameters

    P = ParamSpec("P")

T = TypeVar("T")


class _Here:
    """Do the work of a cursor where it is asked for."""

    connection: Any
    control: Control

    def run(
        self,
        work: Callable[Concatenate[sqlite3.Connection, P], T],
        /,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Do the work at once."""
        with self.control.lock:
            return work(self.connection, *arguments, **named)


class SQLiteCursor(_Here, Cursor):
    """A cursor that fetches all its rows when it executes."""

    def perform(
        self, begin: Begin | None, operation: str, parameters: Parameters
    ) -> None:
        """Execute a statement, after what begins its transaction."""
        control = self.control
        with control.lock:
            answer = control.execute(self.connection, begin, operation, parameters)
        self._have(answer)


class SQLiteStreamCursor(_Here, StreamCursor):
    """A cursor that fetches its rows in batches."""
