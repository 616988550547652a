"""A scope knows how its transaction ended, with every driver of both worlds."""

from __future__ import annotations

import asyncio
import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, PendingRollbackError

import async_layers
from async_layers import Outcome, async_transaction, transaction
from tests.postgresql import _faults
from tests.postgresql._dialects import (
    ASYNCPG,
    BLOCKING,
    OURS,
    OURS_ASYNC,
    PSYCOPG,
    on,
    open_async_engine,
    open_engine,
)
from tests.postgresql._faults import end_backend
from tests.postgresql._tasks import becomes

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from tests.postgresql._people import People
    from tests.postgresql._proxy import Proxy

frozen, quiet = _faults.frozen, _faults.quiet

PSYCOPG_ASYNC = "psycopg_async"
EVERY = on(OURS, OURS_ASYNC, PSYCOPG, ASYNCPG, PSYCOPG_ASYNC)
# asyncpg alone does not tell a transaction that has failed from another.
TOLD = on(OURS, OURS_ASYNC, PSYCOPG, PSYCOPG_ASYNC)

LATER = (
    "ALTER TABLE person ADD CONSTRAINT once UNIQUE (name) DEFERRABLE INITIALLY DEFERRED"
)
UNKNOWN = (
    "The outcome of the transaction is unknown: "
    "the connection was lost while COMMIT was under way."
)


class Ended:
    """How a scope ended, and what left it."""

    def __init__(self, outcome: Outcome | None, error: BaseException | None) -> None:
        self.outcome = outcome
        self.error = type(error).__name__
        self.notes = list(getattr(error, "__notes__", []))


def ended(driver: str, url: str, body: Callable[[Connection], object]) -> Ended:
    """Run a body in a scope of the driver's world; return how it ended."""
    if driver not in BLOCKING:
        return asyncio.run(_ended_async(driver, url, body))
    engine = open_engine(driver, url)
    scope, raised = transaction(engine), None
    try:
        with scope as connection:
            body(connection)
    except BaseException as error:  # noqa: BLE001 - it is told
        raised = error
    engine.dispose()
    return Ended(scope.outcome, raised)


async def _ended_async(
    driver: str, url: str, body: Callable[[Connection], object]
) -> Ended:
    engine = open_async_engine(driver, url)
    scope, raised = async_transaction(engine), None
    try:
        async with scope as connection:
            await connection.run_sync(body)
    except BaseException as error:  # noqa: BLE001 - it is told
        raised = error
    await engine.dispose()
    return Ended(scope.outcome, raised)


@EVERY
def test_commit_is_committed(driver: str, postgresql_url: str, people: People) -> None:
    """What has been committed is there."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))

    found = ended(driver, postgresql_url, body)
    assert (Outcome.COMMITTED, "NoneType", ["carl"]) == (
        found.outcome,
        found.error,
        people.names(),
    )


@EVERY
def test_refused_commit_is_rolled_back(
    driver: str, postgresql_url: str, people: People
) -> None:
    """A COMMIT that the server refuses has rolled back, and the error says so."""
    people.tell(LATER)
    people.add(1)

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl").values(name="anna"))

    found = ended(driver, postgresql_url, body)
    assert (Outcome.ROLLED_BACK, ["The transaction was rolled back."]) == (
        found.outcome,
        found.notes,
    )
    assert ["anna"] == people.names()


@EVERY
@pytest.mark.parametrize("arrives", [False, True])
def test_lost_commit_is_unknown(
    driver: str, proxy: Proxy, people: People, *, arrives: bool
) -> None:
    """A connection that is lost while COMMIT is under way leaves nobody who knows."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        side = "server" if arrives else "client"
        proxy.cut_messages(0, of=side, since_commit=True)

    found = ended(driver, proxy.url, body)
    assert (Outcome.UNKNOWN, [UNKNOWN]) == (found.outcome, found.notes)
    assert (["carl"] if arrives else []) == people.names()


@EVERY
def test_connection_lost_before_commit_is_rolled_back(
    driver: str, postgresql_url: str, people: People, observer: Any
) -> None:
    """A connection that is known to be lost commits nothing."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        end_backend(observer, connection)
        with suppress(DBAPIError):
            connection.execute(text("SELECT 1"))

    found = ended(driver, postgresql_url, body)
    assert (Outcome.ROLLED_BACK, []) == (found.outcome, people.names())


@TOLD
def test_commit_of_a_failed_transaction_is_rolled_back(
    driver: str, postgresql_url: str, people: People
) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK where a statement has failed."""

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        with suppress(DBAPIError):
            connection.execute(text("SELECT 1 / 0"))

    found = ended(driver, postgresql_url, body)
    assert (Outcome.ROLLED_BACK, "NoneType", []) == (
        found.outcome,
        found.error,
        people.names(),
    )


@EVERY
def test_exit_is_not_replaced(driver: str, proxy: Proxy, people: People) -> None:
    """An exit whose rollback fails is still the exit, and is told the outcome."""
    exit_ = KeyboardInterrupt if driver in BLOCKING else asyncio.CancelledError

    def body(connection: Connection) -> None:
        connection.execute(people.insert("carl"))
        proxy.cut(of="client")
        raise exit_

    found = ended(driver, proxy.url, body)
    assert (exit_.__name__, ["The transaction was rolled back."]) == (
        found.error,
        found.notes,
    )
    assert Outcome.ROLLED_BACK is found.outcome


def test_swallowed_cancellation_comes_back(postgresql_url: str, people: People) -> None:
    """A cancellation that the block swallows takes the place of what follows of it."""

    async def main() -> None:
        engine = async_layers.create_async_engine(postgresql_url)
        scope = async_transaction(engine)

        async def work() -> None:
            async with scope as connection:
                await connection.execute(people.insert("carl"))
                with suppress(asyncio.CancelledError):
                    await connection.execute(text("SELECT pg_sleep(30)"))
                await connection.execute(people.insert("dora"))

        task = asyncio.create_task(work())
        await running(people)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as raised:
            await task
        await engine.dispose()
        assert isinstance(raised.value.__context__, PendingRollbackError)
        assert Outcome.ROLLED_BACK is scope.outcome

    asyncio.run(main())
    assert [] == people.names()


def test_timeout_of_the_block_is_its_own(postgresql_url: str, people: People) -> None:
    """What follows of a timeout that the block has handled is what leaves it."""

    async def main() -> None:
        engine = async_layers.create_async_engine(postgresql_url)
        with pytest.raises(PendingRollbackError):
            async with async_transaction(engine) as connection:
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.05):
                        await connection.execute(text("SELECT pg_sleep(30)"))
                await connection.execute(people.insert("carl"))
        await engine.dispose()

    asyncio.run(main())
    assert [] == people.names()


async def running(people: People) -> None:
    """Return when a statement sleeps."""
    query = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    assert await becomes(lambda: people.observer.execute(query).fetchone() is not None)


def test_twins_are_both_tried() -> None:
    """The asyncio half is a coroutine function's, and not the blocking one again."""
    assert (False, True) == (
        inspect.iscoroutinefunction(ended),
        inspect.iscoroutinefunction(_ended_async),
    )
