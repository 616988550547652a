"""A load of tasks."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.faults._load import BOUND, PAUSE, Load
from tests.faults._ways_async import WAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.ext.asyncio import AsyncEngine
    from sqlalchemy.pool import Pool

    from tests.faults._bank import Bank
    from tests.faults._book import Book
    from tests.faults._ways_async import Way


class Tasks(Load):
    """A load of tasks on an asyncio engine, in the event loop of a thread."""

    def __init__(
        self,
        bank: Bank,
        book: Book,
        workers: int,
        engine: AsyncEngine,
        ways: Sequence[Way] = WAYS,
    ) -> None:
        """Take the engine, and by which helpers workers transfer, in turn."""
        super().__init__(bank, book, workers)
        self._engine = engine
        self._ways = ways
        self._before = set[threading.Thread]()
        self._under_way = set[asyncio.Task[None]]()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._run, name="event loop", daemon=True
        )
        self._going, self._stopping = asyncio.Event(), asyncio.Event()
        self._complaints = list[str]()
        self._workers: Future[None] = Future()

    @property
    def pool(self) -> Pool:
        """The pool of the engine."""
        return self._engine.pool

    def start(self) -> None:
        """Begin."""
        self._before = set(threading.enumerate())
        self._thread.start()
        self.let_go(on=True)
        self._workers = asyncio.run_coroutine_threadsafe(self._all(), self._loop)

    def let_go(self, *, on: bool) -> None:
        """Let workers begin transfers, or not."""
        act = self._going.set if on else self._going.clear
        self._loop.call_soon_threadsafe(act)

    def cancel(self) -> None:
        """Cancel each transfer that is under way; return when that is done."""

        async def cancel() -> None:
            for task in self._under_way:
                task.cancel()
            await asyncio.sleep(0)  # each has heard of it

        asyncio.run_coroutine_threadsafe(cancel(), self._loop).result(BOUND)

    def stop(self) -> None:
        """Return when each worker has ended its transfer; no more is begun."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self.let_go(on=True)
        self._workers.result(BOUND)

    def close(self) -> None:
        """Dispose of the engine, and note what is left."""
        ending = asyncio.run_coroutine_threadsafe(self._end(), self._loop)
        try:
            ending.result(BOUND)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(BOUND)
            self._loop.close()
        living = set(threading.enumerate()) - self._before
        self.left.threads = sorted(thread.name for thread in living)

    def _run(self) -> None:
        self._loop.set_exception_handler(self._complain)
        self._loop.run_forever()

    def _complain(self, _: object, context: dict[str, Any]) -> None:
        """Note what nobody has waited for: a task that is lost, or its error.

        A future of asyncpg's own is none of it, which nobody awaits where TLS is asked
        for and connecting is cancelled.
        """
        complaint = f"{context['message']}: {context.get('exception')!r}"
        if "unexpected connection_lost() call" not in complaint:
            self._complaints.append(complaint)

    async def _end(self) -> None:
        await self._engine.dispose()
        for _ in range(20):  # what has been told to end has its turns
            await asyncio.sleep(0)
        living = asyncio.all_tasks() - {asyncio.current_task()}
        self.left.tasks = sorted(map(repr, living)) + self._complaints

    async def _all(self) -> None:
        await asyncio.gather(*map(self._work, range(self.workers)))

    async def _work(self, worker: int) -> None:
        way = self._ways[worker % len(self._ways)]
        for number in count():
            await self._going.wait()
            if self._stopping.is_set():
                return
            transfer = self.bank.transfer(worker, number)
            with self.book.attempt(worker, transfer, self.deadline) as attempt:
                steps = self.bank.steps(transfer)
                await self._alone(way(self._engine, attempt, steps))
            if attempt.error:
                await self._pause()

    async def _alone(self, work: Any) -> None:
        """Do work in a task, so that it can be cancelled and its worker lives."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        try:
            await asyncio.wait([task])
        finally:
            self._under_way.discard(task)
        task.result()

    async def _pause(self) -> None:
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([stopping], timeout=PAUSE)
        stopping.cancel()
