"""The session's lane: its transactions, its flushes, what it expires."""

from __future__ import annotations

from typing import TYPE_CHECKING

from async_layers._trace.record import BY_THE_DATABASE

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session, SessionTransaction
    from sqlalchemy.orm.state import InstanceState

    from async_layers._trace.record import Record
    from async_layers.trace import Event


class SessionLane:
    """Listens to sessions; each method is named after the event that calls it."""

    EVENTS = (
        "after_transaction_create",
        "before_flush",
        "before_commit",
        "after_rollback",
        "after_transaction_end",
    )

    def __init__(self, record: Record, engine: Engine | None) -> None:
        self._record = record
        self._engine = engine
        self._ended: set[SessionTransaction] = set()

    def _ours(self, session: Session | None) -> bool:
        """Say whether a session is bound to the engine, or to an option of it."""
        if self._engine is None:
            return True
        if session is None:
            return False
        binds = (session.bind, *session.binds.values())
        return any(bind.engine.pool is self._engine.pool for bind in binds if bind)

    def after_transaction_create(
        self, session: Session, transaction: SessionTransaction
    ) -> None:
        if self._ours(session):
            if transaction.nested:
                self._record.append("session", "begin nested")
            elif transaction.parent is None:
                self._record.append("session", "begin")

    def before_flush(self, session: Session, *_: object) -> None:
        if self._ours(session):
            self._record.append("session", "flush")

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
        wires = [self._record.of(connection) for connection in transaction.connections]
        sent = self._rollbacks_sent({wire.number for wire in wires if wire})
        rollback = self._finish(transaction, "rollback")
        if sent:
            self._record.move_before(rollback, sent)

    def _rollbacks_sent(self, numbers: set[int]) -> Event | None:
        """Return the first of the ROLLBACKs that the connections were sent just now."""
        sent: Event | None = None
        for event in reversed(self._record.events):
            rollback = event.text.startswith("ROLLBACK")
            if event.connection not in numbers or not rollback:
                break
            if event.text == BY_THE_DATABASE:
                break
            numbers.remove(event.connection)
            sent = event
        return sent

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
        return self._record.append("session", text)

    def expire(self, state: InstanceState[object], names: list[str] | None) -> None:
        """Note expired objects, one line for all that expire together."""
        # An UPDATE that is evaluated expires the attributes in an empty list.
        if not self._ours(state.session) or (names is not None and not names):
            return
        name = state.class_.__name__
        last = self._record.events[-1] if self._record.events else None
        if last is None or not last.text.startswith("expire "):
            self._record.append("session", f"expire {name}")
            return
        classes = {*last.text.removeprefix("expire ").split(", "), name}
        last.text = f"expire {', '.join(sorted(classes))}"


def _innermost(session: Session) -> SessionTransaction | None:
    """Return the transaction that a session is in, a savepoint before the root."""
    return session.get_nested_transaction() or session.get_transaction()
