"""The connection's lane: what the server is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from async_layers._trace.labels import label

if TYPE_CHECKING:
    from sqlalchemy import Connection
    from sqlalchemy.engine import ExceptionContext

    from async_layers._trace.record import Record


class ConnectionLane:
    """Listens to connections; each method is named after the event that calls it."""

    EVENTS = (
        "begin",
        "commit",
        "rollback",
        "after_cursor_execute",
        "prepare_twophase",
        "commit_twophase",
        "rollback_twophase",
    )

    def __init__(self, record: Record) -> None:
        self._record = record

    def begin(self, connection: Connection) -> None:
        wire = self._record.of(connection)
        if wire:
            self._record.settle(wire)
            wire.believed = True

    def before_cursor_execute(
        self,
        connection: Connection,
        _: object,
        statement: str,
        parameters: object,
        __: object,
        executemany: bool,  # noqa: FBT001
    ) -> tuple[str, object]:
        given = statement, parameters
        # "insertmanyvalues" calls itself executemany; it sends one statement.
        text = label(statement)
        if executemany and isinstance(parameters, list):
            text = f"{text} x{len(cast('list[object]', parameters))}"
        self._send(connection, text)
        return given

    def _send(self, connection: Connection, text: str) -> None:
        """Note a statement on its way; an announced one is the same statement."""
        wire = self._record.of(connection)
        if wire is None or (wire.pending and wire.pending.text == text):
            return
        if self._record.ending:
            self._record.settle_ended()
        self._record.settle(wire)
        wire.pending = self._record.append("connection", text, wire)

    def after_cursor_execute(self, connection: Connection, *_: object) -> None:
        wire = self._record.of(connection)
        if wire:
            self._record.settle(wire)

    def commit(self, connection: Connection) -> None:
        self._end(connection, "COMMIT")

    def rollback(self, connection: Connection) -> None:
        self._end(connection, "ROLLBACK")

    def _end(self, connection: Connection, text: str) -> None:
        """Note the end of a transaction, if the server has one."""
        wire = self._record.of(connection)
        if wire is None:
            return
        self._record.settle(wire)
        wire.believed = False
        if wire.in_transaction:
            wire.pending = self._record.append("connection", text, wire)
            self._record.ending.append(wire)

    def prepare_twophase(self, connection: Connection, _: object) -> None:
        self._send(connection, "PREPARE TRANSACTION")

    def commit_twophase(
        self,
        connection: Connection,
        _: object,
        is_prepared: bool,  # noqa: FBT001 - SQLAlchemy's signature
    ) -> None:
        self._send(connection, "COMMIT PREPARED" if is_prepared else "COMMIT")

    def rollback_twophase(
        self,
        connection: Connection,
        _: object,
        is_prepared: bool,  # noqa: FBT001 - SQLAlchemy's signature
    ) -> None:
        self._send(connection, "ROLLBACK PREPARED" if is_prepared else "ROLLBACK")

    def handle_error(self, context: ExceptionContext) -> None:
        if context.connection is None:
            if not context.is_pre_ping:
                self._record.append("engine", "connect").failed = True
            return
        wire = self._record.of(context.connection)
        if wire:
            if wire.pending:
                wire.pending.failed = True
            self._record.settle(wire)
