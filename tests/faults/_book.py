"""What workers were told of their transfers, written down as it happens."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults._bank import Transfer


@dataclass
class Attempt:
    """What a worker was told of one transfer: by a return, or an error.

    `outcome` is what the scope says, `heard` how often a hook was run after a commit.
    `lost` is whether the error tells of a connection that was lost.
    """

    worker: int
    transfer: Transfer
    began: float
    ended: float = 0
    acknowledged: bool = False
    outcome: str | None = None
    deadline: float | None = None
    error: str | None = None
    lost: bool = False
    strange: bool = False
    heard: int = 0

    @property
    def kind(self) -> str | None:
        """The class of the error alone."""
        return self.error and self.error.partition(" ")[0]

    @property
    def may_be_unknown(self) -> bool:
        """Whether the connection was lost, or nobody tells so."""
        return self.lost or self.error in {"CancelledError", "DeadlineExceeded"}

    def hear(self) -> None:
        """Note that a hook is run."""
        self.heard += 1

    def end(self, error: BaseException | None) -> None:
        """Note how it ended."""
        self.ended = time.monotonic()
        self.acknowledged = error is None
        if error is not None:
            self.error = _named(error)
            self.lost = getattr(error, "connection_invalidated", False)
            known = (SQLAlchemyError, asyncio.CancelledError, TimeoutError)
            self.strange = not isinstance(error, known)


def _named(error: BaseException) -> str:
    """Return the class of an error, and its SQLSTATE or the number of MySQL's."""
    name = type(error).__name__
    if not isinstance(error, DBAPIError):
        return name
    original: Any = error.orig
    arguments = getattr(original, "args", ())
    numbers = [one for one in arguments[:1] if isinstance(one, int)]
    code = getattr(original, "sqlstate", None) or (numbers[0] if numbers else None)
    return f"{name} {code}" if code else name


@dataclass
class Book:
    """All attempts; any thread may write, and wait for what is written."""

    attempts: list[Attempt] = field(default_factory=list[Attempt])
    flying: dict[int, Attempt] = field(default_factory=dict[int, Attempt])
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def attempt(
        self, worker: int, transfer: Transfer, deadline: float | None
    ) -> Iterator[Attempt]:
        """Write down what a worker is told in the block, which raises nothing."""
        attempt = Attempt(worker, transfer, time.monotonic(), deadline=deadline)
        with self._changed:
            self.flying[worker] = attempt
        error: BaseException | None = None
        try:
            yield attempt
        except (Exception, asyncio.CancelledError) as raised:  # noqa: BLE001 - noted
            error = raised
        attempt.end(error)
        with self._changed:
            del self.flying[worker]
            self.attempts.append(attempt)
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until something holds of the book, and say whether it does in time."""
        end = time.monotonic() + seconds
        with self._changed:
            while not condition():
                if time.monotonic() > end:
                    return False
                self._changed.wait(0.01)  # time passes, even if nothing is written
        return True

    def since(self, moment: float) -> list[Attempt]:
        """Return the attempts that began after a moment, and are over."""
        return [one for one in self.attempts if one.began >= moment]

    def succeeded(self, workers: int, moment: float, times: int = 1) -> bool:
        """Say whether each worker has succeeded since a moment, so many times."""
        done = Counter(one.worker for one in self.since(moment) if one.acknowledged)
        return all(done[worker] >= times for worker in range(workers))

    def failures(self, moment: float) -> list[Attempt]:
        """Return the attempts that met an error after a moment."""
        return [one for one in self.attempts if one.error and one.ended >= moment]

    def failed(self, workers: int, moment: float, times: int = 1) -> bool:
        """Say whether each worker has met so many errors since a moment."""
        met = Counter(one.worker for one in self.failures(moment))
        return all(met[worker] >= times for worker in range(workers))

    def stuck(self, workers: int, seconds: float) -> bool:
        """Say whether so many workers have waited so long for one transfer."""
        now = time.monotonic()
        held = [one for one in self.flying.values() if now - one.began > seconds]
        return len(held) >= workers
