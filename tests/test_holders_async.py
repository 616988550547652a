"""The pool's error, its warnings, and who they name: tasks."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import (
    ArgumentError,
    SAWarning,
    TimeoutError,  # noqa: A004 - the pool's
)
from sqlalchemy.pool import AssertionPool, NullPool, Pool, StaticPool
from sqlalchemy.util import greenlet_spawn

from async_layers import (
    DeadlineExceeded,
    async_sessionmaker,
    async_transaction,
    async_unit_of_work,
    create_async_engine,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

SMALL: dict[str, Any] = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.01}
ONE = text("SELECT 1")


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """Return an engine with one connection, for which nobody waits for long."""
    engine = create_async_engine(f"sqlite:///{tmp_path / 'file.db'}", **SMALL)
    yield engine
    await engine.dispose()


async def refused(engine: AsyncEngine) -> list[str]:
    """Return the lines of the error of a pool that has no connection left."""
    with pytest.raises(TimeoutError) as caught:
        await engine.connect()
    return str(caught.value.args[0]).splitlines()


def here(up: int = 0) -> str:
    """Return the line that calls, `up` lines further down, as an error names it."""
    frame = sys._getframe(1)
    code = frame.f_code
    return f"{code.co_filename}:{frame.f_lineno + up} in {code.co_qualname}"


@asynccontextmanager
async def connecting(engine: AsyncEngine) -> AsyncIterator[str]:
    """Hold a connection, and say from where."""
    async with engine.connect():
        yield here(-1)


@asynccontextmanager
async def beginning(engine: AsyncEngine) -> AsyncIterator[str]:
    """Hold a transaction of SQLAlchemy's own."""
    async with engine.begin():
        yield here(-1)


@asynccontextmanager
async def transacting(engine: AsyncEngine) -> AsyncIterator[str]:
    """Hold a transaction of the helper's."""
    async with async_transaction(engine):
        yield here(-1)


@asynccontextmanager
async def working(engine: AsyncEngine) -> AsyncIterator[str]:
    """Hold a session."""
    async with async_sessionmaker(engine)() as session:
        await session.execute(ONE)
        yield here(-1)


@asynccontextmanager
async def blocking(engine: AsyncEngine) -> AsyncIterator[str]:
    """Hold a session that a blocking function has connected."""
    async with async_sessionmaker(engine)() as session:

        def work(session: Any) -> str:
            session.execute(ONE)
            return here(-1)

        yield await session.run_sync(work)


@asynccontextmanager
async def uniting(engine: AsyncEngine) -> AsyncIterator[str]:
    """Hold a unit of work, whose options need a connection at once."""
    async with async_unit_of_work(async_sessionmaker(engine), read_only=True):
        yield here(-1)


WAYS = [connecting, beginning, transacting, working, blocking, uniting]


@pytest.mark.parametrize("way", WAYS)
async def test_pool_names_the_line_of_each_holder(
    engine: AsyncEngine, way: Callable[[AsyncEngine], Any]
) -> None:
    """The error of an exhausted pool says who holds what, since when and where."""
    task = asyncio.current_task()
    assert task is not None
    task.set_name("mine")
    async with way(engine) as line:
        first, second, held, advice = await refused(engine)
    assert first.startswith("QueuePool limit of size 1 overflow 0 reached")
    assert "The pool's connections are held by" == second
    found = re.fullmatch(
        r"  task 'mine' for (\d\.\d) s, from (.*), which asks for another one here",
        held,
    )
    assert found
    assert line == found[2]
    assert 1 > float(found[1])
    assert "Give them back earlier, or write a larger pool_size." == advice


async def test_pool_names_where_another_task_waits(engine: AsyncEngine) -> None:
    """A holder that lives is shown with the line that it is at."""
    out, back = asyncio.Event(), asyncio.Event()
    lines = list[str]()

    async def hold() -> None:
        async with connecting(engine) as line:
            lines.extend((line, here(2)))
            out.set()
            await back.wait()

    task = asyncio.create_task(hold(), name="busy")
    await out.wait()
    held = (await refused(engine))[2]
    back.set()
    await task
    assert held.startswith("  task 'busy' for 0.")
    assert held.endswith(f"from {lines[0]}, now at {lines[1]}")


async def test_pool_names_a_task_that_has_ended(engine: AsyncEngine) -> None:
    """A connection that its task has left behind is shown as that, task kept or not."""
    stack = AsyncExitStack()
    task = asyncio.create_task(stack.enter_async_context(connecting(engine)))
    line = await task
    name = task.get_name()
    for _ in range(2):
        held = (await refused(engine))[2]
        assert held.startswith(f"  task {name!r} for 0.")
        assert held.endswith(f"from {line}, which has ended")
        del task
        gc.collect()
        task = asyncio.create_task(asyncio.sleep(0))
    await task
    await stack.aclose()


