"""A connection whose scope has a deadline."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError

from async_layers._layers.connection import LayersConnection
from async_layers._layers.deadline.budget import COMMIT, STATEMENT
from async_layers._layers.deadline.fetching import timed
from async_layers._layers.deadline.limit import OPENING
from async_layers._layers.deadline.telling import Teller
from async_layers.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import (
        Compiled,
        Connection,
        CursorResult,
        Dialect,
        PoolProxiedConnection,
    )
    from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext

    from async_layers._layers.deadline.limit import Limit
    from async_layers._layers.deadline.operation import Operation


class TimedConnection(LayersConnection):
    """A connection that begins nothing when its time is over, and stops what runs."""

    limit: Limit
    _teller: Teller | None = None

    def _execute_context(
        self,
        dialect: Dialect,
        constructor: Callable[..., ExecutionContext],
        statement: str | Compiled,
        *arguments: Any,  # noqa: ANN401 - SQLAlchemy's
        **named: Any,  # noqa: ANN401
    ) -> CursorResult[Any]:
        run = super()._execute_context
        if self.limit.running is not None:  # it is a part of what runs
            return run(dialect, constructor, statement, *arguments, **named)
        words = str(statement)
        operation = self.limit.statement(self.engine.pool, words)
        with self.within(operation):
            if self.invalidated:
                operation.held = self._reconnected()
            self._tell(words)
            result = run(dialect, constructor, statement, *arguments, **named)
        return timed(result, self, words)

    def _safe_close_cursor(self, cursor: DBAPICursor) -> None:
        if self.limit.running is not None or self._dbapi_connection is None:
            super()._safe_close_cursor(cursor)
            return
        with self._ending("closing a cursor"):
            super()._safe_close_cursor(cursor)

    @contextmanager
    def within(self, operation: Operation) -> Iterator[Operation]:
        """Do what is in the block within the deadline, or refuse it."""
        budget = self.limit.budget
        if budget.is_over and operation.part in {STATEMENT, COMMIT}:
            raise budget.refused(operation.part, operation.words)
        with self.limit.watch(operation):
            operation.held = self._dbapi_connection
            yield operation

    def _reconnected(self) -> PoolProxiedConnection:
        """Replace a connection that was lost, within the deadline."""
        token = OPENING.set(self.limit)
        try:
            return self.connection
        finally:
            OPENING.reset(token)

    def execution_options(self, **options: Any) -> Connection:  # noqa: ANN401 - SQLAlchemy's
        """Set options; some drivers ask the server."""
        with self.within(self.limit.setting(self.engine.pool)):
            return super().execution_options(**options)

    def _tell(self, words: str) -> None:
        if self._teller is None:
            self._teller = Teller(self)
        self._teller.tell(words, self.limit.budget)

    def _commit_impl(self) -> None:
        with self._committing(self._rollback_impl):
            super()._commit_impl()

    def _prepare_twophase_impl(self, xid: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        words = "PREPARE TRANSACTION"
        with self.within(self.limit.statement(self.engine.pool, words)):
            super()._prepare_twophase_impl(xid)

    def _commit_twophase_impl(self, xid: Any, is_prepared: bool) -> None:  # noqa: ANN401, FBT001 - SQLAlchemy's
        with self._committing(lambda: self._rollback_twophase_impl(xid, is_prepared)):
            super()._commit_twophase_impl(xid, is_prepared)

    @contextmanager
    def _committing(self, undo: Callable[[], None]) -> Iterator[None]:
        """Commit within the deadline; a COMMIT that is refused rolls back."""
        budget = self.limit.budget
        if budget.is_over:
            undo()
        operation = self.limit.commit(self.engine.pool)
        with self.within(operation):
            if self._teller is not None:
                self._teller.shorten(budget)
            yield
        if operation.asked:
            self.outcome = Outcome.UNKNOWN
            raise budget.stopped(COMMIT)

    def _rollback_impl(self) -> None:
        with self._ending("ROLLBACK"):
            super()._rollback_impl()

    def _rollback_twophase_impl(self, xid: Any, is_prepared: bool) -> None:  # noqa: ANN401, FBT001 - SQLAlchemy's
        with self._ending("ROLLBACK"):
            super()._rollback_twophase_impl(xid, is_prepared)

    def _rollback_to_savepoint_impl(self, name: str) -> None:
        # The whole transaction is not going to be committed any more.
        if not self.limit.budget.is_over:
            super()._rollback_to_savepoint_impl(name)

    @contextmanager
    def _ending(self, part: str) -> Iterator[None]:
        """End what the server will end by itself, if it does not hear of it."""
        try:
            with self.within(self.limit.ending(self.engine.pool, part)):
                yield
        except (DBAPIError, OSError):
            if not (self.invalidated and self.limit.budget.is_over):
                raise

    def close(self) -> None:
        """Close the connection; the server has its own settings back."""
        if not self._still_open_and_dbapi_connection_is_valid:
            super().close()
            return
        with self._ending("close()"):
            try:
                if self._teller is not None:
                    self._teller.take_back()
            finally:
                super().close()
