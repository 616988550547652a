"""A load of threads."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING

from tests.faults._load import BOUND, PAUSE, Load
from tests.faults._ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Engine
    from sqlalchemy.pool import Pool

    from tests.faults._bank import Bank
    from tests.faults._book import Book
    from tests.faults._ways import Way


class Threads(Load):
    """A load of threads on a blocking engine."""

    def __init__(
        self,
        bank: Bank,
        book: Book,
        workers: int,
        engine: Engine,
        ways: Sequence[Way] = WAYS,
    ) -> None:
        """Take the engine, and by which helpers workers transfer, in turn."""
        super().__init__(bank, book, workers)
        self._engine = engine
        self._ways = ways
        self._before = set[threading.Thread]()
        self._going, self._stopping = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(
                target=self._work, args=[n], name=f"worker {n}", daemon=True
            )
            for n in range(workers)
        ]

    @property
    def pool(self) -> Pool:
        """The pool of the engine."""
        return self._engine.pool

    def start(self) -> None:
        """Begin."""
        self._before = set(threading.enumerate())
        self.let_go(on=True)
        for thread in self._threads:
            thread.start()

    def let_go(self, *, on: bool) -> None:
        """Let workers begin transfers, or not."""
        (self._going.set if on else self._going.clear)()

    def cancel(self) -> None:
        """Do nothing: nobody cancels a thread."""

    def stop(self) -> None:
        """Return when each worker has ended its transfer; no more is begun."""
        self._stopping.set()
        self.let_go(on=True)
        for thread in self._threads:
            thread.join(BOUND)

    def close(self) -> None:
        """Dispose of the engine, and note what is left."""
        self._engine.dispose()
        living = set(threading.enumerate()) - self._before
        self.left.threads = sorted(thread.name for thread in living)

    def _work(self, worker: int) -> None:
        way = self._ways[worker % len(self._ways)]
        for number in count():
            self._going.wait()
            if self._stopping.is_set():
                return
            transfer = self.bank.transfer(worker, number)
            with self.book.attempt(worker, transfer, self.deadline) as attempt:
                way(self._engine, attempt, self.bank.steps(transfer))
            if attempt.error:
                self._stopping.wait(PAUSE)
