"""Turn SQLAlchemy's events into the events of a trace."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, cast

from sqlalchemy import Dialect, Engine, event
from sqlalchemy.orm import Mapper, Session
from sqlalchemy.pool import Pool

from async_layers._labels import label
from async_layers._wire import in_transaction
from async_layers.trace import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection
    from sqlalchemy.engine import ExceptionContext
    from sqlalchemy.orm import SessionTransaction
    from sqlalchemy.orm.state import InstanceState
    from sqlalchemy.pool import ConnectionPoolEntry

    from async_layers.trace import Layer

    _Target = Engine | Dialect | type[Engine | Dialect]

_ENDS = ("COMMIT", "ROLLBACK", "END", "PREPARE TRANSACTION")
_POOL = (
    "connect",
    "checkout",
    "reset",
    "checkin",
    "invalidate",
    "close",
    "detach",
    "close_detached",
)
_CONNECTION = (
    "begin",
    "commit",
    "rollback",
    "before_cursor_execute",
    "after_cursor_execute",
    "prepare_twophase",
    "commit_twophase",
    "rollback_twophase",
    "engine_disposed",
    "handle_error",
)
_SESSION = (
    "after_transaction_create",
    "before_flush",
    "before_commit",
    "after_rollback",
    "after_transaction_end",
)


@contextmanager
def _restored(engine: Engine | type[Engine]) -> Iterator[None]:
    """Leave an engine, or all, as quick as it was before anybody listened.

    `event.remove()` takes a listener away and leaves the flag set that makes
    SQLAlchemy look for listeners at every statement.
    """
    dialect = engine.dialect if isinstance(engine, Engine) else Dialect
    names = {engine: _CONNECTION[:-1], dialect: ("handle_error", "do_execute")}
    quiet = [target for target in names if not vars(target).get("_has_events")]
    try:
        yield
    finally:
        for target in quiet:
            heard = any(_is_heard(target, name) for name in names[target])
            target._has_events = heard  # noqa: SLF001


def _is_heard(target: _Target, name: str) -> bool:
    """Say whether anybody listens to an event of an engine, or of all of them."""
    found = getattr(target.dispatch, name)
    if isinstance(target, type):
        return bool(found._clslevel.get(target))  # noqa: SLF001
    return bool(found.listeners)


def _innermost(session: Session) -> SessionTransaction | None:
    """Return the transaction that a session is in, a savepoint before the root."""
    return session.get_nested_transaction() or session.get_transaction()


def _is_sent_rollback(event: Event) -> bool:
    text = event.text
    return text.startswith("ROLLBACK") and not text.endswith("(by the database)")


class _Wire:
    """One connection of a driver, and what the trace has said of it."""

    def __init__(self, number: int, driver: object) -> None:
        self.number = number
        self.driver = driver
        self.believed = False  # what SQLAlchemy thinks, for drivers that do not say
        self.in_transaction = False
        self.pending: Event | None = None
        self.gone = False  # the driver is not asked any more


class Recorder:
    """Listens to one engine, or to all, and appends to a list of events."""

    def __init__(
        self,
        events: list[Event],
        engine: Engine | None,
        observe: Callable[[Event, object], None] | None,
    ) -> None:
        self._events = events
        self._engine = engine
        self._observe = observe
        self._wires: dict[int, _Wire] = {}
        self._ended: set[SessionTransaction] = set()
        self._start = time.perf_counter()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen for the length of the block; leave no listener behind."""
        target = self._engine or Engine
        with _restored(target), ExitStack() as stack:
            for name in _POOL:
                self._listen(stack, self._engine or Pool, name, f"pool_{name}")
            for name in _CONNECTION:
                self._listen(stack, target, name, name)
            for name in _SESSION:
                self._listen(stack, Session, name, name)
            self._listen(stack, Mapper, "expire", "expire", raw=True)
            try:
                yield
            finally:
                for wire in list(self._wires.values()):
                    self._settle(wire)

    def _listen(
        self, stack: ExitStack, target: object, name: str, method: str, **options: bool
    ) -> None:
        listener = getattr(self, method)
        event.listen(target, name, listener, **options)
        stack.callback(event.remove, target, name, listener)

    # What is common to the layers.

    def _append(self, layer: Layer, text: str, wire: _Wire | None = None) -> Event:
        seconds = time.perf_counter() - self._start
        new = Event(layer, text, seconds, wire.number if wire else None)
        self._events.append(new)
        return new

    def _wire(self, dbapi_connection: object) -> _Wire:
        driver = getattr(dbapi_connection, "driver_connection", dbapi_connection)
        wire = self._wires.get(id(driver))
        if wire is None:
            wire = self._wires[id(driver)] = _Wire(len(self._wires) + 1, driver)
        return wire

    def _settle(self, wire: _Wire, ended: str = "ROLLBACK (by the database)") -> None:
        """Say what became of the transaction since the last event."""
        if wire.gone:
            return
        pending, wire.pending = wire.pending, None
        text = pending.text if pending else ""
        said = in_transaction(wire.driver)
        now = wire.believed if said is None else said
        if pending and said and text in {"COMMIT", "ROLLBACK"} and not pending.failed:
            self._events[:] = [known for known in self._events if known is not pending]
            pending = None  # the driver knows of no transaction, and sent nothing
        if now and not wire.in_transaction and not text.startswith("BEGIN"):
            begin = self._append("connection", "BEGIN", wire)
            if pending:
                self._move_before(begin, pending)
        if wire.in_transaction and not now and not text.startswith(_ENDS):
            pending = self._append("connection", ended, wire)
        wire.in_transaction = now
        if pending and self._observe:
            self._observe(pending, wire.driver)

    def _settle_ended(self) -> None:
        """Attend to each COMMIT or ROLLBACK that is over, before others act on it."""
        for wire in list(self._wires.values()):
            ending = wire.pending is not None and wire.pending.text.startswith(_ENDS)
            if ending and in_transaction(wire.driver) is False:
                self._settle(wire)

    def _move_before(self, begin: Event, pending: Event) -> None:
        begin.seconds = pending.seconds
        self._events.remove(begin)
        place = next(i for i, known in enumerate(self._events) if known is pending)
        self._events.insert(place, begin)

    # The engine's lane.

    def pool_connect(self, dbapi_connection: object, _: ConnectionPoolEntry) -> None:
        self._append("engine", "connect", self._wire(dbapi_connection))

    def pool_checkout(
        self, dbapi_connection: object, _: ConnectionPoolEntry, __: object
    ) -> None:
        self._append("engine", "checkout", self._wire(dbapi_connection))

    def pool_reset(
        self, dbapi_connection: object, _: ConnectionPoolEntry, __: object
    ) -> None:
        wire = self._wire(dbapi_connection)
        # Whoever heard of the reset before may have rolled back (_sqlite.py).
        self._settle(wire, "ROLLBACK")
        self._append("engine", "reset", wire)

    def pool_checkin(
        self, dbapi_connection: object | None, _: ConnectionPoolEntry
    ) -> None:
        if dbapi_connection is None:
            self._append("engine", "checkin")
            return
        wire = self._wire(dbapi_connection)
        wire.believed = False
        self._settle(wire, "ROLLBACK")
        self._append("engine", "checkin", wire)

    def pool_invalidate(
        self, dbapi_connection: object, _: ConnectionPoolEntry, __: object
    ) -> None:
        wire = self._forget(dbapi_connection)
        self._append("engine", "invalidate", wire)

    def pool_close(self, dbapi_connection: object, _: ConnectionPoolEntry) -> None:
        wire = self._forget(dbapi_connection)
        self._append("engine", "close", wire)

    def pool_detach(self, dbapi_connection: object, _: ConnectionPoolEntry) -> None:
        self._append("engine", "detach", self._wire(dbapi_connection))

    def pool_close_detached(self, dbapi_connection: object) -> None:
        self._append("engine", "close", self._forget(dbapi_connection))

    def _forget(self, dbapi_connection: object) -> _Wire:
        """Say no more of a transaction whose connection goes away."""
        wire = self._wire(dbapi_connection)
        wire.in_transaction = wire.believed = False
        wire.pending = None
        wire.gone = True
        return wire

    def engine_disposed(self, _: Engine) -> None:
        self._append("engine", "dispose")

    # The connection's lane.

    def begin(self, connection: Connection) -> None:
        wire = self._of(connection)
        if wire:
            self._settle(wire)
            wire.believed = True

    def _of(self, connection: Connection | None) -> _Wire | None:
        if connection is None or connection.closed or connection.invalidated:
            return None
        # What a dialect asks of its first connection is its own affair.
        if not connection._allow_autobegin:  # noqa: SLF001
            return None
        return self._wire(connection.connection.dbapi_connection)

    def before_cursor_execute(
        self,
        connection: Connection,
        _: object,
        statement: str,
        parameters: object,
        __: object,
        executemany: bool,  # noqa: FBT001
    ) -> None:
        # "insertmanyvalues" calls itself executemany; it sends one statement.
        many = executemany and isinstance(parameters, list)
        times = f" x{len(cast('list[object]', parameters))}" if many else ""
        self._send(connection, label(statement) + times)

    def _send(self, connection: Connection, text: str) -> None:
        """Note a statement on its way; an announced one is the same statement."""
        wire = self._of(connection)
        if wire is None or (wire.pending and wire.pending.text == text):
            return
        self._settle_ended()
        self._settle(wire)
        wire.pending = self._append("connection", text, wire)

    def after_cursor_execute(self, connection: Connection, *_: object) -> None:
        wire = self._of(connection)
        if wire:
            self._settle(wire)

    def commit(self, connection: Connection) -> None:
        self._end(connection, "COMMIT")

    def rollback(self, connection: Connection) -> None:
        self._end(connection, "ROLLBACK")

    def _end(self, connection: Connection, text: str) -> None:
        """Note the end of a transaction, if the server has one."""
        wire = self._of(connection)
        if wire is None:
            return
        self._settle(wire)
        wire.believed = False
        if wire.in_transaction:
            wire.pending = self._append("connection", text, wire)

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
        if context.connection is None and not context.is_pre_ping:
            self._append("engine", "connect").failed = True
            return
        wire = self._of(context.connection)
        if wire:
            if wire.pending:
                wire.pending.failed = True
            self._settle(wire)

    # The session's lane.

    def _ours(self, session: Session | None) -> bool:
        if self._engine is None:
            return True
        bind = session.bind if session else None
        return bind is not None and bind.engine.pool is self._engine.pool

    def after_transaction_create(
        self, session: Session, transaction: SessionTransaction
    ) -> None:
        if self._ours(session):
            if transaction.nested:
                self._append("session", "begin nested")
            elif transaction.parent is None:
                self._append("session", "begin")

    def before_flush(self, session: Session, *_: object) -> None:
        if self._ours(session):
            self._append("session", "flush")

    def before_commit(self, session: Session) -> None:
        transaction = _innermost(session)
        # A transaction that commits with savepoints open says so before they do.
        while transaction and transaction.parent and not transaction._current_fn:  # noqa: SLF001
            transaction = transaction.parent
        if transaction and self._ours(session):
            self._finish(transaction, "commit")

    def after_rollback(self, session: Session) -> None:
        """Note a rollback before the ROLLBACK that it sent."""
        transaction = _innermost(session)
        if transaction is None or not self._ours(session):
            return
        wires = [self._of(connection) for connection in transaction.connections]
        numbers = {wire.number for wire in wires if wire}
        sent: Event | None = None
        for known in reversed(self._events):
            if known.connection not in numbers or not _is_sent_rollback(known):
                break
            numbers.remove(known.connection)
            sent = known
        new = self._finish(transaction, "rollback")
        if sent:
            self._move_before(new, sent)

    def after_transaction_end(
        self, session: Session, transaction: SessionTransaction
    ) -> None:
        """Note a transaction that ends by neither commit nor rollback."""
        ours = self._ours(session) and (transaction.nested or not transaction.parent)
        if ours and transaction not in self._ended:
            self._finish(transaction, "close")
        self._ended.discard(transaction)

    def _finish(self, transaction: SessionTransaction, text: str) -> Event:
        self._ended.add(transaction)
        text = f"{text} nested" if transaction.nested else text
        return self._append("session", text)

    def expire(self, state: InstanceState[object], names: list[str] | None) -> None:
        """Note expired objects, one line for all that expire together."""
        # An UPDATE that is evaluated expires the attributes in an empty list.
        if not self._ours(state.session) or (names is not None and not names):
            return
        name = state.class_.__name__
        last = self._events[-1] if self._events else None
        if last is None or not last.text.startswith("expire "):
            self._append("session", f"expire {name}")
            return
        classes = {*last.text.removeprefix("expire ").split(", "), name}
        last.text = f"expire {', '.join(sorted(classes))}"
