"""An engine of asyncio belongs to the event loop that used it first."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InvalidRequestError, TimeoutError  # noqa: A004
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, StaticPool
from sqlalchemy.util import greenlet_spawn

from async_layers import (
    async_sessionmaker,
    async_transaction,
    async_unit_of_work,
    create_async_engine,
)
from async_layers._layers.holding.loops import Home

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncEngine

ONE = text("SELECT 1")


async def connect(engine: AsyncEngine) -> None:
    """Ask for one row of a connection."""
    async with engine.connect() as connection:
        assert 1 == await connection.scalar(ONE)


async def transact(engine: AsyncEngine) -> None:
    """Ask for one row in a transaction."""
    async with async_transaction(engine) as connection:
        assert 1 == await connection.scalar(ONE)


async def work(engine: AsyncEngine) -> None:
    """Ask for one row in a session."""
    async with async_unit_of_work(async_sessionmaker(engine)) as session:
        assert 1 == await session.scalar(ONE)


async def turned_away(engine: AsyncEngine) -> str:
    """Return why an engine is refused."""
    with pytest.raises(InvalidRequestError) as caught:
        await connect(engine)
    return str(caught.value)


class Loops:
    """Two event loops, and an engine that is disposed of in the first."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.first, self.second = asyncio.Runner(), asyncio.Runner()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.first.run(self.engine.dispose())
        self.first.close()
        self.second.close()


@pytest.fixture(params=["postgresql", "postgresql+psycopg"])
def url(request: pytest.FixtureRequest, postgresql_url: str) -> str:
    """Return a URL for each driver whose connections belong to a loop."""
    return postgresql_url.replace("postgresql", request.param, 1)


@pytest.mark.parametrize("way", [connect, transact, work])
def test_second_loop_is_refused(
    postgresql_url: str, way: Callable[[AsyncEngine], Any]
) -> None:
    """In a second loop each way to a connection is refused; the first goes on."""
    with Loops(create_async_engine(postgresql_url)) as loops:
        loops.first.run(way(loops.engine))
        with pytest.raises(InvalidRequestError, match="refused in loop"):
            loops.second.run(way(loops.engine))
        loops.first.run(way(loops.engine))


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_second_run_is_refused(url: str) -> None:
    """The error names both loops, their threads, and what to write."""
    engine = create_async_engine(url)
    asyncio.run(connect(engine))
    assert re.fullmatch(
        r"A connection is refused in loop 0x\w+ \(running, thread 'MainThread'\): seen "
        r"an engine whose pool belongs to loop 0x\w+ \((closed|gone), thread "
        r"'MainThread'\); write `await engine\.dispose\(\)` at the end of each loop, "
        r"poolclass=NullPool, or an engine for each loop\.",
        asyncio.run(turned_away(engine)),
    )
    engine.sync_engine.dispose(close=False)
    gc.collect()  # what was left open, while the filter holds


@pytest.mark.parametrize("close", [True, False])
def test_engine_that_was_disposed_of_has_no_loop(
    postgresql_url: str, *, close: bool
) -> None:
    """dispose() ends what belongs to a loop: the next one begins anew."""
    with Loops(create_async_engine(postgresql_url)) as loops:
        loops.second.run(connect(loops.engine))
        pool = loops.engine.pool
        loops.second.run(loops.engine.dispose(close=close))
        loops.first.run(connect(loops.engine))
        assert "refused in loop" in loops.second.run(turned_away(loops.engine))
        loops.second.run(greenlet_spawn(pool.dispose))


def test_pool_without_connections_has_no_loop(url: str) -> None:
    """A connection that is never kept belongs to the loop in which it is used."""
    engine = create_async_engine(url, poolclass=NullPool)
    for _ in range(2):
        asyncio.run(connect(engine))


def test_pool_that_failed_to_connect_has_no_loop(url: str) -> None:
    """Of what never was, nothing is left in the first loop."""
    engine = create_async_engine(re.sub(r":\d+/", ":1/", url))
    for _ in range(2):
        with pytest.raises(DBAPIError):
            asyncio.run(connect(engine))
    assert isinstance(engine.pool, AsyncAdaptedQueuePool)


def test_pool_that_does_not_tell_keeps_its_loop(postgresql_url: str) -> None:
    """A pool that does not say what is in it is taken to have something."""
    with Loops(create_async_engine(postgresql_url, poolclass=StaticPool)) as loops:
        loops.first.run(connect(loops.engine))
        assert "refused in loop" in loops.second.run(turned_away(loops.engine))


def test_engine_with_options_belongs_to_the_same_loop(postgresql_url: str) -> None:
    """An engine from execution_options() has the same pool, and the same loop."""
    with Loops(create_async_engine(postgresql_url)) as loops:
        other = loops.engine.execution_options(isolation_level="AUTOCOMMIT")
        loops.first.run(connect(other))
        assert "refused in loop" in loops.second.run(turned_away(loops.engine))


