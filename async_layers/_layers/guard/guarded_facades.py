"""The facades of asyncio whose use is guarded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncResult,
    AsyncSession,
    AsyncSessionTransaction,
    AsyncTransaction,
)
from sqlalchemy.ext.asyncio.base import StartableContext
from sqlalchemy.ext.asyncio.session import _AsyncSessionContextManager

from async_layers._eager import ClosingConnection, EagerConnection
from async_layers._finish import finish
from async_layers._layers.guard.callers import current_task, of_asyncio
from async_layers._layers.guard.guarded import guard_of
from async_layers._layers.guard.guarding_facades import (
    async_guarding,
    leave_block,
    leave_transaction,
)
from async_layers._layers.guard.made import ready, remade
from async_layers._layers.guard.rules import Guard

if TYPE_CHECKING:
    from typing import Self

    from sqlalchemy import Connection
    from sqlalchemy.orm import Session


L = TypeVar("L")
S = TypeVar("S", bound=AsyncSession)


@async_guarding(lends="start", ends="close commit rollback", exits=leave_transaction)
class GuardedAsyncTransaction(AsyncTransaction):
    """The transaction of a guarded connection, or its savepoint."""

    __slots__ = ()

    @property
    def layers_guard(self) -> Guard | None:
        """The guard of its connection."""
        return guard_of(self.connection.sync_connection)

    def guarded_by(self) -> tuple[Guard | None, Connection | None, object]:
        """Return the guard, what it guards, and which savepoint is meant."""
        sync = self.connection.sync_connection
        return guard_of(sync), sync, self.sync_transaction if self.nested else None

    def layers_guarded(self, started: L) -> L:
        """Note who has set a savepoint."""
        guard = self.layers_guard
        if guard is not None and self.nested:
            guard.began_savepoint(self.sync_transaction)
        return started


@async_guarding(lends="start", ends="commit rollback", exits=leave_transaction)
class GuardedAsyncSessionTransaction(AsyncSessionTransaction):
    """The transaction of a guarded session, or its savepoint."""

    __slots__ = ()

    @property
    def layers_guard(self) -> Guard | None:
        """The guard of its session."""
        return guard_of(self.session.sync_session)

    def guarded_by(self) -> tuple[Guard | None, Session, object]:
        """Return the guard, what it guards, and which savepoint is meant."""
        sync = self.session.sync_session
        return guard_of(sync), sync, self.sync_transaction if self.nested else None

    @staticmethod
    def layers_guarded(started: L) -> L:
        """Return what has begun: the blocking session has noted who did it."""
        return started


@async_guarding(
    uses="exec_driver_sql execute execution_options get_isolation_level "
    "get_raw_connection run_sync scalar scalars",
    ends="aclose close commit invalidate rollback",
    finds="begin begin_nested get_nested_transaction get_transaction",
    exits=leave_block,
)
class GuardedAsyncConnection(AsyncConnection):
    """A connection that one task uses at a time."""

    __slots__ = ()

    layers_several = False

    async def start(self, is_ctxmanager: bool = False) -> AsyncConnection:  # noqa: FBT001, FBT002 - SQLAlchemy's
        """Open the connection, and guard it."""
        await super().start(is_ctxmanager)
        sync: Any = self.sync_connection
        sync.layers_guard = Guard(of_asyncio, several_transactions=self.layers_several)
        return self

    @property
    def layers_guard(self) -> Guard | None:
        """The guard, which the blocking connection holds."""
        sync: Any = self.sync_connection
        guard: Guard | None = None if sync is None else sync.layers_guard
        return guard

    def guarded_by(self) -> tuple[Guard | None, Connection | None, None]:
        """Return the guard, what it guards, and which savepoint is meant."""
        return guard_of(self.sync_connection), self.sync_connection, None

    @staticmethod
    def layers_guarded(
        transaction: AsyncTransaction | None,
    ) -> AsyncTransaction | None:
        """Guard a transaction of this connection, or a savepoint."""
        return transaction and remade(GuardedAsyncTransaction, transaction)

    def stream(self, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - typed there
        """Open a stream, to be awaited or to be a block."""
        stream = super().stream(*arguments, **named)
        return _GuardedStream(guard_of(self.sync_connection), stream)


class GuardedAsyncReader(GuardedAsyncConnection):
    """A connection in autocommit, whose transactions nobody can share."""

    __slots__ = ()

    layers_several = True


ready(GuardedAsyncConnection, ClosingConnection, EagerConnection)
ready(GuardedAsyncReader, ClosingConnection, EagerConnection)


class _GuardedStream(StartableContext["AsyncResult[Any]"]):
    """A stream whose opening is guarded; its rows may be read by anybody."""

    __slots__ = ("_caller", "_guard", "_stream")

    def __init__(
        self, guard: Guard | None, stream: StartableContext[AsyncResult[Any]]
    ) -> None:
        self._guard = guard
        self._caller = current_task()
        self._stream = stream

    async def start(self, is_ctxmanager: bool = False) -> AsyncResult[Any]:  # noqa: FBT001, FBT002 - SQLAlchemy's
        """Open the stream."""
        guard = self._guard
        entered = guard is not None and guard.enter("stream", self._caller)
        try:
            return await self._stream.start(is_ctxmanager)
        finally:
            if guard is not None and entered:
                guard.leave()

    async def __aexit__(self, *error: object) -> bool | None:
        """Close the stream as SQLAlchemy does."""
        return await self._stream.__aexit__(*error)


@async_guarding(
    uses="delete delete_all execute flush get get_one merge merge_all refresh run_sync "
    "scalar scalars stream stream_scalars",
    ends="aclose close commit invalidate reset rollback",
    finds="begin begin_nested get_nested_transaction get_transaction",
    lends="connection",
    exits=leave_block,
)
class GuardedAsyncSession(AsyncSession):
    """A session that one task uses at a time."""

    __slots__ = ()

    @property
    def layers_guard(self) -> Guard | None:
        """The guard, which the blocking session holds."""
        sync: Any = self.sync_session
        guard: Guard | None = sync.layers_guard
        return guard

    def guarded_by(self) -> tuple[Guard | None, Session, None]:
        """Return the guard, what it guards, and which savepoint is meant."""
        return guard_of(self.sync_session), self.sync_session, None

    @staticmethod
    def layers_guarded(found: L) -> L:
        """Guard a transaction, a savepoint or the connection of this session."""
        if isinstance(found, AsyncSessionTransaction):
            return remade(GuardedAsyncSessionTransaction, found)
        if isinstance(found, AsyncConnection) and guard_of(found.sync_connection):
            return remade(GuardedAsyncConnection, found)
        return found

    def _maker_context_manager(self) -> GuardedBegin[Self]:
        return GuardedBegin(self)


class GuardedBegin(_AsyncSessionContextManager[S]):
    """A session and its transaction, left on behalf of the task that leaves them."""

    __slots__ = ()

    async def __aexit__(self, *error: object) -> None:
        """End the transaction and close the session, to the end."""
        try:
            await finish(self.trans.__aexit__(*error))
        finally:
            await self.async_session.__aexit__(*error)
