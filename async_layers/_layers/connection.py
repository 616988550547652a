"""The connection of both worlds, which knows how its transaction ended."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, Any, NoReturn, cast

from sqlalchemy.engine import TwoPhaseTransaction
from sqlalchemy.util.concurrency import await_, greenlet_spawn, in_greenlet

from async_layers._finish import WITHIN, finish
from async_layers._layers.deadline.cut import cut
from async_layers._layers.deadline.stop import stop_cancelled
from async_layers._layers.ending import is_doomed, is_undone, of_failed_commit
from async_layers._layers.hooks.kept import HookedConnection
from async_layers._layers.keep import Keep
from async_layers._layers.notes import tell
from async_layers._options import require_seconds
from async_layers.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection
    from sqlalchemy.engine import RootTransaction


def require_finish_within(options: Mapping[str, object]) -> None:
    """Refuse a `finish_within` that is no time to wait."""
    if "finish_within" in options:
        require_seconds("finish_within", options["finish_within"])


class LayersConnection(HookedConnection):
    """SQLAlchemy's connection; COMMIT and ROLLBACK, once begun, run to their end.

    `outcome` is that of the last transaction, None while one is open. A cancellation
    that comes while COMMIT or ROLLBACK is under way travels on when it has ended, or
    when the seconds of the execution option `finish_within` are over: then the
    connection is cut.
    """

    outcome: Outcome | None = None

    def execution_options(self, **options: Any) -> Connection:  # noqa: ANN401 - theirs
        """Set options of this connection; `finish_within` is a number of seconds."""
        require_finish_within(options)
        return super().execution_options(**options)

    def _handle_dbapi_exception(
        self,
        e: BaseException,
        *arguments: Any,  # noqa: ANN401 - SQLAlchemy's
        **named: Any,  # noqa: ANN401
    ) -> NoReturn:
        if isinstance(e, CancelledError):
            stop_cancelled(self)
        super()._handle_dbapi_exception(e, *arguments, **named)

    def _begin_impl(self, transaction: RootTransaction) -> None:
        self.outcome = None
        super()._begin_impl(transaction)

    def _begin_twophase_impl(self, transaction: TwoPhaseTransaction) -> None:
        self.outcome = None
        super()._begin_twophase_impl(transaction)

    def _commit_impl(self) -> None:
        if self.dialect.is_async:
            self._await_turn()
            self._to_the_end(self._commit, super()._commit_impl)
        else:
            self._commit(super()._commit_impl)

    def _commit_twophase_impl(self, xid: Any, is_prepared: bool) -> None:  # noqa: ANN401, FBT001 - SQLAlchemy's
        work = super()._commit_twophase_impl
        self._to_the_end(self._commit, lambda: work(xid, is_prepared))

    def _rollback_impl(self) -> None:
        if not self.dialect.is_async or self._ends_at_once():
            self._roll_back(super()._rollback_impl)
        else:
            self._to_the_end(self._roll_back, super()._rollback_impl)

    def _prepare_twophase_impl(self, xid: Any) -> None:  # noqa: ANN401 - SQLAlchemy's
        work = super()._prepare_twophase_impl
        self._to_the_end(self._prepare, lambda: work(xid))

    def _rollback_twophase_impl(self, xid: Any, is_prepared: bool) -> None:  # noqa: ANN401, FBT001 - SQLAlchemy's
        work = super()._rollback_twophase_impl
        end = self._roll_back_prepared if is_prepared else self._roll_back
        self._to_the_end(end, lambda: work(xid, is_prepared))

    def _commit(self, work: Callable[[], None]) -> None:
        """Commit, and note how it ended."""
        doomed = is_doomed(self)
        # What stands if the process is interrupted in between.
        self.outcome = Outcome.ROLLED_BACK if doomed else Outcome.UNKNOWN
        try:
            work()
        except BaseException as error:
            if not doomed:
                self.outcome = of_failed_commit(self, error)
            raise
        if not doomed:
            undone = is_undone(self)
            self.outcome = Outcome.ROLLED_BACK if undone else Outcome.COMMITTED

    def _roll_back(self, work: Callable[[], None]) -> None:
        """Roll back; a server that does not hear of it rolls back as well."""
        # Where each statement was a transaction, there is none to roll back.
        if self.outcome is None and not self._is_autocommit_isolation():
            self.outcome = Outcome.ROLLED_BACK
        work()

    def _prepare(self, work: Callable[[], None]) -> None:
        """Prepare: what is prepared outlives its connection."""
        self.outcome = Outcome.UNKNOWN
        try:
            work()
        except BaseException as error:
            self.outcome = of_failed_commit(self, error)
            raise
        # Also for who is cancelled meanwhile, and rolls back.
        cast("Any", self._transaction)._is_prepared = True  # noqa: SLF001
        self.outcome = None

    def _roll_back_prepared(self, work: Callable[[], None]) -> None:
        """Roll back what the server keeps until it is told."""
        told = self._still_open_and_dbapi_connection_is_valid
        self.outcome = Outcome.UNKNOWN
        work()
        if told:
            self.outcome = Outcome.ROLLED_BACK

    def _to_the_end(
        self,
        end: Callable[[Callable[[], None]], None],
        work: Callable[[], None],
    ) -> None:
        if not (self.dialect.is_async and in_greenlet()):
            end(work)
            return
        within = self._execution_options.get("finish_within", WITHIN)
        coroutine = greenlet_spawn(end, work)
        try:
            if self._is_kept():
                await_(Keep(coroutine, within, self._cut))
            else:
                await_(finish(coroutine, within, self._cut))
        except CancelledError as error:
            # What is prepared, and no more, is still to be rolled back here.
            if self.outcome is not None:
                tell(error, self.outcome)
                # Who is cancelled may close nothing any more: SQLAlchemy takes it so.
                self.invalidate(error)
            raise

    def _is_kept(self) -> bool:
        """Say whether `Keep` will do: a listener may do what it is not for."""
        # PREPARE and what follows are statements, with the listeners of statements.
        if (
            not getattr(self.dialect, "is_kept", False)
            or isinstance(self._transaction, TwoPhaseTransaction)
            or self.dialect.dispatch.handle_error
        ):
            return False
        if not (self._has_events or self.engine._has_events):  # noqa: SLF001 - as SQLAlchemy does
            return True
        heard: Any = self.dispatch
        return not (heard.commit or heard.rollback)

    def _ends_at_once(self) -> bool:
        """Say whether nothing is waited for: there is nothing to roll back."""
        if not self._still_open_and_dbapi_connection_is_valid:
            return True
        heard = self._has_events or self.engine._has_events  # noqa: SLF001 - theirs
        adapter = self.connection.dbapi_connection
        return not heard and getattr(adapter, "ends_at_once", False)

    def _await_turn(self) -> None:
        """Wait for what another task does here: until then COMMIT has not begun."""
        fairy = self._dbapi_connection
        adapter: Any = None if fairy is None else fairy.dbapi_connection
        if hasattr(adapter, "await_turn"):
            try:
                adapter.await_turn()
            except CancelledError as error:
                # It is not rolled back either: SQLAlchemy takes it for ended.
                self.outcome = Outcome.ROLLED_BACK
                self.invalidate(error)
                raise

    def _cut(self) -> None:
        """Have what waits for the server wait no longer."""
        if self._still_open_and_dbapi_connection_is_valid:
            cut(self.connection)
