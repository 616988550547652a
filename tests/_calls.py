"""One call of `run_transaction` or `run_unit_of_work`, in the world of its engine."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Engine

import async_layers
from async_layers import (
    Retry,
    async_run_transaction,
    async_run_unit_of_work,
    async_sessionmaker,
    run_transaction,
    run_unit_of_work,
    sessionmaker,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Any

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
    from sqlalchemy.orm import Session

T = TypeVar("T")

AT_ONCE = Retry(wait_initial=0, wait_max=0)


class Caller:
    """Runs blocking functions in transactions of either world.

    Without `retry` there is no pause between two attempts.
    """

    def __init__(
        self, engine: Engine | AsyncEngine, runner: asyncio.Runner | None = None
    ) -> None:
        """Take the engine, and for an asyncio one what runs its event loop."""
        self.engine = engine
        self.runner = runner

    def run(
        self,
        function: Callable[[Connection], T],
        retry: Retry | None = AT_ONCE,
        **options: Any,
    ) -> T:
        """Run a function in a transaction of a connection."""
        if isinstance(self.engine, Engine):
            return run_transaction(self.engine, function, retry=retry, **options)

        async def awaited(connection: AsyncConnection) -> T:
            return await connection.run_sync(function)

        return self._drive(
            async_run_transaction(self.engine, awaited, retry=retry, **options)
        )

    def run_unit(
        self,
        function: Callable[[Session], T],
        retry: Retry | None = AT_ONCE,
        **options: Any,
    ) -> T:
        """Run a function in a unit of work."""
        if isinstance(self.engine, Engine):
            factory = sessionmaker(self.engine)
            return run_unit_of_work(factory, function, retry=retry, **options)

        async def awaited(session: AsyncSession) -> T:
            return await session.run_sync(function)

        sessions = async_sessionmaker(self.engine)
        return self._drive(
            async_run_unit_of_work(sessions, awaited, retry=retry, **options)
        )

    def _drive(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work in the event loop, in the context of who calls."""
        assert self.runner is not None
        return self.runner.run(work, context=copy_context())


@contextmanager
def calling(url: str, world: str, **arguments: Any) -> Iterator[Caller]:
    """Open an engine of ours in a world, `blocking` or `asyncio`; dispose of it."""
    if world == "blocking":
        engine = async_layers.create_engine(url, **arguments)
        try:
            yield Caller(engine)
        finally:
            engine.dispose()
        return
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        opened = async_layers.create_async_engine(url, **arguments)
        try:
            yield Caller(opened, runner)
        finally:
            runner.run(opened.dispose())
