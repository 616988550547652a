"""What is common to the lanes: the events so far, and each connection's state."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from async_layers._wire import asking, control_of
from async_layers.trace import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from async_layers._wire import Control
    from async_layers.trace import Layer

ENDS = ("COMMIT", "ROLLBACK", "END", "PREPARE TRANSACTION")
BY_THE_DATABASE = "ROLLBACK (by the database)"


@dataclass(slots=True)
class Wire:
    """One connection of a driver, and what the record has said of it.

    `pending` is an event that SQLAlchemy announced and that is not over.
    `believed` is whether SQLAlchemy thinks of a transaction, for drivers that
    do not say; a driver that is `gone` is not asked any more. `control` is what a
    dialect of ours knows of it, once it is `known`; `told` is whether the record
    says that it has begun.
    """

    number: int
    dbapi_connection: object
    driver: object
    asking: Callable[[object], bool | None]
    in_transaction: bool = False
    believed: bool = False
    pending: Event | None = None
    gone: bool = False
    known: bool = False
    control: Control | None = None
    told: bool = False

    def has_begun(self) -> bool:
        """Say whether a BEGIN went out that was not told of, even if it is over."""
        told, self.told = self.told, bool(self.control and self.control.began)
        return self.told and not told

    def begin(self, *, refused: bool = False) -> str | None:
        """Return the words of the BEGIN that went out, or of one that was refused."""
        if self.control is None or self.control.began is refused:
            return None
        return self.control.begin


@dataclass(slots=True)
class Record:
    """The events of all lanes, in the order in which they happened."""

    events: list[Event]
    observe: Callable[[Event, object], None] | None
    start: float = field(default_factory=time.perf_counter)
    ending: list[Wire] = field(default_factory=list[Wire])
    _wires: dict[int, Wire] = field(default_factory=dict[int, Wire])

    def append(self, layer: Layer, text: str, wire: Wire | None = None) -> Event:
        """Note what happens now."""
        seconds = time.perf_counter() - self.start
        event = Event(layer, text, seconds, wire.number if wire else None)
        self.events.append(event)
        return event

    def move_before(self, event: Event, later: Event) -> None:
        """Put an event before the one that it preceded."""
        event.seconds = later.seconds
        self.events.pop(self._place(event))
        self.events.insert(self._place(later), event)

    def _place(self, event: Event) -> int:
        """Return where an event stands, which is near the end."""
        place = len(self.events) - 1
        while self.events[place] is not event:
            place -= 1
        return place

    def wire(self, dbapi_connection: object) -> Wire:
        """Return what is known of a connection, numbered as it is first seen."""
        wire = self._wires.get(id(dbapi_connection))
        if wire is None:
            driver: object = getattr(
                dbapi_connection, "driver_connection", dbapi_connection
            )
            number = len(self._wires) + 1
            ask = asking(type(driver))
            # A trace may begin in the middle of a transaction.
            begun = bool(ask(driver))
            wire = Wire(number, dbapi_connection, driver, ask, begun)
            self._wires[id(dbapi_connection)] = wire
        return wire

    def of(self, connection: Connection) -> Wire | None:
        """Return a Connection's wire, None where it has none or says nothing."""
        # None where it is closed or invalidated; the property would connect anew.
        pooled = connection._dbapi_connection  # noqa: SLF001
        # What a dialect asks of its first connection is its own affair.
        if pooled is None or not connection._allow_autobegin:  # noqa: SLF001
            return None
        wire = self.wire(pooled.dbapi_connection)
        if not wire.known:
            wire.known = True
            wire.control = control_of(connection.dialect, pooled.dbapi_connection)
            wire.has_begun()  # before the trace did
        return wire

    def forget(self, dbapi_connection: object) -> Wire:
        """Say no more of a transaction whose connection goes away."""
        wire = self.wire(dbapi_connection)
        if wire.pending and wire.pending.text.startswith(ENDS):
            self.settle(wire)  # what has ended it is told first
        wire.in_transaction = wire.believed = False
        wire.pending = None
        wire.gone = True
        return wire

    def settle(self, wire: Wire, ended: str = BY_THE_DATABASE) -> None:
        """Say what became of a transaction since the last event.

        `ended` is what has ended it, if no event did.
        """
        if wire.gone:
            return
        event, wire.pending = wire.pending, None
        said = wire.asking(wire.driver)
        now = wire.believed if said is None else said
        begun = wire.has_begun()
        if now is wire.in_transaction and event is None:
            return
        if event and said and not event.failed and event.text in {"COMMIT", "ROLLBACK"}:
            self._take_back(event)  # the driver knows of no transaction, and sent none
            event = None
        text = event.text if event else ""
        was, wire.in_transaction = wire.in_transaction, now
        if (now or begun) and not was and not text.startswith("BEGIN"):
            self._note_begin(wire, event)
            was = True
        elif event and event.failed and wire.begin(refused=True):
            self._is_over(self._note_begin(wire, event, refused=True), wire)
        self._is_over(event, wire)
        if was and not now and not text.startswith(ENDS):
            self._is_over(self.append("connection", ended, wire), wire)

    def _note_begin(
        self, wire: Wire, event: Event | None, *, refused: bool = False
    ) -> Event:
        """Note the BEGIN that went out ahead of an event."""
        text = wire.begin(refused=refused) or "BEGIN"
        begin = self.append("connection", text, wire)
        begin.failed = refused
        if event:
            self.move_before(begin, event)
        return begin

    def _is_over(self, event: Event | None, wire: Wire) -> None:
        if event and self.observe:
            self.observe(event, wire.driver)

    def _take_back(self, event: Event) -> None:
        self.events[:] = [known for known in self.events if known is not event]

    def settle_ended(self) -> None:
        """Attend to each COMMIT or ROLLBACK that is over, before others act on it."""
        for wire in self.ending:
            if wire.pending and wire.asking(wire.driver) is False:
                self.settle(wire)
        self.ending = [wire for wire in self.ending if wire.pending]

    def settle_all(self) -> None:
        """Attend to what is not over when the trace ends."""
        for wire in list(self._wires.values()):
            self.settle(wire)
