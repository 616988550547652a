"""What the asyncio helpers leave behind where they are cancelled."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError

from async_layers import (
    AsyncScope,
    Outcome,
    async_engine_scope,
    async_insert_rows,
    async_read,
    async_transaction,
    async_unit_of_work,
    create_async_engine,
)
from async_layers._finish import finish
from async_layers._layers.keep import Keep
from async_layers.patterns.tables import Account
from async_layers.session_async import async_sessionmaker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping

    from sqlalchemy.ext.asyncio import AsyncEngine

    from async_layers._proof.scratch import Scratch

COUNT = select(func.count(Account.id))
CARL = insert(Account).values(id=3, owner="carl", balance=10)
STEPS = 24  # turns of the loop after which a body is cancelled


async def cancelled_after(steps: int, work: Coroutine[object, object, object]) -> None:
    """Run work, and cancel it after so many turns of the loop, if it is not over."""
    task = asyncio.ensure_future(work)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def reads(engine: AsyncEngine) -> None:
    async with async_read(engine) as connection:
        await connection.scalar(COUNT)


async def isolates(engine: AsyncEngine) -> None:
    async with async_transaction(engine, isolation_level="SERIALIZABLE") as connection:
        await connection.scalar(COUNT)


async def works(engine: AsyncEngine) -> None:
    factory = async_sessionmaker(engine)
    async with async_unit_of_work(factory, read_only=True) as session:
        await session.scalar(COUNT)


# aiosqlite forgets a connection that is cancelled while it is opened or at work;
# from Python 3.13 on sqlite3 warns when it is collected.
forgets = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Collect what a test leaves while its filters hold, and no more than that."""
    gc.freeze()
    yield
    gc.collect()


@forgets
@pytest.mark.parametrize("body", [reads, isolates, works])
async def test_next_user_has_a_transaction(
    body: Callable[[AsyncEngine], Coroutine[object, object, None]], place: Scratch
) -> None:
    """Wherever a body is cancelled, what the next one rolls back is rolled back."""
    async with async_engine_scope(
        place.urls["async"], pool_size=1, max_overflow=0
    ) as engine:
        for steps in range(STEPS):
            await cancelled_after(steps, body(engine))
            with pytest.raises(LookupError):
                async with async_transaction(engine) as connection:
                    await connection.execute(CARL)
                    raise LookupError
            async with async_read(engine) as connection:
                assert 2 == await connection.scalar(COUNT)


def accounts(number: int) -> Iterator[Mapping[str, object]]:
    """Return rows besides the two that are there."""
    return ({"id": n, "owner": f"owner {n}", "balance": n} for n in range(10, number))


async def loaded(engine: AsyncEngine) -> int | None:
    """Return how many rows are there; None for those that were there before."""
    async with async_read(engine) as connection:
        found: int = await connection.scalar(COUNT)
    return None if found == 2 else found


@forgets
@pytest.mark.parametrize("steps", range(0, 60, 4))
async def test_load_that_is_cancelled_tells_its_end(steps: int, place: Scratch) -> None:
    """All rows are there where its COMMIT was under way or over, otherwise none."""
    scopes = list[AsyncScope[Any]]()

    async def load(engine: AsyncEngine) -> None:
        scopes.append(async_transaction(engine))
        async with scopes[0] as connection:
            await async_insert_rows(connection, Account.__table__, accounts(50010))

    async with async_engine_scope(place.urls["async"], wait=5.0) as engine:
        await cancelled_after(steps, load(engine))
        committed = bool(scopes) and scopes[0].outcome is Outcome.COMMITTED
        assert (50002 if committed else None) == await loaded(engine)


@forgets
@pytest.mark.parametrize("last", [0, 1, 20000, 49999])
async def test_load_that_is_cancelled_is_undone(last: int, place: Scratch) -> None:
    """A load whose task is cancelled while it makes its rows keeps none of them."""

    def rows() -> Iterator[Mapping[str, object]]:
        for number, row in enumerate(accounts(50010)):
            if number == last:
                task.cancel()
            yield row

    async def load(engine: AsyncEngine) -> None:
        async with async_transaction(engine) as connection:
            await async_insert_rows(connection, Account.__table__, rows())

    async with async_engine_scope(place.urls["async"], wait=5.0) as engine:
        task = asyncio.ensure_future(load(engine))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await loaded(engine) is None


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
async def test_backend_that_is_lost_in_a_load_is_told(
    driver: str, request: pytest.FixtureRequest
) -> None:
    """A load whose backend ends fails as an INSERT does, and the pool goes on."""
    place: Scratch = request.getfixturevalue(f"{driver}_place")
    place.fresh()
    url = place.urls["async"]
    async with async_engine_scope(url) as engine, async_engine_scope(url) as other:
        async with other.connect() as killer, engine.connect() as connection:
            pid = await connection.scalar(select(func.pg_backend_pid()))
            end = asyncio.create_task(
                killer.scalar(select(func.pg_terminate_backend(pid, 1000)))
            )

            def rows() -> Iterator[Mapping[str, object]]:
                for number in range(10, 500_010):
                    yield {"id": number, "owner": f"owner {number}", "balance": 1}

            with pytest.raises(DBAPIError):
                await async_insert_rows(connection, Account.__table__, rows())
            assert await end
        async with async_read(engine) as connection:
            assert 2 == await connection.scalar(COUNT)