async def test_task_that_only_connects_is_named_by_that(engine: AsyncEngine) -> None:
    """Without a line of the program, SQLAlchemy's own first one is named."""
    connection = engine.connect()
    # A task of its own on Python 3.11, the caller's from 3.12 on.
    await asyncio.create_task(connection.start(), name="bare")  # type: ignore[arg-type]
    held = (await refused(engine))[2]
    await connection.close()
    assert re.match(r"  task 'bare' .*engine\.py:\d+ in AsyncConnection\.start, ", held)


async def test_connection_of_a_line_of_options_is_its_callers(
    engine: AsyncEngine,
) -> None:
    """A task that the helper makes for itself is not named, but who waits for it."""
    gone = list[str]()

    async def hold() -> None:
        async with uniting(engine) as line:
            gone.append(line)
            gone.append((await refused(engine))[2])

    await asyncio.create_task(hold(), name="caller")
    assert gone[1].startswith("  task 'caller' for ")
    assert gone[0] in gone[1]


async def test_deadline_that_ends_at_the_pool_names_the_holders(
    engine: AsyncEngine,
) -> None:
    """Whose time is over while waiting for the pool is told who has it."""
    async with connecting(engine) as line:
        with pytest.raises(DeadlineExceeded) as caught:
            async with async_transaction(engine, deadline=0.005):
                pass
    assert line in str(caught.value)


@pytest.mark.parametrize("pool", [NullPool, StaticPool, AssertionPool])
async def test_any_pool_is_as_it_was(tmp_path: Path, pool: type[Pool]) -> None:
    """Pools without a limit lend, take back and dispose as ever."""
    url = f"sqlite:///{tmp_path / 'file.db'}"
    engine = create_async_engine(url, poolclass=pool)
    for _ in range(2):
        async with engine.connect() as connection:
            assert 1 == await connection.scalar(ONE)
    await engine.dispose()


@pytest.mark.parametrize("way", [connecting, transacting, working, uniting])
async def test_late_connection_is_named(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    way: Callable[[AsyncEngine], Any],
) -> None:
    """With hold_warning, a connection that was out for long is logged with its line."""
    url = f"sqlite:///{tmp_path / 'file.db'}"
    engine = create_async_engine(url, hold_warning=1e-9)
    async with way(engine) as line:
        caplog.clear()
    (message,) = caplog.messages
    assert re.fullmatch(
        r"A connection comes back late: seen task '.*' with it for "
        rf"0\.\d s \(hold_warning=1e-09\), from {re.escape(line)}; write .*",
        message,
    )
    await engine.dispose()


def test_hold_warning_is_a_time() -> None:
    """What is no number of seconds is refused."""
    with pytest.raises(ArgumentError, match="hold_warning is refused: seen 0"):
        create_async_engine("sqlite://", hold_warning=0)


async def test_dropped_connection_is_named(
    engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """Garbage that was never closed is named with its line, before it is ended."""

    async def drop() -> str:
        connection = await engine.connect()
        await connection.execute(ONE)
        line = here(-2)
        del connection
        gc.collect()
        return line

    with (
        pytest.warns(SAWarning, match="garbage collector is"),
        pytest.warns(ResourceWarning, match="is dropped without close") as caught,
    ):
        line = await drop()
    named = next(each for each in caught if each.category is ResourceWarning)
    assert line in str(named.message)
    assert line.startswith(f"{named.filename}:{named.lineno} in ")
    assert str(named.message) == caplog.messages[0]


async def test_closed_connection_is_not_named(
    engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """What was closed may become garbage in silence, and so may what is cancelled."""
    out = asyncio.Event()

    async def hold() -> None:
        async with engine.connect():
            out.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hold())
    await out.wait()
    task.cancel()
    await asyncio.wait((task,))
    del task
    async with engine.connect() as connection:
        await connection.run_sync(Connection.detach)
    del connection
    gc.collect()
    assert [] == caplog.messages


async def test_blocking_face_outside_of_a_task_holds_as_a_thread(
    engine: AsyncEngine,
) -> None:
    """Whoever takes a connection where no loop runs is named as a thread."""
    async with engine.connect():
        pass
    connection = await asyncio.to_thread(engine.sync_engine.raw_connection)
    held = (await refused(engine))[2]
    assert held.startswith("  thread 'asyncio_0' for 0.")
    await greenlet_spawn(connection.close)


async def test_blocking_face_in_a_task_holds_as_the_task(engine: AsyncEngine) -> None:
    """Whoever takes an idle connection without a greenlet is named all the same."""
    async with engine.connect():
        pass
    connection = engine.sync_engine.raw_connection()
    line = here(-1)
    assert line in (await refused(engine))[2]
    await greenlet_spawn(connection.close)
