"""The engine's lane: what its pool does with connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.pool import ConnectionPoolEntry

    from async_layers._trace.record import Record


class EngineLane:
    """Listens to a pool; each method is named after the event that calls it."""

    EVENTS = (
        "connect",
        "checkout",
        "reset",
        "checkin",
        "invalidate",
        "close",
        "detach",
        "close_detached",
    )

    def __init__(self, record: Record) -> None:
        self._record = record

    def _note(self, text: str, dbapi_connection: object) -> None:
        self._record.append("engine", text, self._record.wire(dbapi_connection))

    def connect(self, dbapi_connection: object, _: ConnectionPoolEntry) -> None:
        self._note("connect", dbapi_connection)

    def checkout(
        self, dbapi_connection: object, _: ConnectionPoolEntry, __: object
    ) -> None:
        self._note("checkout", dbapi_connection)

    def reset(
        self, dbapi_connection: object, _: ConnectionPoolEntry | None, __: object
    ) -> None:
        # A dialect may have rolled back by itself (two phases of asyncpg).
        self._record.settle(self._record.wire(dbapi_connection), "ROLLBACK")
        self._note("reset", dbapi_connection)

    def checkin(self, dbapi_connection: object | None, _: ConnectionPoolEntry) -> None:
        if dbapi_connection is None:  # it was invalidated
            self._record.append("engine", "checkin")
            return
        wire = self._record.wire(dbapi_connection)
        wire.believed = False
        self._record.settle(wire, "ROLLBACK")
        self._note("checkin", dbapi_connection)

    def invalidate(
        self, dbapi_connection: object, _: ConnectionPoolEntry, __: object
    ) -> None:
        self._record.forget(dbapi_connection)
        self._note("invalidate", dbapi_connection)

    def close(self, dbapi_connection: object, _: ConnectionPoolEntry) -> None:
        self.close_detached(dbapi_connection)

    def close_detached(self, dbapi_connection: object) -> None:
        self._record.forget(dbapi_connection)
        self._note("close", dbapi_connection)

    def detach(self, dbapi_connection: object, _: ConnectionPoolEntry) -> None:
        self._note("detach", dbapi_connection)

    def engine_disposed(self, _: Engine) -> None:
        self._record.append("engine", "dispose")