async def hold(engine: AsyncEngine, closing: asyncio.Event) -> None:
    async with async_engine_scope(engine):
        async with engine.connect() as one, engine.connect() as other:
            await one.execute(text("SELECT 1"))
            await other.execute(text("SELECT 1"))
        closing.set()


@forgets
@pytest.mark.parametrize("steps", range(12))
async def test_engine_is_disposed_of_though_it_is_cancelled(
    steps: int, sqlite_url: str
) -> None:
    """A cancellation while connections close waits until they are closed."""
    engine = create_async_engine(sqlite_url)
    pool, closing = engine.pool, asyncio.Event()
    task = asyncio.create_task(hold(engine, closing))
    await closing.wait()
    await cancel_twice(task, steps)
    assert engine.pool is not pool  # disposed of, and made anew


async def cancel_twice(task: asyncio.Task[None], steps: int) -> None:
    for _ in range(2):
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait([task])


async def waits(began: asyncio.Event, end: asyncio.Event, error: str) -> str:
    began.set()
    await end.wait()
    if error:
        raise LookupError(error)
    return "done"


@pytest.mark.parametrize("cancellations", [0, 1, 3])
@pytest.mark.parametrize("error", ["", "lost"])
async def test_work_is_done_to_the_end(cancellations: int, error: str) -> None:
    """Cancellations wait for the work; and before its error, if it has one."""
    began, end = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(finish(waits(began, end, error)))
    await began.wait()
    for _ in range(cancellations):
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
    end.set()
    expected = "CancelledError" if cancellations else "LookupError" if error else "done"
    assert expected == await end_of(task)


async def end_of(task: Awaitable[str]) -> str:
    try:
        return await task
    except (asyncio.CancelledError, LookupError) as error:
        return type(error).__name__


async def test_answer_in_the_turn_of_a_cancellation_wakes_nobody_twice() -> None:
    """Both are heard, and the next await is not woken by either."""
    loop, heard = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: heard.append(context))
    answer, after = loop.create_future(), asyncio.Event()

    async def work() -> None:
        await answer

    async def user() -> str:
        try:
            await Keep(work(), 10.0, lambda: None)
        except asyncio.CancelledError:
            await after.wait()
            return "went on"
        return "not cancelled"

    task = asyncio.create_task(user())
    await asyncio.sleep(0)
    task.cancel()
    answer.set_result(None)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    after.set()
    assert ("went on", []) == (await task, heard)


async def test_work_that_goes_on_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What neither giving up nor a cancellation ends is waited for to its end."""
    monkeypatch.setattr("async_layers._finish.GRACE", 0.001)
    began, end, told = asyncio.Event(), asyncio.Event(), list[str]()

    async def work() -> None:
        began.set()
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                told.append("cancelled")

    task = asyncio.create_task(finish(work(), 0.001, lambda: told.append("given up")))
    await began.wait()
    task.cancel()
    await asyncio.wait([task], timeout=0.05)
    assert (False, ["given up", "cancelled"]) == (task.done(), told)
    end.set()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("cancellations", [0, 1])
async def test_turns_of_the_loop_are_kept(cancellations: int) -> None:
    """Work that waits for a turn of the loop alone goes on though it is cancelled."""
    turns = list[int]()

    async def work() -> str:
        for turn in range(5):
            turns.append(turn)
            await asyncio.sleep(0)
        return "done"

    async def user() -> str:
        return await Keep(work(), 10.0, lambda: None)

    task = asyncio.create_task(user())
    await asyncio.sleep(0)
    for _ in range(cancellations):
        task.cancel()
    assert ("CancelledError" if cancellations else "done") == await end_of(task)
    assert [0, 1, 2, 3, 4] == turns


async def test_turns_of_the_loop_cannot_be_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Work that waits for nothing has nothing that could be cancelled."""
    monkeypatch.setattr("async_layers._layers.keep.GRACE", 0.0)
    told = list[str]()

    async def work() -> None:
        while not told:  # noqa: ASYNC110 - turns are what is tested
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)

    async def user() -> str:
        await Keep(work(), 0.0, lambda: told.append("given up"))
        return "done"

    task = asyncio.create_task(user())
    await asyncio.sleep(0)
    task.cancel()
    assert ("CancelledError", ["given up"]) == (await end_of(task), told)
