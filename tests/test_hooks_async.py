"""What runs after a commit, under asyncio."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, func, insert, select, text
from sqlalchemy.exc import ArgumentError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.testing.cancellation import await_points

from async_layers import (
    Outcome,
    async_engine_scope,
    async_on_commit,
    async_savepoint,
    async_sessionmaker,
    async_transaction,
    async_unit_of_work,
    create_engine,
    on_commit,
)
from async_layers.patterns.tables import Account

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Any

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.orm import Session

    from async_layers._proof.scratch import Scratch

CARL = insert(Account).values(id=3, owner="carl", balance=10)
COUNT = select(func.count(Account.id))
NOTE = "The transaction was committed."


@pytest.fixture
async def engine(sqlite_place: Scratch) -> AsyncIterator[AsyncEngine]:
    """Return an engine of one connection, on fresh tables."""
    sqlite_place.fresh()
    options: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    async with async_engine_scope(sqlite_place.urls["async"], **options) as opened:
        yield opened


@pytest.fixture
def said() -> list[object]:
    """Return what the hooks have said."""
    return []


async def fail(what: object) -> None:
    raise LookupError(what)


async def test_hooks_are_awaited_after_the_commit_in_their_order(
    engine: AsyncEngine, said: list[object]
) -> None:
    """Hooks find the rows committed, and the connection back in its pool."""

    async def count(*, after: object) -> None:
        async with async_transaction(engine) as connection:
            said.append((after, await connection.scalar(COUNT)))

    async with async_transaction(engine) as connection:
        async_on_commit(connection, said.append, 1)
        async_on_commit(connection, count, after=1)
        await connection.execute(CARL)
        async_on_commit(connection, said.append, 2)
        assert [] == said
    assert [1, (1, 3), 2] == said


async def test_hooks_of_a_unit_of_work_run_after_its_commit(
    engine: AsyncEngine, said: list[object]
) -> None:
    """The session of a unit of work takes hooks, also where it is a blocking one."""

    def within(session: Session) -> None:
        on_commit(session, said.append, "blocking")

    async def count() -> None:
        async with async_unit_of_work(async_sessionmaker(engine)) as session:
            said.append(await session.scalar(COUNT))

    async with async_unit_of_work(async_sessionmaker(engine)) as session:
        session.add(Account(id=3, owner="carl", balance=10))
        async_on_commit(session, count)
        await session.run_sync(within)
    assert [3, "blocking"] == said


async def test_hooks_do_not_run_after_a_rollback(
    engine: AsyncEngine, said: list[object]
) -> None:
    """An exception that leaves the scope leaves its hooks behind."""
    factory = async_sessionmaker(engine)
    for scope in (async_transaction(engine), async_unit_of_work(factory)):
        with pytest.raises(LookupError):
            async with scope as lent:
                async_on_commit(lent, said.append, 1)
                await lent.execute(CARL)
                raise LookupError
    assert [] == said


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_hooks_do_not_run_where_commit_rolls_back(
    driver: str, request: pytest.FixtureRequest, said: list[object]
) -> None:
    """PostgreSQL answers the COMMIT of a failed transaction with a rollback."""
    place: Scratch = request.getfixturevalue(f"{driver}_place")
    async with async_engine_scope(place.urls["async"]) as engine:
        scope = async_transaction(engine)
        async with scope as connection:
            async_on_commit(connection, said.append, 1)
            with pytest.raises(SQLAlchemyError):
                await connection.execute(text("SELECT 1 / 0"))
    assert (Outcome.ROLLED_BACK, []) == (scope.outcome, said)


async def test_hook_in_a_savepoint_that_is_rolled_back_is_dropped(
    engine: AsyncEngine, said: list[object]
) -> None:
    """A hook shares the fate of the savepoints around it, in either layer."""
    async with async_transaction(engine) as connection:
        async_on_commit(connection, said.append, 1)
        async with async_savepoint(connection):
            async_on_commit(connection, said.append, 2)
        nested = await connection.begin_nested()
        async_on_commit(connection, said.append, "undone")
        await nested.rollback()
    async with async_unit_of_work(async_sessionmaker(engine)) as session:
        async with session.begin_nested():
            async_on_commit(session, said.append, 3)
        with pytest.raises(LookupError):
            async with async_savepoint(await session.connection()):
                async_on_commit(session, said.append, "undone")
                raise LookupError
        outer = await session.begin_nested()
        async with session.begin_nested():
            async_on_commit(session, said.append, "undone")
        await outer.rollback()
    assert [1, 2, 3] == said


async def test_hooks_that_fail_reach_the_caller_together(
    engine: AsyncEngine, said: list[object]
) -> None:
    """The commit stands, the other hooks run, and the errors are one group."""
    scope = async_transaction(engine)
    with pytest.RaisesGroup(LookupError, LookupError) as caught:
        async with scope as connection:
            async_on_commit(connection, fail, 1)
            async_on_commit(connection, said.append, 2)
            async_on_commit(connection, fail, 3)
    message = "2 of 3 on_commit hooks failed; the transaction was committed"
    assert (message, [NOTE]) == (caught.value.message, caught.value.__notes__)
    assert ([2], Outcome.COMMITTED) == (said, scope.outcome)


async def test_hook_that_ends_cancelled_by_itself_is_one_that_failed(
    engine: AsyncEngine, said: list[object]
) -> None:
    """Nobody has cancelled the caller, whose group says so."""
    other = asyncio.get_running_loop().create_future()
    other.cancel()
    with pytest.RaisesGroup(asyncio.CancelledError):
        async with async_transaction(engine) as connection:
            async_on_commit(connection, lambda: other)
            async_on_commit(connection, said.append, 1)
    assert [1] == said


def test_interrupt_in_a_hook_ends_them_at_once(
    sqlite_url: str, said: list[object]
) -> None:
    """Whoever ends the program is told what has not run."""

    async def interrupt() -> None:
        raise KeyboardInterrupt

    async def main() -> None:
        async with (
            async_engine_scope(sqlite_url) as engine,
            async_transaction(engine) as connection,
        ):
            async_on_commit(connection, interrupt)
            async_on_commit(connection, said.append, 1)

    with pytest.raises(KeyboardInterrupt) as caught:
        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            runner.run(main())
    left = "Its on_commit hooks not run: list.append."
    assert [NOTE, left] == caught.value.__notes__
    assert [] == said


# Cancelled


def cancel_in_commit(engine: AsyncEngine) -> None:
    """Cancel the task of a scope when its COMMIT is about to be sent."""
    task = asyncio.current_task()
    assert task is not None

    @event.listens_for(engine.sync_engine, "commit", once=True)
    def _(_: Connection) -> None:
        task.cancel()


async def ended(
    engine: AsyncEngine,
    *hooks: Callable[[], object],
    when: asyncio.Event | None = None,
    finish_within: float = 5.0,
) -> list[str]:
    """Return the notes of the cancellation that leaves a scope, which has committed.

    It comes in the scope's COMMIT, or when a hook says so.
    """

    async def work() -> None:
        with_bound = engine.execution_options(finish_within=finish_within)
        async with async_transaction(with_bound) as connection:
            await connection.execute(CARL)
            for hook in hooks:
                async_on_commit(connection, hook)
            if when is None:
                cancel_in_commit(engine)

    task = asyncio.create_task(work())
    if when is not None:
        await when.wait()
        task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    async with async_transaction(engine) as connection:
        assert 3 == await connection.scalar(COUNT)
    return caught.value.__notes__


async def test_hooks_run_where_the_scope_is_cancelled_in_its_commit(
    engine: AsyncEngine, said: list[object]
) -> None:
    """The rows are there, so the hooks run; then the cancellation travels on."""

    async def hook() -> None:
        await asyncio.sleep(0)
        said.append(1)

    assert [NOTE] == await ended(engine, hook)
    assert [1] == said


async def test_hooks_run_to_their_end_where_the_scope_is_cancelled_meanwhile(
    engine: AsyncEngine, said: list[object]
) -> None:
    """One hook is not cut in two, and those behind it run as well."""
    begun = asyncio.Event()

    async def hook() -> None:
        begun.set()
        await asyncio.sleep(0.01)
        said.append(1)

    assert [NOTE] == await ended(engine, hook, lambda: said.append(2), when=begun)
    assert [1, 2] == said


async def test_cancellation_is_not_replaced_by_what_hooks_raise(
    engine: AsyncEngine, said: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    """It is noted on the cancellation, and logged."""

    async def failing() -> None:
        raise LookupError

    notes = await ended(engine, failing, lambda: said.append(1))
    assert NOTE == notes[0]
    assert notes[1].endswith("failing failed: LookupError().")
    assert ["async_layers.hooks"] == [record.name for record in caplog.records]
    assert [1] == said


@pytest.mark.parametrize("in_commit", [False, True])
async def test_hooks_that_outlast_the_bound_are_ended(
    engine: AsyncEngine, said: list[object], *, in_commit: bool
) -> None:
    """A cancellation waits for so many seconds, and says what has not run."""
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            said.append("ended")

    when = None if in_commit else begun
    notes = await ended(engine, hang, fail_never, when=when, finish_within=0.05)
    assert NOTE == notes[0]
    assert notes[1].endswith("hang failed: CancelledError().")
    assert ["Its on_commit hooks not run: fail_never."] == notes[2:]
    assert ["ended"] == said


async def test_bound_that_is_over_begins_no_hook(
    engine: AsyncEngine, said: list[object]
) -> None:
    """A COMMIT that has taken all the time leaves none to the hooks."""
    notes = await ended(engine, lambda: said.append(1), finish_within=1e-9)
    assert NOTE == notes[0]
    assert [] == said


def fail_never() -> None:
    """Be a hook that is never begun."""
    raise AssertionError


@pytest.mark.parametrize("driver", ["sqlite", "asyncpg"])
async def test_hooks_have_run_where_the_rows_are_there(
    driver: str, request: pytest.FixtureRequest, said: list[object]
) -> None:
    """Wherever a scope is cancelled, its hooks say what the database says."""
    place: Scratch = request.getfixturevalue(f"{driver}_place")
    place.fresh()

    async def work(engine: AsyncEngine, number: int) -> None:
        async with async_transaction(engine) as connection:
            async_on_commit(connection, said.append, number)
            await connection.execute(CARL, {"id": number, "owner": str(number)})

    cancelled = set[object]()
    async with async_engine_scope(place.urls["async"], wait=5.0) as engine:
        for number in range(3, 15):
            with await_points((number - 2,)) as counted:  # type: ignore[no-untyped-call] # SQLAlchemy's tests have no types
                task = counted.create_task(work(engine, number))
                await asyncio.wait((task,))
            if task.cancelled():
                cancelled.add(number)
        async with async_transaction(engine) as connection:
            rows = await connection.scalars(select(Account.id).order_by(Account.id))
            assert [1, 2, *said] == rows.all()
    assert cancelled & set(said)
    assert cancelled - set(said)
    assert set(said) - cancelled


async def test_timeout_around_a_scope_waits_for_its_hooks(
    engine: AsyncEngine, said: list[object]
) -> None:
    """It is a timeout all the same."""

    async def hook() -> None:
        task.reschedule(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        said.append(1)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as task:
            async with async_transaction(engine) as connection:
                async_on_commit(connection, hook)
    assert [1] == said


# What is refused


async def test_target_of_the_other_world_is_refused(
    engine: AsyncEngine, sqlite_url: str
) -> None:
    """Either helper names its twin."""
    blocking = create_engine(sqlite_url)
    with blocking.begin() as connection:
        with pytest.raises(ArgumentError, match=r"or use on_commit\(\)\.$"):
            async_on_commit(connection, fail, 1)  # type: ignore[arg-type] # planted
    blocking.dispose()
    async with async_transaction(engine) as lent:
        with pytest.raises(ArgumentError, match=r"or use async_on_commit\(\)\.$"):
            on_commit(lent, fail, 1)  # type: ignore[arg-type] # planted


async def test_target_without_a_scope_is_refused(engine: AsyncEngine) -> None:
    """Nobody would run the hooks of a connection or session that no scope lends."""
    async with async_transaction(engine) as lent:
        pass
    for what in (lent, engine.connect()):
        with pytest.raises(InvalidRequestError, match="seen a connection without a sc"):
            async_on_commit(what, fail, 1)
    async with AsyncSession(engine) as session:
        with pytest.raises(InvalidRequestError, match="seen a session without a scope"):
            async_on_commit(session, fail, 1)
