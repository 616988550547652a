"""Another task, and another thread, which live for as long as a test needs them."""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import event
from sqlalchemy.util import await_only

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Self

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

T = TypeVar("T")

LIMIT = 10.0


class OtherThread(threading.Thread):
    """A thread that does what it is given, and lives on."""

    def __init__(self, name: str = "other") -> None:
        super().__init__(name=name)
        self._jobs = queue.SimpleQueue[Any]()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._jobs.put(None)
        self.join(LIMIT)

    def run(self) -> None:
        """Do one thing after the other."""
        while (job := self._jobs.get(timeout=LIMIT)) is not None:
            future, work = job
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it is the asker's
                future.set_exception(error)

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Have it do something."""
        future = Future[T]()
        self._jobs.put((future, work))
        return future

    def do(self, work: Callable[[], T]) -> T:
        """Have it do something, and wait."""
        return self.begin(work).result(LIMIT)


class OtherTask:
    """A task that does what it is given, and lives on."""

    async def __aenter__(self) -> Self:
        self._jobs = asyncio.Queue[Any]()
        self.task = asyncio.create_task(self._run(), name="other")
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._jobs.put(None)
        await asyncio.wait_for(self.task, LIMIT)

    async def _run(self) -> None:
        while (job := await self._jobs.get()) is not None:
            future, work = job
            try:
                future.set_result(await work())
            except Exception as error:  # noqa: BLE001 - it is the asker's
                future.set_exception(error)

    async def do(self, work: Callable[[], Awaitable[T]]) -> T:
        """Have it call a function and await what it returns, and wait."""
        future = asyncio.get_running_loop().create_future()
        await self._jobs.put((future, work))
        result: T = await asyncio.wait_for(future, LIMIT)
        return result


class Held:
    """An operation of asyncio's, in flight until it is let go."""

    def __init__(self, used: AsyncConnection | AsyncSession) -> None:
        self._used: Any = used
        self._begun = asyncio.Event()
        self._gate = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self._run(), name="holder")
        await asyncio.wait_for(self._begun.wait(), LIMIT)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.let_go()
        await asyncio.wait_for(self.task, LIMIT)

    async def _run(self) -> None:
        await self._used.run_sync(self._wait)

    def _wait(self, _: object) -> None:
        self._begun.set()
        await_only(asyncio.wait_for(self._gate.wait(), LIMIT))

    def let_go(self) -> None:
        """Let it end."""
        self._gate.set()


class HeldThread:
    """A statement of a blocking engine, in flight until it is let go."""

    def __init__(self, engine: Engine) -> None:
        self.begun = threading.Event()
        self.gate = threading.Event()
        event.listen(engine, "before_cursor_execute", self._wait)

    def _wait(self, *statement: object) -> None:
        if "held" in str(statement[2]):
            self.begun.set()
            assert self.gate.wait(LIMIT)
