"""What two tasks would do to each other in one transaction is refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import greenlet_spawn

from async_layers import (
    GuardError,
    Outcome,
    async_engine_scope,
    async_read,
    async_sessionmaker,
    async_transaction,
    async_unit_of_work,
)
from async_layers.patterns.tables import Account
from tests._living import Held, OtherTask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy import TextClause
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, AsyncTransaction

    from async_layers._proof.scratch import Scratch

ONE = text("SELECT 1")
CARL = insert(Account).values(id=3, owner="carl", balance=7)
LONG = {
    "sqlite": text(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT count(*) FROM n"
    ),
    "postgresql": text("SELECT pg_sleep(30)"),
}
ENDS = ["commit", "rollback", "close", "invalidate"]


@pytest.fixture
async def engine(sqlite_place: Scratch) -> AsyncIterator[AsyncEngine]:
    """Return an engine on SQLite, with fresh tables."""
    sqlite_place.fresh()
    async with async_engine_scope(sqlite_place.urls["async"]) as engine:
        yield engine
        assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]


def refused(*words: str) -> Any:
    """Expect the guard's error, with these words."""
    return pytest.raises(GuardError, match="(?s)" + ".*".join(words))


# The harm that was measured


async def test_rollback_of_another_task_discards_nothing(place: Scratch) -> None:
    """A inserts, B's rollback is refused, A commits, and A's row is there."""
    async with async_engine_scope(place.urls["async"]) as engine, OtherTask() as other:
        async with async_transaction(engine) as connection:
            await connection.execute(CARL)
            with refused(r"rollback\(\)", "'other'", r"execute\(\)", "hand_over"):
                await other.do(connection.rollback)
    assert "account 3 carl 7" in (place.rows() or [])


async def test_rollback_of_another_task_discards_nothing_of_a_session(
    place: Scratch,
) -> None:
    """The same for sessions, of which B does not see the rows either."""
    async with async_engine_scope(place.urls["async"]) as engine, OtherTask() as other:
        async with async_sessionmaker(engine)() as session:
            session.add(Account(id=3, owner="carl", balance=7))
            await session.flush()
            with refused(r"rollback\(\)", "'other'", r"flush\(\)"):
                await other.do(session.rollback)
            await session.commit()
    assert "account 3 carl 7" in (place.rows() or [])


async def test_operations_at_once_are_refused_and_the_connection_is_kept(
    place: Scratch,
) -> None:
    """Of two statements at once one is refused; the scope is left in good order."""
    async with async_engine_scope(place.urls["async"]) as engine:
        scope = async_transaction(engine)
        with refused("execute", "in flight"):
            async with scope as connection:
                await connection.execute(CARL)
                await asyncio.gather(connection.execute(ONE), connection.execute(ONE))
        assert Outcome.ROLLED_BACK is scope.outcome
        assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]
        async with async_transaction(engine) as connection:
            assert 1 == await connection.scalar(ONE)
    assert "account 3 carl 7" not in (place.rows() or [])


# Two operations in flight


@pytest.mark.parametrize("what", ["execute", "scalars", "stream_scalars"])
async def test_statement_while_another_is_in_flight_is_refused(
    what: str, engine: AsyncEngine
) -> None:
    """A session that works for one task does not work for another."""
    async with async_sessionmaker(engine)() as session, Held(session):
        with refused(what, "test_statement", "run_sync", "'holder'", "in flight"):
            await getattr(session, what)(ONE)


async def test_what_is_pending_is_not_added_to_in_mid_flush(
    engine: AsyncEngine,
) -> None:
    """What a session holds is not changed while another task works with it."""
    async with async_sessionmaker(engine)() as session, Held(session):
        with refused(r"add\(\)", "in flight"):
            session.add(Account(id=3, owner="carl", balance=7))


async def test_load_of_an_attribute_in_flight_is_refused(engine: AsyncEngine) -> None:
    """What the blocking session below is asked for by a greenlet counts as well."""
    async with async_sessionmaker(engine)() as session:
        account = await session.get_one(Account, 1)
        async with Held(session):
            with refused("execute", "in flight"):
                await greenlet_spawn(getattr, account, "entries")


@pytest.mark.parametrize("end", ENDS)
async def test_end_while_another_is_in_flight_is_refused(
    end: str, engine: AsyncEngine
) -> None:
    """Not even the owner ends a transaction in mid-statement."""
    async with async_transaction(engine) as connection:
        await connection.execute(ONE)
        async with Held(connection):
            with refused(end, "in flight"):
                await getattr(connection, end)()


async def test_stream_while_another_is_in_flight_is_refused(
    engine: AsyncEngine,
) -> None:
    """Opening a stream is an operation, awaited or as a block."""
    async with async_transaction(engine) as connection:
        async with Held(connection):
            with refused("stream", "in flight"):
                await connection.stream(ONE)
            with refused("stream", "in flight"):
                async with connection.stream_scalars(ONE):
                    pass
        async with connection.stream_scalars(ONE) as numbers:
            assert [1] == [number async for number in numbers]


async def test_block_is_left_when_the_operation_in_flight_is_over(
    engine: AsyncEngine,
) -> None:
    """Leaving a block waits for another's statement, and then rolls back."""
    scope = async_transaction(engine)
    with refused("commit", "in flight"):
        async with scope as connection:
            held = Held(connection)
            await held.__aenter__()
            asyncio.get_running_loop().call_soon(held.let_go)
    await held.task
    assert Outcome.ROLLED_BACK is scope.outcome


