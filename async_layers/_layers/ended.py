"""What a scope knows when it has been left; no I/O."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from sqlalchemy.exc import InvalidRequestError, PendingRollbackError

from async_layers._layers.ending import of_all
from async_layers._layers.hooks.kept import Hooks, set_scope
from async_layers._layers.notes import tell, tell_apart
from async_layers._layers.opened import closes, opens
from async_layers.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection, Engine
    from sqlalchemy.orm import Session, SessionTransaction

    from async_layers._layers.hooks.due import Due
    from async_layers._layers.opened import Opened


class Ended:
    """How a scope ended, with the note of it on the exception that left it."""

    outcome: Outcome | None = None
    subject: str = "transaction"
    _is_entered: bool = False
    _connection: Connection | None = None
    _transaction: SessionTransaction | None = None
    _opened: Opened | None = None
    _lent: Connection | Session | None = None
    _hooks: Hooks | None = None
    _end: Callable[[], Outcome] | None = None

    def _require_new(self) -> None:
        """Refuse to begin twice: an outcome is that of one transaction."""
        if self._is_entered:
            raise InvalidRequestError(
                "A scope is refused: seen one that has been entered before, whose "
                "outcome is another transaction's; open a new one for each block."
            )
        self._is_entered = True

    def watch(self, connection: Connection) -> None:
        """Ask this connection, when the block has been left, how it ended."""
        self._connection = connection
        self._opened = opens(self)

    def watch_session(self, transaction: SessionTransaction) -> None:
        """Ask the connections of a session's transaction, which it may yet open."""
        self._transaction = transaction
        self._opened = opens(self)

    def used(self) -> Iterable[Connection]:
        """Return the connections that the block uses, or has used."""
        if self._connection is not None:
            return (self._connection,)
        return () if self._transaction is None else self._transaction.connections

    def is_savepoint(self, end: Callable[[], Outcome]) -> None:
        """Ask here, when the block has been left, how the savepoint ended."""
        self.subject, self._end = "savepoint", end

    def is_on(self, engine: Engine) -> bool:
        """Say whether the scope has a connection of an engine."""
        return any(
            each.engine.pool is engine.pool and not each.closed for each in self.used()
        )

    def lend(self, target: Connection | Session) -> None:
        """Take hooks for what the block works with, until it has been left."""
        self._lent = target
        set_scope(target, self)

    def hooks_of(self, target: Connection | Session) -> Hooks:
        """Return the hooks, for one more of them."""
        if self._hooks is None:
            self._hooks = Hooks(target, self.used)
        return self._hooks

    def _due(self) -> Due | None:
        """Return the hooks that are due; none is taken any more."""
        if self._lent is not None:
            set_scope(self._lent, None)
            self._lent = None
        if self._hooks is None:
            return None
        hooks, self._hooks = self._hooks, None
        return hooks.end(self.outcome)

    def _left_by(
        self, raised: BaseException | None, error: BaseException | None
    ) -> BaseException | None:
        """Return what leaves the block: an exit is never replaced.

        Neither by a rollback that failed on the way out, nor by what a statement
        raises when the block has swallowed it: then a new one stands for it.
        """
        if not isinstance(raised, Exception):
            return raised
        if error is not None and not isinstance(error, Exception):
            return error
        # The count alone is no witness: on 3.11 a TaskGroup leaves one too many.
        if isinstance(raised, PendingRollbackError) and self._is_cancelled():
            cancelled = asyncio.CancelledError()
            cancelled.__context__ = raised
            return cancelled
        return raised

    def _is_cancelled(self) -> bool:
        """Say whether the block's task was told to end while in it."""
        return False

    def _ended(self, error: BaseException | None) -> None:
        if self._opened is not None:
            closes(self._opened)
        self.outcome = self._found(error)
        if error is None or self.outcome is None:
            return
        if len({getattr(each, "outcome", None) for each in self.used()}) > 1:
            tell_apart(error)
        else:
            tell(error, self.outcome, self.subject)

    def _found(self, error: BaseException | None) -> Outcome | None:
        if self._end is not None:
            return self._end()
        if self._connection is not None:
            return getattr(self._connection, "outcome", None)
        # One that the session was given, and whose end is not ours, tells none.
        outcomes = [getattr(each, "outcome", None) for each in self.used()]
        if outcomes:
            return of_all(outcomes)
        # The database was asked for nothing.
        return Outcome.ROLLED_BACK if error else Outcome.COMMITTED
