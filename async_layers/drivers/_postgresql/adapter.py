"""A connection of asyncpg for SQLAlchemy, whose transaction is the server's word."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_connection
from sqlalchemy.util import LRUCache
from sqlalchemy.util.concurrency import await_

from async_layers.drivers._postgresql import errors
from async_layers.drivers._postgresql.batch import BatchCursor
from async_layers.drivers._postgresql.plan import Plan
from async_layers.drivers._postgresql.rows import is_back
from async_layers.drivers._postgresql.shape import first_word
from async_layers.drivers._postgresql.stream import PostgreSQLStreamCursor
from async_layers.drivers._postgresql.untyped import asyncpg
from async_layers.drivers._postgresql.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from typing import ParamSpec, TypeAlias

    P = ParamSpec("P")
    Fetched: TypeAlias = tuple[list[Any], bytes, bool]

T = TypeVar("T")

# Seconds for a server to hear of a cancellation and of the end; one that does not
# answer holds whoever is cancelled for so long, where SQLAlchemy's own waits for 2.
_GOODBYE = 0.75

_READING = {None: "", False: " READ WRITE", True: " READ ONLY"}
_DEFERRING = {None: "", False: " NOT DEFERRABLE", True: " DEFERRABLE"}

# After these, or their end, a name in a statement may mean something else.
_REDEFINES = frozenset({"ALTER", "CREATE", "DO", "DROP"})
_FORGETS = ("ALTER ", "DROP ", "DISCARD ALL", "DEALLOCATE ALL")

_LEVELS = {
    None: "",
    "read_uncommitted": " ISOLATION LEVEL READ UNCOMMITTED",
    "read_committed": " ISOLATION LEVEL READ COMMITTED",
    "repeatable_read": " ISOLATION LEVEL REPEATABLE READ",
    "serializable": " ISOLATION LEVEL SERIALIZABLE",
}


class AsyncAdaptPostgreSQLConnection(AsyncAdapt_asyncpg_connection):
    """asyncpg's connection, told what to do in turn.

    Whether a transaction is open is what the server said last, whoever opened it.
    """

    __slots__ = ("_redefined", "_surrounding", "lent", "undone", "wire")

    _cursor_cls = BatchCursor  # type: ignore[assignment]
    _ss_cursor_cls = PostgreSQLStreamCursor  # type: ignore[assignment]

    # SQLAlchemy's own, which have no types there.
    _connection: Any
    _prepared_statement_cache: Any
    _prepared_statement_name_func: Any
    isolation_level: Any
    readonly: Any
    deferrable: Any

    def __init__(self, dbapi: Any, connection: Any, **arguments: Any) -> None:
        super().__init__(dbapi, connection, **arguments)  # type: ignore[no-untyped-call]
        self.wire = Wire.between(connection)
        self._redefined = False
        # asyncpg's own `transaction()` is a savepoint in a transaction that it knows.
        self._surrounding = connection.transaction()
        # What the pool lent to the user who commits or rolls back next.
        self.lent: object = None
        # Whether the server has answered the last COMMIT with ROLLBACK.
        self.undone = False
        # Nothing is said of them; False is said, as psycopg does.
        self.readonly = self.deferrable = None

    @classmethod
    async def create(
        cls, dbapi: Any, connection_awaitable: Awaitable[Any], **arguments: Any
    ) -> AsyncAdaptPostgreSQLConnection:
        """Open a connection; what fails then is an OperationalError."""
        try:
            connection = await connection_awaitable
        except Exception as error:
            emulated = errors.emulated(error, connecting=True)
            if emulated is None:
                raise
            raise emulated from error
        return cls(dbapi, connection, **arguments)

    @property
    def driver(self) -> Any:
        """The connection of asyncpg."""
        return self._connection

    def in_transaction(self) -> bool:
        """Say whether the server has a transaction open, failed or not."""
        protocol = self._connection._protocol  # noqa: SLF001 - no public name
        # Without one asyncpg has given the connection up, and refuses what is sent
        # now, so that no COMMIT seems to be done.
        return protocol is None or bool(protocol.is_in_transaction())

    async def begin(self) -> None:
        """Begin a transaction if none is open and the connection does not commit."""
        if self.isolation_level != "autocommit" and not self.in_transaction():
            self._redefined = False
            await self._connection.execute(self._begin())
            self._connection._top_xact = self._surrounding  # noqa: SLF001

    def _is_over(self) -> None:
        """Tell asyncpg that its own `transaction()` begins one again."""
        if self._connection._top_xact is self._surrounding:  # noqa: SLF001
            self._connection._top_xact = None  # noqa: SLF001 - no public name

    def _begin(self) -> str:
        level = _LEVELS[self.isolation_level]
        reading = _READING[self.readonly]
        return f"BEGIN{level}{reading}{_DEFERRING[self.deferrable]}"

    def known(self, operation: str, asof: float) -> Plan | None:
        """Return what is prepared already; None where it has gone stale since."""
        cache = self._prepared_statement_cache
        if cache is None or asof > self._invalidate_schema_cache_asof:
            return None
        plan: Plan | None = cache.get(operation)
        # It goes stale with what it is about, such as a column's size.
        return plan if plan is not None and plan.stamp > asof else None

    async def plan(self, operation: str, asof: float) -> Plan:
        """Prepare a statement, and return what is known of it."""
        await self._check_type_cache_invalidation(asof)  # type: ignore[no-untyped-call]
        name = self._prepared_statement_name_func()
        statement = await self._connection.prepare(operation, name=name)
        plan = Plan(statement, time.time())
        if self._prepared_statement_cache is not None:
            self._prepared_statement_cache[operation] = plan
        return plan

    async def fetch(self, plan: Plan, parameters: Sequence[object]) -> Fetched:
        """Execute a prepared statement; return its rows, and the tag of the command.

        As the statement's own `fetch()`, which does it by three coroutines more; and
        whether an infinite date or time may be among the rows.
        """
        protocol, state = self._connection._protocol, plan.statement._state  # noqa: SLF001
        looker = self.wire.look() if plan.temporal else None
        try:
            rows, status, _ = await protocol.bind_execute(
                state,
                parameters,
                "",
                0,
                True,  # noqa: FBT003 - asyncpg's
                None,
            )
        finally:
            if looker is not None:
                self.wire.done()
        return rows, status, looker is not None and looker.found

    async def command(self, text: str) -> str:
        """Execute what returns no rows, in one round trip; return the command's tag.

        As psycopg, forget what was prepared when it may have another meaning now.
        """
        tag: str = await self._connection.execute(text)
        if not self.in_transaction():
            self._is_over()
        word = first_word(text)
        if word in _REDEFINES:
            self._redefined = True
        if tag.startswith(_FORGETS) or (tag == "ROLLBACK" and self._redefined):
            self.forget()
        return tag

    def forget(self) -> None:
        """Prepare anew from now on: names and types are not what they were."""
        cache = self._prepared_statement_cache
        if cache is not None:
            self._prepared_statement_cache = LRUCache(cache.capacity)
        self._connection._drop_local_statement_cache()  # noqa: SLF001 - no public name
        self._invalidate_schema_cache_asof = -1.0

    async def begin_anew(self) -> None:
        """Roll back, forget what was prepared, and begin."""
        await self.end("ROLLBACK")
        self.forget()
        await self.begin()

    def run(
        self,
        work: Callable[P, Coroutine[Any, Any, T]],
        /,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        """Do work when no other task is at work here; translate its errors."""
        try:
            return await_(self._alone(work, *arguments, **named))
        except Exception as error:  # noqa: BLE001 - translated
            self._handle_exception(error)

    async def _alone(
        self,
        work: Callable[P, Coroutine[Any, Any, T]],
        /,
        *arguments: P.args,
        **named: P.kwargs,
    ) -> T:
        async with self._execute_mutex:
            try:
                if self._is_cancelling():
                    await self._cancelled()
                return await work(*arguments, **named)
            except Exception as error:
                await self._settle(error)
                raise

    async def _cancelled(self) -> None:
        """Wait for the answer to what was cancelled, which says how it ended.

        Until then the state of the transaction is an old one, and the rows that are
        counted would be another statement's.
        """
        connection = self._connection
        timeout = connection._config.command_timeout  # noqa: SLF001 - no public name
        # Its own timeout would cancel this task, since Python 3.12: whoever keeps a
        # COMMIT from being cancelled would take it for somebody else.
        waiting = asyncio.ensure_future(
            connection._protocol._wait_for_cancellation(None)  # noqa: SLF001
        )
        try:
            await asyncio.wait((waiting,), timeout=timeout)
            if not waiting.done():
                raise TimeoutError
            waiting.result()
        finally:
            waiting.cancel()

    async def _settle(self, error: Exception) -> None:
        """Have the server let go of what a statement locked that was not executed.

        asyncpg ends no transaction where it has prepared and then refuses a value; the
        server holds the locks until something is executed.
        """
        if isinstance(error, asyncpg.OutdatedSchemaCacheError):
            self.forget()
        open_ = not (self.in_transaction() or self._connection.is_closed())
        if open_ and errors.is_of_this_side(error):
            await self._connection.execute("SELECT 1")

    def _handle_exception(self, error: Exception) -> NoReturn:
        lost = self._connection.is_closed()
        last_words = self.wire.last_words() if lost else {}
        emulated = errors.emulated(error, closed=lost, last_words=last_words)
        if emulated is None or emulated is error:
            raise error
        raise emulated from error

    def _is_busy(self) -> bool:
        """Say whether a task is at work here, or a cancellation on its way."""
        return self._execute_mutex.locked() or self._is_cancelling()

    def _is_cancelling(self) -> bool:
        """Say whether the server has still to answer what was cancelled."""
        protocol = self._connection._protocol  # noqa: SLF001 - no public name
        return protocol is not None and bool(protocol._is_cancelling())  # noqa: SLF001

    @property
    def ends_at_once(self) -> bool:
        """Whether COMMIT and ROLLBACK wait for nothing: there is no transaction."""
        return not (self._is_busy() or self.in_transaction())

    def await_turn(self) -> None:
        """Wait until no other task is at work here: what is to come has not begun."""
        if self._execute_mutex.locked():
            await_(self._turn())

    async def _turn(self) -> None:
        async with self._execute_mutex:
            pass

    def commit(self) -> None:
        """Commit; what another task does here ends first.

        The dialect has set `lent` just before, in the same turn of the loop.
        """
        lent, self.lent = self.lent, None
        if not self.ends_at_once:
            self.run(self.end, "COMMIT", lent)

    def rollback(self) -> None:
        """Roll back; what another task does here ends first."""
        lent, self.lent = self.lent, None
        if not self.ends_at_once:
            self.run(self.end, "ROLLBACK", lent)

    async def end(self, words: str, lent: object = None) -> None:
        """End the transaction; what is back in the pool was rolled back on the way."""
        self.undone = False
        if is_back(lent) or not self.in_transaction():
            return
        try:
            self.undone = await self.command(words) != words
        except TimeoutError:
            # Nobody knows whether the server has heard it: nothing more is told it.
            self._connection.terminate()
            raise

    def begin_two_phases(self) -> None:
        """Refuse what can never be prepared; the first statement begins."""
        if self.isolation_level == "autocommit":
            raise errors.refused(
                "Two phases are refused: seen isolation_level='AUTOCOMMIT', which "
                "prepares no transaction; write another isolation_level.",
                "ProgrammingError",
            )

    def prepare_transaction(self, xid: str) -> None:
        """Prepare the transaction for its second phase."""
        self.run(self._prepare_transaction, f"PREPARE TRANSACTION {_quoted(xid)}")

    async def _prepare_transaction(self, words: str) -> None:
        await self.begin()
        await self.command(words)

    def end_prepared(self, words: str, xid: str) -> None:
        """Commit or roll back a prepared transaction, which no other may surround."""
        self.run(self._end_prepared, f"{words} PREPARED {_quoted(xid)}")

    async def _end_prepared(self, words: str) -> None:
        await self.end("ROLLBACK")
        await self._connection.execute(words)

    def ping(self) -> None:
        """Ask the server for little, in one round trip and no transaction."""
        self.run(self._connection.execute, "SELECT 1")

    async def _terminate_graceful_close(self) -> None:
        await self._connection.close(timeout=_GOODBYE)

    def close(self) -> None:
        """Close the connection, which rolls back; what another task does ends first."""
        self.run(self._connection.close)


def _quoted(text: str) -> str:
    return "'{}'".format(text.replace("'", "''"))
