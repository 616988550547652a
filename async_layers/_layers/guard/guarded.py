"""The blocking objects whose use is guarded; asyncio drives the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import (
    Connection,
    NestedTransaction,
    RootTransaction,
    Transaction,
    TwoPhaseTransaction,
)
from sqlalchemy.orm import Session, SessionTransaction

from async_layers._layers.connection import LayersConnection
from async_layers._layers.guard.guarding import (
    guarding,
    leave_block,
    leave_transaction,
)
from async_layers._layers.guard.made import ready, remade

if TYPE_CHECKING:
    from async_layers._layers.guard.rules import Guard


@guarding(ends="close commit rollback", exits=leave_transaction)
class GuardedTransaction(Transaction):
    """The transaction of a guarded connection, or its savepoint."""

    __slots__ = ()

    @property
    def layers_guard(self) -> Guard | None:
        """The guard of its connection."""
        guarded: Any = self.connection
        guard: Guard | None = guarded.layers_guard
        return guard

    def guarded_by(self) -> tuple[Connection, object]:
        """Return what is guarded, and which savepoint is meant."""
        savepoint = self if isinstance(self, NestedTransaction) else None
        return self.connection, savepoint


L = TypeVar("L")

ready(GuardedTransaction, RootTransaction, NestedTransaction, TwoPhaseTransaction)


@guarding(ends="close commit prepare rollback", exits=leave_transaction)
class GuardedSessionTransaction(SessionTransaction):
    """The transaction of a guarded session, or its savepoint."""

    __slots__ = ()

    @property
    def layers_guard(self) -> Guard | None:
        """The guard of its session."""
        guarded: Any = self.session
        guard: Guard | None = guarded.layers_guard
        return guard

    def guarded_by(self) -> tuple[Session, object]:
        """Return what is guarded, and which savepoint is meant."""
        return self.session, self if self.nested else None


@guarding(
    uses="detach exec_driver_sql execute get_isolation_level scalar scalars",
    ends="close commit invalidate rollback",
    begins="begin begin_nested begin_twophase",
    finds="get_nested_transaction get_transaction",
    exits=leave_block,
)
class GuardedConnection(LayersConnection):
    """A connection that one task or thread uses at a time."""

    __slots__ = ()

    layers_guard: Guard | None = None

    def guarded_by(self) -> tuple[Connection, None]:
        """Return what is guarded, and which savepoint is meant."""
        return self, None

    def layers_guarded(
        self, transaction: Transaction | None, *, begun: bool = False
    ) -> Transaction | None:
        """Guard a transaction of this connection, or a savepoint."""
        if transaction is None:
            return None
        if begun and isinstance(transaction, NestedTransaction) and self.layers_guard:
            self.layers_guard.began_savepoint(transaction)
        return remade(GuardedTransaction, transaction)


@guarding(
    uses="add add_all bulk_insert_mappings bulk_save_objects bulk_update_mappings "
    "delete delete_all execute flush get get_one merge merge_all refresh scalar "
    "scalars",
    ends="close commit invalidate prepare reset rollback",
    begins="begin begin_nested connection",
    finds="get_nested_transaction get_transaction",
    exits=leave_block,
)
class GuardedSession(Session):
    """A session that one task or thread uses at a time."""

    __slots__ = ()

    layers_guard: Guard | None = None

    def guarded_by(self) -> tuple[Session, None]:
        """Return what is guarded, and which savepoint is meant."""
        return self, None

    def layers_guarded(self, found: L, *, begun: bool = False) -> L:
        """Guard a transaction, a savepoint or the connection of this session."""
        if isinstance(found, SessionTransaction):
            if begun and found.nested and self.layers_guard:
                self.layers_guard.began_savepoint(found)
            return remade(GuardedSessionTransaction, found)
        if isinstance(found, Connection):
            # One that the session was bound to is another's.
            binds = (self.bind, *self.binds.values())
            if guard_of(found) is None and found not in binds:
                guard_connection(found, self.layers_guard)
        return found


ready(GuardedConnection, LayersConnection)


def guard_of(thing: Connection | Session | None) -> Guard | None:
    """Return the guard of a blocking connection or session."""
    guard: Guard | None = getattr(thing, "layers_guard", None)
    return guard


def guard_connection(connection: Connection, guard: Guard | None) -> None:
    """Guard a blocking connection, or one below asyncio's."""
    guarded: Any = remade(GuardedConnection, connection)
    guarded.layers_guard = guard
