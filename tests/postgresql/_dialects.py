"""The four dialects of PostgreSQL: ours and SQLAlchemy's own, in either world.

A test takes `side` (see `conftest.py`) and runs once on each of the four:

    def test_a_number_comes_back(side: Side) -> None:
        def body(connection: Connection) -> object:
            return connection.scalar(select(literal(5)))

        assert 5 == side.run(body)

One body serves both worlds: it is a function of a blocking `Connection`, and the
asyncio dialects run it by `run_sync`. With `wrong_on` the same test is a strict
xfail on a stock dialect, with the reason; with `on` it runs on some of the four.
A test of asyncio's own interface takes `driver` instead, and opens an engine of
its own with `open_async_engine`.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar, cast

import asyncpg  # pyright: ignore[reportMissingTypeStubs] - it ships none
import pytest
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.util import greenlet_spawn

import async_layers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from typing import Any

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncEngine

PSYCOPG: Final = "psycopg"
ASYNCPG: Final = "asyncpg"
OURS: Final = "ours"
OURS_ASYNC: Final = "ours_async"
BLOCKING: Final = (PSYCOPG, OURS)
ASYNCIO: Final = (ASYNCPG, OURS_ASYNC)
DRIVERS: Final = (*BLOCKING, *ASYNCIO)

_T = TypeVar("_T")


def wrong(driver: str, reason: str) -> Any:
    """Return the parameter `driver` as one on which the test fails, strictly."""
    mark = pytest.mark.xfail(
        strict=True,
        reason=reason,
        raises=(
            AssertionError,
            pytest.fail.Exception,
            SQLAlchemyError,
            # What stock asyncpg lets through, as it is.
            asyncpg.PostgresError,
            asyncpg.InterfaceError,
            OSError,
            ValueError,
            OverflowError,
        ),
    )
    return pytest.param(driver, marks=mark)


def wrong_on(
    driver: str, reason: str, *, among: tuple[str, ...] = DRIVERS
) -> pytest.MarkDecorator:
    """Run a test on all four dialects, and see it fail on one, a stock one.

    A stock dialect that no longer fails is an error: then the reason has to go.
    """
    return pytest.mark.parametrize(
        "driver", [wrong(one, reason) if one == driver else one for one in among]
    )


def on(*drivers: str) -> pytest.MarkDecorator:
    """Run a test on these dialects only."""
    return pytest.mark.parametrize("driver", drivers)


def open_engine(driver: str, url: str, **arguments: Any) -> Engine:
    """Open a blocking engine: ours, or SQLAlchemy's own on psycopg."""
    if driver == OURS:
        return async_layers.create_engine(url, **arguments)
    named = make_url(url).set(drivername=f"postgresql+{driver}")
    return create_engine(named, **arguments)


def open_async_engine(driver: str, url: str, **arguments: Any) -> AsyncEngine:
    """Open an asyncio engine: ours, or SQLAlchemy's own on asyncpg."""
    if driver == OURS_ASYNC:
        return async_layers.create_async_engine(url, **arguments)
    named = make_url(url).set(drivername=f"postgresql+{driver}")
    return create_async_engine(named, **arguments)


class Side:
    """An engine of one dialect, on which blocking bodies run in its own world."""

    def __init__(
        self,
        driver: str,
        engine: Engine | AsyncEngine,
        runner: asyncio.Runner | None = None,
    ) -> None:
        """Take the engine, and for an asyncio one what runs its event loop."""
        self.driver = driver
        self.opened = engine
        self.runner = runner
        self.engine = engine if isinstance(engine, Engine) else engine.sync_engine

    def on_engine(self, body: Callable[[Engine], _T]) -> _T:
        """Run a body on the engine."""
        if self.runner is None:
            return body(self.engine)
        return self.runner.run(greenlet_spawn(body, self.engine))

    def run(self, body: Callable[[Connection], _T], **options: Any) -> _T:
        """Run a body on a connection with these options; what it left is rolled back.

        A body that wants to keep something commits.
        """

        def connected(engine: Engine) -> _T:
            with engine.connect() as connection:
                connection.execution_options(**options)
                return body(connection)

        return self.on_engine(connected)

    def session(self, body: Callable[[Session], _T], **arguments: Any) -> _T:
        """Run a body on a session; what it did not commit is rolled back."""

        def opened(engine: Engine) -> _T:
            with Session(engine, **arguments) as session:
                return body(session)

        return self.on_engine(opened)

    def drive(self, function: Callable[[AsyncEngine], Awaitable[_T]]) -> _T:
        """Run a coroutine function on the asyncio engine."""

        async def driven() -> _T:
            return await function(cast("AsyncEngine", self.opened))

        if self.runner is None:
            raise TypeError(f"{self.driver} is no asyncio dialect")
        return self.runner.run(driven())


@contextmanager
def open_side(driver: str, url: str, **arguments: Any) -> Iterator[Side]:
    """Open an engine of a dialect, with an event loop if it needs one; dispose of it.

    Not for coroutines: a loop is running there already.
    """
    if driver in BLOCKING:
        blocking = open_engine(driver, url, **arguments)
        try:
            yield Side(driver, blocking)
        finally:
            blocking.dispose()
        return
    # A factory of its own, so that the thread's current loop is left alone.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        engine = open_async_engine(driver, url, **arguments)
        try:
            yield Side(driver, engine, runner)
        finally:
            runner.run(engine.dispose())