def test_loop_is_not_kept_alive() -> None:
    """A loop that is closed is shown as that, and as gone when it is collected."""
    loop = asyncio.new_event_loop()
    home = Home(loop)
    number = f"loop {id(loop):#x}"
    assert f"{number} (at rest, thread 'MainThread')" == str(home)
    loop.close()
    assert f"{number} (closed, thread 'MainThread')" == str(home)
    del loop
    gc.collect()
    assert f"{number} (gone, thread 'MainThread')" == str(home)


def test_loops_of_threads_are_told_apart(postgresql_url: str) -> None:
    """A thread with a loop of its own is refused while the other one runs, or rests."""
    found = list[str]()

    def other(loops: Loops) -> None:
        found.append(loops.second.run(turned_away(loops.engine)))

    async def mine(loops: Loops) -> None:
        await connect(loops.engine)
        thread = threading.Thread(target=other, args=(loops,), name="other")
        thread.start()
        await asyncio.to_thread(thread.join)

    with Loops(create_async_engine(postgresql_url)) as loops:
        loops.first.run(mine(loops))
        other(loops)
    assert "(running, thread 'other'): seen" in found[0]
    assert "(running, thread 'MainThread');" in found[0]
    assert "(at rest, thread 'MainThread');" in found[1]


def test_each_thread_may_have_an_engine(postgresql_url: str) -> None:
    """An engine for each loop is right, also at the same time."""
    both = threading.Barrier(2, timeout=10)
    done = list[bool]()

    async def alone() -> None:
        engine = create_async_engine(postgresql_url)
        async with engine.connect() as connection:
            both.wait()
            assert 1 == await connection.scalar(ONE)
            both.wait()
        await engine.dispose()
        done.append(True)

    threads = [threading.Thread(target=lambda: asyncio.run(alone())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [True, True] == done


def test_sqlite_works_in_any_loop(sqlite_url: str) -> None:
    """SQLite's connections wait for a thread: none of them belongs to a loop."""
    for url in (sqlite_url, "sqlite://"):
        engine = create_async_engine(url)
        for _ in range(2):
            asyncio.run(connect(engine))
        asyncio.run(engine.dispose())


async def wait(engine: AsyncEngine) -> None:
    """Wait for a connection that does not come back."""
    async with engine.connect():
        await connect(engine)


def test_two_loops_do_not_wait_for_one_pool(sqlite_url: str) -> None:
    """Where a loop has waited, another is refused to, in words that say so."""
    engine = create_async_engine(
        sqlite_url, pool_size=1, max_overflow=0, pool_timeout=0.01
    )
    with pytest.raises(TimeoutError):
        asyncio.run(wait(engine))
    with pytest.raises(
        InvalidRequestError,
        match=r"To wait for a connection is refused in loop .*"
        r"seen all of them in use, .*in which another loop has waited",
    ):
        asyncio.run(wait(engine))
    asyncio.run(engine.dispose())


def test_error_of_the_user_travels_on() -> None:
    """Another RuntimeError than that of two loops is nobody's but its raiser's."""

    async def creator() -> Any:
        raise RuntimeError("mine")

    engine = create_async_engine("sqlite://", async_creator=creator)
    with pytest.raises(RuntimeError, match=r"^mine$"):
        asyncio.run(connect(engine))


def test_without_a_loop_nothing_is_refused(sqlite_url: str) -> None:
    """Outside of a loop it is the driver that refuses, as ever."""
    engine = create_async_engine(sqlite_url)
    with pytest.raises(InvalidRequestError, match="seen blocking code"):
        engine.sync_engine.raw_connection()


PROGRAM = """
import pytest
from sqlalchemy import text
from async_layers import create_async_engine

@pytest.fixture(scope="session")
def engine():
    return create_async_engine({url!r})

@pytest.mark.parametrize("time", [1, 2])
async def test_function(engine, time):
    async with engine.connect() as connection:
        await connection.scalar(text("SELECT 1"))

@pytest.fixture(scope="session")
async def right():
    engine = create_async_engine({url!r})
    yield engine
    await engine.dispose()

@pytest.mark.parametrize("time", [1, 2])
@pytest.mark.asyncio(loop_scope="session")
async def test_session(right, time):
    async with right.connect() as connection:
        await connection.scalar(text("SELECT 1"))
"""


def test_loops_of_pytest_are_told_apart(tmp_path: Path, postgresql_url: str) -> None:
    """An engine of the session is refused to the loop of a second function.

    With `loop_scope="session"`, for the engine and its tests, it is not.
    """
    file = tmp_path / "test_scopes.py"
    file.write_text(PROGRAM.format(url=postgresql_url), encoding="utf-8")
    options = [
        "-p",
        "pytest_asyncio.plugin",
        "--asyncio-mode=auto",
        "-o",
        "asyncio_default_fixture_loop_scope=session",
    ]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-c", "/dev/null", *options, str(file)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
    )
    summary = run.stdout.partition("short test summary info")[2]
    assert ["function[1]", "session[1]", "session[2]"] == re.findall(
        r"PASSED .*::test_(\S+)", summary
    )
    assert ["function[2]"] == re.findall(r"FAILED .*::test_(\S+)", summary)
    assert "A connection is refused in loop" in run.stdout
