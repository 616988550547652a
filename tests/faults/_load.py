"""Workers that transfer money until they are told to stop."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import DBAPIError

from async_layers import Outcome, Retry
from tests.faults._verdict import Left

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.pool import Pool

    from tests.faults._bank import Bank
    from tests.faults._book import Attempt, Book

BOUND: Final = 10.0  # seconds, within which what must happen has happened
PAUSE: Final = 0.005  # seconds, that a worker waits after an error

RETRY: Final = Retry(attempts=3, wait_initial=PAUSE, wait_max=4 * PAUSE)


@contextmanager
def told(attempt: Attempt) -> Iterator[None]:
    """Note the outcome where no scope tells it: by a return, or a note on the error."""
    try:
        yield
    except BaseException as error:
        notes = [n for n in getattr(error, "__notes__", ()) if n.startswith("The ")]
        said = [one.value for one in Outcome for note in notes if one.value in note]
        attempt.outcome = said[-1] if said else None
        raise
    attempt.outcome = "committed"


class Load(ABC):
    """Workers of one world on an engine of their own."""

    def __init__(self, bank: Bank, book: Book, workers: int) -> None:
        """Take where to transfer, and where to note it."""
        self.bank, self.book, self.workers = bank, book, workers
        self.left = Left()
        self.deadline: float | None = None  # of each transfer, in seconds

    @property
    @abstractmethod
    def pool(self) -> Pool:
        """The pool of the engine."""

    @abstractmethod
    def start(self) -> None:
        """Begin."""

    @abstractmethod
    def let_go(self, *, on: bool) -> None:
        """Let workers begin transfers, or not."""

    @abstractmethod
    def cancel(self) -> None:
        """Cancel each transfer that is under way; threads have no such thing."""

    @abstractmethod
    def stop(self) -> None:
        """Return when each worker has ended its transfer; no more is begun."""

    @abstractmethod
    def close(self) -> None:
        """Dispose of the engine, and note what is left."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let no worker do anything in the block: all connections are in the pool."""
        self.let_go(on=False)
        try:
            assert self.book.wait_for(lambda: not self.book.flying, BOUND)
            yield
        finally:
            self.let_go(on=True)


@contextmanager
def watched(bank: Bank) -> Iterator[list[int]]:
    """Look at the sum of all accounts as long as the block lasts; note wrong ones."""
    wrong = list[int]()
    expected, over = bank.total(), threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            found = _total(bank)
            if found not in {None, expected}:
                wrong.append(found or 0)

    thread = threading.Thread(target=watch, name="observer")
    thread.start()
    try:
        yield wrong
    finally:
        over.set()
        thread.join(BOUND)


def _total(bank: Bank) -> int | None:
    """Return the sum, or None while the server does not answer."""
    try:
        return bank.total()
    except (DBAPIError, OSError):
        return None