async def test_session_is_left_when_the_operation_in_flight_is_over(
    engine: AsyncEngine,
) -> None:
    """A session that an exception leaves waits as well, and travels on with it."""
    with pytest.raises(LookupError):
        async with async_sessionmaker(engine).begin() as session:
            await session.execute(CARL)
            held = Held(session)
            await held.__aenter__()
            asyncio.get_running_loop().call_soon(held.let_go)
            raise LookupError
    await held.task
    assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]


async def test_statement_that_does_not_end_is_cut_off(place: Scratch) -> None:
    """After `finish_within` seconds the link is cut, and the block is left."""
    async with async_engine_scope(
        place.urls["async"], execution_options={"finish_within": 0.02}
    ) as engine:
        with pytest.raises(LookupError):
            async with async_unit_of_work(async_sessionmaker(engine)) as session:
                await session.execute(ONE)
                task = asyncio.create_task(execute(session, LONG[engine.name]))
                await asyncio.sleep(0)  # the task has begun
                raise LookupError
        with pytest.raises(DBAPIError):
            await task
        assert 0 == engine.pool.checkedout()  # type: ignore[attr-defined]


async def execute(session: AsyncSession, statement: TextClause) -> None:
    """Send a statement."""
    await session.execute(statement)


async def test_operation_that_cannot_be_cut_off_is_named(engine: AsyncEngine) -> None:
    """What does not end, though its link is cut, is in the way, and says so."""
    await engine.dispose()
    impatient = engine.execution_options(finish_within=0.01)
    with refused("close", "'holder'", "in flight"):
        async with async_transaction(impatient) as connection:
            held = Held(connection)
            await held.__aenter__()
    held.let_go()
    await held.task


# Use in turns


async def test_use_in_turns_is_refused(engine: AsyncEngine) -> None:
    """A, B, A in one transaction is refused while B lives, and right afterwards."""
    async with async_transaction(engine) as connection:
        await connection.execute(ONE)
        async with OtherTask() as other:
            await other.do(lambda: connection.execute(ONE))
            with refused("scalar", "execute", "'other'", "while both live"):
                await connection.scalar(ONE)
        assert 1 == await connection.scalar(ONE)


async def test_commit_of_work_in_turns_is_refused(engine: AsyncEngine) -> None:
    """A block whose transaction another living task has used is rolled back."""
    scope = async_transaction(engine)
    async with OtherTask() as other:
        with refused("commit", "'other'", "while both live") as caught:
            async with scope as connection:
                await connection.execute(CARL)
                await other.do(lambda: connection.execute(ONE))
    assert Outcome.ROLLED_BACK is scope.outcome
    assert ["The transaction was rolled back."] == caught.value.__notes__


async def test_new_transaction_forgets_who_used_the_old(engine: AsyncEngine) -> None:
    """What another did in a transaction that is over does not count."""
    async with OtherTask() as other, async_sessionmaker(engine)() as session:
        await other.do(lambda: session.execute(ONE))
        await other.do(session.commit)
        await session.execute(ONE)
        await session.commit()
        await other.do(lambda: session.execute(ONE))
        await other.do(session.rollback)


async def test_reading_in_turns_is_right(engine: AsyncEngine) -> None:
    """Statements in autocommit have no transaction that two could share."""
    async with OtherTask() as other, async_read(engine) as connection:
        await connection.execute(ONE)
        await other.do(lambda: connection.execute(ONE))
        assert 1 == await connection.scalar(ONE)
        async with Held(connection):
            with refused("scalar", "in flight"):
                await connection.scalar(ONE)


# Ends by another


@pytest.mark.parametrize("end", ENDS)
async def test_end_by_another_task_is_refused(end: str, engine: AsyncEngine) -> None:
    """A connection's transaction is ended by who began it."""
    async with OtherTask() as other, async_transaction(engine) as connection:
        with refused(end, "'other'", r"begin\(\)", "which began the transaction"):
            await other.do(getattr(connection, end))
        assert 1 == await connection.scalar(ONE)


@pytest.mark.parametrize("end", [*ENDS, "reset", "aclose"])
async def test_end_of_a_session_by_another_task_is_refused(
    end: str, engine: AsyncEngine
) -> None:
    """A session's transaction is ended by who began it."""
    async with (
        OtherTask() as other,
        async_unit_of_work(async_sessionmaker(engine)) as session,
    ):
        with refused("which began the transaction"):
            await other.do(getattr(session, end))
        assert 1 == await session.scalar(ONE)


async def test_transaction_object_is_guarded_too(engine: AsyncEngine) -> None:
    """Another task does not get around it by the transaction itself."""
    async with (
        OtherTask() as other,
        async_unit_of_work(async_sessionmaker(engine)) as session,
    ):
        for found in (
            session.get_transaction(),
            (await session.connection()).get_transaction(),
        ):
            assert found is not None
            with refused("rollback", "which began the transaction"):
                await other.do(found.rollback)
        assert session.get_nested_transaction() is None


async def test_savepoint_is_ended_by_who_set_it(engine: AsyncEngine) -> None:
    """A savepoint has an owner of its own: here a child of the transaction's."""
    async with async_transaction(engine) as connection:

        async def child() -> AsyncTransaction:
            nested = await connection.begin_nested()
            async with OtherTask() as other:
                with refused("rollback", "'other'"):
                    await other.do(nested.rollback)
            await nested.commit()
            return nested

        nested = await asyncio.create_task(child())
        assert not nested.is_active
        assert 1 == await connection.scalar(ONE)
